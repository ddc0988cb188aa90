//! How fast a peer may open messages.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::time::Instant;

/// Messages that a peer may send at once, and per second from then on. A node at work needs a
/// few; a joiner that is served at full speed, some hundreds.
const BURST: u32 = 2_048;
const PER_SECOND: u32 = 4_096;
/// More than a node has connections by default; whoever is forgotten starts with a full bucket.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(1_024).expect("it is not zero");

/// A bucket for each verified identity: neither a second connection nor a new one gives more.
#[derive(Debug)]
pub struct Buckets(Mutex<LruCache<Arc<str>, SharedBucket>>);

impl Default for Buckets {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED)))
    }
}

impl Buckets {
    /// The bucket of an identity.
    pub fn of(&self, node_id: &Arc<str>) -> SharedBucket {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full =
            || SharedBucket(Arc::new(Mutex::new(Bucket::new(BURST, PER_SECOND, Instant::now()))));
        buckets.get_or_insert(Arc::clone(node_id), full).clone()
    }
}

/// The bucket of one identity, for all its connections.
#[derive(Debug, Clone)]
pub struct SharedBucket(Arc<Mutex<Bucket>>);

impl SharedBucket {
    /// Takes a token, or says how long to wait for one.
    pub fn take(&self, now: Instant) -> Result<(), Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(now)
    }
}

/// A token bucket: `burst` at once, and `per_second` from then on.
#[derive(Debug)]
struct Bucket {
    tokens: f64,
    burst: f64,
    per_second: f64,
    filled: Instant,
}

impl Bucket {
    fn new(burst: u32, per_second: u32, now: Instant) -> Self {
        let burst = f64::from(burst);
        Self { tokens: burst, burst, per_second: f64::from(per_second), filled: now }
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.burst);
        self.filled = now;
    }

    fn take(&mut self, now: Instant) -> Result<(), Duration> {
        self.fill(now);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) / self.per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_connection_of_a_peer_gives_it_no_new_burst() {
        let buckets = Buckets::default();
        let (mallory, bob): (Arc<str>, Arc<str>) = ("mallory".into(), "bob".into());
        let now = Instant::now();
        let first = buckets.of(&mallory);
        while first.take(now).is_ok() {}
        assert!(buckets.of(&mallory).take(now).is_err());
        assert!(buckets.of(&bob).take(now).is_ok());
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(3, 10, start);
        for _ in 0..3 {
            assert_eq!(bucket.take(start), Ok(()));
        }
        let wait = bucket.take(start).unwrap_err();
        assert!(wait > Duration::from_millis(99) && wait < Duration::from_millis(101), "{wait:?}");
        assert_eq!(bucket.take(start + Duration::from_millis(101)), Ok(()));
        let later = start + Duration::from_secs(60);
        let taken = (0..100).filter(|_| bucket.take(later).is_ok()).count();
        assert_eq!(taken, 3, "no more than the burst is saved up");
    }
}
