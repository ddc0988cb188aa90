//! What a storm does to links and hosts.

use std::time::Duration;

use chitchat_protocol::Incarnation;
use chitchat_tests::sim::{HostId, Sim, Tail};
use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::Storm;

impl Storm {
    fn up_to(&mut self, longest_ms: u64) -> Duration {
        Duration::from_millis(self.rng.random_range(longest_ms / 80..longest_ms))
    }

    /// A random part of the hosts, and the rest; neither is empty.
    fn split(&mut self) -> (Vec<HostId>, Vec<HostId>) {
        let mut all: Vec<HostId> = (0..self.sim.hosts().count()).collect();
        all.shuffle(&mut self.rng);
        let rest = all.split_off(self.rng.random_range(1..all.len()));
        (all, rest)
    }

    pub(crate) fn fault(&mut self) {
        match self.rng.random_range(0..22) {
            0..=6 => self.fault_of_links(),
            7..=9 => {
                self.sim.links.heal();
                self.happens("heal", ());
            }
            10..=17 => self.fault_of_processes(),
            _ => self.fault_of_machines(),
        }
    }

    fn fault_of_links(&mut self) {
        match self.rng.random_range(0..9) {
            0 => {
                self.sim.links.loss = self.rng.random_range(0.0..0.5);
                self.sim.links.duplication = self.rng.random_range(0.0..0.3);
                self.happens("loss", self.sim.links.loss);
            }
            1 | 2 => {
                let longest = self.up_to(4_000);
                self.sim.links.delay = Duration::from_micros(100)..longest;
                self.sim.links.tail = None;
                self.happens("delay", longest);
            }
            3 => {
                let sigma = self.rng.random_range(0.3..2.0);
                self.sim.links.delay = Duration::from_micros(500)..Duration::from_millis(50);
                self.sim.links.tail = Some(Tail::LogNormal(sigma));
                self.happens("log-normal delays", sigma);
            }
            4 => {
                let alpha = self.rng.random_range(0.7..2.0);
                self.sim.links.delay = Duration::from_micros(500)..Duration::from_millis(20);
                self.sim.links.tail = Some(Tail::Pareto(alpha));
                self.happens("pareto delays", alpha);
            }
            5 => {
                let (one, other) = self.split();
                self.sim.links.partition(&one, &other);
                self.happens("partition", one);
            }
            6 => {
                let (one, other) = self.split();
                self.sim.links.partition_one_way(&one, &other);
                self.happens("one-way partition", one);
            }
            7 => {
                let (one, other) = self.split();
                self.sim.links.cut(one[0], other[0]);
                self.happens("cut", (one[0], other[0]));
            }
            _ => {
                let (group, _) = self.split();
                let period = Duration::from_millis(self.rng.random_range(50..6_000));
                let closed = period.mul_f64(self.rng.random_range(0.2..0.9));
                let one_way = self.rng.random_bool(0.4);
                self.sim.links.flap(&group, period, closed, one_way);
                self.happens("flapping", (group, period, closed, one_way));
            }
        }
    }

    fn fault_of_processes(&mut self) {
        let awake = self.awake();
        match self.rng.random_range(0..8) {
            0 | 1 if awake.len() > 2 => {
                let host = *awake.choose(&mut self.rng).expect("some run");
                self.sim.kill(host);
                self.down.insert(host);
                self.happens("kill", host);
            }
            2 if awake.len() > 3 => {
                let host = *awake.choose(&mut self.rng).expect("some run");
                self.happens("leave", host);
                self.sim.with(host, |node, now| node.leave(now));
                self.sim.run_for(Duration::from_millis(1_200));
                self.sim.kill(host);
                self.down.insert(host);
            }
            3..=5 => {
                let down: Vec<HostId> = self.down.iter().copied().collect();
                if let Some(host) = down.choose(&mut self.rng).copied() {
                    self.down.remove(&host);
                    self.restart(host);
                }
            }
            _ => self.join(),
        }
    }

    /// Starts a node again: by the clock, or with a generation that is the same as before, lower,
    /// or higher.
    pub(crate) fn restart(&mut self, host: HostId) {
        let node_id = self.sim.host(host).node_id().to_owned();
        let known = |(_, other): (HostId, &chitchat_tests::sim::Host)| {
            other.state_of(&node_id).map(|state| state.incarnation())
        };
        let known = self.sim.running().filter_map(known).max();
        let generation = known.unwrap_or(Incarnation::default()).generation_id;
        let (kind, chosen) = match self.rng.random_range(0..6) {
            0 if known.is_some() => ("restart with the same generation", Some(generation)),
            1 if known.is_some() => {
                let lower = generation.saturating_sub(self.rng.random_range(1..100_000));
                ("restart with a lower generation", Some(lower))
            }
            2 => {
                let higher = generation + self.rng.random_range(1..100_000);
                ("restart with a higher generation", Some(higher))
            }
            _ => ("restart", None),
        };
        self.happens(kind, host);
        self.sim.reconfigure(host, |config| config.generation_id = chosen);
        self.sim.start(host);
    }

    fn join(&mut self) {
        let hosts = self.sim.hosts().count();
        if hosts >= self.most_hosts {
            return;
        }
        let mut config = Sim::config(&format!("node-{hosts}"));
        self.character.apply(&mut config);
        config.initial_key_values = vec![("a".into(), format!("initial of {hosts}"))];
        let host = self.sim.add_host_with(config, self.character.link, &[0, hosts - 1]);
        self.happens("join", host);
        self.sim.start(host);
    }

    fn fault_of_machines(&mut self) {
        let host = self.rng.random_range(0..self.sim.hosts().count());
        match self.rng.random_range(0..4) {
            0 => {
                let pause = self.up_to(8_000);
                self.sim.stop_for(host, pause);
                self.happens("pause", (host, pause));
            }
            1 => {
                let pause = self.up_to(8_000);
                self.sim.suspend_for(host, pause, true);
                self.happens("suspend, clock jumps", (host, pause));
            }
            2 => {
                let pause = self.up_to(8_000);
                self.sim.suspend_for(host, pause, false);
                self.happens("suspend, clock stands still", (host, pause));
            }
            _ => {
                let longest = self.up_to(25);
                let starved = self.rng.random_bool(0.7).then_some(longest);
                self.sim.starve(host, starved);
                self.happens("starve", (host, starved));
            }
        }
    }
}
