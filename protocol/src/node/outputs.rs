//! What goes in and out of a node beside messages: where they come from and go to, and answers to
//! questions.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::id::NodeId;

/// The way that a message came, for the answer to go back the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// The peer's address as we see it.
    pub remote: SocketAddr,
    /// Means something to the transport only: a socket, a connection.
    pub token: u64,
}

/// Where a message came from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The way back.
    pub path: Path,
    /// The peer's node id, if the transport has verified it.
    pub peer: Option<NodeId>,
}

impl Origin {
    /// An origin without a verified identity.
    pub fn unverified(remote: SocketAddr, token: u64) -> Origin {
        Origin { path: Path { remote, token }, peer: None }
    }
}

/// Where a message goes to.
#[derive(Clone, Debug)]
pub struct Target {
    /// The peer, if it is known who is meant.
    pub node_id: Option<NodeId>,
    /// Its addresses, of the families that we have, in no order.
    pub addrs: Arc<[SocketAddr]>,
    /// The way that its last message came, to be tried before the addresses: answers go back the way
    /// that the question came.
    pub reply: Option<Path>,
}

impl Target {
    /// An address of which it is not known who is there.
    pub(crate) fn addr(addr: SocketAddr) -> Target {
        Target { node_id: None, addrs: Arc::from([addr]), reply: None }
    }
}

/// A message to send.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// Where to.
    pub target: Target,
    /// The encoded message.
    pub bytes: Vec<u8>,
}

/// How the failure detector sees a node.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct NodeHealth {
    /// The level of suspicion; dead above the configured threshold.
    pub phi: f64,
    /// Time since the node was last known to live.
    pub since_last_sign_of_life: Duration,
    /// How long a silence is tolerated at present.
    pub timeout: Duration,
    /// The newest heartbeat heard.
    pub heartbeat: u64,
}
