//! Random faults over whole nodes. Every publication of every node is judged against what the
//! owners wrote; when the faults end, everybody agrees within a bounded time.
//!
//! `CHITCHAT_SIM_SEED=n` replays one seed, `CHITCHAT_SIM_SEEDS=n` runs another number of them.

use std::collections::BTreeSet;
use std::time::Duration;

use chitchat_protocol::{LinkLimits, WriteError};
use chitchat_tests::sim::{HostId, Links, Sim, for_seeds};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A cluster under random faults.
struct Storm {
    sim: Sim,
    rng: StdRng,
    /// Hosts whose node was killed, for now.
    down: BTreeSet<HostId>,
    /// Number of the next write: no two values are alike.
    writes: u64,
    most_hosts: usize,
    tombstone_grace: Duration,
    dead_grace: Duration,
    link: LinkLimits,
}

impl Storm {
    fn new(seed: u64) -> Storm {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x5EED);
        let count = rng.random_range(5..=7);
        let links = [
            LinkLimits::default(),
            LinkLimits::new(1_024, 1_024),
            LinkLimits::new(1_200, 9_000),
            LinkLimits::new(65_507, 65_507),
            LinkLimits::new(65_507, 65_507).with_max_peers(Some(4)),
        ];
        let link = *links.choose(&mut rng).expect("some links");
        // Shorter than the longest delays, so that old deltas meet later watermarks; or longer.
        let tombstone_grace = Duration::from_millis([600, 2_000, 8_000][rng.random_range(0..3)]);
        // Sometimes the dead are removed while the storm still rages.
        let dead_grace = Duration::from_secs(if rng.random_bool(0.25) { 35 } else { 3_600 });
        let sim = Sim::cluster_with(seed, count, link, |config| {
            config.marked_for_deletion_grace_period = tombstone_grace;
            config.dead_node_grace_period = dead_grace;
        });
        let most_hosts = rng.random_range(7..=10);
        let down = BTreeSet::new();
        Storm { sim, rng, down, writes: 0, most_hosts, tombstone_grace, dead_grace, link }
    }

    fn running(&self) -> Vec<HostId> {
        self.sim.running().map(|(host, _)| host).collect()
    }

    fn write(&mut self) {
        let running = self.running();
        let Some(host) = running.choose(&mut self.rng).copied() else { return };
        self.writes += 1;
        let key = *KEYS.choose(&mut self.rng).expect("some keys");
        let padding = if self.rng.random_bool(0.15) { 400 } else { 0 };
        let value = format!("{}-{}", self.writes, "x".repeat(padding));
        let action = self.rng.random_range(0..10);
        let ttl = Duration::from_millis(self.rng.random_range(1..8_000));
        self.sim.with(host, |node, now| {
            let done = match action {
                0..=4 => node.set(key, &value, now),
                5..=7 => node.delete(key, now),
                8 => node.set_with_ttl(key, &value, ttl, now),
                _ if node.get(key).is_some() => node.delete_after_ttl(key, ttl, now),
                _ => node.set(key, &value, now),
            };
            // A key may have expired since it was last looked at.
            assert!(matches!(done, Ok(_) | Err(WriteError::NoSuchKey)), "{done:?}");
        });
    }

    fn fault(&mut self) {
        let hosts = self.sim.hosts().count();
        let mut all: Vec<HostId> = (0..hosts).collect();
        match self.rng.random_range(0..14) {
            0 | 1 => {
                self.sim.links.loss = self.rng.random_range(0.0..0.5);
                self.sim.links.duplication = self.rng.random_range(0.0..0.3);
            }
            2 => {
                let longest = Duration::from_millis(self.rng.random_range(1..4_000));
                self.sim.links.delay = Duration::from_micros(100)..longest;
            }
            3 | 4 => {
                all.shuffle(&mut self.rng);
                let (one, other) = all.split_at(self.rng.random_range(1..hosts));
                self.sim.links.partition(one, other);
            }
            5 => {
                let pair: Vec<HostId> = all.choose_multiple(&mut self.rng, 2).copied().collect();
                self.sim.links.cut(pair[0], pair[1]);
            }
            6 | 7 => self.sim.links.heal(),
            8 => {
                let running = self.running();
                if running.len() > 2 {
                    let host = *running.choose(&mut self.rng).expect("some run");
                    self.sim.kill(host);
                    self.down.insert(host);
                }
            }
            9 | 10 => {
                if let Some(host) = self.down.pop_first() {
                    self.sim.start(host);
                }
            }
            11 | 12 if hosts < self.most_hosts => {
                let mut config = Sim::config(&format!("node-{hosts}"));
                config.marked_for_deletion_grace_period = self.tombstone_grace;
                config.dead_node_grace_period = self.dead_grace;
                config.initial_key_values = vec![("a".into(), format!("initial of {hosts}"))];
                let host = self.sim.add_host_with(config, self.link, &[0, hosts - 1]);
                self.sim.start(host);
            }
            _ => {
                let host = self.rng.random_range(0..hosts);
                let pause = Duration::from_millis(self.rng.random_range(100..8_000));
                self.sim.stop_for(host, pause);
            }
        }
    }

    fn rage(&mut self, length: Duration) {
        let end = self.sim.now() + length;
        while self.sim.now() < end {
            if self.rng.random_bool(0.25) {
                self.fault();
            }
            for _ in 0..self.rng.random_range(0..4) {
                self.write();
            }
            let pause = Duration::from_millis(self.rng.random_range(20..1_000));
            self.sim.run_for(pause);
        }
    }

    fn calm_down(&mut self) {
        self.sim.links = Links::default();
        while let Some(host) = self.down.pop_first() {
            self.sim.start(host);
        }
        // Nobody is stopped for longer than this any more.
        self.sim.run_for(Duration::from_secs(8));
    }
}

#[test]
fn random_faults_bring_back_no_deleted_key_and_lose_no_unchanged_one() {
    // Rows S7, S31, R1, R3, X14 and invariants I1 to I5 as readers see them.
    for_seeds(500, |seed| {
        let mut storm = Storm::new(seed);
        let length = Duration::from_secs(storm.rng.random_range(20..80));
        storm.rage(length);
        storm.calm_down();
        let sim = &mut storm.sim;
        let limit = sim.host(0).interval() * 60;
        if sim.run_until(limit, |sim| sim.all_see_all() && sim.all_equal()).is_none() {
            panic!("no agreement after 60 calm rounds: {}", sim.describe());
        }
        assert!(sim.checker.as_ref().is_some_and(|checker| checker.judged > 0));
    });
}
