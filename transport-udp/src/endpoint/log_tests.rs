//! What the log says, and how often.

use std::fmt::{Debug, Write as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use bytes::Bytes;
use chitchat_transport::{Destination, TransportSender};
use rustix::io::Errno;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::tests::{faulty, flows, sound};

/// Keeps every event of one thread with its level and fields.
///
/// Set for the whole process: tracing decides once for all threads whether anybody wants an event,
/// and may ask a thread that has no subscriber.
#[derive(Clone)]
struct Log {
    thread: ThreadId,
    lines: Arc<Mutex<Vec<(Level, String)>>>,
}

impl Log {
    fn start() -> Self {
        let log = Self { thread: std::thread::current().id(), lines: Arc::default() };
        tracing::subscriber::set_global_default(log.clone()).unwrap();
        log
    }

    fn all(&self) -> Vec<(Level, String)> {
        self.lines.lock().unwrap().clone()
    }

    fn lines(&self, level: Level) -> Vec<String> {
        self.all().into_iter().filter(|(of, _)| *of == level).map(|(_, line)| line).collect()
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("chitchat")
    }

    fn event(&self, event: &Event<'_>) {
        if std::thread::current().id() == self.thread {
            let mut line = Line(String::new());
            event.record(&mut line);
            self.lines.lock().unwrap().push((*event.metadata().level(), line.0));
        }
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}
    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}
    fn enter(&self, _span: &Id) {}
    fn exit(&self, _span: &Id) {}
}

/// Single-threaded, so that the log of this thread is the log of the tasks.
#[tokio::test]
async fn many_failures_are_one_line_and_no_line_names_an_unknown_family() {
    let log = Log::start();
    let ((sender, receiver), faults) = faulty();
    let mut node = (sender, receiver);
    let mut peer = sound().await;

    let unusable: Vec<SocketAddr> =
        (1..=50).map(|n| SocketAddr::from(([192, 0, 2, n], 9))).collect();
    faults.send.lock().unwrap().push_back(Errno::AFNOSUPPORT.raw_os_error());
    for addr in &unusable {
        // All but the first are refused by us, since the family is known to be unusable.
        let _ = node.0.send(&Destination::addr(*addr), Bytes::new());
        tokio::task::yield_now().await;
    }
    faults.recv.lock().unwrap().extend([Errno::NOBUFS.raw_os_error(); 5]);
    flows(&peer.0, &mut node, "in").await;
    faults.send.lock().unwrap().extend([Errno::PERM.raw_os_error(); 20]);
    flows(&node.0, &mut peer, "out").await;

    assert!(node.0.stats().failures_total() > 20);
    let warnings = log.lines(Level::WARN);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("x ENOBUFS") || warnings[0].contains("x EPERM"));
    let infos = log.lines(Level::INFO);
    assert_eq!(infos.len(), 1, "{infos:?}");
    assert!(infos[0].contains("IPv4"));
    let all = log.all();
    assert!(all.iter().all(|(_, line)| !line.contains("EAFNOSUPPORT")), "{all:?}");
    let above_debug = all.iter().filter(|(level, _)| *level < Level::DEBUG).count();
    assert_eq!(above_debug, 2, "{all:?}");
}
