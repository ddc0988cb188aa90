//! Random restarts, resumed predecessors and twins under one node id: everybody converges on one
//! incarnation, and no log mixes with another's. The checker of the simulation knows which
//! incarnation wrote which value, and judges every publication.
//!
//! `CHITCHAT_SIM_SEED=n` replays one seed, `CHITCHAT_SIM_SEEDS=n` runs another number of them.

use std::collections::BTreeMap;
use std::time::Duration;

use chitchat_protocol::{Incarnation, LinkLimits};
use chitchat_tests::sim::{HostId, Links, Sim, for_seeds};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

const PEERS: usize = 4;
/// Node ids that have two hosts: a twin can run beside the original, or follow it.
const TWINS: usize = 2;

struct Masquerade {
    sim: Sim,
    rng: StdRng,
    runs: u64,
}

impl Masquerade {
    fn new(seed: u64) -> Masquerade {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x1D);
        let few_floors = rng.random_bool(0.3);
        let short_grace = rng.random_bool(0.3);
        let configure = move |config: &mut chitchat_protocol::Config| {
            config.refuse_future_generations = false;
            config.marked_for_deletion_grace_period = Duration::from_secs(5);
            if short_grace {
                config.dead_node_grace_period = config.expected_detection_time() * 8;
            }
            if few_floors {
                config.limits.max_removed_nodes = 1;
            }
        };
        let mut sim = Sim::cluster_with(seed, PEERS + TWINS, LinkLimits::default(), configure);
        if let Some(checker) = &mut sim.checker {
            checker.forgetful = few_floors;
        }
        for twin in 0..TWINS {
            let mut config = Sim::config(&format!("node-{}", PEERS + twin));
            configure(&mut config);
            sim.add_host(config, &[0]);
        }
        sim.run_rounds(4);
        Masquerade { sim, rng, runs: 0 }
    }

    /// The hosts that have the same node id.
    fn pair(twin: usize) -> [HostId; 2] {
        [PEERS + twin, PEERS + TWINS + twin]
    }

    fn is_up(&self, host: HostId) -> bool {
        self.sim.host(host).node().is_some()
    }

    fn start(&mut self, host: HostId, known: Incarnation) {
        let generation = known.generation_id;
        let chosen = match self.rng.random_range(0..5) {
            0 => Some(generation.saturating_sub(self.rng.random_range(1..1_000_000))),
            1 => Some(generation),
            2 => Some(generation + self.rng.random_range(1..1_000_000)),
            _ => None,
        };
        self.sim.reconfigure(host, |config| config.generation_id = chosen);
        self.sim.start(host);
        self.runs += 1;
        for key in ["a", "b", "c"] {
            if self.rng.random_bool(0.7) {
                self.sim.set(host, key, &format!("run {}", self.runs));
            }
        }
        let own = format!("only-of-{}", self.runs);
        self.sim.set(host, &own, &own);
    }

    fn step(&mut self, longest: Duration) {
        let pair = Masquerade::pair(self.rng.random_range(0..TWINS));
        let [one, other] = if self.rng.random_bool(0.5) { pair } else { [pair[1], pair[0]] };
        let known = self
            .sim
            .host(0)
            .state_of(self.sim.host(one).node_id())
            .map_or(Incarnation::default(), |state| state.incarnation());
        match self.rng.random_range(0..12) {
            // A restart, in place or elsewhere.
            0..=3 if self.is_up(one) => {
                self.sim.kill(one);
                let pause = self.rng.random_range(Duration::ZERO..longest);
                self.sim.run_for(pause);
                let place =
                    if self.is_up(other) || self.rng.random_bool(0.5) { one } else { other };
                self.start(place, known);
            }
            // The predecessor is stopped, the successor starts, and the predecessor goes on.
            4 | 5 if self.is_up(one) && !self.is_up(other) => {
                let pause = self.rng.random_range(Duration::from_millis(100)..longest);
                self.sim.stop_for(one, pause);
                self.sim.run_for(pause / 2);
                self.start(other, known);
            }
            // Two at once.
            6 if !self.is_up(other) => self.start(other, known),
            7 | 8 if self.is_up(one) && self.is_up(other) => self.sim.kill(one),
            9 => {
                self.sim.links.loss = self.rng.random_range(0.0..0.4);
                let delay = Duration::from_millis(self.rng.random_range(1..800));
                self.sim.links.delay = Duration::from_micros(100)..delay;
            }
            10 => {
                let hosts: Vec<HostId> = (0..PEERS + 2 * TWINS).collect();
                let some: Vec<HostId> = hosts.choose_multiple(&mut self.rng, 3).copied().collect();
                let rest: Vec<HostId> =
                    hosts.into_iter().filter(|host| !some.contains(host)).collect();
                self.sim.links.partition(&some, &rest);
            }
            11 => self.sim.links.heal(),
            _ => {}
        }
        for host in 0..PEERS + 2 * TWINS {
            if self.is_up(host) && self.rng.random_bool(0.3) {
                self.runs += 1;
                self.sim.set(host, "a", &format!("write {}", self.runs));
            }
        }
        let pause = self.rng.random_range(Duration::from_millis(50)..Duration::from_secs(4));
        self.sim.run_for(pause);
    }

    /// After the last fault each node id has one process.
    fn settle(&mut self) {
        self.sim.links = Links::default();
        for twin in 0..TWINS {
            let [one, other] = Masquerade::pair(twin);
            match (self.is_up(one), self.is_up(other)) {
                (true, true) => {
                    let loser = if self.rng.random_bool(0.5) { one } else { other };
                    self.sim.kill(loser);
                }
                (false, false) => self.start(one, Incarnation::default()),
                _ => {}
            }
        }
        self.sim.run_for(Duration::from_secs(40));
    }
}

#[test]
fn whatever_restarts_everybody_converges_on_one_incarnation_of_each_node() {
    // Rows S4, S3, S13, S20, X14 and rules C1 to C4.
    for_seeds(150, |seed| {
        let mut play = Masquerade::new(seed);
        let longest = [2, 6, 45][usize::try_from(seed % 3).expect("small")];
        for _ in 0..play.rng.random_range(3..9) {
            play.step(Duration::from_secs(longest));
        }
        play.settle();
        let sim = &mut play.sim;
        let limit = sim.host(0).interval() * 40;
        if sim.run_until(limit, |sim| sim.all_see_all() && sim.all_equal()).is_none() {
            panic!("no agreement 120 rounds after the last fault: {}", sim.describe());
        }
        // Agreement holds, and nobody goes on to change who it is.
        let identities = |sim: &Sim| -> BTreeMap<HostId, Incarnation> {
            sim.running().map(|(id, host)| (id, host.running().incarnation())).collect()
        };
        let before = identities(sim);
        sim.run_rounds(30);
        assert_eq!(identities(sim), before, "{}", sim.describe());
        assert!(sim.all_see_all() && sim.all_equal(), "{}", sim.describe());
    });
}

#[test]
fn two_processes_under_one_id_settle_who_speaks_and_the_other_follows_its_end() {
    // Rule C3: one yields, says so, and takes over when the other falls silent.
    for_seeds(20, |seed| {
        let mut sim = Sim::cluster(seed, 5);
        let twin = sim.add_host(Sim::config("node-4"), &[0]);
        sim.run_rounds(20);
        sim.set(4, "who", "first");
        sim.start(twin);
        sim.set(twin, "who", "twin");
        // Let it settle; then nobody changes any more.
        sim.run_rounds(20);
        let view = |sim: &Sim| -> Vec<Incarnation> {
            let seen = (0..4).filter_map(|host| sim.host(host).state_of("node-4"));
            seen.map(|state| state.incarnation()).collect()
        };
        let settled = view(&sim);
        assert_eq!(settled.len(), 4);
        assert!(settled.iter().all(|other| *other == settled[0]), "{}", sim.describe());
        for _ in 0..60 {
            sim.run_rounds(1);
            assert_eq!(view(&sim), settled, "it goes on: {}", sim.describe());
            assert!(sim.host(0).lists_live("node-4"));
        }
        let speaker = if sim.host(4).running().incarnation() == settled[0] { 4 } else { twin };
        let silent = if speaker == 4 { twin } else { 4 };
        assert_eq!(sim.host(speaker).running().incarnation(), settled[0]);
        let conflict = |sim: &Sim, host: HostId| {
            sim.host(host).notices.iter().any(|(_, notice)| {
                matches!(notice, chitchat_protocol::Notice::IdentityConflict { .. })
            })
        };
        assert!(conflict(&sim, silent), "the one that yields says so");
        sim.kill(speaker);
        let word = if silent == 4 { "first" } else { "twin" };
        sim.expect_within(30, "the one that yielded speaks", |sim| {
            sim.all_have(0..4, "node-4", "who", Some(word)) && sim.all_see_all()
        });
    });
}

#[test]
fn a_lonely_seed_that_comes_back_with_a_lower_generation_is_live_soon() {
    // Rows S3, S22, rule L4: it knows only its own address, so it asks nobody, and the others know a
    // later incarnation of it, or only that they removed one.
    for forgotten in [false, true] {
        let mut sim = Sim::cluster_with(1, 4, LinkLimits::default(), |config| {
            config.refuse_future_generations = false;
            config.dead_node_grace_period = config.expected_detection_time() * 8;
        });
        sim.run_rounds(20);
        sim.kill(0);
        sim.run_for(Duration::from_secs(if forgotten { 60 } else { 8 }));
        assert_eq!(sim.host(1).state_of("node-0").is_none(), forgotten);
        sim.start_as(0, 7);
        sim.set(0, "after", "restart");
        // Each of the three asks it with a probability of 1/10 or more per round.
        sim.expect_within(30, "the seed is live on all, with its new state", |sim| {
            sim.all_see_all() && sim.all_have(1..4, "node-0", "after", Some("restart"))
        });
    }
}
