//! What a cluster is started with.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use chitchat_transport::memory::{Conditions, MemoryNetwork, MemoryTransport};
use tokio::time::{Instant, sleep_until};

use super::cluster::Cluster;
use super::node::TestNode;
use super::runtime::require_virtual_time;
use crate::builder::ChitchatConfigBuilder;
use crate::config::ChitchatConfig;

/// The wall clock at the start of a cluster, in milliseconds since 1970: a day in 2027.
const START_MS: u64 = 1_800_000_000_000;
/// How many of the nodes are seeds.
const SEED_NODES: usize = 3;
const PORT: u16 = 7280;
/// Above this a test takes minutes.
const MOST_NODES: usize = 1_000;

type Configure = dyn Fn(usize, ChitchatConfigBuilder) -> ChitchatConfigBuilder;
type Equip = dyn Fn(usize, MemoryTransport) -> MemoryTransport;

/// Collects what a [`Cluster`] is started with; [`start`](Self::start) or
/// [`start_with`](Self::start_with) starts it.
///
/// ```
/// use std::time::Duration;
/// use chitchat::testing::{ClusterBuilder, for_each_seed};
/// use chitchat::transport::memory::Conditions;
///
/// for_each_seed(2, async |seed| {
///     let mut cluster = ClusterBuilder::new(seed, 5)
///         .configure(|index, node| {
///             node.local().initial_key_values([("zone", format!("zone-{}", index % 2))])
///         })
///         .conditions(Conditions::default().with_loss(0.1))
///         .deadline(Duration::from_secs(20))
///         .start()
///         .await;
///     cluster.until_converged().await;
/// });
/// ```
#[must_use = "a builder does nothing until `start` is called"]
pub struct ClusterBuilder {
    pub(super) seed: u64,
    pub(super) nodes: usize,
    pub(super) deadline: Duration,
    pub(super) pace: Duration,
    pub(super) conditions: Conditions,
    configure: Box<Configure>,
    equip: Box<Equip>,
}

impl ClusterBuilder {
    /// A cluster of so many nodes, `node-0`, `node-1` and so on. The seed decides everything that
    /// is random: when the nodes start, whom they gossip with, and what the network does.
    ///
    /// Each node has an address of its own, and knows those of the first three as its seeds.
    ///
    /// # Panics
    ///
    /// Unless there are 1 to 1,000 nodes.
    #[track_caller]
    pub fn new(seed: u64, nodes: usize) -> Self {
        assert!(
            (1..=MOST_NODES).contains(&nodes),
            "a cluster for tests has 1 to {MOST_NODES} nodes, not {nodes}"
        );
        Self {
            seed,
            nodes,
            deadline: Duration::from_secs(120),
            pace: Duration::from_millis(10),
            conditions: default_conditions(),
            configure: Box::new(|_, builder| builder),
            equip: Box::new(|_, transport| transport),
        }
    }

    /// Changes the configuration of each node, which is told by its number; called again at every
    /// restart. Default: that of [`ChitchatConfig::builder`].
    ///
    /// Addresses, clock, randomness and generation are set by the cluster: what is configured
    /// for them does not count.
    pub fn configure(
        mut self,
        configure: impl Fn(usize, ChitchatConfigBuilder) -> ChitchatConfigBuilder + 'static,
    ) -> Self {
        self.configure = Box::new(configure);
        self
    }

    /// Changes the transport of each node, which is told by its number: limits on the length of
    /// messages and on queues. Default: those of UDP. For other changes see
    /// [`Conditions`].
    pub fn transport(
        mut self,
        equip: impl Fn(usize, MemoryTransport) -> MemoryTransport + 'static,
    ) -> Self {
        self.equip = Box::new(equip);
        self
    }

    /// What happens to messages on their way. Default: a latency of 1 to 10 ms, and nothing is lost,
    /// repeated or held back. [`Cluster::set_conditions`] changes it later.
    pub fn conditions(mut self, conditions: Conditions) -> Self {
        self.conditions = conditions;
        self
    }

    /// How long `until…` waits at most, in virtual time. Default: 120 s.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How often conditions and [invariants](Cluster::always) are looked at, in virtual time.
    /// Default: 10 ms; at least 1 ms, which is the resolution of tokio's timers.
    pub fn pace(mut self, pace: Duration) -> Self {
        self.pace = pace.max(Duration::from_millis(1));
        self
    }

    /// Starts the cluster, with nothing on top of the nodes. See [`start_with`](Self::start_with).
    ///
    /// # Panics
    ///
    /// As [`start_with`](Self::start_with).
    #[track_caller]
    pub fn start(self) -> impl Future<Output = Cluster> {
        self.start_with(|_| ())
    }

    /// Starts the cluster, and with each node the application: `application` is called with the
    /// node after each of its starts, also the later ones. It starts tasks with
    /// [`TestNode::spawn`], and returns what the test wants to have of it, which is then at
    /// [`Cluster::app`] until that run of the node ends.
    ///
    /// The nodes start at random moments within one gossip interval, so that this takes as long in
    /// virtual time. It does not wait until they know each other: see
    /// [`until_converged`](Cluster::until_converged).
    ///
    /// # Panics
    ///
    /// At the call, if this is no single-threaded tokio runtime with paused time, or if the
    /// configuration of a node is refused. Later, if a node does not start, which only its transport
    /// can cause.
    #[track_caller]
    pub fn start_with<A>(
        self,
        application: impl Fn(&TestNode) -> A + 'static,
    ) -> impl Future<Output = Cluster<A>> {
        require_virtual_time();
        let nodes = self.nodes;
        let interval = self.config(0, 0, 1, Duration::ZERO).protocol.gossip_interval;
        let offset = |index: usize| {
            let nanos = mix(self.seed, index as u64, u64::MAX) % interval.as_nanos().max(1) as u64;
            (Duration::from_nanos(nanos), index)
        };
        let mut starts: Vec<_> = (0..nodes).map(offset).collect();
        starts.sort();
        for index in 0..nodes {
            // Here, where a mistake is the caller's.
            self.config(index, 0, 1, Duration::ZERO);
        }
        async move {
            let network = MemoryNetwork::new(mix(self.seed, u64::MAX, u64::MAX));
            network.set_conditions(self.conditions.clone());
            let mut cluster = Cluster::new(self, network, interval, Box::new(application));
            let begin = Instant::now();
            for (offset, index) in starts {
                sleep_until(begin + offset).await;
                cluster.launch(index, None).await;
            }
            cluster
        }
    }

    /// The configuration of one run of a node.
    #[track_caller]
    pub(super) fn config(
        &self,
        index: usize,
        run: u64,
        generation: u64,
        elapsed: Duration,
    ) -> ChitchatConfig {
        let seeds = (0..self.nodes.min(SEED_NODES)).map(addr_of);
        let builder = ChitchatConfig::builder("test-cluster", node_id(index)).seeds(seeds);
        let builder = (self.configure)(index, builder)
            .listen([addr_of(index)])
            .advertise([addr_of(index)])
            .generation_id(generation)
            .random_seed(mix(self.seed, index as u64, run))
            .tokio_clock();
        let mut config = builder.build().unwrap_or_else(|error| {
            panic!("the configuration of {} is refused: {error}", node_id(index))
        });
        config.wall_clock_ms = Some(wall_clock_ms(elapsed));
        config
    }

    pub(super) fn transport_of(&self, index: usize, network: &MemoryNetwork) -> MemoryTransport {
        (self.equip)(index, network.transport())
    }
}

/// A network that is near and healthy, and yet has no order of its own.
fn default_conditions() -> Conditions {
    Conditions::default().with_latency(Duration::from_millis(1)..=Duration::from_millis(10))
}

/// The wall clock so long after the start of the cluster.
pub(super) fn wall_clock_ms(elapsed: Duration) -> u64 {
    START_MS.saturating_add(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

pub(super) fn node_id(index: usize) -> String {
    format!("node-{index}")
}

pub(super) fn addr_of(index: usize) -> SocketAddr {
    let host = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
    let [_, high, middle, low] = host.to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, high, middle, low)), PORT)
}

/// Seeds from a seed: SplitMix64 (Steele, Lea, Flood 2014), over three numbers.
pub(super) fn mix(seed: u64, a: u64, b: u64) -> u64 {
    [seed, a, b].into_iter().fold(0, |state: u64, number| {
        let z = (state ^ number).wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    })
}
