//! When a connection that is no longer sent on is closed, and which ones are too many.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::code::CloseCode;
use crate::queue::SendQueue;
use crate::registry::Linked;

/// A draining connection is closed when it was quiet for this long, so that what is under way
/// arrives.
pub const QUIET_FOR: Duration = Duration::from_secs(1);
/// What is under way has this long before a connection is closed that another one is to replace.
pub const RENEWAL_TAKES: Duration = Duration::from_secs(5);

/// A connection, as what looks after it sees it.
pub trait Link: Linked {
    /// The peer's address at this moment.
    fn remote(&self) -> SocketAddr;

    /// What waits to be sent.
    fn queue(&self) -> &SendQueue;

    /// When and how it is to be closed, if it is.
    fn ending(&self) -> &EndingSlot;

    /// How long no message has come or gone.
    fn quiet(&self, now: Instant) -> Duration;

    /// Whether nothing that was handed over is still with us.
    fn is_flushed(&self) -> bool;

    /// Closes it, without waiting. `reason` is told to the peer.
    fn close(&self, code: CloseCode, reason: &str);
}

/// When and how a connection that is no longer sent on is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "made by the transports")]
pub struct Ending {
    /// What the peer is told.
    pub code: CloseCode,
    /// Whether we close it when it is quiet; else the peer does.
    pub by_us: bool,
    /// When we close it, quiet or not.
    pub deadline: Instant,
}

/// Where the [`Ending`] of a connection is kept.
#[derive(Debug, Default)]
pub struct EndingSlot(Mutex<Option<Ending>>);

impl EndingSlot {
    /// It is to end so, if it was not to end before.
    pub fn set(&self, ending: Ending) {
        self.lock().get_or_insert(ending);
    }

    /// It serves again, and does not end.
    pub fn clear(&self) {
        *self.lock() = None;
    }

    /// How it is to end, if it is.
    #[must_use]
    pub fn get(&self) -> Option<Ending> {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Ending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes a connection that is to end, once everything is sent and it was quiet for a while, or
/// its time is over.
pub fn close_if_due(link: &impl Link, now: Instant) {
    let Some(ending) = link.ending().get() else { return };
    let is_quiet = link.quiet(now) >= QUIET_FOR && link.is_flushed();
    if now >= ending.deadline || ending.by_us && is_quiet {
        link.close(ending.code, "");
    }
}

/// Keeps to a number of connections: closes those that were used longest ago. One that is in use
/// is closed only when there are twice as many as there should be.
pub fn evict<L: Link>(links: &[(Arc<L>, bool)], limit: usize, now: Instant) {
    let surplus = links.len().saturating_sub(limit);
    if surplus == 0 {
        return;
    }
    let mut by_quiet: Vec<_> = links.iter().map(|(link, _)| (link.quiet(now), link)).collect();
    by_quiet.sort_by_key(|(quiet, _)| std::cmp::Reverse(*quiet));
    for (index, (quiet, link)) in by_quiet.into_iter().take(surplus).enumerate() {
        let too_many = links.len() - index > limit * 2;
        if too_many || quiet >= QUIET_FOR && link.is_flushed() {
            link.close(CloseCode::Idle, "");
        }
    }
}
