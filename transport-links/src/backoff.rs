//! When an address that did not answer may be dialled again.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
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

/// An address, and a node if it is only that one that cannot be reached there.
type Subject = (SocketAddr, Option<Arc<str>>);

/// Jittered exponential backoff for each address. A node that is looked for where another one is
/// has one of its own there: the other one is not to wait for it. Bounded: the addresses that failed longest ago
/// are forgotten, which costs a dial.
#[derive(Debug)]
pub struct Backoffs {
    failing: LruCache<Subject, Failing>,
}

impl Default for Backoffs {
    fn default() -> Self {
        Self { failing: LruCache::new(MAX_ADDRS) }
    }
}

impl Backoffs {
    /// Dialling failed; `refused`: the other side will not have us, or we will not have it;
    /// `absent`: the node that is not there, but another one.
    pub fn failed(
        &mut self,
        addr: SocketAddr,
        absent: Option<&Arc<str>>,
        refused: bool,
        now: Instant,
    ) {
        let subject = (addr, absent.cloned());
        let in_a_row = self.failing.peek(&subject).map_or(0, |failing| failing.in_a_row);
        let longest = if refused { LONGEST_REFUSED } else { LONGEST };
        let wait = FIRST.saturating_mul(1 << in_a_row.min(10)).min(longest);
        // Half of it for sure, the other half by chance, so that nodes do not dial in step.
        let wait = wait / 2 + wait.mul_f64(rand::rng().random_range(0.0..0.5));
        let failing = Failing { in_a_row: in_a_row.saturating_add(1), not_before: now + wait };
        self.failing.put(subject, failing);
    }

    /// A node was found, and has accepted us.
    pub fn succeeded(&mut self, addr: SocketAddr, node: &Arc<str>) {
        self.failing.pop(&(addr, None));
        self.failing.pop(&(addr, Some(Arc::clone(node))));
    }

    /// When the address may be dialled, for that node if it is known; `None`: now.
    #[must_use]
    pub fn not_before(
        &self,
        addr: SocketAddr,
        node: Option<&Arc<str>>,
        now: Instant,
    ) -> Option<Instant> {
        let at = |node: Option<&Arc<str>>| {
            self.failing.peek(&(addr, node.cloned())).map(|failing| failing.not_before)
        };
        at(None).max(node.and_then(|node| at(Some(node)))).filter(|at| *at > now)
    }

    /// How often dialling an address has failed in a row.
    #[must_use]
    pub fn in_a_row(&self, addr: SocketAddr) -> u32 {
        self.failing.peek(&(addr, None)).map_or(0, |failing| failing.in_a_row)
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
        assert_eq!(backoffs.not_before(addr, None, now), None);
        let mut waits = Vec::new();
        for _ in 0..40 {
            backoffs.failed(addr, None, false, now);
            waits.push(backoffs.not_before(addr, None, now).unwrap() - now);
        }
        assert!(waits[0] >= FIRST / 2 && waits[0] <= FIRST);
        assert!(waits.iter().skip(5).all(|wait| *wait >= LONGEST / 2 && *wait <= LONGEST));
        let distinct: std::collections::BTreeSet<_> = waits.iter().skip(5).collect();
        assert!(distinct.len() > 10, "no jitter: {waits:?}");
        backoffs.succeeded(addr, &"n".into());
        assert_eq!(backoffs.not_before(addr, None, now), None);
    }

    #[test]
    fn a_node_that_is_not_where_it_was_keeps_nobody_from_whoever_is_there() {
        let mut backoffs = Backoffs::default();
        let addr: SocketAddr = "192.0.2.1:7".parse().unwrap();
        let (gone, here): (Arc<str>, Arc<str>) = ("gone".into(), "here".into());
        let now = Instant::now();
        backoffs.failed(addr, Some(&gone), true, now);
        assert!(backoffs.not_before(addr, Some(&gone), now).is_some());
        assert_eq!(backoffs.not_before(addr, Some(&here), now), None);
        assert_eq!(backoffs.not_before(addr, None, now), None);
        backoffs.failed(addr, None, false, now);
        assert!(backoffs.not_before(addr, Some(&here), now).is_some());
        backoffs.succeeded(addr, &here);
        assert_eq!(backoffs.not_before(addr, Some(&here), now), None);
        assert!(backoffs.not_before(addr, Some(&gone), now).is_some());
    }
}
