//! The bounded queue from a transport to its node, bounded in entries and in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use crate::contract::TransportReceiver;
use crate::inbound::Inbound;

/// What an entry costs besides its bytes, so that empty messages cannot be queued for free.
const ENTRY_OVERHEAD: usize = 64;

/// How much may wait for the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "two limits, nothing to add")]
pub struct InboxLimits {
    /// Messages and reports together. At least 1 is assumed.
    pub entries: usize,
    /// Bytes, counting 64 for each entry besides its content.
    pub bytes: usize,
}

impl Default for InboxLimits {
    /// 8,192 entries and 8 MiB: a few seconds of gossip in a cluster of thousands.
    fn default() -> Self {
        Self { entries: 8_192, bytes: 8 << 20 }
    }
}

/// A bounded queue from the tasks of a transport to its node. The [`Inbox`] can serve as the
/// transport's [`TransportReceiver`].
#[must_use]
pub fn inbox(limits: InboxLimits) -> (InboxSender, Inbox) {
    let (entries, queue) = mpsc::channel(limits.entries.max(1));
    let bytes = Arc::new(AtomicUsize::new(0));
    (InboxSender { entries, bytes: Arc::clone(&bytes), limits }, Inbox { queue, bytes })
}

/// An entry, and the share that it is part of.
#[derive(Debug)]
struct Queued {
    inbound: Inbound,
    share: Option<Arc<Waiting>>,
}

/// What waits of one share.
#[derive(Debug, Default)]
struct Waiting {
    entries: AtomicUsize,
    bytes: AtomicUsize,
}

/// The queue refused an entry: it is full, or the node does not read any more. The entry is gone;
/// count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the queue towards the node is full or closed; the newest entry was dropped")]
#[non_exhaustive]
pub struct InboxFull;

/// The transport's end of an [`inbox`]. The queue ends when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct InboxSender {
    entries: mpsc::Sender<Queued>,
    bytes: Arc<AtomicUsize>,
    limits: InboxLimits,
}

/// The part of an [`inbox`] that one peer may fill, so that there is room for others. Made by
/// [`InboxSender::share`]; holds the queue open like any sender.
#[derive(Debug)]
pub struct InboxShare {
    sender: InboxSender,
    waiting: Arc<Waiting>,
}

/// A share is this part of the whole.
const SHARES: usize = 4;

impl InboxShare {
    /// Queues an entry, or drops it if this share, or the whole queue, has no room.
    ///
    /// # Errors
    ///
    /// [`InboxFull`] if the entry was dropped.
    pub fn push(&self, inbound: Inbound) -> Result<(), InboxFull> {
        let limits = self.sender.limits;
        let bytes = self.waiting.bytes.load(Ordering::Relaxed).saturating_add(cost(&inbound));
        let entries = self.waiting.entries.load(Ordering::Relaxed);
        // A single entry always has room, however small the share.
        let is_over = bytes > limits.bytes / SHARES || entries >= (limits.entries / SHARES).max(1);
        if entries > 0 && is_over {
            return Err(InboxFull);
        }
        self.sender.queue(inbound, Some(Arc::clone(&self.waiting)))
    }
}

impl InboxSender {
    /// Queues an entry, or drops it if there is no room: the newest gives way, since what waits
    /// already has been paid for.
    ///
    /// # Errors
    ///
    /// [`InboxFull`] if the entry was dropped.
    pub fn push(&self, inbound: Inbound) -> Result<(), InboxFull> {
        self.queue(inbound, None)
    }

    /// A share for one peer: at most a quarter of the queue.
    #[must_use]
    pub fn share(&self) -> InboxShare {
        InboxShare { sender: self.clone(), waiting: Arc::default() }
    }

    fn queue(&self, inbound: Inbound, share: Option<Arc<Waiting>>) -> Result<(), InboxFull> {
        let cost = cost(&inbound);
        let queued = Queued { inbound, share };
        // Before it can be taken out again.
        self.bytes.fetch_add(cost, Ordering::Relaxed);
        queued.count(cost);
        let has_room = self.bytes.load(Ordering::Relaxed) <= self.limits.bytes;
        if has_room {
            match self.entries.try_send(queued) {
                Ok(()) => return Ok(()),
                Err(error) => error.into_inner().uncount(cost),
            }
        } else {
            queued.uncount(cost);
        }
        self.bytes.fetch_sub(cost, Ordering::Relaxed);
        Err(InboxFull)
    }

    /// A look at the length of the queue that does not keep it open.
    #[must_use]
    pub fn gauge(&self) -> InboxGauge {
        InboxGauge { bytes: Arc::clone(&self.bytes) }
    }
}

impl Queued {
    fn count(&self, cost: usize) {
        if let Some(share) = &self.share {
            share.entries.fetch_add(1, Ordering::Relaxed);
            share.bytes.fetch_add(cost, Ordering::Relaxed);
        }
    }

    fn uncount(&self, cost: usize) {
        if let Some(share) = &self.share {
            share.entries.fetch_sub(1, Ordering::Relaxed);
            share.bytes.fetch_sub(cost, Ordering::Relaxed);
        }
    }
}

/// Tells how much waits in an [`inbox`], also when both its ends are gone.
#[derive(Debug, Clone)]
pub struct InboxGauge {
    bytes: Arc<AtomicUsize>,
}

impl InboxGauge {
    /// Bytes that wait at this moment, with 64 for each entry besides its content.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// The node's end of an [`inbox`].
#[derive(Debug)]
pub struct Inbox {
    queue: mpsc::Receiver<Queued>,
    bytes: Arc<AtomicUsize>,
}

impl Inbox {
    fn take(&self, queued: Queued) -> Inbound {
        let cost = cost(&queued.inbound);
        self.bytes.fetch_sub(cost, Ordering::Relaxed);
        queued.uncount(cost);
        queued.inbound
    }
}

impl TransportReceiver for Inbox {
    async fn recv(&mut self) -> Option<Inbound> {
        let queued = self.queue.recv().await?;
        Some(self.take(queued))
    }

    fn try_recv(&mut self) -> Option<Inbound> {
        let queued = self.queue.try_recv().ok()?;
        Some(self.take(queued))
    }
}

fn cost(inbound: &Inbound) -> usize {
    ENTRY_OVERHEAD
        + match inbound {
            Inbound::Message(message) => message.bytes.len(),
            Inbound::Report(_) => 0,
        }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{InboundMessage, ReplyPath};

    fn message(len: usize) -> Inbound {
        let from = ReplyPath::new("127.0.0.1:1".parse().unwrap(), 0);
        Inbound::Message(InboundMessage::new(Bytes::from(vec![0; len]), from))
    }

    #[tokio::test]
    async fn a_full_inbox_drops_the_newest_and_has_room_again_after_reading() {
        let (sender, mut inbox) = inbox(InboxLimits { entries: 2, bytes: 1_000 });
        assert_eq!(sender.push(message(900)), Ok(()));
        assert_eq!(sender.push(message(100)), Err(InboxFull), "too many bytes");
        assert_eq!(sender.push(message(0)), Err(InboxFull), "the overhead counts");
        assert!(inbox.recv().await.is_some());
        while inbox.try_recv().is_some() {}
        assert_eq!(sender.gauge().queued_bytes(), 0);
        assert_eq!(sender.push(message(0)), Ok(()));
        assert_eq!(sender.push(message(0)), Ok(()));
        assert_eq!(sender.push(message(0)), Err(InboxFull), "too many entries");
    }

    #[tokio::test]
    async fn one_peer_fills_its_share_and_leaves_room_for_others() {
        let (sender, mut inbox) = inbox(InboxLimits { entries: 40, bytes: 40_000 });
        let (one, other) = (sender.share(), sender.share());
        assert_eq!(one.push(message(20_000)), Ok(()), "a single one always has room");
        assert_eq!(one.push(message(0)), Err(InboxFull));
        assert_eq!(other.push(message(9_000)), Ok(()));
        assert!(inbox.recv().await.is_some());
        assert_eq!(one.push(message(0)), Ok(()), "what was read counts no more");
        while inbox.try_recv().is_some() {}
        let taken = (0..40).filter(|_| one.push(message(0)).is_ok()).count();
        assert_eq!(taken, 10, "a quarter of the entries");
        assert_eq!(other.push(message(0)), Ok(()));
        while inbox.try_recv().is_some() {}
        assert_eq!(sender.gauge().queued_bytes(), 0);
    }

    #[tokio::test]
    async fn an_inbox_ends_after_the_last_entry_when_its_senders_are_gone() {
        let (sender, mut inbox) = inbox(InboxLimits::default());
        sender.push(message(1)).unwrap();
        drop(sender);
        assert!(inbox.recv().await.is_some());
        assert!(inbox.recv().await.is_none());
    }
}
