//! A node among peers that say whatever an input makes them say.

use std::collections::BTreeMap;
use std::time::Duration;

use chitchat_protocol::wire::Envelope;
use chitchat_protocol::{Event, Incarnation, Limits, LinkLimits};

use crate::forge::{self, Facts};
use crate::input::Input;
use crate::sim::{HostId, Puppet, Replayed, Sim};

/// The node that is judged, and an honest peer of it.
const US: HostId = 0;
const PEER: HostId = 1;
const KEYS: [&str; 3] = ["a", "b", "c"];
const MAX_STEPS: usize = 128;
const MAX_TIME: Duration = Duration::from_secs(400);

/// Forged, damaged and repeated messages of all kinds, some of them in answer to what the node asks,
/// between own writes, pauses, jumps of the clock, restarts and a leave. Nothing panics or grows beyond
/// its bound, no peer changes what the node itself has written, copies do not go back, and events are
/// exactly what changed.
pub fn node_hostile(data: &[u8]) {
    node_hostile_with(data, |_| {});
}

/// The same, with something done to the cluster in the end.
pub fn node_hostile_with(data: &[u8], sabotage: impl FnOnce(&mut Sim)) {
    let mut play = Play::new(Input::new(data));
    let begin = play.sim.now();
    for _ in 0..MAX_STEPS {
        let Some(kind) = play.input.next() else { break };
        if play.sim.now().since(begin) > MAX_TIME {
            break;
        }
        play.step(kind);
        play.judge();
    }
    sabotage(&mut play.sim);
    play.sim.run_rounds(1);
    play.judge();
    play.judge_events();
}

/// So small that an input can reach them.
fn small_limits(limits: &mut Limits) {
    limits.max_nodes = 6;
    limits.max_key_len = 64;
    limits.max_value_len = 512;
    limits.max_keys_per_node = 16;
    limits.max_bytes_per_node = 4_096;
    limits.max_pending_exchanges = 8;
    limits.max_parked_bytes = 4_096;
    limits.max_train_bytes = 16_384;
    limits.max_decompressed_len = 65_536;
    limits.max_removed_nodes = 2;
}

struct Play<'a> {
    sim: Sim,
    input: Input<'a>,
    puppets: [Puppet; 4],
    /// What the node has written itself, without time to live.
    own: BTreeMap<String, String>,
    /// Of each member the incarnation and version that was shown last.
    shown: BTreeMap<String, (Incarnation, u64)>,
    /// Events that were looked at.
    seen_events: usize,
    writes: u64,
}

impl<'a> Play<'a> {
    fn new(mut input: Input<'a>) -> Play<'a> {
        let setting = input.byte();
        let mut sim =
            Sim::cluster_with(u64::from(setting), 2, LinkLimits::new(1_400, 9_000), |config| {
                config.marked_for_deletion_grace_period = Duration::from_secs(2);
                config.dead_node_grace_period = Duration::from_secs(30);
                config.refuse_future_generations = setting & 1 == 0;
                small_limits(&mut config.limits);
            });
        // What forged messages make of the truth is not the checker's to judge.
        sim.checker = None;
        sim.tap = Some(Vec::new());
        // One with the honest peer's name, one with ours, and two of their own.
        let names = ["node-1", "node-0", "other", "p"];
        let puppets: [Puppet; 4] = std::array::from_fn(|index| {
            let number = u16::try_from(index).unwrap_or_default();
            Puppet::new(names[index], number)
        });
        let mut seeds = vec![Sim::addr_of(PEER)];
        seeds.extend(puppets.iter().map(|puppet| puppet.addr));
        sim.set_seeds(US, seeds);
        sim.run_rounds(3);
        Play {
            sim,
            input,
            puppets,
            own: BTreeMap::new(),
            shown: BTreeMap::new(),
            seen_events: 0,
            writes: 0,
        }
    }

    fn step(&mut self, kind: u8) {
        match kind % 16 {
            0..7 => self.say(),
            7 => self.damaged(),
            8 => {
                let from = self.puppets[self.input.below(4)].addr;
                let len = self.input.below(96);
                let body = self.input.take(len);
                let bytes = forge::envelope(&mut self.input, body);
                self.sim.inject(US, from, &bytes);
            }
            9..11 => {
                let time = Duration::from_millis(u64::from(self.input.byte()) * 4);
                self.sim.run_for(time);
            }
            11 => {
                let time = Duration::from_millis(u64::from(self.input.byte()) * 200);
                self.sim.run_for(time);
            }
            12 => {
                let pause = Duration::from_millis(u64::from(self.input.byte()) * 100);
                self.sim.stop_for(US, pause);
                self.sim.run_for(pause);
            }
            13 | 14 => self.write(),
            _ => self.end(),
        }
    }

    /// What puppets may know of the node: enough to be believed.
    fn facts(&self, puppet: &Puppet) -> Facts {
        let own = self.sim.host(US).running();
        let tap = self.sim.tap.as_deref().unwrap_or_default();
        let nonces = tap.iter().rev().filter(|message| message.to == puppet.addr);
        let nonces = nonces.filter_map(|message| Envelope::parse(&message.bytes).ok());
        Facts {
            own: own.incarnation(),
            peer: self.sim.host(PEER).running().incarnation(),
            own_version: self.sim.host(US).snapshot().self_state().map_or(0, |it| it.max_version()),
            nonces: nonces.map(|envelope| envelope.nonce).take(4).collect(),
        }
    }

    fn say(&mut self) {
        let index = self.input.below(4);
        let mut puppet = self.puppets[index].clone();
        let facts = self.facts(&puppet);
        let message = forge::message(&mut self.input, &mut puppet, &facts);
        let bytes = message.encode();
        let verified = self.input.byte() < 24;
        puppet.verified = verified.then(|| puppet.node_id.as_str().into());
        // What comes back at once stays in the tap, for the next one to answer.
        match &puppet.verified {
            Some(peer) => self.sim.inject_from(US, puppet.addr, peer.clone(), &bytes),
            None => self.sim.inject(US, puppet.addr, &bytes),
        }
        puppet.verified = None;
        self.puppets[index] = puppet;
    }

    /// A real message with one byte changed, or cut.
    fn damaged(&mut self) {
        let (index, at) = (usize::from(self.input.short()), usize::from(self.input.short()));
        let (value, from) = (self.input.byte(), self.puppets[self.input.below(4)].addr);
        let tap = self.sim.tap.as_deref().unwrap_or_default();
        let Some(message) = tap.get(index % tap.len().max(1)) else { return };
        let mut bytes = message.bytes.clone();
        let at = at % bytes.len().max(1);
        match value {
            0 => bytes.truncate(at),
            value => bytes[at] ^= value,
        }
        self.sim.inject(US, from, &bytes);
    }

    fn write(&mut self) {
        let (kind, key) = (self.input.byte(), KEYS[self.input.below(KEYS.len())]);
        self.writes += 1;
        let value = self.writes.to_string();
        let ttl = Duration::from_millis(1 + u64::from(self.input.byte()) * 16);
        let own = &mut self.own;
        self.sim.with(US, |node, now| match kind % 8 {
            0..4 => {
                if node.set(key, &value, now).is_ok() {
                    own.insert(key.to_owned(), value);
                }
            }
            4..6 => {
                if node.delete(key, now).is_ok() {
                    own.remove(key);
                }
            }
            // A key of its own, as nobody knows here when it is over.
            _ => drop(node.set_with_ttl("leased", &value, ttl, now)),
        });
    }

    /// The end of the node, or of its peer, and a new beginning.
    fn end(&mut self) {
        match self.input.byte() {
            0..64 => self.sim.with(US, |node, now| node.leave(now)),
            64..128 => {
                self.sim.kill(PEER);
                self.sim.start(PEER);
            }
            _ => {
                self.judge_events();
                self.sim.kill(US);
                self.sim.start(US);
                self.own.clear();
                self.shown.clear();
                self.seen_events = 0;
            }
        }
    }

    fn judge(&mut self) {
        let host = self.sim.host(US);
        let snapshot = host.snapshot();
        let own = snapshot.self_state().expect("the own state");
        for (key, value) in &self.own {
            assert_eq!(own.get(key), Some(&**value), "own {key} was changed by others");
        }
        let foreign: Vec<&str> = own
            .iter_prefix("")
            .map(|(key, _)| key)
            .filter(|key| *key != "leased" && !self.own.contains_key(*key))
            .collect();
        assert!(foreign.is_empty(), "others wrote {foreign:?}");
        let limits = &host.running().config().limits;
        assert!(snapshot.nodes().count() <= limits.max_nodes, "too many nodes");
        let new = host.events.get(self.seen_events..).unwrap_or_default();
        for (_, event) in new {
            if let Event::Removed { id } = event {
                self.shown.remove(&*id.node_id);
            }
        }
        self.seen_events = host.events.len();
        for node in snapshot.nodes() {
            assert!(node.num_key_values() <= 2 * limits.max_keys_per_node, "too many keys");
            let now = (node.incarnation(), node.max_version());
            let former = self.shown.insert(node.id().node_id.to_string(), now);
            assert!(former.is_none_or(|former| former <= now), "{former:?} became {now:?}");
        }
    }

    fn judge_events(&self) {
        let host = self.sim.host(US);
        let mut replayed = Replayed::of(host.first_snapshot());
        for (_, event) in &host.events {
            replayed.apply(event).unwrap_or_else(|error| panic!("{error}"));
        }
        assert_eq!(replayed, Replayed::of(host.snapshot()), "events are not what changed");
    }
}
