//! A few nodes and a network between them, in virtual time, from one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::config::Config;
use crate::event::Notice;
use crate::limits::LinkLimits;
use crate::message::{Body, Header, Message};
use crate::node::hear::Sign;
use crate::node::{Node, Origin};
use crate::time::Timestamp;
use crate::wire::{EncodeOptions, Envelope, Kind, VersionRange};

pub(super) const INTERVAL: Duration = Duration::from_millis(500);

/// The versions `oldest` to `newest`.
pub(super) fn range(oldest: u8, newest: u8) -> VersionRange {
    VersionRange::new(oldest, newest).unwrap()
}

/// A place where a node may run.
pub(super) struct Host {
    pub(super) node_id: String,
    pub(super) addr: SocketAddr,
    pub(super) node: Option<Node>,
    /// Of the present run.
    pub(super) notices: Vec<Notice>,
    /// What the node of the present run has written; `None`: deleted.
    pub(super) written: BTreeMap<String, Option<String>>,
    runs: u64,
}

/// A message that was sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) envelope: Envelope,
    pub(super) len: usize,
}

impl Sent {
    pub(super) fn is(&self, kind: Kind) -> bool {
        self.envelope.kind == kind as u8
    }

    /// Whether it passes between these two, in either direction.
    pub(super) fn is_between(&self, a: usize, b: usize) -> bool {
        (self.from, self.to) == (a, b) || (self.from, self.to) == (b, a)
    }
}

pub(super) struct Net {
    pub(super) now: Timestamp,
    pub(super) hosts: Vec<Host>,
    /// Since the last time that this was cleared.
    pub(super) sent: Vec<Sent>,
    /// Probability that a message is lost.
    pub(super) loss: f64,
    /// The bits of hashes that count, for nodes that are started from now on.
    pub(super) hash_mask: u64,
    rng: StdRng,
    sequence: u64,
    in_flight: BTreeMap<(Timestamp, u64), (usize, SocketAddr, Vec<u8>)>,
}

impl Net {
    pub(super) fn new(seed: u64, hosts: usize) -> Net {
        let host = |index: usize| Host {
            node_id: format!("node-{index}"),
            addr: SocketAddr::from(([10, 0, 0, u8::try_from(index + 1).unwrap()], 7_280)),
            node: None,
            notices: Vec::new(),
            written: BTreeMap::new(),
            runs: 0,
        };
        Net {
            now: Timestamp::from_millis(1_000_000),
            hosts: (0..hosts).map(host).collect(),
            sent: Vec::new(),
            loss: 0.0,
            hash_mask: u64::MAX,
            rng: StdRng::seed_from_u64(seed),
            sequence: 0,
            in_flight: BTreeMap::new(),
        }
    }

    /// One host for each range, with a node on it; all have the first as seed, and that the second.
    pub(super) fn with(seed: u64, ranges: &[VersionRange]) -> Net {
        let mut net = Net::new(seed, ranges.len());
        for (host, versions) in ranges.iter().enumerate() {
            net.start(host, *versions);
        }
        net
    }

    /// Starts a node, or puts one that reads these versions in the place of the one that runs.
    pub(super) fn start(&mut self, host: usize, versions: VersionRange) {
        let seeds = vec![self.hosts[0].addr, self.hosts[1].addr];
        let it = &mut self.hosts[host];
        it.runs += 1;
        let mut config = Config::new("versions", it.node_id.as_str());
        config.gossip_interval = INTERVAL;
        config.generation_id = Some(it.runs);
        config.advertise_addrs = vec![it.addr];
        config.wire_versions = versions;
        config.digest_hash_mask = self.hash_mask;
        let seed = self.rng.random();
        let mut node = Node::new(config, LinkLimits::default(), seed, self.now).unwrap();
        node.set_seed_addrs(seeds);
        it.node = Some(node);
        it.notices.clear();
        it.written.clear();
        self.drain(host);
    }

    /// Waits until all see all and have nothing more to tell.
    pub(super) fn settle(&mut self) {
        self.expect_within(40, "all see all", Net::is_converged);
        self.run_for(INTERVAL * 4);
    }

    /// Ends the node of a host, and waits until nothing of it is on its way any more.
    pub(super) fn stop(&mut self, host: usize) {
        self.hosts[host].node = None;
        self.run_for(Duration::from_millis(10));
    }

    pub(super) fn node(&self, host: usize) -> &Node {
        self.hosts[host].node.as_ref().unwrap()
    }

    pub(super) fn node_mut(&mut self, host: usize) -> &mut Node {
        self.hosts[host].node.as_mut().unwrap()
    }

    /// Writes a key of a host's node, or deletes it.
    pub(super) fn write(&mut self, host: usize, key: &str, value: Option<&str>) {
        let now = self.now;
        let node = self.hosts[host].node.as_mut().unwrap();
        match value {
            Some(value) => node.set(key, value, now).map(drop).unwrap(),
            None => node.delete(key, now).map(drop).unwrap(),
        }
        self.hosts[host].written.insert(key.to_owned(), value.map(str::to_owned));
        self.drain(host);
    }

    /// Lets a node believe that another one has just emitted this heartbeat.
    pub(super) fn pretend(&mut self, host: usize, other: usize, heartbeat: u64) {
        let node_id = self.hosts[other].node_id.clone();
        let incarnation = self.node(other).incarnation();
        let age = Some(Duration::ZERO);
        let node = self.hosts[host].node.as_mut().unwrap();
        node.hear(&node_id, Sign { incarnation, heartbeat, age }, "somebody");
    }

    /// Lets a node have a message from anywhere. Returns what it sends in answer.
    pub(super) fn inject(&mut self, host: usize, from: SocketAddr, bytes: &[u8]) -> Vec<Vec<u8>> {
        let now = self.now;
        let node = self.hosts[host].node.as_mut().unwrap();
        node.handle_message(&Origin::unverified(from, 0), bytes, now);
        let answers = std::iter::from_fn(|| node.poll_transmit()).map(|it| it.bytes).collect();
        self.drain(host);
        answers
    }

    pub(super) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(due) = self.next_due().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.step();
        }
        self.now = end;
    }

    /// Runs while all nodes are held up all the time: they do what is due only every `gap`.
    pub(super) fn run_held_up_for(&mut self, duration: Duration, gap: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.now = self.now + gap;
            self.step();
        }
    }

    /// Runs until the condition holds. Panics if it does not within so many intervals.
    pub(super) fn expect_within(&mut self, rounds: u32, what: &str, holds: impl Fn(&Net) -> bool) {
        for _ in 0..rounds {
            if holds(self) {
                return;
            }
            self.run_for(INTERVAL);
        }
        assert!(holds(self), "not within {rounds} rounds: {what}");
    }

    fn next_due(&self) -> Option<Timestamp> {
        let message = self.in_flight.first_key_value().map(|((at, _), _)| *at);
        let timeouts = self.hosts.iter().filter_map(|host| host.node.as_ref());
        timeouts.map(Node::poll_timeout).chain(message).min()
    }

    fn step(&mut self) {
        let now = self.now;
        while let Some(entry) = self.in_flight.first_entry().filter(|it| it.key().0 <= now) {
            let (to, from, bytes) = entry.remove();
            if let Some(node) = &mut self.hosts[to].node {
                node.handle_message(&Origin::unverified(from, 0), &bytes, now);
                self.drain(to);
            }
        }
        for host in 0..self.hosts.len() {
            if let Some(node) = self.hosts[host].node.as_mut().filter(|it| it.poll_timeout() <= now)
            {
                node.handle_timeout(now);
                self.drain(host);
            }
        }
    }

    fn drain(&mut self, host: usize) {
        let Host { node: Some(node), notices, addr: from, .. } = &mut self.hosts[host] else {
            return;
        };
        let messages: Vec<_> = std::iter::from_fn(|| node.poll_transmit()).collect();
        notices.extend(std::iter::from_fn(|| node.poll_notice()));
        node.publish();
        let from = *from;
        for message in messages {
            let reply = message.target.reply.map(|path| path.remote);
            let addr = reply.or(message.target.addrs.first().copied());
            let Some(to) = self.hosts.iter().position(|host| Some(host.addr) == addr) else {
                continue;
            };
            let envelope = Envelope::parse(&message.bytes).unwrap();
            self.sent.push(Sent { from: host, to, envelope, len: message.bytes.len() });
            if self.rng.random_bool(self.loss) {
                continue;
            }
            let delay = Duration::from_micros(self.rng.random_range(200..5_000));
            self.sequence += 1;
            self.in_flight.insert((self.now + delay, self.sequence), (to, from, message.bytes));
        }
    }

    /// Whether all running nodes list each other as live, with all that was written and no more.
    pub(super) fn is_converged(&self) -> bool {
        let running = || self.hosts.iter().filter(|host| host.node.is_some());
        let expected: BTreeSet<_> = running().map(|host| (&*host.node_id, host.runs)).collect();
        running().all(|observer| {
            let snapshot = observer.node.as_ref().unwrap().snapshot();
            let ids = snapshot.live_nodes().map(|node| node.id());
            let live: BTreeSet<_> = ids.map(|id| (&*id.node_id, id.generation_id)).collect();
            live == expected && running().all(|owner| sees_all(snapshot, owner))
        })
    }

    /// The notices of a host that tell of versions: who, where, and what it reads.
    pub(super) fn told(
        &self,
        host: usize,
    ) -> Vec<(Option<&str>, Option<SocketAddr>, VersionRange)> {
        let told = |notice| match notice {
            &Notice::UnsupportedVersion { ref peer, addr, theirs, ours } => {
                assert_eq!(ours, self.node(host).config().wire_versions);
                Some((peer.as_deref(), addr, theirs))
            }
            _ => None,
        };
        self.hosts[host].notices.iter().filter_map(told).collect()
    }
}

/// A message in the newest version.
pub(super) fn encoded(header: Header<'_>, body: Body<'_>) -> Vec<u8> {
    Message { header, body }.encode_with(&EncodeOptions::default().with_version(2).unwrap())
}

fn sees_all(snapshot: &crate::state::ClusterStateSnapshot, owner: &Host) -> bool {
    let Some(state) = snapshot.node(&owner.node_id) else { return false };
    let values = owner.written.iter().filter(|(_, value)| value.is_some()).count();
    owner.written.iter().all(|(key, value)| state.get(key) == value.as_deref())
        && state.num_key_values() == values
}
