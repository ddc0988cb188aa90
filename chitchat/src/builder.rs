//! Collects the options of a node, and checks them.

use std::net::SocketAddr;
use std::time::Duration;

use chitchat_protocol::{Config, Limits, NodeId};

use crate::config::ChitchatConfig;
use crate::error::ConfigError;

/// Collects the options of a node. Made by [`ChitchatConfig::builder`]; finished by
/// [`build`](Self::build), which is the only method that fails.
///
/// Methods that take several values replace those that were given before.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ChitchatConfigBuilder {
    protocol: Config,
    listen: Vec<String>,
    advertise: Vec<String>,
    seeds: Vec<String>,
    seeds_interval: Duration,
    event_capacity: usize,
    random_seed: Option<u64>,
    tokio_clock: bool,
}

fn texts<T: ToString>(items: impl IntoIterator<Item = T>) -> Vec<String> {
    items.into_iter().map(|item| item.to_string()).collect()
}

impl ChitchatConfigBuilder {
    pub(crate) fn new(cluster_id: String, node_id: String) -> Self {
        Self {
            protocol: Config::new(cluster_id, NodeId::from(node_id)),
            listen: Vec::new(),
            advertise: Vec::new(),
            seeds: Vec::new(),
            seeds_interval: Duration::from_secs(30),
            event_capacity: 4_096,
            random_seed: None,
            tokio_clock: false,
        }
    }

    /// Where to listen: IP addresses with ports, as text or as [`SocketAddr`], of one or both
    /// families. No default. Port 0 picks a free port; see
    /// [`ChitchatHandle::local_addrs`](crate::ChitchatHandle::local_addrs).
    pub fn listen<T: ToString>(mut self, addrs: impl IntoIterator<Item = T>) -> Self {
        self.listen = texts(addrs);
        self
    }

    /// The addresses at which peers reach this node, as text or as [`SocketAddr`]: at most 8.
    ///
    /// Default: none. Then those listen addresses are advertised that name a host, and for an
    /// unspecified one (`0.0.0.0`, `[::]`) what peers see this node's messages come from.
    pub fn advertise<T: ToString>(mut self, addrs: impl IntoIterator<Item = T>) -> Self {
        self.advertise = texts(addrs);
        self
    }

    /// Where to find the cluster: `host:port`, where the host is a name or an IP address (an IPv6
    /// address in brackets). Default: none, for a node that others find.
    ///
    /// Every node may have the same list: a node does not mind to stand in it itself. Names are
    /// looked up again and again, and all their addresses are used.
    pub fn seeds<T: ToString>(mut self, seeds: impl IntoIterator<Item = T>) -> Self {
        self.seeds = texts(seeds);
        self
    }

    /// Time between two lookups of the seeds' names. Default: 30 s; 1 s to 1 day. While a name
    /// does not resolve, or no other node is known to live, lookups begin at 1 s and slow down to
    /// this.
    pub fn seeds_interval(mut self, interval: Duration) -> Self {
        self.seeds_interval = interval;
        self
    }

    /// Key-values that the node starts with: others see the node with all of them or not at all.
    /// Default: none.
    pub fn initial_key_values<K: Into<String>, V: Into<String>>(
        mut self,
        key_values: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.protocol.initial_key_values =
            key_values.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        self
    }

    /// Preset for one data centre, or a few near ones: gossip every 500 ms. The default.
    pub fn lan(mut self) -> Self {
        self.protocol.gossip_interval = Config::lan("", "").gossip_interval;
        self
    }

    /// Preset across data centres: gossip every second.
    pub fn wan(mut self) -> Self {
        self.protocol.gossip_interval = Config::wan("", "").gossip_interval;
        self
    }

    /// Preset for one machine, for tests and demonstrations: gossip every 100 ms.
    pub fn local(mut self) -> Self {
        self.protocol.gossip_interval = Config::local("", "").gossip_interval;
        self
    }

    /// Time between two rounds of gossip. Default: 500 ms; 10 ms to 1 h. Shorter means faster
    /// spreading and detection, and more traffic. All nodes of a cluster should have the same.
    pub fn gossip_interval(mut self, interval: Duration) -> Self {
        self.protocol.gossip_interval = interval;
        self
    }

    /// Live peers that are gossiped with in each round. Default: 3; 1 to 16.
    pub fn fanout(mut self, peers: usize) -> Self {
        self.protocol.fanout = peers;
        self
    }

    /// Live peers that are told at once of what is written, and of what a push brought. Default: 3; 0 to 16.
    /// With 0 changes go by rounds only: a write reaches all in a few gossip intervals instead of one or two
    /// tenths of a second, and costs no messages of its own.
    pub fn push_fanout(mut self, peers: usize) -> Self {
        self.protocol.push_fanout = peers;
        self
    }

    /// How long a change waits for others before it is pushed with them. Default: 20 ms; 1 ms to 1 s.
    pub fn push_delay(mut self, delay: Duration) -> Self {
        self.protocol.push_delay = delay;
        self
    }

    /// What pushes, and questions that come of them, may take in a second, in bytes of messages. Beyond
    /// that, changes go by rounds. Default: 65,536; at least 1,024.
    pub fn push_bytes_per_second(mut self, bytes: u64) -> Self {
        self.protocol.push_bytes_per_second = bytes;
        self
    }

    /// The level of suspicion above which a node counts as dead. Default: 8; 1 to 1,000. With the
    /// default, a calm node is declared dead after about 6 intervals of silence; the wait is
    /// proportional.
    pub fn phi_threshold(mut self, phi: f64) -> Self {
        self.protocol.phi_threshold = phi;
        self
    }

    /// Longest time between two heartbeats that the failure detector learns from. Default: 10 s;
    /// at least two gossip intervals.
    pub fn max_interval(mut self, interval: Duration) -> Self {
        self.protocol.max_interval = interval;
        self
    }

    /// How long the record of a deleted key is kept. Default: 2 h; at least one gossip interval. A
    /// node that is cut off for longer needs more bytes to catch up, and loses nothing.
    pub fn marked_for_deletion_grace_period(mut self, period: Duration) -> Self {
        self.protocol.marked_for_deletion_grace_period = period;
        self
    }

    /// How long a dead node is kept, from its last sign of life. Default: 24 h; at least 8 times
    /// the expected detection time. After half of it the node is no longer gossiped.
    pub fn dead_node_grace_period(mut self, period: Duration) -> Self {
        self.protocol.dead_node_grace_period = period;
        self
    }

    /// The generation of this run, which must grow from run to run. Default: the wall clock in
    /// milliseconds at the start.
    pub fn generation_id(mut self, generation_id: u64) -> Self {
        self.protocol.generation_id = Some(generation_id);
        self
    }

    /// Whether peers are refused whose generation is more than a day ahead of the wall clock, since
    /// no later start could supersede them. Default: true. Switch it off in a cluster whose
    /// generations are configured.
    pub fn refuse_future_generations(mut self, refuse: bool) -> Self {
        self.protocol.refuse_future_generations = refuse;
        self
    }

    /// Bounds on everything that a peer or the application could make grow. Default:
    /// [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.protocol.limits = limits;
        self
    }

    /// How many events may wait for a reader of [`events`](crate::ChitchatHandle::events) or
    /// [`subscribe`](crate::ChitchatHandle::subscribe) before it misses some and is told. Default:
    /// 4,096; 1 to 1,048,576. They are kept once for all readers, about 100 bytes each.
    pub fn event_capacity(mut self, events: usize) -> Self {
        self.event_capacity = events;
        self
    }

    /// The seed of everything random that the node does, for repeatable tests. Default: from the
    /// operating system. Never set it in production: peers could foresee the node's nonces.
    pub fn random_seed(mut self, seed: u64) -> Self {
        self.random_seed = Some(seed);
        self
    }

    /// Reads tokio's clock instead of the system's, so that tests can pause the time
    /// (`#[tokio::test(start_paused = true)]`). Tokio's clock stands still while the machine is
    /// suspended, so do not use it in production. Default: the system's clock.
    pub fn tokio_clock(mut self) -> Self {
        self.tokio_clock = true;
        self
    }

    /// Checks everything that can be checked without a network.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the option and says what to do.
    pub fn build(self) -> Result<ChitchatConfig, ConfigError> {
        let mut protocol = self.protocol;
        protocol.advertise_addrs = parse_addrs("advertise", self.advertise)?;
        protocol.seeds.clone_from(&self.seeds);
        protocol.validate()?;
        let listen = parse_addrs("listen", self.listen)?;
        if listen.is_empty() {
            return Err(ConfigError::NoListenAddress);
        }
        self.seeds.iter().try_for_each(|seed| check_seed(seed))?;
        let intervals = Duration::from_secs(1)..=Duration::from_secs(86_400);
        if !intervals.contains(&self.seeds_interval) {
            return Err(ConfigError::OutOfRange {
                option: "seeds_interval",
                value: format!("{:?}", self.seeds_interval),
                expected: "1 s to 1 day",
            });
        }
        if !(1..=1 << 20).contains(&self.event_capacity) {
            return Err(ConfigError::OutOfRange {
                option: "event_capacity",
                value: self.event_capacity.to_string(),
                expected: "1 to 1048576",
            });
        }
        Ok(ChitchatConfig {
            protocol,
            listen,
            seeds: self.seeds,
            seeds_interval: self.seeds_interval,
            event_capacity: self.event_capacity,
            random_seed: self.random_seed,
            tokio_clock: self.tokio_clock,
            wall_clock_ms: None,
        })
    }
}

fn parse_addrs(option: &'static str, texts: Vec<String>) -> Result<Vec<SocketAddr>, ConfigError> {
    let parse = |text: String| match text.parse() {
        Ok(addr) => Ok(addr),
        Err(source) => Err(ConfigError::BadAddress { option, text, source }),
    };
    texts.into_iter().map(parse).collect()
}

fn check_seed(seed: &str) -> Result<(), ConfigError> {
    let bad = |reason| Err(ConfigError::BadSeed { seed: seed.to_owned(), reason });
    if let Ok(addr) = seed.parse::<SocketAddr>() {
        return if addr.port() == 0 {
            bad("port 0 names no service")
        } else if addr.ip().is_unspecified() {
            bad("the unspecified address names no host")
        } else {
            Ok(())
        };
    }
    let Some((host, port)) = seed.rsplit_once(':').filter(|_| !seed.ends_with(']')) else {
        return Err(ConfigError::SeedWithoutPort { seed: seed.to_owned() });
    };
    if host.contains(':') || host.contains('[') {
        return bad("an IPv6 address stands in brackets, as in [2001:db8::7]:7280");
    }
    if host.is_empty() {
        return bad("it has no host");
    }
    match port.parse::<u16>() {
        Ok(0) => bad("port 0 names no service"),
        Ok(_) => Ok(()),
        Err(_) => bad("its port is not a number between 1 and 65535"),
    }
}
