//! Configuration of a node's protocol.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::error::ConfigError;
use crate::failure;
use crate::id::NodeId;
use crate::limits::{Limits, LinkLimits};
use crate::node::is_from_the_future;
use crate::state::{MAX_ADDRS, MAX_VERSION, OwnState};
use crate::wire::VersionRange;

/// How a node takes part in its cluster. Make one with [`Config::new`] or a preset, and change the
/// fields that differ.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Nodes gossip only with nodes of the same cluster id. 1 to 255 bytes. No default.
    pub cluster_id: Arc<str>,
    /// Name of this node, stable over restarts, unique in the cluster. No default.
    pub node_id: NodeId,
    /// Generation of this run: must grow from run to run. `None`, the default: the wall clock in
    /// milliseconds at the start.
    pub generation_id: Option<u64>,
    /// Wall clock at the start, in milliseconds since 1970. It is used for the default generation
    /// and to refuse peers from the future, for nothing else.
    pub wall_clock_ms: u64,
    /// Refuse generations that are more than a day ahead of the wall clock, since no later start
    /// could supersede them. Default: true. Switch it off in a cluster whose generations are
    /// configured.
    pub refuse_future_generations: bool,
    /// Addresses at which peers reach this node, 0 to 8, both families. Left empty, they are
    /// completed from `bound_addrs` and from what peers observe.
    pub advertise_addrs: Vec<SocketAddr>,
    /// Addresses that the transport is bound to.
    pub bound_addrs: Vec<SocketAddr>,
    /// Names of the seeds, for the snapshot. Their addresses are given with
    /// [`Node::set_seed_addrs`](crate::Node::set_seed_addrs).
    pub seeds: Vec<String>,
    /// Time between two rounds of gossip (`T`). Default: 500 ms; 10 ms to 1 h. Shorter means
    /// faster spreading and detection, and more traffic.
    pub gossip_interval: Duration,
    /// Live peers per round. Default: 3; 1 to 16.
    pub fanout: usize,
    /// Live peers that are told at once of what is written, and of what a push brought (ALGORITHM.md, rules
    /// N1 to N4). Default: 3; 0 to 16. With 0 the node neither pushes nor asks because of pushes, and
    /// what changes goes by rounds.
    pub push_fanout: usize,
    /// How long a change waits for others before it is pushed with them. Default: 20 ms; 1 ms to 1 s.
    pub push_delay: Duration,
    /// What pushes, and questions that come of them, may take in a second, in bytes of messages. Beyond that,
    /// changes go by rounds. Default: 65,536; at least 1,024.
    pub push_bytes_per_second: u64,
    /// A node whose phi exceeds this is dead. Default: 8. With the default, a calm node is
    /// declared dead after about 6 intervals of silence; the wait is proportional.
    pub phi_threshold: f64,
    /// Longest time between two heartbeats that is learnt from. Default: 10 s. Longer ones are
    /// counted as this.
    pub max_interval: Duration,
    /// How long a tombstone is kept. Default: 2 h. A replica that is cut off for longer needs a
    /// prune section to catch up, which costs bytes and loses nothing.
    pub marked_for_deletion_grace_period: Duration,
    /// How long a dead node is kept, from its last sign of life. After half of it the node is no
    /// longer gossiped. Default: 24 h. At least 8 times the detection time.
    pub dead_node_grace_period: Duration,
    /// Key-values that the node starts with: peers see the node with all of them or not at all.
    pub initial_key_values: Vec<(String, String)>,
    /// Bounds.
    pub limits: Limits,
    /// What the node reads and writes: what the build does, except in tests of negotiation.
    pub(crate) wire_versions: VersionRange,
    /// Which bits of the hashes in digests count: all, except in tests of what collisions do.
    pub(crate) digest_hash_mask: u64,
}

impl Config {
    /// The shortest gossip interval.
    pub const MIN_INTERVAL: Duration = Duration::from_millis(10);
    /// The longest gossip interval.
    pub const MAX_INTERVAL: Duration = Duration::from_secs(3600);

    /// The defaults, for a cluster in one data centre or a few near ones.
    pub fn new(cluster_id: impl Into<Arc<str>>, node_id: impl Into<NodeId>) -> Config {
        Config {
            cluster_id: cluster_id.into(),
            node_id: node_id.into(),
            generation_id: None,
            wall_clock_ms: 0,
            refuse_future_generations: true,
            advertise_addrs: Vec::new(),
            bound_addrs: Vec::new(),
            seeds: Vec::new(),
            gossip_interval: Duration::from_millis(500),
            fanout: 3,
            push_fanout: 3,
            push_delay: Duration::from_millis(20),
            push_bytes_per_second: 65_536,
            phi_threshold: 8.0,
            max_interval: Duration::from_secs(10),
            marked_for_deletion_grace_period: Duration::from_secs(2 * 3600),
            dead_node_grace_period: Duration::from_secs(24 * 3600),
            initial_key_values: Vec::new(),
            limits: Limits::default(),
            wire_versions: VersionRange::BUILD,
            digest_hash_mask: u64::MAX,
        }
    }

    /// Preset for one data centre: the defaults.
    pub fn lan(cluster_id: impl Into<Arc<str>>, node_id: impl Into<NodeId>) -> Config {
        Config::new(cluster_id, node_id)
    }

    /// Preset across data centres: an interval of 1 s.
    pub fn wan(cluster_id: impl Into<Arc<str>>, node_id: impl Into<NodeId>) -> Config {
        let gossip_interval = Duration::from_secs(1);
        Config { gossip_interval, ..Config::new(cluster_id, node_id) }
    }

    /// Preset for one machine, for tests and demonstrations: an interval of 100 ms.
    pub fn local(cluster_id: impl Into<Arc<str>>, node_id: impl Into<NodeId>) -> Config {
        let gossip_interval = Duration::from_millis(100);
        Config { gossip_interval, ..Config::new(cluster_id, node_id) }
    }

    /// How long a death goes unnoticed with this configuration when the network is calm.
    pub fn expected_detection_time(&self) -> Duration {
        failure::calm_timeout(self.gossip_interval, self.phi_threshold)
    }

    /// Checks everything that does not depend on the transport.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let max_len = NodeId::MAX_LEN;
        if self.cluster_id.is_empty() {
            return Err(ConfigError::EmptyClusterId);
        }
        if self.cluster_id.len() > max_len {
            let len = self.cluster_id.len();
            return Err(ConfigError::ClusterIdTooLong { len, limit: max_len });
        }
        if self.node_id.is_empty() {
            return Err(ConfigError::EmptyNodeId);
        }
        if self.node_id.len() > max_len {
            return Err(ConfigError::NodeIdTooLong { len: self.node_id.len(), limit: max_len });
        }
        self.validate_generation()?;
        self.validate_timing()?;
        self.validate_limits()?;
        for addr in &self.advertise_addrs {
            let ip = addr.ip().to_canonical();
            let reason = if ip.is_unspecified() {
                "it is the unspecified address, which names no host"
            } else if addr.port() == 0 {
                "its port is 0"
            } else if ip.is_multicast() {
                "it is a multicast address"
            } else {
                continue;
            };
            return Err(ConfigError::BadAdvertiseAddr { addr: *addr, reason });
        }
        if self.advertise_addrs.len() > MAX_ADDRS {
            return Err(ConfigError::TooManyAdvertiseAddrs { count: self.advertise_addrs.len() });
        }
        Ok(())
    }

    fn validate_generation(&self) -> Result<(), ConfigError> {
        let generation = self.generation_id.unwrap_or(self.wall_clock_ms);
        let expected = if generation > MAX_VERSION {
            "at most 2^62"
        } else if self.refuse_future_generations
            && is_from_the_future(generation, self.wall_clock_ms)
        {
            "at most a day ahead of the wall clock in milliseconds, or \
             refuse_future_generations must be off on every node"
        } else {
            return Ok(());
        };
        let value = generation.to_string();
        Err(ConfigError::OutOfRange { field: "generation_id", value, expected })
    }

    fn validate_timing(&self) -> Result<(), ConfigError> {
        let out_of_range = |field, value: String, expected| {
            Err(ConfigError::OutOfRange { field, value, expected })
        };
        let interval = self.gossip_interval;
        if !(Config::MIN_INTERVAL..=Config::MAX_INTERVAL).contains(&interval) {
            let value = format!("{interval:?}");
            return out_of_range("gossip_interval", value, "between 10 ms and 1 h");
        }
        if !(1..=16).contains(&self.fanout) {
            return out_of_range("fanout", self.fanout.to_string(), "between 1 and 16");
        }
        if self.push_fanout > 16 {
            return out_of_range("push_fanout", self.push_fanout.to_string(), "at most 16");
        }
        if !(Duration::from_millis(1)..=Duration::from_secs(1)).contains(&self.push_delay) {
            let value = format!("{:?}", self.push_delay);
            return out_of_range("push_delay", value, "between 1 ms and 1 s");
        }
        if self.push_bytes_per_second < 1_024 {
            let value = self.push_bytes_per_second.to_string();
            return out_of_range("push_bytes_per_second", value, "at least 1024");
        }
        if !(self.phi_threshold.is_finite() && (1.0..=1_000.0).contains(&self.phi_threshold)) {
            let value = self.phi_threshold.to_string();
            return out_of_range("phi_threshold", value, "between 1 and 1000");
        }
        if self.max_interval < interval * 2 {
            let value = format!("{:?}", self.max_interval);
            return out_of_range("max_interval", value, "at least two gossip intervals");
        }
        if self.marked_for_deletion_grace_period < interval {
            let value = format!("{:?}", self.marked_for_deletion_grace_period);
            let field = "marked_for_deletion_grace_period";
            return out_of_range(field, value, "at least one gossip interval");
        }
        let detection = self.expected_detection_time();
        let needed = detection * 8;
        if self.dead_node_grace_period < needed {
            return Err(ConfigError::GracePeriodTooShort {
                grace_ms: self.dead_node_grace_period.as_millis(),
                detection_ms: detection.as_millis(),
                needed_ms: needed.as_millis() + 1,
            });
        }
        Ok(())
    }

    fn validate_limits(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        let positive = [
            ("limits.max_nodes", limits.max_nodes, 2, "at least 2"),
            ("limits.max_key_len", limits.max_key_len, 1, "at least 1"),
            ("limits.max_value_len", limits.max_value_len, 1, "at least 1"),
            ("limits.max_keys_per_node", limits.max_keys_per_node, 8, "at least 8"),
            ("limits.max_bytes_per_node", limits.max_bytes_per_node, 4096, "at least 4096"),
            ("limits.max_pending_exchanges", limits.max_pending_exchanges, 8, "at least 8"),
            ("limits.max_train_bytes", limits.max_train_bytes, 16_384, "at least 16384"),
            ("limits.max_decompressed_len", limits.max_decompressed_len, 65_536, "at least 65536"),
        ];
        for (field, value, least, expected) in positive {
            if value < least {
                return Err(ConfigError::OutOfRange { field, value: value.to_string(), expected });
            }
        }
        Ok(())
    }

    /// Checks the configuration against what the transport carries.
    pub fn validate_with(&self, link: LinkLimits) -> Result<(), ConfigError> {
        self.validate()?;
        let preferred = link.preferred_message_len;
        if preferred < LinkLimits::MIN_PREFERRED || link.max_message_len < preferred {
            return Err(ConfigError::LinkTooSmall {
                preferred,
                max: link.max_message_len,
                needed: LinkLimits::MIN_PREFERRED,
            });
        }
        let max_entry_len = max_entry_len(link, &self.node_id);
        for (key, value) in &self.initial_key_values {
            OwnState::check_entry(&self.limits, max_entry_len, key, value)
                .map_err(|source| ConfigError::InitialKeyValue { key: key.clone(), source })?;
        }
        Ok(())
    }
}

/// Longest key and value together that fit a message of their own, whoever passes them on.
pub(crate) fn max_entry_len(link: LinkLimits, owner: &NodeId) -> usize {
    link.max_message_len.saturating_sub(crate::wire::single_entry_overhead(owner.len()))
}
