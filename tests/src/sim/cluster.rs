//! The simulation: hosts, links and the event queue.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use chitchat_protocol::{Config, LinkLimits, Node, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::sim::events::Queue;
use crate::sim::{Captured, Checker, Host, HostId, Links, Lives, Traffic};

/// Above so many hosts nobody judges every publication: it would take most of the time.
const LARGE: usize = 50;

/// Above so many hosts, events that hold states are not kept: they would take most of the memory.
const HUGE: usize = 500;

/// A cluster in virtual time.
pub struct Sim {
    seed: u64,
    pub(super) rng: StdRng,
    pub(super) now: Timestamp,
    pub(super) queue: Queue,
    pub(super) hosts: Vec<Host>,
    pub(super) by_addr: HashMap<SocketAddr, HostId>,
    /// How the links behave.
    pub links: Links,
    /// Whether receivers are told who sent a message, as by a transport that verifies its peers.
    pub verified: bool,
    /// What has passed since the last time this was cleared.
    pub traffic: Traffic,
    /// Wall clock at the start of the simulation.
    pub wall_clock_ms: u64,
    /// Every message that a node hands over from now on, if somebody listens.
    pub tap: Option<Vec<Captured>>,
    /// Judges every publication. On by default in small clusters.
    pub checker: Option<Checker>,
    /// Judges who is listed as live, if it is there.
    pub lives: Option<Lives>,
    /// The last things that were done to the cluster, for messages of failed assertions.
    pub(super) trace: VecDeque<String>,
}

impl Sim {
    /// An empty cluster. The seed decides everything that is random.
    pub fn new(seed: u64) -> Sim {
        Sim {
            seed,
            rng: StdRng::seed_from_u64(seed),
            now: Timestamp::from_millis(1_000_000),
            queue: Queue::default(),
            hosts: Vec::new(),
            by_addr: HashMap::new(),
            links: Links::default(),
            verified: false,
            traffic: Traffic::default(),
            wall_clock_ms: 1_800_000_000_000,
            tap: None,
            checker: Some(Checker::default()),
            lives: None,
            trace: VecDeque::new(),
        }
    }

    /// The seed, for messages of failed assertions.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The present time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// A configuration like that of a user who sets nothing.
    pub fn config(node_id: &str) -> Config {
        Config::lan("sim", node_id)
    }

    /// `count` nodes `node-0…` with the default configuration and the first as seed of all,
    /// started at random times within one interval.
    pub fn cluster(seed: u64, count: usize) -> Sim {
        Sim::cluster_with(seed, count, LinkLimits::default(), |_| {})
    }

    /// As [`Sim::cluster`], with another link and changes to each configuration.
    pub fn cluster_with(
        seed: u64,
        count: usize,
        link: LinkLimits,
        change: impl Fn(&mut Config),
    ) -> Sim {
        let mut sim = Sim::new(seed);
        if count > LARGE {
            sim.checker = None;
        }
        let mut starts = Vec::new();
        for index in 0..count {
            let mut config = Sim::config(&format!("node-{index}"));
            change(&mut config);
            let interval = config.gossip_interval;
            let host = sim.add_host_with(config, link, &[0]);
            sim.hosts[host].frugal = count > HUGE;
            starts.push((sim.rng.random_range(Duration::ZERO..interval), host));
        }
        starts.sort();
        let begin = sim.now;
        for (offset, host) in starts {
            sim.run_to(begin + offset);
            sim.start(host);
        }
        sim
    }

    /// Adds a host with an address of its own; no node runs on it yet.
    pub fn add_host(&mut self, config: Config, seeds: &[HostId]) -> HostId {
        self.add_host_with(config, LinkLimits::default(), seeds)
    }

    /// As [`Sim::add_host`], over another link.
    pub fn add_host_with(
        &mut self,
        mut config: Config,
        link: LinkLimits,
        seeds: &[HostId],
    ) -> HostId {
        config.advertise_addrs = vec![Sim::addr_of(self.hosts.len())];
        self.add_host_as_is(config, link, seeds)
    }

    /// As [`Sim::add_host_with`], and what the node advertises is left to the configuration.
    pub fn add_host_as_is(&mut self, config: Config, link: LinkLimits, seeds: &[HostId]) -> HostId {
        let addr = Sim::addr_of(self.hosts.len());
        let seeds = seeds.iter().map(|seed| Sim::addr_of(*seed)).collect();
        self.add_host_at(config, link, vec![addr], seeds)
    }

    /// As [`Sim::add_host_as_is`], with these addresses, of one or both families.
    pub fn add_host_at(
        &mut self,
        config: Config,
        link: LinkLimits,
        addrs: Vec<SocketAddr>,
        seeds: Vec<SocketAddr>,
    ) -> HostId {
        let id = self.hosts.len();
        self.by_addr.extend(addrs.iter().map(|addr| (*addr, id)));
        self.hosts.push(Host::new(addrs, config, link, seeds));
        id
    }

    /// Starts the node of a host, with a generation from the wall clock unless one is configured.
    pub fn start(&mut self, host: HostId) {
        let elapsed = self.now.since(Timestamp::from_millis(1_000_000)).as_millis();
        self.hosts[host].config.wall_clock_ms =
            self.wall_clock_ms + u64::try_from(elapsed).expect("short runs");
        let seed = self.rng.random();
        let clock = self.hosts[host].clock(self.now);
        self.hosts[host].start(seed, clock);
        self.judge(host, None);
        self.hosts[host].wake_at = Timestamp::MAX;
        self.after(host);
    }

    /// Starts the node of a host with this generation.
    pub fn start_as(&mut self, host: HostId, generation_id: u64) {
        self.hosts[host].config.generation_id = Some(generation_id);
        self.start(host);
    }

    /// Ends the node of a host without a word.
    pub fn kill(&mut self, host: HostId) {
        let Some(node) = self.hosts[host].node.take() else { return };
        if let Some(lives) = &mut self.lives {
            lives.ended(self.now, node.id().node_id, node.incarnation());
        }
    }

    /// Changes what the node of a host will be configured with when it is started next.
    pub fn reconfigure(&mut self, host: HostId, change: impl FnOnce(&mut Config)) {
        change(&mut self.hosts[host].config);
    }

    /// Changes the seed addresses of a host, running or not.
    pub fn set_seeds(&mut self, host: HostId, seeds: Vec<SocketAddr>) {
        self.hosts[host].seeds = seeds.clone();
        if self.hosts[host].node.is_some() {
            self.with(host, |node, _| node.set_seed_addrs(seeds));
        }
    }

    /// A host.
    pub fn host(&self, id: HostId) -> &Host {
        &self.hosts[id]
    }

    /// All hosts.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter()
    }

    /// Hosts on which a node runs.
    pub fn running(&self) -> impl Iterator<Item = (HostId, &Host)> {
        self.hosts.iter().enumerate().filter(|(_, host)| host.node.is_some())
    }

    /// Acts on the node of a host, now. Panics if none runs.
    pub fn with<T>(&mut self, host: HostId, act: impl FnOnce(&mut Node, Timestamp) -> T) -> T {
        let clock = self.hosts[host].clock(self.now);
        let node = self.hosts[host].node.as_mut().expect("a node runs on this host");
        let result = act(node, clock);
        self.after(host);
        result
    }

    /// Sets a key of the node of a host.
    pub fn set(&mut self, host: HostId, key: &str, value: &str) {
        self.with(host, |node, now| node.set(key, value, now)).expect("a valid write");
    }

    /// Deletes a key of the node of a host.
    pub fn delete(&mut self, host: HostId, key: &str) {
        self.with(host, |node, now| node.delete(key, now)).expect("a valid write");
    }

    /// Lets time pass.
    pub fn run_for(&mut self, duration: Duration) {
        self.run_to(self.now + duration);
    }

    /// Lets so many intervals of the first host pass.
    pub fn run_rounds(&mut self, rounds: u32) {
        let interval = self.hosts[0].interval();
        self.run_for(interval * rounds);
    }

    fn run_to(&mut self, end: Timestamp) {
        while self.step(end) {}
        self.now = self.now.max(end);
    }

    /// Lets time pass until the condition holds, looked at every tenth of the first host's
    /// interval; returns how long that took, or `None` if `limit` came first.
    pub fn run_until(
        &mut self,
        limit: Duration,
        condition: impl Fn(&Sim) -> bool,
    ) -> Option<Duration> {
        let begin = self.now;
        let pace = self.hosts[0].interval() / 10;
        loop {
            if condition(self) {
                return Some(self.now.since(begin));
            }
            if self.now.since(begin) >= limit {
                return None;
            }
            self.run_for(pace);
        }
    }

    /// As [`Sim::run_until`]; panics with the seed and the description if the condition does not
    /// come to hold.
    #[track_caller]
    pub fn expect_within(
        &mut self,
        rounds: u32,
        what: &str,
        condition: impl Fn(&Sim) -> bool,
    ) -> Duration {
        let limit = self.hosts[0].interval() * rounds;
        match self.run_until(limit, condition) {
            Some(taken) => taken,
            None => {
                panic!("seed {}: not within {rounds} rounds: {what}{}", self.seed, self.trace())
            }
        }
    }
}
