//! The peers to gossip with where the transport cannot hold connections with all (rule P8).
//!
//! Everybody draws a set at random, so that the sets together are a random graph of out-degree `k`,
//! which is connected with a probability that only very small `k` make worth a thought; and since the
//! sets change all the time, no part stays apart by bad luck.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use rand::Rng;
use rand::seq::{IteratorRandom, SliceRandom};

use crate::id::NodeId;
use crate::time::Timestamp;

/// One member makes place for another this often: three per minute. Faster costs handshakes; slower,
/// and connections that nobody uses stay open for long.
const ROTATION: Duration = Duration::from_secs(20);

/// A slowly changing set of live peers.
#[derive(Clone, Debug, Default)]
pub(crate) struct ActiveSet {
    /// The longest in the set first.
    members: VecDeque<NodeId>,
    rotated_at: Option<Timestamp>,
}

impl ActiveSet {
    /// There is no need of it: all peers may be chosen.
    pub(crate) fn clear(&mut self) {
        self.members.clear();
        self.rotated_at = None;
    }

    /// The members of this round, out of `live`, which is in ascending order. At most one is changed
    /// per call because its time is over; those that no longer live are replaced at once.
    pub(crate) fn choose<'a>(
        &mut self,
        live: Vec<&'a NodeId>,
        size: usize,
        now: Timestamp,
        rng: &mut impl Rng,
    ) -> Vec<&'a NodeId> {
        self.members.retain(|member| live.binary_search(&member).is_ok());
        self.members.truncate(size);
        let rotated_at = *self.rotated_at.get_or_insert(now);
        let mut left_out = None;
        if now.since(rotated_at) >= ROTATION {
            self.rotated_at = Some(now);
            // A gap that a death has left is change enough.
            if self.members.len() == size && live.len() > size {
                left_out = self.members.pop_front();
            }
        }
        if self.members.len() < size {
            let taken: BTreeSet<&NodeId> = self.members.iter().chain(&left_out).collect();
            let free = live.iter().filter(|peer| !taken.contains(**peer));
            let mut drawn = free.choose_multiple(rng, size - self.members.len());
            // Random is who is drawn, not in which order: the order decides who goes first.
            drawn.shuffle(rng);
            self.members.extend(drawn.into_iter().map(|peer| (*peer).clone()));
        }
        let members = self.members.iter();
        let mut chosen: Vec<&NodeId> =
            members.filter_map(|it| live.binary_search(&it).ok()).map(|at| live[at]).collect();
        chosen.sort_unstable();
        chosen
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn ids(range: std::ops::Range<u32>) -> Vec<NodeId> {
        range.map(|number| NodeId::from(format!("node-{number:03}"))).collect()
    }

    fn names(chosen: &[&NodeId]) -> BTreeSet<String> {
        chosen.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_set_has_its_size_and_changes_by_one_every_twenty_seconds() {
        let all = ids(0..100);
        for seed in 0..20 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut set = ActiveSet::default();
            let mut at = |seconds: u64| {
                let now = Timestamp::ZERO + Duration::from_secs(seconds);
                names(&set.choose(all.iter().collect(), 16, now, &mut rng))
            };
            let mut last = at(0);
            assert_eq!(last.len(), 16, "seed {seed}");
            for second in 1..400 {
                let next = at(second);
                assert_eq!(next.len(), 16, "seed {seed}");
                let changed = next.difference(&last).count();
                assert_eq!(changed, usize::from(second % 20 == 0), "seed {seed}, {second} s");
                last = next;
            }
        }
    }

    #[test]
    fn all_members_have_changed_after_as_many_rotations() {
        let all = ids(0..100);
        let mut rng = StdRng::seed_from_u64(1);
        let mut set = ActiveSet::default();
        let first = names(&set.choose(all.iter().collect(), 8, Timestamp::ZERO, &mut rng));
        let mut seen = BTreeSet::new();
        for step in 1..=8 {
            let now = Timestamp::ZERO + ROTATION * step;
            seen = names(&set.choose(all.iter().collect(), 8, now, &mut rng));
        }
        // One may be drawn again after it went; it stays the exception.
        assert!(seen.intersection(&first).count() <= 2, "{first:?} {seen:?}");
    }

    #[test]
    fn the_dead_are_replaced_at_once_and_nobody_else() {
        let all = ids(0..100);
        let mut rng = StdRng::seed_from_u64(2);
        let mut set = ActiveSet::default();
        let before = names(&set.choose(all.iter().collect(), 16, Timestamp::ZERO, &mut rng));
        let dead: BTreeSet<&String> = before.iter().take(5).collect();
        let live: Vec<&NodeId> =
            all.iter().filter(|peer| !dead.contains(&peer.to_string())).collect();
        let now = Timestamp::ZERO + Duration::from_secs(1);
        let after = names(&set.choose(live, 16, now, &mut rng));
        assert_eq!(after.len(), 16);
        assert_eq!(before.intersection(&after).count(), 11);
    }

    #[test]
    fn a_set_larger_than_what_lives_is_all_of_it() {
        let all = ids(0..5);
        let mut rng = StdRng::seed_from_u64(3);
        let mut set = ActiveSet::default();
        for step in 0..10 {
            let now = Timestamp::ZERO + ROTATION * step;
            assert_eq!(set.choose(all.iter().collect(), 16, now, &mut rng).len(), 5);
        }
    }
}
