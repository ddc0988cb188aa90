//! The bounded queue of datagrams that wait to be sent by one socket.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chitchat_transport::{Destination, SendError};
use tokio::sync::Notify;

/// What a datagram costs besides its bytes, so that empty ones cannot be queued for free.
const ENTRY_OVERHEAD: usize = 64;

/// A datagram on its way out.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) bytes: Bytes,
    pub(crate) to: SocketAddr,
    /// For choosing another address if this one is refused.
    pub(crate) destination: Destination,
    /// How often sending it has failed.
    pub(crate) attempts: u8,
}

impl Outgoing {
    fn cost(&self) -> usize {
        self.bytes.len() + ENTRY_OVERHEAD
    }
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Outgoing>,
    bytes: usize,
    closed: bool,
}

#[derive(Debug)]
pub(crate) struct SendQueue {
    state: Mutex<State>,
    limit: usize,
    /// Wakes the task that drains the queue.
    pub(crate) filled: Notify,
}

impl SendQueue {
    pub(crate) fn new(limit: usize) -> Self {
        Self { state: Mutex::default(), limit, filled: Notify::new() }
    }

    pub(crate) fn push(&self, outgoing: Outgoing) -> Result<(), SendError> {
        let mut state = self.lock();
        if state.closed {
            return Err(SendError::Closed);
        }
        let bytes = state.bytes + outgoing.cost();
        if bytes > self.limit {
            return Err(SendError::QueueFull);
        }
        state.bytes = bytes;
        state.waiting.push_back(outgoing);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    pub(crate) fn pop(&self) -> Option<Outgoing> {
        let mut state = self.lock();
        let outgoing = state.waiting.pop_front()?;
        state.bytes -= outgoing.cost();
        Some(outgoing)
    }

    /// Back to the front. It was counted a moment ago, so it may exceed the limit by one datagram.
    pub(crate) fn put_back(&self, outgoing: Outgoing) {
        let mut state = self.lock();
        state.bytes += outgoing.cost();
        state.waiting.push_front(outgoing);
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Empties the queue; the number of datagrams that were in it.
    pub(crate) fn clear(&self) -> usize {
        let mut state = self.lock();
        state.bytes = 0;
        std::mem::take(&mut state.waiting).len()
    }

    /// Nothing that is done under the lock can leave the state half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(len: usize) -> Outgoing {
        let to = "127.0.0.1:9".parse().unwrap();
        let bytes = Bytes::from(vec![0; len]);
        Outgoing { bytes, to, destination: Destination::addr(to), attempts: 0 }
    }

    #[test]
    fn a_full_queue_refuses_and_a_closed_one_too() {
        let queue = SendQueue::new(1_000);
        assert_eq!(queue.push(outgoing(900)), Ok(()));
        assert_eq!(queue.push(outgoing(0)), Err(SendError::QueueFull), "the overhead counts");
        let first = queue.pop().unwrap();
        assert_eq!(queue.bytes(), 0);
        queue.put_back(first);
        assert_eq!((queue.bytes(), queue.is_empty()), (964, false));
        queue.close();
        assert_eq!(queue.push(outgoing(0)), Err(SendError::Closed));
        assert_eq!((queue.clear(), queue.bytes()), (1, 0));
    }
}
