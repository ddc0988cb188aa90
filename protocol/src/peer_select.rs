//! Whom to gossip with: random, so that the load is even and no fault stays in one corner.

use rand::Rng;
use rand::seq::{IndexedRandom, IteratorRandom};

/// How often at least a seed is asked that belongs to no live node. Never stopping is what merges
/// two halves of a cluster that forgot each other.
const SEED_PROBABILITY: f64 = 0.1;

/// The candidates of one round.
pub(crate) struct Candidates<'a, P, S> {
    /// Those of the live nodes that may be chosen.
    pub(crate) live: Vec<&'a P>,
    /// How many live nodes there are.
    pub(crate) live_count: usize,
    pub(crate) dead: Vec<&'a P>,
    /// Seed addresses that belong to no live node.
    pub(crate) seeds: Vec<S>,
}

/// The choice for one round.
pub(crate) struct Choice<'a, P, S> {
    pub(crate) live: Vec<&'a P>,
    pub(crate) dead: Option<&'a P>,
    pub(crate) seed: Option<S>,
}

/// Chooses `fanout` live peers, sometimes a dead one (more often the more there are), and sometimes
/// a seed (always, when nobody lives).
pub(crate) fn choose<'a, P, S: Clone>(
    candidates: Candidates<'a, P, S>,
    fanout: usize,
    rng: &mut impl Rng,
) -> Choice<'a, P, S> {
    let Candidates { live, live_count, dead, seeds } = candidates;
    let weight = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let dead_probability = weight(dead.len()) / (weight(live_count) + 1.0);
    let seed_probability = if live.is_empty() {
        1.0
    } else {
        (weight(seeds.len()) / weight(live_count + dead.len())).max(SEED_PROBABILITY)
    };
    let choose_dead = rng.random_bool(dead_probability.clamp(0.0, 1.0));
    let choose_seed = rng.random_bool(seed_probability.clamp(0.0, 1.0));
    Choice {
        dead: if choose_dead { dead.choose(rng).copied() } else { None },
        seed: if choose_seed { seeds.choose(rng).cloned() } else { None },
        live: live.into_iter().choose_multiple(rng, fanout),
    }
}
