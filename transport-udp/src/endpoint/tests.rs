use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chitchat_transport::{
    Destination, Inbound, OpenOptions, Transport, TransportReceiver, TransportSender,
};
use rustix::io::Errno;
use tokio::time::timeout;

use crate::socket::{Datagrams, LateError, OpenSocket, RealSocket, RealSockets};
use crate::{PlainUdpReceiver, PlainUdpSender, PlainUdpTransport};

/// Ends what would hang; far more than anything here takes.
const GUARD: Duration = Duration::from_secs(60);

/// Errors to come, the next one first.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) send: Mutex<VecDeque<i32>>,
    pub(super) recv: Mutex<VecDeque<i32>>,
    open: Mutex<VecDeque<i32>>,
    opened: Mutex<Vec<SocketAddr>>,
}

fn next(faults: &Mutex<VecDeque<i32>>) -> io::Result<()> {
    match faults.lock().unwrap().pop_front() {
        Some(errno) => Err(io::Error::from_raw_os_error(errno)),
        None => Ok(()),
    }
}

struct FaultySockets(Arc<Faults>);

struct FaultySocket {
    inner: RealSocket,
    faults: Arc<Faults>,
}

impl OpenSocket for FaultySockets {
    type Socket = FaultySocket;

    fn open(&self, addr: SocketAddr) -> io::Result<(FaultySocket, SocketAddr)> {
        next(&self.0.open)?;
        let (inner, local) = RealSockets { buffer_bytes: 0 }.open(addr)?;
        self.0.opened.lock().unwrap().push(local);
        Ok((FaultySocket { inner, faults: Arc::clone(&self.0) }, local))
    }
}

impl Datagrams for FaultySocket {
    async fn ready(&self, read: bool, write: bool) -> io::Result<()> {
        self.inner.ready(read, write).await
    }

    fn try_send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        next(&self.faults.send)?;
        self.inner.try_send_to(bytes, to)
    }

    fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        next(&self.faults.recv)?;
        self.inner.try_recv_from(buffer)
    }

    fn try_late_error(&self) -> Option<LateError> {
        self.inner.try_late_error()
    }
}

pub(super) type Node = (PlainUdpSender, PlainUdpReceiver);

fn options() -> OpenOptions {
    OpenOptions::new("c", "n", vec!["127.0.0.1:0".parse().unwrap()])
}

pub(super) fn faulty() -> (Node, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let opener = FaultySockets(Arc::clone(&faults));
    (PlainUdpTransport::new().open_with(opener, &options()).unwrap(), faults)
}

pub(super) async fn sound() -> Node {
    PlainUdpTransport::new().open(options()).await.unwrap()
}

/// Sends until it arrives, as gossip does.
pub(super) async fn flows(from: &PlainUdpSender, to: &mut Node, content: &'static str) {
    let destination = Destination::node("peer", to.0.local_addrs());
    let arrives = async {
        loop {
            // A queue that is full for a moment is no failure.
            let _ = from.send(&destination, Bytes::from_static(content.as_bytes()));
            let inbound = timeout(Duration::from_millis(20), to.1.recv()).await;
            if let Ok(Some(Inbound::Message(message))) = inbound
                && message.bytes == content
            {
                return;
            }
        }
    };
    timeout(GUARD, arrives).await.unwrap_or_else(|_| panic!("{content}: nothing flows any more"));
}

/// All that a network, a firewall, a peer or a host under pressure is known to answer, and two
/// that nobody knows.
fn errnos() -> Vec<i32> {
    let known = [
        Errno::NOBUFS,
        Errno::CONNREFUSED,
        Errno::HOSTUNREACH,
        Errno::HOSTDOWN,
        Errno::NETDOWN,
        Errno::NETUNREACH,
        Errno::NETRESET,
        Errno::PERM,
        Errno::ACCESS,
        Errno::MSGSIZE,
        Errno::AGAIN,
        Errno::INTR,
        Errno::CONNRESET,
        Errno::CONNABORTED,
        Errno::TIMEDOUT,
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
        Errno::ADDRNOTAVAIL,
        Errno::AFNOSUPPORT,
        Errno::INVAL,
        Errno::DESTADDRREQ,
        Errno::NOPROTOOPT,
        Errno::PROTO,
        Errno::PIPE,
        Errno::NOTCONN,
        Errno::SHUTDOWN,
        Errno::NODEV,
        Errno::IO,
        Errno::BADF,
        Errno::NOTSOCK,
    ];
    known.into_iter().map(Errno::raw_os_error).chain([i32::MAX, 0]).collect()
}

async fn survives(errno: i32, times: usize) {
    let ((sender, receiver), faults) = faulty();
    let mut node = (sender, receiver);
    let mut peer = sound().await;
    flows(&node.0, &mut peer, "before, out").await;
    flows(&peer.0, &mut node, "before, in").await;

    faults.send.lock().unwrap().extend(vec![errno; times]);
    flows(&node.0, &mut peer, "after failed sends").await;
    faults.recv.lock().unwrap().extend(vec![errno; times]);
    flows(&peer.0, &mut node, "after failed receives").await;
    flows(&node.0, &mut peer, "and out again").await;

    let left = faults.send.lock().unwrap().len() + faults.recv.lock().unwrap().len();
    assert_eq!(left, 0, "errno {errno}: not all errors were met");
    // All are counted, but for what is no failure.
    let would_block = Errno::AGAIN.raw_os_error();
    let expected = if errno == would_block { 0 } else { 2 * times as u64 };
    let stats = node.0.stats();
    assert!(stats.failures_total() >= expected, "errno {errno}: {stats:?}");
}

/// The loop of the original stopped for good when `ENOBUFS` or the like came up once.
#[tokio::test]
async fn every_errno_is_survived_on_send_and_recv() {
    let all: Vec<_> = errnos()
        .into_iter()
        .flat_map(|errno| [1, 6].map(|times| tokio::spawn(survives(errno, times))))
        .collect();
    for one in all {
        one.await.unwrap();
    }
}

#[tokio::test]
async fn a_socket_that_keeps_failing_is_opened_anew_on_the_same_port() {
    for on_send in [true, false] {
        let ((sender, receiver), faults) = faulty();
        let mut node = (sender, receiver);
        let mut peer = sound().await;
        let before = node.0.local_addrs();
        // Binding fails too at first.
        faults.open.lock().unwrap().extend([Errno::ADDRINUSE.raw_os_error(); 3]);
        let target = if on_send { &faults.send } else { &faults.recv };
        target.lock().unwrap().extend([Errno::BADF.raw_os_error(); 8]);
        flows(&peer.0, &mut node, "in").await;
        flows(&node.0, &mut peer, "out").await;
        let reopened = async {
            while node.0.stats().reopened == 0 {
                flows(&node.0, &mut peer, "out").await;
            }
        };
        timeout(GUARD, reopened).await.unwrap();
        flows(&peer.0, &mut node, "in, by the new socket").await;
        let opened = faults.opened.lock().unwrap().clone();
        assert_eq!(opened, [before[0], before[0]], "on_send: {on_send}");
        assert_eq!(node.0.local_addrs(), before);
    }
}

#[tokio::test]
async fn closing_works_while_the_socket_cannot_be_opened() {
    let ((sender, mut receiver), faults) = faulty();
    faults.open.lock().unwrap().extend(vec![Errno::MFILE.raw_os_error(); 100_000]);
    faults.recv.lock().unwrap().extend([Errno::BADF.raw_os_error(); 8]);
    let gone = async {
        while faults.open.lock().unwrap().len() == 100_000 {
            let _ = sender.send(&Destination::addr(sender.local_addrs()[0]), Bytes::new());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        sender.close().await;
        while receiver.recv().await.is_some() {}
    };
    timeout(GUARD, gone).await.unwrap();
}

#[tokio::test]
async fn what_is_queued_is_sent_before_closing() {
    let ((sender, _receiver), faults) = faulty();
    let mut peer = sound().await;
    faults.send.lock().unwrap().extend([Errno::NOBUFS.raw_os_error(); 2]);
    let destination = Destination::node("peer", peer.0.local_addrs());
    for _ in 0..10 {
        sender.send(&destination, Bytes::from_static(b"bye")).unwrap();
    }
    timeout(GUARD, sender.close()).await.unwrap();
    for _ in 0..10 {
        let inbound = timeout(GUARD, peer.1.recv()).await.unwrap();
        assert!(matches!(inbound, Some(Inbound::Message(message)) if message.bytes == "bye"));
    }
    assert_eq!(sender.stats().dropped_sending, 0);
}

#[tokio::test]
async fn a_family_that_the_host_does_not_know_is_counted_and_the_other_one_used() {
    let ((sender, _receiver), faults) = faulty();
    let mut peer = sound().await;
    let nowhere: SocketAddr = "192.0.2.1:9".parse().unwrap();
    faults.send.lock().unwrap().push_back(Errno::AFNOSUPPORT.raw_os_error());
    let addrs = [nowhere, peer.0.local_addrs()[0]];
    sender.send(&Destination::node("peer", addrs), Bytes::from_static(b"x")).unwrap();
    let inbound = timeout(GUARD, peer.1.recv()).await.unwrap();
    assert!(matches!(inbound, Some(Inbound::Message(_))), "the same message, by another address");
    assert_eq!(sender.stats().failures.get("EAFNOSUPPORT"), Some(&1));
    let blocked = sender.send(&Destination::addr(nowhere), Bytes::new());
    assert_eq!(blocked, Err(chitchat_transport::SendError::NoUsableAddress));
}
