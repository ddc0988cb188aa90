//! The bounded queue of messages that wait to be sent to one peer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chitchat_transport::SendError;
use tokio::sync::Notify;

/// What a message costs besides its bytes, so that empty ones cannot be queued for free.
const ENTRY_OVERHEAD: usize = 64;
/// Messages that are longer wait in a lane of their own, so that gossip overtakes them.
pub const BULK_FROM: usize = 16 << 10;

/// The bytes that wait in all queues of a transport together.
#[derive(Debug)]
pub struct TotalBytes {
    bytes: AtomicUsize,
    limit: usize,
}

impl TotalBytes {
    /// No more than this.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicUsize::new(0), limit })
    }

    /// How much it is at this moment.
    #[must_use]
    pub fn get(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn take(&self, cost: usize) -> bool {
        let before = self.bytes.fetch_add(cost, Ordering::Relaxed);
        if before.saturating_add(cost) > self.limit {
            self.give_back(cost);
            return false;
        }
        true
    }

    fn give_back(&self, cost: usize) {
        self.bytes.fetch_sub(cost, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Bytes>,
    bytes: usize,
}

impl Lane {
    fn pop(&mut self) -> Option<Bytes> {
        let message = self.waiting.pop_front()?;
        self.bytes -= cost(&message);
        Some(message)
    }
}

#[derive(Debug, Default)]
struct Lanes {
    small: Lane,
    bulk: Lane,
    closed: bool,
}

/// Two lanes, each first in, first out: messages of up to 16 KiB, which are sent first, and longer
/// ones. Bulk may fill three quarters of the room, so that there is always some for gossip.
#[derive(Debug)]
pub struct SendQueue {
    lanes: Mutex<Lanes>,
    limit: usize,
    total: Arc<TotalBytes>,
    /// Wakes the task that drains the queue.
    pub filled: Notify,
}

fn cost(message: &Bytes) -> usize {
    message.len() + ENTRY_OVERHEAD
}

impl SendQueue {
    /// Of one peer: not more than this, and than what all may have together.
    #[must_use]
    pub fn new(limit: usize, total: Arc<TotalBytes>) -> Self {
        Self { lanes: Mutex::default(), limit, total, filled: Notify::new() }
    }

    /// Takes a message, or gives it back when it will not have it.
    pub fn push(&self, message: Bytes) -> Result<(), (SendError, Bytes)> {
        let cost = cost(&message);
        let mut lanes = self.lock();
        if lanes.closed {
            return Err((SendError::Closed, message));
        }
        let bulk = message.len() > BULK_FROM;
        let limit = if bulk { self.limit / 4 * 3 } else { self.limit / 4 };
        let lane = if bulk { &mut lanes.bulk } else { &mut lanes.small };
        // A single message always has room, however small the queue.
        let has_room = lane.waiting.is_empty() || lane.bytes + cost <= limit;
        if !has_room || !self.total.take(cost) {
            return Err((SendError::QueueFull, message));
        }
        lane.bytes += cost;
        lane.waiting.push_back(message);
        drop(lanes);
        self.filled.notify_one();
        Ok(())
    }

    /// The next message of up to 16 KiB.
    pub fn pop_small(&self) -> Option<Bytes> {
        let message = self.lock().small.pop()?;
        self.total.give_back(cost(&message));
        Some(message)
    }

    /// The next longer message.
    pub fn pop_bulk(&self) -> Option<Bytes> {
        let message = self.lock().bulk.pop()?;
        self.total.give_back(cost(&message));
        Some(message)
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let lanes = self.lock();
        lanes.small.waiting.is_empty() && lanes.bulk.waiting.is_empty()
    }

    /// Takes nothing more; returns what waits.
    pub fn close(&self) -> Vec<Bytes> {
        self.lock().closed = true;
        std::iter::from_fn(|| self.pop_small().or_else(|| self.pop_bulk())).collect()
    }

    /// Nothing that is done under the lock can leave the lanes half changed.
    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SendQueue {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(len: usize) -> Bytes {
        Bytes::from(vec![0; len])
    }

    fn refused(result: Result<(), (SendError, Bytes)>) -> Option<SendError> {
        result.err().map(|(error, _)| error)
    }

    #[test]
    fn gossip_has_room_when_bulk_has_filled_its_part() {
        let total = TotalBytes::new(1 << 30);
        let queue = SendQueue::new(400_000, Arc::clone(&total));
        while queue.push(message(20_000)).is_ok() {}
        assert_eq!(total.get(), 14 * 20_064, "three quarters");
        assert_eq!(refused(queue.push(message(100))), None);
        while queue.push(message(10_000)).is_ok() {}
        assert!(total.get() <= 400_000);
        assert_eq!(queue.pop_small().map(|message| message.len()), Some(100));
        assert_eq!(queue.pop_bulk().map(|message| message.len()), Some(20_000));
    }

    #[test]
    fn all_queues_together_are_bounded_and_a_closed_one_gives_its_bytes_back() {
        let total = TotalBytes::new(3_000);
        let one = SendQueue::new(1 << 20, Arc::clone(&total));
        let other = SendQueue::new(1 << 20, Arc::clone(&total));
        assert_eq!(refused(one.push(message(2_000))), None);
        assert_eq!(refused(other.push(message(2_000))), Some(SendError::QueueFull));
        assert_eq!(one.close().len(), 1);
        assert_eq!(refused(one.push(message(0))), Some(SendError::Closed));
        assert_eq!(refused(other.push(message(2_000))), None);
        drop(other);
        assert_eq!(total.get(), 0);
    }

    #[test]
    fn a_single_message_has_room_in_the_smallest_queue() {
        let queue = SendQueue::new(64 << 10, TotalBytes::new(8 << 20));
        assert_eq!(refused(queue.push(message(1 << 20))), None);
        assert_eq!(refused(queue.push(message(1 << 20))), Some(SendError::QueueFull));
    }
}
