//! All connections of a transport, and what a message for a peer needs: one that serves, or a dial.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chitchat_transport::{AddressFamily, Destination, SendError};
use tokio::time::Instant;

use crate::backoff::Backoffs;
use crate::code::CloseCode;
use crate::ending::{Ending, Link};
use crate::queue::TotalBytes;
use crate::registry::{Fate, Registry};
use crate::waiting::{Peer, WaitingRoom};

/// A connection that drains is closed after this at the latest.
const DRAIN_FOR: Duration = Duration::from_secs(10);
/// For whoever did not dial it: the one that did is to have closed it by then. The two ends may
/// disagree about which of two that were dialled at once is the newer one, and must not close both.
const PEER_DRAINS_FOR: Duration = Duration::from_secs(15);

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a transport has to handle each")]
pub enum HandOver {
    /// It waits, and somebody works on it.
    Queued,
    /// It waits for a peer that nobody dials yet: do.
    Dial(Peer),
}

/// What is to be done to reach a peer.
#[derive(Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a transport has to handle each")]
pub enum NextDial {
    /// Dial these.
    Now(Vec<SocketAddr>),
    /// All its addresses have failed just now: not before this.
    At(Instant),
}

/// The connections that there are, and the peers that are being dialled.
#[derive(Debug)]
pub struct Connections<L> {
    registry: Registry<L>,
    waiting: WaitingRoom,
    /// When addresses that failed may be dialled again.
    pub backoffs: Backoffs,
}

impl<L: Link> Connections<L> {
    /// For the node with this id. One peer may have `queue_bytes` waiting, all together the limit
    /// of `total`.
    #[must_use]
    pub fn new(own_id: Arc<str>, queue_bytes: usize, total: Arc<TotalBytes>) -> Self {
        Self {
            registry: Registry::new(own_id),
            waiting: WaitingRoom::new(queue_bytes, total),
            backoffs: Backoffs::default(),
        }
    }

    /// All connections, and whether each drains.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<L>, bool)> {
        self.registry.iter()
    }

    /// All connections, and whether each drains, to be looked at without holding a lock.
    #[must_use]
    pub fn all(&self) -> Vec<(Arc<L>, bool)> {
        self.iter().map(|(link, drains)| (Arc::clone(link), drains)).collect()
    }

    /// The connection that serves for a node.
    #[must_use]
    pub fn of_node(&self, node_id: &str) -> Option<&Arc<L>> {
        self.registry.of_node(node_id)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.registry.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether nothing that was handed over is still with us.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.waiting.is_empty() && self.iter().all(|(link, _)| link.is_flushed())
    }

    /// Queues a message for a destination. `locals` are our own addresses, whose families are
    /// those that can be dialled.
    ///
    /// # Errors
    ///
    /// [`SendError::QueueFull`], and [`SendError::NoUsableAddress`].
    pub fn hand_over(
        &mut self,
        to: &Destination,
        message: Bytes,
        locals: &[SocketAddr],
    ) -> Result<HandOver, SendError> {
        let mut message = message;
        while let Some(link) = self.serving(to).map(Arc::clone) {
            match link.queue().push(message) {
                Ok(()) => return Ok(HandOver::Queued),
                Err((SendError::Closed, back)) => {
                    // It has just ended, and its task has not told yet.
                    self.remove(link.token());
                    message = back;
                }
                Err((error, _)) => return Err(error),
            }
        }
        let (peer, addrs) = whom(to, locals).ok_or(SendError::NoUsableAddress)?;
        let is_new = self.waiting.push(&peer, addrs, message)?;
        Ok(if is_new { HandOver::Dial(peer) } else { HandOver::Queued })
    }

    /// The connection that serves for a destination.
    fn serving(&self, to: &Destination) -> Option<&Arc<L>> {
        // Also while it drains: the peer has shown that this way works, of another one that is not known.
        let by_path = to.reply_path().and_then(|path| self.registry.get(path.token()));
        let meant = |link: &&Arc<L>| to.node_id().is_none_or(|id| id == link.node_id());
        if let Some(link) = by_path.filter(meant) {
            return Some(link);
        }
        match to.node_id() {
            Some(node_id) => self.registry.of_node(node_id),
            None => to.addrs().first().and_then(|addr| self.registry.of_addr(*addr)),
        }
    }

    /// What to do to reach a peer that messages wait for; `None` if they wait no longer.
    pub fn next_dial(&mut self, peer: &Peer, now: Instant) -> Option<NextDial> {
        let addrs = self.waiting.addrs(peer)?;
        let not_before = |addr: &SocketAddr| self.backoffs.not_before(*addr, peer.node_id(), now);
        let resumes = addrs.iter().filter_map(not_before).min();
        let ready: Vec<_> = addrs.into_iter().filter(|addr| not_before(addr).is_none()).collect();
        Some(match resumes {
            Some(at) if ready.is_empty() => NextDial::At(at),
            _ => NextDial::Now(ready),
        })
    }

    /// A peer cannot be reached. Returns how many messages waited for it; they are dropped, since
    /// gossip brings newer ones.
    pub fn give_up(&mut self, peer: &Peer) -> usize {
        self.waiting.remove(peer).len()
    }

    /// Takes in a connection that was just set up, and hands it what waited for its peer;
    /// `reached` is whom it was dialled for. Others to the same peer may drain from now on, or
    /// it may. Returns how many messages found no room.
    pub fn admit(&mut self, link: &Arc<L>, reached: Option<&Peer>, now: Instant) -> usize {
        for fate in self.registry.admit(Arc::clone(link)) {
            match fate {
                Fate::Drains(token) => {
                    if let Some(link) = self.registry.get(token) {
                        let by_us = link.dialled().is_some();
                        let deadline = now + if by_us { DRAIN_FOR } else { PEER_DRAINS_FOR };
                        link.ending().set(Ending { code: CloseCode::Duplicate, by_us, deadline });
                    }
                }
                Fate::Closes(token) => {
                    if let Some(link) = self.registry.get(token) {
                        link.close(CloseCode::Duplicate, "");
                    }
                }
            }
        }
        let serving = Arc::clone(self.registry.of_token(link.token()).unwrap_or(link));
        let mut messages = self.waiting.take_messages(&Peer::Node(Arc::clone(link.node_id())));
        if let Some(peer) = reached {
            messages.extend(self.waiting.remove(peer));
        }
        messages
            .into_iter()
            .filter(|message| serving.queue().push(message.clone()).is_err())
            .count()
    }

    /// A connection is to end when everything is sent, within `takes`; others are dialled in its
    /// place.
    pub fn retire(&mut self, link: &L, takes: Duration, now: Instant) {
        self.registry.drain(link.token());
        let deadline = now + takes;
        link.ending().set(Ending { code: CloseCode::Normal, by_us: true, deadline });
    }

    /// A connection has ended.
    pub fn remove(&mut self, token: u64) {
        if let Some(link) = self.registry.remove(token) {
            link.ending().clear();
        }
    }

    /// Closes everything. Returns how many messages were not sent.
    pub fn close(&mut self, code: CloseCode) -> usize {
        let mut unsent = self.waiting.clear();
        for (link, _) in self.registry.iter() {
            unsent += link.queue().close().len();
            link.close(code, "");
        }
        unsent
    }

    /// Forgets all connections, whose tasks have been ended.
    pub fn forget(&mut self) {
        let tokens: Vec<u64> = self.iter().map(|(link, _)| link.token()).collect();
        for token in tokens {
            self.registry.remove(token);
        }
    }
}

/// Whom to dial for a destination, and where.
fn whom(to: &Destination, locals: &[SocketAddr]) -> Option<(Peer, Vec<SocketAddr>)> {
    let has_family = |addr: &SocketAddr| {
        let family = AddressFamily::of(*addr);
        locals.iter().any(|local| AddressFamily::of(*local) == family)
    };
    let mut addrs: Vec<SocketAddr> = to.addrs().iter().copied().filter(has_family).collect();
    if addrs.is_empty() {
        // The peer may listen where it once spoke from. It has to prove who it is.
        let remote = to.reply_path().map(|path| path.remote());
        addrs.extend(remote.filter(|addr| to.node_id().is_some() && has_family(addr)));
    }
    let peer = match to.node_id() {
        Some(node_id) => Peer::Node(Arc::clone(node_id)),
        None => Peer::Addr(*addrs.first()?),
    };
    (!addrs.is_empty()).then_some((peer, addrs))
}
