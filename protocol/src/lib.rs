//! The sans-I/O core of chitchat: cluster membership, phi-accrual failure detection, and versioned
//! key-values that spread by scuttlebutt anti-entropy.
//!
//! No sockets, no clock, no threads, no global randomness: a [`Node`] is told the time and what
//! arrived, and says what to send and when to wake it. Most users want the `chitchat` crate, which
//! drives a node on tokio over UDP or another transport. Use this crate to write a driver or a
//! transport of your own, to simulate, or to read and write the wire format ([`wire`]).
//!
//! # Driving a node
//!
//! After every call that changes a node, fetch its outputs, then wait until
//! [`Node::poll_timeout`], or until a message arrives:
//!
//! 1. [`Node::poll_transmit`] until `None`: hand the messages to the transport. Never wait for it:
//!    a message that cannot be sent now is better dropped.
//! 2. [`Node::poll_notice`] until `None`: log them.
//! 3. [`Node::publish`]: the state as readers see it, if it changed.
//!
//! A complete loop, with two nodes and a network that takes no time:
//!
//! ```
//! use chitchat_protocol::{Config, LinkLimits, Node, Origin, Timestamp};
//! use std::net::SocketAddr;
//!
//! let addrs: [SocketAddr; 2] = ["10.0.0.1:7280".parse()?, "10.0.0.2:7280".parse()?];
//! let mut now = Timestamp::ZERO;
//! let mut nodes = Vec::new();
//! for (name, addr) in ["alice", "bob"].into_iter().zip(addrs) {
//!     let mut config = Config::new("example", name);
//!     config.advertise_addrs = vec![addr];
//!     let mut node = Node::new(config, LinkLimits::default(), addr.port().into(), now)?;
//!     node.set_seed_addrs(vec![addrs[0]]);
//!     nodes.push(node);
//! }
//! nodes[0].set("role", "indexer", now)?;
//!
//! // Ten seconds of gossip.
//! while now < Timestamp::from_millis(10_000) {
//!     for me in 0..nodes.len() {
//!         if nodes[me].poll_timeout() <= now {
//!             nodes[me].handle_timeout(now);
//!         }
//!         while let Some(transmit) = nodes[me].poll_transmit() {
//!             let reply = transmit.target.reply.map(|path| path.remote);
//!             let to = reply.or(transmit.target.addrs.first().copied());
//!             let Some(peer) = addrs.iter().position(|addr| Some(*addr) == to) else { continue };
//!             let origin = Origin::unverified(addrs[me], 0);
//!             nodes[peer].handle_message(&origin, &transmit.bytes, now);
//!         }
//!         nodes[me].publish();
//!     }
//!     now = now + std::time::Duration::from_millis(1);
//! }
//!
//! let seen_by_bob = nodes[1].snapshot();
//! assert_eq!(seen_by_bob.live_nodes().count(), 2);
//! assert_eq!(seen_by_bob.node("alice").and_then(|alice| alice.get("role")), Some("indexer"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What holds
//!
//! ALGORITHM.md in the repository has the rules and the invariants, numbered; the code cites them
//! where they are kept. In short: a deleted key never comes back, an unchanged key never
//! disappears, at most one incarnation of a node is visible at any time, and no bytes that a peer
//! sends make a node panic or allocate without bound.

mod active_set;
pub mod columns;
mod compact;
mod config;
mod delta;
mod digest;
mod error;
mod event;
mod failure;
#[cfg(feature = "__fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod id;
mod limits;
mod membership;
pub mod message;
mod node;
pub mod reconcile;
mod state;
mod time;
pub mod wire;

pub use config::Config;
pub use delta::{DeltaEntry, DeltaOp, NodeDelta, PruneSection};
pub use digest::{Digest, DigestEntry};
pub use error::{ConfigError, DecodeError, WriteError};
pub use event::{Event, Notice, diff, diff_members};
pub use id::{ChitchatId, Incarnation, NodeId};
pub use limits::{Limits, LinkLimits};
pub use node::{
    Counters, Footprint, LeaveOutcome, Node, NodeHealth, Origin, Path, Target, Transmit,
};
pub use state::{
    ApplyOutcome, ClusterStateSnapshot, DropReason, NodeState, NodeStatus, PruneCursor, Replica,
    VersionedValue, Versions,
};
pub use time::Timestamp;
