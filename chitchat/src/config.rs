//! What a node is started with, once it has been checked.

use std::net::SocketAddr;
use std::time::Duration;

use crate::builder::ChitchatConfigBuilder;

/// What a node is started with. Made by [`ChitchatConfig::builder`]; whatever can be checked
/// without a network has been checked.
#[derive(Clone, Debug)]
pub struct ChitchatConfig {
    pub(crate) protocol: chitchat_protocol::Config,
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) seeds: Vec<String>,
    pub(crate) seeds_interval: Duration,
    pub(crate) event_capacity: usize,
    pub(crate) random_seed: Option<u64>,
    pub(crate) tokio_clock: bool,
    /// Milliseconds since 1970 at the start, for runs that can be repeated; else the clock says it.
    pub(crate) wall_clock_ms: Option<u64>,
}

impl ChitchatConfig {
    /// Starts a configuration. The two ids have no defaults:
    ///
    /// - `cluster_id`: nodes gossip only within one cluster id. 1 to 255 bytes.
    /// - `node_id`: the name of this node, stable over restarts, and no other node's in the cluster.
    ///   1 to 255 bytes.
    ///
    /// ```
    /// use chitchat::ChitchatConfig;
    ///
    /// let config = ChitchatConfig::builder("prod-cluster", "indexer-1")
    ///     .listen(["0.0.0.0:7280", "[::]:7280"])
    ///     .seeds(["seed-1.example.org:7280", "seed-2.example.org:7280"])
    ///     .initial_key_values([("role", "indexer")])
    ///     .build()?;
    /// assert_eq!(config.listen_addrs().len(), 2);
    /// # Ok::<(), chitchat::ConfigError>(())
    /// ```
    pub fn builder(
        cluster_id: impl Into<String>,
        node_id: impl Into<String>,
    ) -> ChitchatConfigBuilder {
        ChitchatConfigBuilder::new(cluster_id.into(), node_id.into())
    }

    /// The cluster.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.protocol.cluster_id
    }

    /// The name of the node.
    #[must_use]
    pub fn node_id(&self) -> &str {
        &self.protocol.node_id
    }

    /// Where the node will listen.
    #[must_use]
    pub fn listen_addrs(&self) -> &[SocketAddr] {
        &self.listen
    }

    /// The seeds, as `host:port`.
    #[must_use]
    pub fn seeds(&self) -> &[String] {
        &self.seeds
    }

    /// Everything that concerns the protocol: intervals, grace periods, limits.
    #[must_use]
    pub fn protocol(&self) -> &chitchat_protocol::Config {
        &self.protocol
    }
}
