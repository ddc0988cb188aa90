//! One connection to one verified peer.

mod drive;
mod read;
mod write;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use chitchat_transport::{ReplyPath, canonical};
use chitchat_transport_links::{CloseCode, EndingSlot, Link, Linked, Proof, SendQueue, Verified};
use quinn::Connection;
use tokio::time::Instant;

use crate::code::varint;

pub(crate) use drive::drive;

/// A connection on which nothing comes back for this long after something was sent is given up:
/// the peer acknowledges within milliseconds, whatever its application does.
const UNANSWERED_FOR: Duration = Duration::from_secs(3);
/// A connection that both sides' identities were verified on.
#[derive(Debug)]
pub(crate) struct QuicLink {
    token: u64,
    pub(crate) connection: Connection,
    pub(crate) queue: SendQueue,
    pub(crate) proof: Proof,
    dialled: Option<SocketAddr>,
    /// The peer has accepted us: a message of it came, or one of ours was acknowledged.
    confirmed: AtomicBool,
    /// Streams of ours that are not acknowledged yet, and one while messages are being taken from
    /// the queue.
    in_flight: AtomicUsize,
    activity: Activity,
    /// The room for datagrams that wait to be sent, when there is none.
    datagram_room: usize,
    ending: EndingSlot,
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
    pub(crate) proof: Proof,
    pub(crate) dialled: Option<SocketAddr>,
}

impl QuicLink {
    pub(crate) fn new(token: u64, established: Established, queue: SendQueue) -> Self {
        let Established { connection, proof, dialled } = established;
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
            proof,
            dialled,
            confirmed: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            activity,
            ending: EndingSlot::default(),
        }
    }

    pub(crate) fn reply_path(&self) -> ReplyPath {
        ReplyPath::new(self.remote(), self.token)
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
}

impl Linked for QuicLink {
    fn token(&self) -> u64 {
        self.token
    }

    fn node_id(&self) -> &Arc<str> {
        &self.proof.identity.node_id
    }

    fn dialled(&self) -> Option<SocketAddr> {
        self.dialled
    }
}

impl Link for QuicLink {
    fn remote(&self) -> SocketAddr {
        canonical(self.connection.remote_address())
    }

    fn queue(&self) -> &SendQueue {
        &self.queue
    }

    fn ending(&self) -> &EndingSlot {
        &self.ending
    }

    fn quiet(&self, now: Instant) -> Duration {
        let last = self.activity.last_message.load(Ordering::Relaxed);
        Duration::from_millis(self.activity.millis(now).saturating_sub(last))
    }

    // Everything has been sent, and all streams have been acknowledged.
    fn is_flushed(&self) -> bool {
        self.queue.is_empty()
            && self.in_flight.load(Ordering::Relaxed) == 0
            && self.connection.datagram_send_buffer_space() >= self.datagram_room
    }

    fn close(&self, code: CloseCode, reason: &str) {
        self.connection.close(varint(code), reason.as_bytes());
    }
}

impl Verified for QuicLink {
    fn proof(&self) -> Option<&Proof> {
        Some(&self.proof)
    }
}
