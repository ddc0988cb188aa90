//! A bounded broadcast of batches: one writer, any number of readers, and no reader that holds up
//! the writer or another reader.
//!
//! tokio's broadcast channel counts single items, so that one publication with more items than the
//! channel has places is lost even to a reader that has read everything before. Here the newest
//! batch is always kept whole.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

/// A reader was too slow and missed some items. It continues with the oldest that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reader was too slow and missed {missed} items; start anew from a snapshot")]
#[non_exhaustive]
pub struct Lagged {
    /// How many.
    pub missed: u64,
}

/// What is kept for readers that are behind. Not more than `capacity` items, or one batch.
#[derive(Debug)]
struct Ring<T> {
    batches: VecDeque<(u64, Arc<[T]>)>,
    len: usize,
}

#[derive(Debug)]
struct Log<T> {
    ring: Mutex<Ring<T>>,
    /// Wakes readers in the order in which they wait. A watch channel does so in a random order,
    /// and a test with paused time would not be the same in each run.
    news: Notify,
    missed: Arc<AtomicU64>,
}

impl<T> Log<T> {
    /// Nothing that is done under this lock can fail half-way.
    fn ring(&self) -> MutexGuard<'_, Ring<T>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writing end. When it is closed or dropped, readers end once they have read everything.
#[derive(Debug)]
pub(crate) struct RingWriter<T> {
    log: Arc<Log<T>>,
    capacity: usize,
    /// The number of the next item.
    next: u64,
    /// Counts the readers, and its end is ours.
    head: Option<watch::Sender<()>>,
}

impl<T> RingWriter<T> {
    pub(crate) fn new(capacity: usize, missed: Arc<AtomicU64>) -> Self {
        let ring = Ring { batches: VecDeque::new(), len: 0 };
        let log = Arc::new(Log { ring: Mutex::new(ring), news: Notify::new(), missed });
        Self { log, capacity, next: 0, head: Some(watch::Sender::new(())) }
    }

    pub(crate) fn has_readers(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.receiver_count() > 0)
    }

    /// Hands a batch to all present readers.
    pub(crate) fn push(&mut self, batch: Vec<T>) {
        let Some(head) = self.head.as_ref().filter(|_| !batch.is_empty()) else { return };
        let start = self.next;
        self.next += batch.len() as u64;
        let mut ring = self.log.ring();
        if head.receiver_count() == 0 {
            ring.batches.clear();
            ring.len = 0;
            return;
        }
        ring.len += batch.len();
        ring.batches.push_back((start, batch.into()));
        while ring.len > self.capacity && ring.batches.len() > 1 {
            let dropped = ring.batches.pop_front().map_or(0, |(_, batch)| batch.len());
            ring.len -= dropped;
        }
        drop(ring);
        self.log.news.notify_waiters();
    }

    /// A reader of all that is pushed from now on.
    pub(crate) fn subscribe(&self) -> RingReader<T> {
        let head = match &self.head {
            Some(head) => head.subscribe(),
            // Closed: a receiver whose sender is gone.
            None => watch::channel(()).1,
        };
        RingReader { log: Arc::clone(&self.log), head, next: self.next, batch: None }
    }

    /// Ends all readers once they have read everything.
    pub(crate) fn close(&mut self) {
        self.head = None;
        self.log.news.notify_waiters();
    }
}

impl<T> Drop for RingWriter<T> {
    fn drop(&mut self) {
        self.close();
    }
}

/// A reading end.
#[derive(Debug)]
pub(crate) struct RingReader<T> {
    log: Arc<Log<T>>,
    head: watch::Receiver<()>,
    next: u64,
    batch: Option<(u64, Arc<[T]>)>,
}

impl<T: Clone> RingReader<T> {
    /// The next item; `None` when the writer is closed and everything has been read. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Result<T, Lagged>> {
        if let Some(ready) = self.try_next() {
            return Some(ready);
        }
        let log = Arc::clone(&self.log);
        loop {
            // Made before we look, so that it has everything that comes after.
            let news = log.news.notified();
            if let Some(ready) = self.try_next() {
                return Some(ready);
            }
            if self.head.has_changed().is_err() {
                // What was pushed before the end is still there.
                return self.try_next();
            }
            news.await;
        }
    }

    /// The next item if there is one now.
    pub(crate) fn try_next(&mut self) -> Option<Result<T, Lagged>> {
        if let Some(item) = self.batch_item() {
            return Some(Ok(item));
        }
        self.batch = None;
        {
            let ring = self.log.ring();
            let oldest = ring.batches.front()?.0;
            if self.next < oldest {
                let missed = oldest - self.next;
                self.next = oldest;
                self.log.missed.fetch_add(missed, Ordering::Relaxed);
                return Some(Err(Lagged { missed }));
            }
            let after = ring.batches.partition_point(|(start, _)| *start <= self.next);
            self.batch = ring.batches.get(after.checked_sub(1)?).cloned();
        }
        self.batch_item().map(Ok)
    }

    /// The next item, if it is in the batch at hand.
    fn batch_item(&mut self) -> Option<T> {
        let (start, batch) = self.batch.as_ref()?;
        let index = usize::try_from(self.next.checked_sub(*start)?).ok()?;
        let item = batch.get(index)?.clone();
        self.next += 1;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(capacity: usize) -> (RingWriter<u32>, Arc<AtomicU64>) {
        let missed = Arc::new(AtomicU64::new(0));
        (RingWriter::new(capacity, Arc::clone(&missed)), missed)
    }

    #[tokio::test]
    async fn every_reader_gets_what_was_pushed_since_it_came_and_then_the_end() {
        let (mut writer, _) = ring(8);
        let mut early = writer.subscribe();
        writer.push(vec![1, 2]);
        let mut late = writer.subscribe();
        writer.push(vec![3]);
        writer.close();
        let mut seen = Vec::new();
        while let Some(Ok(item)) = early.next().await {
            seen.push(item);
        }
        assert_eq!(seen, [1, 2, 3]);
        assert_eq!(late.next().await, Some(Ok(3)));
        assert_eq!(late.next().await, None);
        assert_eq!(writer.subscribe().next().await, None, "closed");
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_how_much_it_missed_and_goes_on() {
        let (mut writer, missed) = ring(4);
        let mut slow = writer.subscribe();
        for item in 0..10 {
            writer.push(vec![item]);
        }
        assert_eq!(slow.next().await, Some(Err(Lagged { missed: 6 })));
        assert_eq!(slow.next().await, Some(Ok(6)));
        assert_eq!(missed.load(Ordering::Relaxed), 6);
    }

    #[tokio::test]
    async fn a_batch_beyond_the_capacity_reaches_a_reader_that_was_up_to_date() {
        let (mut writer, _) = ring(4);
        let mut reader = writer.subscribe();
        writer.push(vec![0]);
        assert_eq!(reader.next().await, Some(Ok(0)));
        writer.push((1..100).collect());
        for item in 1..100 {
            assert_eq!(reader.next().await, Some(Ok(item)));
        }
        assert_eq!(reader.try_next(), None);
    }

    #[tokio::test]
    async fn a_reader_that_is_half_through_a_batch_finishes_it() {
        let (mut writer, _) = ring(2);
        let mut reader = writer.subscribe();
        writer.push(vec![1, 2]);
        assert_eq!(reader.next().await, Some(Ok(1)));
        writer.push(vec![3, 4]);
        writer.push(vec![5, 6]);
        assert_eq!(reader.next().await, Some(Ok(2)), "it holds the batch");
        assert_eq!(reader.next().await, Some(Err(Lagged { missed: 2 })));
        assert_eq!(reader.next().await, Some(Ok(5)));
    }

    #[tokio::test]
    async fn waiting_readers_learn_of_the_end_when_the_writer_is_dropped() {
        let (writer, _) = ring(4);
        let mut reader = writer.subscribe();
        let waiting = tokio::spawn(async move { reader.next().await });
        tokio::task::yield_now().await;
        drop(writer);
        assert_eq!(waiting.await.unwrap(), None);
    }

    #[tokio::test]
    async fn readers_are_woken_in_the_order_in_which_they_wait() {
        let (mut writer, _) = ring(4);
        let order = Arc::new(Mutex::new(Vec::new()));
        for name in 0..20 {
            let (mut reader, order) = (writer.subscribe(), Arc::clone(&order));
            tokio::spawn(async move {
                while let Some(Ok(_)) = reader.next().await {
                    order.lock().unwrap().push(name);
                }
            });
        }
        tokio::task::yield_now().await;
        for item in 0..2 {
            writer.push(vec![item]);
            tokio::task::yield_now().await;
            let woken = std::mem::take(&mut *order.lock().unwrap());
            assert_eq!(woken, (0..20).collect::<Vec<_>>());
        }
    }

    #[tokio::test]
    async fn nothing_is_kept_without_readers() {
        let (mut writer, _) = ring(4);
        let reader = writer.subscribe();
        writer.push(vec![1, 2, 3]);
        drop(reader);
        writer.push(vec![4]);
        assert_eq!(writer.log.ring().len, 0);
        let mut reader = writer.subscribe();
        writer.push(vec![5]);
        assert_eq!(reader.next().await, Some(Ok(5)));
    }
}
