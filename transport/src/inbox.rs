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
    (
        InboxSender { entries, bytes: Arc::clone(&bytes), limit: limits.bytes },
        Inbox { queue, bytes },
    )
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
    entries: mpsc::Sender<Inbound>,
    bytes: Arc<AtomicUsize>,
    limit: usize,
}

impl InboxSender {
    /// Queues an entry, or drops it if there is no room: the newest gives way, since what waits
    /// already has been paid for.
    ///
    /// # Errors
    ///
    /// [`InboxFull`] if the entry was dropped.
    pub fn push(&self, inbound: Inbound) -> Result<(), InboxFull> {
        let cost = cost(&inbound);
        let before = self.bytes.fetch_add(cost, Ordering::Relaxed);
        if before.saturating_add(cost) > self.limit || self.entries.try_send(inbound).is_err() {
            self.bytes.fetch_sub(cost, Ordering::Relaxed);
            return Err(InboxFull);
        }
        Ok(())
    }

    /// A look at the length of the queue that does not keep it open.
    #[must_use]
    pub fn gauge(&self) -> InboxGauge {
        InboxGauge { bytes: Arc::clone(&self.bytes) }
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
    queue: mpsc::Receiver<Inbound>,
    bytes: Arc<AtomicUsize>,
}

impl TransportReceiver for Inbox {
    async fn recv(&mut self) -> Option<Inbound> {
        let inbound = self.queue.recv().await?;
        self.bytes.fetch_sub(cost(&inbound), Ordering::Relaxed);
        Some(inbound)
    }

    fn try_recv(&mut self) -> Option<Inbound> {
        let inbound = self.queue.try_recv().ok()?;
        self.bytes.fetch_sub(cost(&inbound), Ordering::Relaxed);
        Some(inbound)
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
    async fn an_inbox_ends_after_the_last_entry_when_its_senders_are_gone() {
        let (sender, mut inbox) = inbox(InboxLimits::default());
        sender.push(message(1)).unwrap();
        drop(sender);
        assert!(inbox.recv().await.is_some());
        assert!(inbox.recv().await.is_none());
    }
}
