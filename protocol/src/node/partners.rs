//! Whom to talk to: peers drawn at random for a round of gossip, and for news.

use std::net::SocketAddr;

use rand::Rng;
use rand::seq::{IndexedRandom, IteratorRandom, SliceRandom};

use crate::active_set::ActiveSet;
use crate::id::NodeId;
use crate::membership::Member;
use crate::node::{Node, Target};
use crate::state::NodeStatus;

/// How often at least a seed is asked that belongs to no live node. Never stopping is what merges
/// two halves of a cluster that forgot each other.
const SEED_PROBABILITY: f64 = 0.1;

/// How often a member is drawn for each that is wanted, before all are looked at. A few of these are not
/// within reach, or drawn already.
const DRAWS: usize = 8;

impl Node {
    /// The live peers of a round, and who is asked besides: sometimes a dead peer (more often the more
    /// there are), and sometimes a seed (always, when no live peer is asked).
    pub(super) fn choose_targets(&mut self) -> (Vec<Target>, Vec<Target>) {
        let mut rng = self.rng.clone();
        let mut active = std::mem::take(&mut self.active);
        let is_dead = |member: &Member| member.status == NodeStatus::Dead;
        let dead = self.members.iter().filter(|(_, it)| is_dead(it) && self.is_within_reach(it));
        let dead: Vec<&NodeId> = dead.map(|(node_id, _)| node_id).collect();
        let live = self.draw_partners(self.config.fanout, &mut active, &mut rng, |_| true);
        let known = weight(self.members.live() + dead.len());
        let dead_probability = weight(dead.len()) / weight(self.members.live() + 1);
        let chosen_dead = rng
            .random_bool(dead_probability.clamp(0.0, 1.0))
            .then(|| dead.choose(&mut rng).copied())
            .flatten();
        let seed = if live.is_empty() {
            self.foreign_seeds().choose(&mut rng).copied()
        } else {
            let draw: f64 = rng.random();
            let is_chosen = |seeds: usize| draw < (weight(seeds) / known).max(SEED_PROBABILITY);
            // Whose they are is asked only if it matters.
            let seeds = if is_chosen(self.seeds.len()) { self.foreign_seeds() } else { Vec::new() };
            if is_chosen(seeds.len()) { seeds.choose(&mut rng).copied() } else { None }
        };
        let target = |peer: &NodeId| self.target(peer);
        let live = live.into_iter().filter_map(target).collect();
        let dead = chosen_dead.and_then(target);
        let others = dead.into_iter().chain(seed.map(Target::addr)).collect();
        self.rng = rng;
        self.active = active;
        (live, others)
    }

    /// So many live peers within reach, if there are, in random order: those of `active` if the transport
    /// cannot hold connections with all (rule P8). Only who is `able`.
    pub(super) fn draw_partners(
        &self,
        count: usize,
        active: &mut ActiveSet,
        rng: &mut impl Rng,
        able: impl Fn(&NodeId) -> bool,
    ) -> Vec<&NodeId> {
        let capacity = self.link.max_peers.unwrap_or(usize::MAX);
        if self.members.live() > capacity {
            let all: Vec<&NodeId> = self.live_within_reach().collect();
            if all.len() > capacity {
                let size = (capacity / 2).max(self.config.fanout * 2);
                let mut set = active.choose(all, size, self.now, rng);
                set.retain(|peer| able(peer));
                set.shuffle(rng);
                set.truncate(count);
                return set;
            }
        }
        active.clear();
        self.draw_live(count, rng, able)
    }

    /// So many live peers within reach, if there are, in random order. Looks at a few, as long as most
    /// will do.
    fn draw_live(
        &self,
        count: usize,
        rng: &mut impl Rng,
        able: impl Fn(&NodeId) -> bool,
    ) -> Vec<&NodeId> {
        let mut drawn = Vec::with_capacity(count);
        let draws = if self.members.len() > 0 { count * DRAWS } else { 0 };
        for _ in 0..draws {
            if drawn.len() == count {
                return drawn;
            }
            let Some((node_id, member)) = self.members.nth(rng.random_range(0..self.members.len()))
            else {
                break;
            };
            let fits = member.is_live() && !drawn.contains(&node_id);
            if fits && self.is_within_reach(member) && able(node_id) {
                drawn.push(node_id);
            }
        }
        if drawn.len() < count {
            let all = self.live_within_reach().filter(|node_id| able(node_id));
            drawn = all.choose_multiple(rng, count);
            drawn.shuffle(rng);
        }
        drawn
    }

    /// Seed addresses that we can reach and that belong to no live node.
    pub(super) fn foreign_seeds(&self) -> Vec<SocketAddr> {
        let belongs_to_live = |seed: &SocketAddr| {
            self.members
                .iter()
                .any(|(_, member)| member.is_live() && member.contact.addrs().contains(seed))
        };
        let foreign = |seed: &&SocketAddr| self.addresses.can_use(seed) && !belongs_to_live(seed);
        self.seeds.iter().filter(foreign).copied().collect()
    }
}

fn weight(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
