//! Taking in newcomers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chitchat_transport::errno::{Class, classify};
use chitchat_transport::{Report, canonical};
use chitchat_transport_links::{Place, Verdict};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::greeting::{Failed, welcome};
use crate::shared::Shared;
use crate::socket::{self, prepare};

/// For a newcomer to introduce itself, after which its place is free again.
const GREET_TIMEOUT: Duration = Duration::from_secs(5);
/// When there are so many times the connections that there should be, newcomers are turned away.
const CROWD: usize = 3;
/// When nobody can be taken in, the next try is not made at once.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A socket that has failed so often in a row is opened anew.
const REOPEN_AFTER: u32 = 5;

/// One socket that is listened on.
#[derive(Debug)]
pub(crate) struct Ear {
    local: SocketAddr,
    listener: TcpListener,
    // Dropped after the socket.
    counted: Counted,
}

impl Ear {
    /// Listens on an address of the configuration. Port 0 becomes one that is free. `listeners`
    /// counts the sockets that there are.
    pub(crate) fn open(addr: SocketAddr, listeners: &watch::Sender<usize>) -> io::Result<Self> {
        let listener = socket::listen(addr)?;
        let local = canonical(listener.local_addr()?);
        Ok(Self { local, listener, counted: Counted::new(listeners) })
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }
}

/// Counts a socket as long as it is there.
#[derive(Debug)]
struct Counted(watch::Sender<usize>);

impl Counted {
    fn new(listeners: &watch::Sender<usize>) -> Self {
        listeners.send_modify(|open| *open += 1);
        Self(listeners.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

/// Takes in whoever comes by one socket, until the transport ends.
pub(crate) async fn listen(shared: Arc<Shared>, ear: Ear) {
    // What is bound last is dropped first.
    let Ear { local, counted: _counted, mut listener } = ear;
    let mut in_a_row = 0;
    loop {
        let error = match listener.accept().await {
            Ok((stream, addr)) => {
                in_a_row = 0;
                take_in(&shared, stream, canonical(addr), local);
                continue;
            }
            Err(error) => error,
        };
        let failure = classify(&error);
        if matches!(failure.class, Class::WouldBlock | Class::Interrupted) {
            continue;
        }
        shared.hub.news.failure(failure.name);
        // One connection that has failed before it was taken in says nothing about the next one.
        in_a_row += 1;
        if in_a_row > 1 {
            sleep(pause(in_a_row)).await;
        }
        if failure.class != Class::Local && in_a_row >= REOPEN_AFTER {
            listener = reopened(&shared, listener, local).await;
            in_a_row = 0;
        }
    }
}

fn pause(in_a_row: u32) -> Duration {
    PAUSE.saturating_mul(1 << in_a_row.saturating_sub(2).min(10)).min(LONGEST_PAUSE)
}

/// Listens anew on the same address, as soon as that is possible.
async fn reopened(shared: &Shared, listener: TcpListener, local: SocketAddr) -> TcpListener {
    // It has the address as long as it is there.
    drop(listener);
    let mut in_a_row = 1;
    loop {
        match socket::listen(local) {
            Ok(listener) => {
                shared.hub.news.counters.reopened.add(1);
                tracing::info!(%local, "tcp: listening again");
                return listener;
            }
            Err(error) => shared.hub.news.failure(classify(&error).name),
        }
        in_a_row += 1;
        sleep(pause(in_a_row)).await;
    }
}

fn take_in(shared: &Arc<Shared>, stream: TcpStream, addr: SocketAddr, local: SocketAddr) {
    // They are looked through for surplus ones from time to time, and a crowd is faster than that.
    if shared.hub.connections().len() >= shared.config.max_connections * CROWD {
        return shared.hub.news.failure("too many connections");
    }
    match shared.hub.admission.judge(addr, true) {
        Verdict::Accept(place) => {
            shared.hub.spawn(greet(Arc::clone(shared), stream, addr, local, place));
        }
        Verdict::Retry | Verdict::Ignore => shared.hub.news.failure("too many handshakes"),
    }
}

async fn greet(
    shared: Arc<Shared>,
    stream: TcpStream,
    addr: SocketAddr,
    local: SocketAddr,
    place: Place,
) {
    let news = &shared.hub.news;
    if let Err(error) = prepare(&stream, shared.config.keep_alive) {
        return news.failure(classify(&error).name);
    }
    let own = shared.preface(local);
    let greeted = timeout(GREET_TIMEOUT, welcome(stream, &shared.security, &own, addr)).await;
    drop(place);
    match greeted {
        Ok(Ok(established)) => shared.admit(established, None),
        Ok(Err(failed)) => {
            tracing::debug!(%addr, ?failed, "tcp: greeting failed");
            note(&shared, addr, failed);
        }
        Err(_) => news.failure("handshake timed out"),
    }
}

fn note(shared: &Shared, addr: SocketAddr, failed: Failed) {
    let news = &shared.hub.news;
    match failed {
        Failed::Rejected(reason) => {
            // The newcomer did not like our certificate.
            news.failure("rejected by a peer");
            news.tell(Report::RejectedUs { node_id: None, addr, reason });
        }
        #[cfg(feature = "tls")]
        Failed::Refused(error) => chitchat_transport_links::tell_refused(news, addr, None, &error),
        // It may have lost a race against a dial to another address of ours.
        Failed::Gone => {}
        Failed::Malformed | Failed::AnotherNode(_) => {
            news.counters.dropped_malformed.add(1);
            news.failure("not a node");
        }
        Failed::Unreachable(_) => news.failure("handshake failed"),
    }
}

#[cfg(test)]
mod tests {
    use chitchat_transport::{InboxLimits, inbox};
    use tokio::time::Instant;

    use super::*;
    use crate::config::TcpConfig;
    use crate::security::Security;

    /// Linux ends a socket that is listened on by a shutdown; other systems refuse that.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_socket_that_fails_again_and_again_is_opened_anew_at_the_same_address() {
        let listeners = watch::Sender::new(0);
        let ear = Ear::open("127.0.0.1:0".parse().unwrap(), &listeners).unwrap();
        let local = ear.local();
        let (sender, _inbox) = inbox(InboxLimits { entries: 10, bytes: 1_000 });
        let shared = Shared::new(
            TcpConfig::default(),
            Security::None,
            "n".into(),
            vec![local],
            listeners,
            sender,
        );
        let shared = Arc::new(shared);
        let broken = socket2::SockRef::from(&ear.listener).shutdown(std::net::Shutdown::Read);
        broken.unwrap();
        shared.hub.spawn(listen(Arc::clone(&shared), ear));
        let begin = Instant::now();
        while shared.stats().reopened == 0 {
            assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", shared.stats());
            sleep(Duration::from_millis(10)).await;
        }
        TcpStream::connect(local).await.unwrap();
        // It waited between the failures, and did not spin.
        let failures: u64 = shared.stats().failures.values().sum();
        assert!((5..10).contains(&failures), "{:?}", shared.stats().failures);
        shared.end();
    }

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let pauses: Vec<u128> = (2..10).map(|row| pause(row).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000]);
    }
}
