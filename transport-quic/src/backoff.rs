//! When an address that did not answer may be dialled again.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;
use rand::Rng;
use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(100);
/// A node that comes up is found within this and one gossip interval.
const LONGEST: Duration = Duration::from_secs(1);
/// For those that refuse us it takes a person to change something.
const LONGEST_REFUSED: Duration = Duration::from_secs(5);
const MAX_ADDRS: NonZeroUsize = NonZeroUsize::new(4_096).expect("it is not zero");

#[derive(Debug, Clone, Copy)]
struct Failing {
    in_a_row: u32,
    not_before: Instant,
}

/// Jittered exponential backoff for each address. Bounded: the addresses that failed longest ago
/// are forgotten, which costs a dial.
#[derive(Debug)]
pub(crate) struct Backoffs {
    failing: LruCache<SocketAddr, Failing>,
}

impl Default for Backoffs {
    fn default() -> Self {
        Self { failing: LruCache::new(MAX_ADDRS) }
    }
}

impl Backoffs {
    /// Dialling failed; `refused`: the other side will not have us, or we will not have it.
    pub(crate) fn failed(&mut self, addr: SocketAddr, refused: bool, now: Instant) {
        let in_a_row = self.failing.peek(&addr).map_or(0, |failing| failing.in_a_row);
        let longest = if refused { LONGEST_REFUSED } else { LONGEST };
        let wait = FIRST.saturating_mul(1 << in_a_row.min(10)).min(longest);
        // Half of it for sure, the other half by chance, so that nodes do not dial in step.
        let wait = wait / 2 + wait.mul_f64(rand::rng().random_range(0.0..0.5));
        let failing = Failing { in_a_row: in_a_row.saturating_add(1), not_before: now + wait };
        self.failing.put(addr, failing);
    }

    pub(crate) fn succeeded(&mut self, addr: SocketAddr) {
        self.failing.pop(&addr);
    }

    /// When the address may be dialled; `None`: now.
    pub(crate) fn not_before(&self, addr: SocketAddr, now: Instant) -> Option<Instant> {
        self.failing.peek(&addr).map(|failing| failing.not_before).filter(|at| *at > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_with_jitter_up_to_a_bound_and_end_with_a_success() {
        let mut backoffs = Backoffs::default();
        let addr: SocketAddr = "192.0.2.1:7".parse().unwrap();
        let now = Instant::now();
        assert_eq!(backoffs.not_before(addr, now), None);
        let mut waits = Vec::new();
        for _ in 0..40 {
            backoffs.failed(addr, false, now);
            waits.push(backoffs.not_before(addr, now).unwrap() - now);
        }
        assert!(waits[0] >= FIRST / 2 && waits[0] <= FIRST);
        assert!(waits.iter().skip(5).all(|wait| *wait >= LONGEST / 2 && *wait <= LONGEST));
        let distinct: std::collections::BTreeSet<_> = waits.iter().skip(5).collect();
        assert!(distinct.len() > 10, "no jitter: {waits:?}");
        backoffs.succeeded(addr);
        assert_eq!(backoffs.not_before(addr, now), None);
    }
}
