//! What is measured: a library for gossip, behind one interface, so that the same code measures all.

use std::net::SocketAddr;
use std::time::Duration;

/// What the nodes talk over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TransportKind {
    /// Within the process; messages are encoded and counted, and arrive at once.
    Memory,
    /// Sockets on 127.0.0.1. Needs --time real.
    Udp,
    /// QUIC with mutual TLS on 127.0.0.1, each node with a certificate. Needs --time real. The
    /// original has none.
    Quic,
}

/// One run of a node.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) node_id: String,
    pub(crate) generation: u64,
    pub(crate) addr: SocketAddr,
}

/// What a node is started with.
#[derive(Clone, Debug)]
pub(crate) struct NodeSpec {
    pub(crate) peer: Peer,
    pub(crate) seeds: Vec<SocketAddr>,
    pub(crate) interval: Duration,
    /// Of the library of this workspace; `None`: its default.
    pub(crate) push_fanout: Option<usize>,
    pub(crate) key_values: Vec<(String, String)>,
}

/// What has gone through a network.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) messages: u64,
    /// Bytes of the messages, without headers of the network.
    pub(crate) bytes: u64,
    pub(crate) longest: u64,
    /// Messages that did not go out.
    pub(crate) errors: u64,
}

impl Traffic {
    pub(crate) fn since(self, before: Traffic) -> Traffic {
        Traffic {
            messages: self.messages - before.messages,
            bytes: self.bytes - before.bytes,
            longest: self.longest,
            errors: self.errors - before.errors,
        }
    }
}

/// Called with the owner's id, the key and the value.
pub(crate) type OnChange = Box<dyn Fn(&str, &str, &str) + Send + Sync>;

/// A library.
pub(crate) trait Subject: 'static {
    /// As it is printed.
    const NAME: &'static str;
    type Network: Send + Sync + 'static;
    type Node: Send + Sync + 'static;

    fn network(kind: TransportKind, seed: u64) -> anyhow::Result<Self::Network>;

    /// All traffic of these nodes so far, and of those of the network that are gone.
    fn traffic(network: &Self::Network, nodes: &[Self::Node]) -> Traffic;

    /// From now on this share of the messages is lost. Within the process only.
    fn set_loss(network: &Self::Network, share: f64);

    /// Connections that are open now, each counted at both ends.
    fn connections(nodes: &[Self::Node]) -> usize;

    /// Processor time that went into what a measurement needs, and a cluster does not: certificates
    /// that are made on the spot.
    fn preparations(network: &Self::Network) -> Duration;

    fn spawn(
        network: &Self::Network,
        spec: NodeSpec,
    ) -> impl Future<Output = anyhow::Result<Self::Node>> + Send;

    /// Ends a node without a word to anybody.
    fn kill(node: Self::Node) -> impl Future<Output = ()> + Send;

    /// Number of nodes that a node takes for live, itself included.
    fn live(node: &Self::Node) -> impl Future<Output = usize> + Send;

    /// Number of nodes that a node takes for dead.
    fn dead(node: &Self::Node) -> impl Future<Output = usize> + Send;

    /// Number of nodes that a node knows, live or not, itself included.
    fn known(node: &Self::Node) -> impl Future<Output = usize> + Send;

    /// Whether a node has stopped working.
    fn has_ended(node: &Self::Node) -> impl Future<Output = bool> + Send;

    /// Whether this run of a peer is live to a node.
    fn is_live(node: &Self::Node, peer: &Peer) -> impl Future<Output = bool> + Send;

    /// Number of keys that a node has, of all owners.
    fn keys(node: &Self::Node) -> impl Future<Output = usize> + Send;

    /// How much of a peer's writes a node has: the version of the last one.
    fn version(node: &Self::Node, peer: &Peer) -> impl Future<Output = u64> + Send;

    fn set(node: &Self::Node, key: String, value: String) -> impl Future<Output = ()> + Send;

    /// From now on, calls back for each change of a key under the prefix, whosever it is.
    fn on_change(
        node: &Self::Node,
        prefix: &str,
        callback: OnChange,
    ) -> impl Future<Output = ()> + Send;
}
