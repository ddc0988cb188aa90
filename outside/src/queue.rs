//! What waits for a connection: bounded in messages and in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use chitchat_transport::SendError;
use tokio::sync::mpsc;

const MAX_MESSAGES: usize = 1_024;
const MAX_BYTES: usize = 4 << 20;

/// The end that `send` has. When it is dropped, the other end reads what is there, and then `None`.
#[derive(Debug)]
pub(crate) struct Queue {
    messages: mpsc::Sender<Bytes>,
    bytes: Arc<AtomicUsize>,
}

/// The end that a connection has.
#[derive(Debug)]
pub(crate) struct Waiting {
    messages: mpsc::Receiver<Bytes>,
    bytes: Arc<AtomicUsize>,
}

pub(crate) fn queue() -> (Queue, Waiting) {
    let (sender, messages) = mpsc::channel(MAX_MESSAGES);
    let bytes = Arc::new(AtomicUsize::new(0));
    (Queue { messages: sender, bytes: Arc::clone(&bytes) }, Waiting { messages, bytes })
}

impl Queue {
    pub(crate) fn push(&self, message: Bytes) -> Result<(), SendError> {
        let len = message.len();
        // Before it can be taken out again.
        let before = self.bytes.fetch_add(len, Ordering::Relaxed);
        if before + len <= MAX_BYTES && self.messages.try_send(message).is_ok() {
            return Ok(());
        }
        self.bytes.fetch_sub(len, Ordering::Relaxed);
        Err(SendError::QueueFull)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Waiting {
    /// Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        let message = self.messages.recv().await?;
        self.bytes.fetch_sub(message.len(), Ordering::Relaxed);
        Some(message)
    }

    /// How many there are, which nobody will send any more.
    pub(crate) fn give_up(mut self) -> u64 {
        let mut given_up = 0;
        while let Ok(message) = self.messages.try_recv() {
            self.bytes.fetch_sub(message.len(), Ordering::Relaxed);
            given_up += 1;
        }
        given_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_queue_is_bounded_in_bytes_and_in_messages() {
        let (queue, mut waiting) = queue();
        assert_eq!(queue.push(Bytes::from(vec![0; MAX_BYTES])), Ok(()));
        assert_eq!(queue.push(Bytes::from_static(b"x")), Err(SendError::QueueFull));
        assert_eq!(waiting.next().await.map(|message| message.len()), Some(MAX_BYTES));
        let taken = (0..2 * MAX_MESSAGES).filter(|_| queue.push(Bytes::new()).is_ok()).count();
        assert_eq!((taken, queue.bytes()), (MAX_MESSAGES, 0));
        assert_eq!(waiting.give_up(), MAX_MESSAGES as u64);
    }
}
