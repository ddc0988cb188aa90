//! A cluster under random faults and writes.

mod faults;
mod writes;

use std::collections::BTreeSet;
use std::time::Duration;

use chitchat_protocol::{Config, LinkLimits};
use chitchat_tests::sim::{HostId, Links, Lives, Sim, chosen_nodes, exceeded};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// All that a storm does. A test looks whether it really does.
pub(crate) const KINDS: [&str; 22] = [
    "loss",
    "delay",
    "log-normal delays",
    "pareto delays",
    "partition",
    "one-way partition",
    "cut",
    "flapping",
    "heal",
    "kill",
    "leave",
    "restart",
    "restart with the same generation",
    "restart with a lower generation",
    "restart with a higher generation",
    "join",
    "pause",
    "suspend, clock jumps",
    "suspend, clock stands still",
    "starve",
    "burst",
    "delete storm",
];

/// What differs from storm to storm and is the same for all its nodes.
#[derive(Clone, Debug)]
struct Character {
    link: LinkLimits,
    tombstone_grace: Duration,
    dead_grace: Duration,
    /// Bounds so low that writes hit them.
    tight: bool,
}

impl Character {
    fn apply(&self, config: &mut Config) {
        config.marked_for_deletion_grace_period = self.tombstone_grace;
        config.dead_node_grace_period = self.dead_grace;
        config.refuse_future_generations = false;
        if self.tight {
            config.limits.max_keys_per_node = 48;
            config.limits.max_bytes_per_node = 32 << 10;
            config.limits.max_value_len = 2_000;
            config.limits.max_parked_bytes = 16 << 10;
            config.limits.max_pending_exchanges = 16;
            config.limits.max_train_bytes = 16_384;
        }
    }
}

/// A cluster under random faults.
pub(crate) struct Storm {
    pub(crate) sim: Sim,
    pub(crate) rng: StdRng,
    /// Hosts whose node was killed, for now.
    down: BTreeSet<HostId>,
    /// Number of the next write: no two values are alike.
    writes: u64,
    /// Most hosts that there will be.
    most_hosts: usize,
    character: Character,
    /// What has happened.
    pub(crate) kinds: BTreeSet<&'static str>,
}

impl Storm {
    pub(crate) fn new(seed: u64) -> Storm {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x5EED);
        let count = chosen_nodes().unwrap_or_else(|| rng.random_range(5..=7));
        let links = [
            LinkLimits::default(),
            LinkLimits::new(1_024, 1_024),
            LinkLimits::new(1_200, 9_000),
            LinkLimits::new(65_507, 65_507),
            LinkLimits::new(65_507, 65_507).with_max_peers(Some(4.max(count / 3))),
        ];
        let character = Character {
            link: *links.choose(&mut rng).expect("some links"),
            // Shorter than the longest delays, so that old deltas meet later watermarks; or longer.
            tombstone_grace: Duration::from_millis([600, 2_000, 8_000][rng.random_range(0..3)]),
            // Sometimes the dead are removed while the storm still rages.
            dead_grace: Duration::from_secs(if rng.random_bool(0.25) { 35 } else { 3_600 }),
            tight: rng.random_bool(0.25),
        };
        let mut sim =
            Sim::cluster_with(seed, count, character.link, |config| character.apply(config));
        if sim.checker.is_none() {
            sim.judge_from_now();
        }
        sim.lives = Some(Lives::new(Duration::from_secs(30)));
        let most_hosts = count + rng.random_range(2..=3);
        Storm {
            sim,
            rng,
            down: BTreeSet::new(),
            writes: 0,
            most_hosts,
            character,
            kinds: BTreeSet::new(),
        }
    }

    /// How long the storm is to last: the less, the more nodes there are.
    pub(crate) fn length(&mut self) -> Duration {
        let longest = match self.sim.hosts().count() {
            0..10 => 80,
            10..50 => 25,
            _ => 12,
        };
        Duration::from_secs(self.rng.random_range(longest / 4..longest))
    }

    fn happens(&mut self, kind: &'static str, more: impl std::fmt::Debug) {
        self.kinds.insert(kind);
        self.sim.note(|| format!("{kind} {more:?}"));
    }

    /// Hosts on which a node runs, and is not stopped at present.
    fn awake(&self) -> Vec<HostId> {
        let running = self.sim.running().map(|(host, _)| host);
        running.filter(|host| !self.sim.is_stopped(*host)).collect()
    }

    pub(crate) fn rage(&mut self, length: Duration) {
        let end = self.sim.now() + length;
        while self.sim.now() < end {
            if self.rng.random_bool(0.35) {
                self.fault();
            }
            for _ in 0..self.rng.random_range(0..4) {
                self.write();
            }
            let pause = Duration::from_millis(self.rng.random_range(20..1_000));
            self.sim.run_for(pause);
            self.judge_bounds();
        }
    }

    /// No node holds more than its limits allow, and none has left anything lying about.
    pub(crate) fn judge_bounds(&self) {
        let node_ids = self.sim.hosts().count();
        for (id, host) in self.sim.running() {
            let node = host.running();
            let held = node.footprint();
            if let Some(complaint) = exceeded(&held, &node.config().limits, node_ids) {
                panic!("host {id}: {complaint}: {}", self.sim.describe());
            }
        }
    }

    /// The longest that anybody waits for a sign of life at present: from a network this bad they
    /// have learnt to be patient, and who died at last goes unnoticed for as long.
    pub(crate) fn longest_wait(&self) -> Duration {
        let now = self.sim.now();
        let waits = self.sim.running().flat_map(|(_, host)| {
            let live = host.snapshot().live_nodes();
            live.filter_map(move |peer| host.running().node_health(&peer.id().node_id, now))
        });
        let longest = waits.map(|health| health.timeout).max().unwrap_or_default();
        // Rules D3 and D4: no interval counts for more than ten seconds, so that neither the mean nor
        // twice the deviation is above that.
        assert!(longest <= Duration::from_secs(10 + 12 * 5), "it waits for {longest:?}");
        longest
    }

    pub(crate) fn calm_down(&mut self) {
        self.sim.links = Links::default();
        for host in 0..self.sim.hosts().count() {
            self.sim.starve(host, None);
        }
        while let Some(host) = self.down.pop_first() {
            // Some stay away for ever, and nobody may list them as live again.
            if host < 2 || self.rng.random_bool(0.7) {
                self.restart(host);
            }
        }
        // Nobody is stopped for longer than this any more, and nothing is under way for longer.
        self.sim.run_for(Duration::from_secs(8));
    }
}
