//! One connection to one peer.

mod drive;
mod read;
mod write;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use chitchat_transport::ReplyPath;
use chitchat_transport_links::{CloseCode, EndingSlot, Link, Linked, SendQueue};
#[cfg(feature = "tls")]
use chitchat_transport_links::{Proof, Verified};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::ending::End;
use crate::stream::Stream;

pub(crate) use drive::drive;

/// When nothing has come back for this long after something was sent, the peer is asked whether it
/// is there: not every message has an answer.
const ASK_AFTER: Duration = Duration::from_millis(1_500);
/// A connection on which nothing comes back for this long is given up: the peer's transport answers
/// within milliseconds, whatever its application does.
const UNANSWERED_FOR: Duration = Duration::from_secs(3);
/// A peer that takes nothing for this long, although it may send, is given up, too: what waits for
/// it takes room from others.
const STUCK_FOR: Duration = Duration::from_secs(10);

const PING_NONE: u8 = 0;
const PING_DUE: u8 = 1;
/// Once is enough, until something comes.
const PING_SENT: u8 = 2;

/// What is known of a connection when it was just set up.
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) stream: Stream,
    /// What came behind the peer's preface.
    pub(crate) came: BytesMut,
    /// Verified if there is a proof, else what the peer claims.
    pub(crate) node_id: Arc<str>,
    /// Where the peer can be dialled, as far as it is known.
    pub(crate) remote: SocketAddr,
    pub(crate) dialled: Option<SocketAddr>,
    #[cfg(feature = "tls")]
    pub(crate) proof: Option<Proof>,
}

/// What all tasks may see of a connection.
#[derive(Debug)]
pub(crate) struct TcpLink {
    token: u64,
    node_id: Arc<str>,
    remote: SocketAddr,
    dialled: Option<SocketAddr>,
    #[cfg(feature = "tls")]
    proof: Option<Proof>,
    queue: SendQueue,
    ending: EndingSlot,
    activity: Activity,
    /// Something has left the queue and is not with the operating system yet.
    writing: AtomicBool,
    /// Whether the peer is to be asked, or was asked, if it is there.
    ping: AtomicU8,
    pong_due: AtomicBool,
    /// Something has come after the greeting.
    heard: AtomicBool,
    /// How it is to be closed, and the wake-up for that.
    closing: Mutex<Option<(CloseCode, Box<str>)>>,
    close_now: Notify,
}

/// Times are milliseconds since `start`, 0 for never.
#[derive(Debug)]
struct Activity {
    start: Instant,
    last_message: AtomicU64,
    /// Since when something was sent and nothing at all has come.
    unanswered_since: AtomicU64,
    /// Since when the operating system takes nothing more.
    stuck_since: AtomicU64,
}

impl Activity {
    fn millis(&self, now: Instant) -> u64 {
        let millis = now.saturating_duration_since(self.start).as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX).max(1)
    }

    /// How long ago a moment was that may have been.
    fn since(&self, moment: &AtomicU64, now: Instant) -> Option<Duration> {
        let moment = moment.load(Ordering::Relaxed);
        (moment != 0).then(|| Duration::from_millis(self.millis(now).saturating_sub(moment)))
    }
}

impl TcpLink {
    /// Also gives back the stream, and what has been read from it already.
    pub(crate) fn new(
        token: u64,
        established: Established,
        queue: SendQueue,
    ) -> (Self, Stream, BytesMut) {
        let activity = Activity {
            start: Instant::now(),
            last_message: AtomicU64::new(1),
            unanswered_since: AtomicU64::new(0),
            stuck_since: AtomicU64::new(0),
        };
        let link = Self {
            token,
            node_id: established.node_id,
            remote: established.remote,
            dialled: established.dialled,
            #[cfg(feature = "tls")]
            proof: established.proof,
            queue,
            ending: EndingSlot::default(),
            activity,
            writing: AtomicBool::new(false),
            ping: AtomicU8::new(PING_NONE),
            pong_due: AtomicBool::new(false),
            heard: AtomicBool::new(false),
            closing: Mutex::new(None),
            close_now: Notify::new(),
        };
        (link, established.stream, established.came)
    }

    pub(crate) fn reply_path(&self) -> ReplyPath {
        ReplyPath::new(self.remote, self.token)
    }

    /// The peer's node id if it has proved it.
    pub(crate) fn verified_node_id(&self) -> Option<&Arc<str>> {
        #[cfg(feature = "tls")]
        if let Some(proof) = &self.proof {
            return Some(&proof.identity.node_id);
        }
        None
    }

    /// How long it has been there.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.activity.start)
    }

    fn note_message(&self) {
        let now = self.activity.millis(Instant::now());
        self.activity.last_message.store(now, Ordering::Relaxed);
    }

    /// Bytes have come, whatever they are.
    fn note_heard(&self) {
        self.activity.unanswered_since.store(0, Ordering::Relaxed);
        self.ping.store(PING_NONE, Ordering::Relaxed);
        self.heard.store(true, Ordering::Relaxed);
    }

    /// Whether a ping is to be sent now. It is said only once.
    fn takes_ping(&self) -> bool {
        self.swap_ping(PING_DUE, PING_SENT)
    }

    fn swap_ping(&self, from: u8, to: u8) -> bool {
        self.ping.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn note_sent(&self) {
        self.note_message();
        let now = self.activity.millis(Instant::now());
        // If it is unanswered already, it has been for longer.
        let since = &self.activity.unanswered_since;
        let _ = since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The operating system takes nothing more at present.
    fn note_stuck(&self) {
        let now = self.activity.millis(Instant::now());
        let since = &self.activity.stuck_since;
        let _ = since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The operating system takes more again, so the peer has taken something.
    fn note_unstuck(&self) {
        if self.activity.stuck_since.swap(0, Ordering::Relaxed) != 0 {
            self.wait_anew(Instant::now());
        }
    }

    /// An answer that is waited for has all its time from now on.
    pub(crate) fn wait_anew(&self, now: Instant) {
        for since in [&self.activity.unanswered_since, &self.activity.stuck_since] {
            if since.load(Ordering::Relaxed) != 0 {
                since.store(self.activity.millis(now), Ordering::Relaxed);
            }
        }
    }

    /// Whether the peer, or the way to it, is gone. Asks it if there is reason to.
    pub(crate) fn is_lost(&self, now: Instant) -> bool {
        let stuck = self.activity.since(&self.activity.stuck_since, now);
        let Some(waited) = self.activity.since(&self.activity.unanswered_since, now) else {
            return stuck.is_some_and(|stuck| stuck >= STUCK_FOR);
        };
        if waited >= ASK_AFTER && self.swap_ping(PING_NONE, PING_DUE) {
            self.queue.filled.notify_one();
        }
        waited >= UNANSWERED_FOR || stuck.is_some_and(|stuck| stuck >= STUCK_FOR)
    }

    /// What it means that the peer is gone without a goodbye.
    fn broken_off(&self, name: &'static str) -> End {
        // It has dialled two addresses of ours at once, and this one has lost.
        let has_lost_race = self.dialled.is_none() && !self.heard.load(Ordering::Relaxed);
        if has_lost_race { End::Theirs } else { End::Lost(name) }
    }

    /// Whether it was [closed](Link::close) by us.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn closing(&self) -> Option<(CloseCode, Box<str>)> {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Linked for TcpLink {
    fn token(&self) -> u64 {
        self.token
    }

    fn node_id(&self) -> &Arc<str> {
        &self.node_id
    }

    fn dialled(&self) -> Option<SocketAddr> {
        self.dialled
    }
}

impl Link for TcpLink {
    fn remote(&self) -> SocketAddr {
        self.remote
    }

    fn queue(&self) -> &SendQueue {
        &self.queue
    }

    fn ending(&self) -> &EndingSlot {
        &self.ending
    }

    fn quiet(&self, now: Instant) -> Duration {
        self.activity.since(&self.activity.last_message, now).unwrap_or_default()
    }

    fn is_flushed(&self) -> bool {
        self.queue.is_empty() && !self.writing.load(Ordering::Acquire)
    }

    fn close(&self, code: CloseCode, reason: &str) {
        let mut closing = self.closing.lock().unwrap_or_else(PoisonError::into_inner);
        closing.get_or_insert_with(|| (code, reason.into()));
        drop(closing);
        self.close_now.notify_one();
    }
}

#[cfg(feature = "tls")]
impl Verified for TcpLink {
    fn proof(&self) -> Option<&Proof> {
        self.proof.as_ref()
    }
}
