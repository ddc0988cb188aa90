//! One connection to one verified peer.

mod drive;
mod read;
mod write;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chitchat_tls::{PeerIdentity, PeerRole};
use chitchat_transport::{ReplyPath, canonical};
use quinn::Connection;
use rustls::pki_types::CertificateDer;
use tokio::time::Instant;

use crate::code::CloseCode;
use crate::queue::SendQueue;
use crate::registry::Linked;

pub(crate) use drive::drive;

/// A connection on which nothing comes back for this long after something was sent is given up:
/// the peer acknowledges within milliseconds, whatever its application does.
const UNANSWERED_FOR: Duration = Duration::from_secs(3);
/// A draining connection is closed when it was quiet for this long, so that what is under way
/// arrives.
pub(crate) const QUIET_FOR: Duration = Duration::from_secs(1);

/// A connection that both sides' identities were verified on.
#[derive(Debug)]
pub(crate) struct Link {
    token: u64,
    pub(crate) connection: Connection,
    pub(crate) queue: SendQueue,
    pub(crate) identity: PeerIdentity,
    /// What the peer is in this connection.
    pub(crate) role: PeerRole,
    /// What the peer showed, to be verified again when we trust others than before.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// The credentials that the peer was last verified with.
    pub(crate) verified: AtomicU64,
    /// The certificate of ours that the peer has seen.
    pub(crate) leaf_epoch: u64,
    dialled: Option<SocketAddr>,
    /// The peer has accepted us: a message of it came, or one of ours was acknowledged.
    confirmed: AtomicBool,
    /// Streams of ours that are not acknowledged yet, and one while messages are being taken from
    /// the queue.
    in_flight: AtomicUsize,
    activity: Activity,
    /// The room for datagrams that wait to be sent, when there is none.
    datagram_room: usize,
    ending: Mutex<Option<Ending>>,
}

/// When and how a connection that is no longer sent on is closed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending {
    pub(crate) code: CloseCode,
    /// Whether we close it when it is quiet; else the peer does.
    pub(crate) by_us: bool,
    /// When we close it, quiet or not.
    pub(crate) deadline: Instant,
}

/// Times are milliseconds since `start`, 0 for never.
#[derive(Debug)]
struct Activity {
    start: Instant,
    last_message: AtomicU64,
    unanswered_since: AtomicU64,
    /// UDP datagrams that had come when the first message without an answer was sent.
    received_before: AtomicU64,
}

impl Activity {
    fn millis(&self, now: Instant) -> u64 {
        let millis = now.saturating_duration_since(self.start).as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX).max(1)
    }
}

/// What is known of a connection when it was just set up.
pub(crate) struct Established {
    pub(crate) connection: Connection,
    pub(crate) identity: PeerIdentity,
    pub(crate) role: PeerRole,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// Of the credentials that the peer was verified with.
    pub(crate) epoch: u64,
    /// Of the certificate that the peer was shown, which may be an older one.
    pub(crate) leaf_epoch: u64,
    pub(crate) dialled: Option<SocketAddr>,
}

impl Link {
    pub(crate) fn new(token: u64, established: Established, queue: SendQueue) -> Self {
        let Established { connection, identity, role, chain, epoch, leaf_epoch, dialled } =
            established;
        let activity = Activity {
            start: Instant::now(),
            last_message: AtomicU64::new(1),
            unanswered_since: AtomicU64::new(0),
            received_before: AtomicU64::new(0),
        };
        Self {
            token,
            // Less than was configured: quinn counts overhead, too.
            datagram_room: connection.datagram_send_buffer_space(),
            connection,
            queue,
            identity,
            role,
            chain,
            verified: AtomicU64::new(epoch),
            leaf_epoch,
            dialled,
            confirmed: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            activity,
            ending: Mutex::new(None),
        }
    }

    /// The peer's address at this moment: it may move.
    pub(crate) fn remote(&self) -> SocketAddr {
        canonical(self.connection.remote_address())
    }

    pub(crate) fn reply_path(&self) -> ReplyPath {
        ReplyPath::new(self.remote(), self.token)
    }

    pub(crate) fn close(&self, code: CloseCode, reason: &str) {
        self.connection.close(code.varint(), reason.as_bytes());
    }

    pub(crate) fn is_confirmed(&self) -> bool {
        self.confirmed.load(Ordering::Relaxed)
    }

    fn confirm(&self) {
        self.confirmed.store(true, Ordering::Relaxed);
    }

    fn note_received(&self) {
        self.confirm();
        let now = self.activity.millis(Instant::now());
        self.activity.last_message.store(now, Ordering::Relaxed);
    }

    fn note_sent(&self) {
        let now = self.activity.millis(Instant::now());
        self.activity.last_message.store(now, Ordering::Relaxed);
        if self.activity.unanswered_since.load(Ordering::Relaxed) == 0 {
            let received = self.connection.stats().udp_rx.datagrams;
            self.activity.received_before.store(received, Ordering::Relaxed);
            self.activity.unanswered_since.store(now, Ordering::Relaxed);
        }
    }

    /// Whether something was sent a while ago and nothing at all has come since.
    pub(crate) fn is_unanswered(&self, now: Instant) -> bool {
        let since = self.activity.unanswered_since.load(Ordering::Relaxed);
        if since == 0 {
            return false;
        }
        let received = self.connection.stats().udp_rx.datagrams;
        if received != self.activity.received_before.load(Ordering::Relaxed) {
            self.activity.unanswered_since.store(0, Ordering::Relaxed);
            return false;
        }
        let waited = self.activity.millis(now).saturating_sub(since);
        Duration::from_millis(waited) >= UNANSWERED_FOR
    }

    /// An answer that is waited for has all its time from now on.
    pub(crate) fn wait_anew(&self, now: Instant) {
        let since = &self.activity.unanswered_since;
        if since.load(Ordering::Relaxed) != 0 {
            since.store(self.activity.millis(now), Ordering::Relaxed);
        }
    }

    /// How long no message has come or gone.
    pub(crate) fn quiet(&self, now: Instant) -> Duration {
        let last = self.activity.last_message.load(Ordering::Relaxed);
        Duration::from_millis(self.activity.millis(now).saturating_sub(last))
    }

    /// Whether everything has been sent, and all streams have been acknowledged.
    pub(crate) fn is_flushed(&self) -> bool {
        self.queue.is_empty()
            && self.in_flight.load(Ordering::Relaxed) == 0
            && self.connection.datagram_send_buffer_space() >= self.datagram_room
    }

    pub(crate) fn set_ending(&self, ending: Ending) {
        let mut present = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        present.get_or_insert(ending);
    }

    /// It is sent on again: the other connection between the two nodes has ended.
    pub(crate) fn set_serving(&self) {
        *self.ending.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn ending(&self) -> Option<Ending> {
        *self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Linked for Link {
    fn token(&self) -> u64 {
        self.token
    }

    fn node_id(&self) -> &Arc<str> {
        &self.identity.node_id
    }

    fn dialled(&self) -> Option<SocketAddr> {
        self.dialled
    }
}
