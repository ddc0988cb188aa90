//! A few nodes under writes and faults, as an input says.

use std::time::Duration;

use chitchat_protocol::LinkLimits;

use crate::input::Input;
use crate::sim::{HostId, Links, Sim};

const KEYS: [&str; 4] = ["a", "b", "c", "d"];
const HOSTS: usize = 4;
/// Most operations, and most of virtual time: what is longer only takes longer.
const MAX_STEPS: usize = 96;
const MAX_TIME: Duration = Duration::from_secs(150);
/// Nobody is stopped for longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(6);

/// Writes, losses, partitions, pauses, restarts, leaves, garbage, and messages played again to anybody.
/// The simulation's checker judges every publication of every node; when the faults end, everybody
/// agrees within a bounded time.
pub fn node_sequence(data: &[u8]) {
    node_sequence_with(data, |_| {});
}

/// The same, with something done to the cluster before the faults end.
pub fn node_sequence_with(data: &[u8], sabotage: impl FnOnce(&mut Sim)) {
    let mut play = Play::new(Input::new(data));
    let begin = play.sim.now();
    for _ in 0..MAX_STEPS {
        let Some(kind) = play.input.next() else { break };
        if play.sim.now().since(begin) > MAX_TIME {
            break;
        }
        play.step(kind);
    }
    sabotage(&mut play.sim);
    play.settle();
}

struct Play<'a> {
    sim: Sim,
    input: Input<'a>,
    /// Number of the next write: no two values are alike.
    writes: u64,
    left: [bool; HOSTS],
}

impl<'a> Play<'a> {
    fn new(mut input: Input<'a>) -> Play<'a> {
        let seed = u64::from(input.byte());
        let setting = input.byte();
        let link = [LinkLimits::new(1_024, 1_024), LinkLimits::default()][usize::from(setting % 2)];
        let grace = Duration::from_millis(if setting & 2 == 0 { 600 } else { 4_000 });
        // Sometimes the dead are removed while the faults go on.
        let dead_grace = Duration::from_secs(if setting & 4 == 0 { 35 } else { 3_600 });
        let sim = Sim::cluster_with(seed, HOSTS, link, |config| {
            config.refuse_future_generations = false;
            config.marked_for_deletion_grace_period = grace;
            config.dead_node_grace_period = dead_grace;
            config.initial_key_values = vec![("a".into(), format!("of {}", config.node_id))];
        });
        let mut play = Play { sim, input, writes: 0, left: [false; HOSTS] };
        play.sim.tap = Some(Vec::new());
        play
    }

    fn is_up(&self, host: HostId) -> bool {
        self.sim.host(host).node().is_some()
    }

    fn millis(&mut self) -> Duration {
        Duration::from_millis(u64::from(self.input.byte()) * 8)
    }

    fn step(&mut self, kind: u8) {
        match kind % 32 {
            0..10 => self.write(kind),
            10..15 => {
                let time = self.millis();
                self.sim.run_for(time);
            }
            15 => {
                let time = self.millis() * 10;
                self.sim.run_for(time);
            }
            16 => {
                let sides = self.input.byte();
                let hosts = 0..HOSTS;
                let (one, other): (Vec<HostId>, Vec<HostId>) =
                    hosts.partition(|host| sides >> host & 1 == 0);
                self.sim.links.partition(&one, &other);
            }
            17 => self.sim.links.heal(),
            18 => {
                let (from, to) = (self.input.below(HOSTS), self.input.below(HOSTS));
                self.sim.links.cut(from, to);
            }
            19 => self.sim.links.loss = f64::from(self.input.byte()) / 512.0,
            20 => self.sim.links.duplication = f64::from(self.input.byte()) / 512.0,
            21 => {
                let longest = Duration::from_millis(1 + u64::from(self.input.byte()) * 12);
                self.sim.links.delay = Duration::from_micros(100)..longest;
            }
            22 | 23 => self.restart(),
            24 => {
                let host = self.input.below(HOSTS);
                self.sim.kill(host);
            }
            25 => self.leave(),
            26 => {
                let host = self.input.below(HOSTS);
                let pause = (self.millis() * 4).min(LONGEST_PAUSE);
                self.sim.stop_for(host, pause);
            }
            27 => {
                let host = self.input.below(HOSTS);
                let from = Sim::addr_of(self.input.below(HOSTS + 1));
                let len = self.input.below(64);
                let garbage = self.input.take(len);
                self.sim.inject(host, from, garbage);
            }
            _ => self.play_again(),
        }
    }

    fn write(&mut self, kind: u8) {
        let host = self.input.below(HOSTS);
        let key = KEYS[self.input.below(KEYS.len())];
        if !self.is_up(host) {
            return;
        }
        self.writes += 1;
        let padding = if kind >= 128 { 300 } else { 0 };
        let value = format!("{}-{}", self.writes, "x".repeat(padding));
        let ttl = Duration::from_millis(1 + u64::from(self.input.byte()) * 16);
        self.sim.with(host, |node, now| {
            // Of a node that has left nothing is accepted, and a key may be gone.
            let _ = match kind % 10 {
                0..4 => node.set(key, &value, now),
                4..7 => node.delete(key, now),
                7 => node.set_with_ttl(key, &value, ttl, now),
                8 => node.delete_after_ttl(key, ttl, now),
                _ => {
                    let entries =
                        [(format!("{key}/1"), value.clone()), (format!("{key}/2"), value)];
                    node.replace_prefix(key, &entries, now).map(Some)
                }
            };
        });
    }

    /// In place, with a generation from the clock or below the one before.
    fn restart(&mut self) {
        let host = self.input.below(HOSTS);
        let generation = match self.input.byte() {
            0..32 => Some(1_800_000_000_000),
            _ => None,
        };
        self.sim.kill(host);
        self.left[host] = false;
        self.sim.reconfigure(host, |config| config.generation_id = generation);
        self.sim.start(host);
    }

    fn leave(&mut self) {
        let host = self.input.below(HOSTS);
        if self.is_up(host) {
            self.left[host] = true;
            self.sim.with(host, |node, now| node.leave(now));
        }
    }

    /// A real message, late, from any address, to anybody, whole or cut.
    fn play_again(&mut self) {
        let (host, from) = (self.input.below(HOSTS), self.input.below(HOSTS + 1));
        let (index, cut) = (usize::from(self.input.short()), self.input.byte());
        let Some(messages) = &self.sim.tap else { return };
        if messages.is_empty() {
            return;
        }
        let mut bytes = messages[index % messages.len()].bytes.clone();
        if cut >= 192 {
            bytes.truncate(usize::from(cut - 192) * 8);
        }
        self.sim.inject(host, Sim::addr_of(from), &bytes);
    }

    fn settle(&mut self) {
        let sim = &mut self.sim;
        sim.tap = None;
        sim.links = Links::default();
        // Who has left or was killed comes back as another run.
        for host in 0..HOSTS {
            if self.left[host] {
                sim.kill(host);
            }
            if sim.host(host).node().is_none() {
                sim.reconfigure(host, |config| config.generation_id = None);
                sim.start(host);
            }
        }
        sim.run_for(LONGEST_PAUSE);
        let limit = sim.host(0).interval() * 120;
        if sim.run_until(limit, |sim| sim.all_see_all() && sim.all_equal()).is_none() {
            panic!("no agreement after 120 calm rounds: {}", sim.describe());
        }
    }
}
