//! Cluster membership, failure detection, and small shared state, by gossip.
//!
//! Every node of a cluster runs this library. Each knows, without any server, who else is there and
//! who lives, and has a copy of everybody's key-values. Each node writes its own key-values only.
//!
//! ```
//! # #[cfg(feature = "udp")]
//! use chitchat::{ChitchatConfig, udp::PlainUdpTransport};
//!
//! # #[cfg(feature = "udp")]
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let config = ChitchatConfig::builder("my-cluster", "node-1")
//!         .listen(["127.0.0.1:0"]) // in earnest, for example 0.0.0.0:7280 and [::]:7280
//!         .initial_key_values([("role", "seed")])
//!         .build()?;
//!     let seed = chitchat::spawn(config, PlainUdpTransport::new()).await?;
//!
//!     let config = ChitchatConfig::builder("my-cluster", "node-2")
//!         .listen(["127.0.0.1:0"])
//!         .seeds([seed.local_addrs()[0]]) // in earnest, for example seed.example.org:7280
//!         .build()?;
//!     let node = chitchat::spawn(config, PlainUdpTransport::new()).await?;
//!
//!     node.set("shard/42", "ready")?;
//!     let mut watcher = seed.live_nodes_watcher();
//!     let snapshot = watcher.wait_for(|snapshot| snapshot.live_nodes().count() == 2).await?;
//!     for state in snapshot.live_nodes() {
//!         println!("{} lives, with {:?}", state.id(), state.key_values().collect::<Vec<_>>());
//!     }
//!
//!     node.leave().await?;
//!     node.shutdown().await?;
//!     seed.shutdown().await?;
//!     Ok(())
//! }
//! # #[cfg(not(feature = "udp"))]
//! # fn main() {}
//! ```
//!
//! # Transports
//!
//! Plain UDP, as above, is for networks that keep strangers out. Anywhere else use QUIC with mutual
//! TLS (feature `quic`): every node has a certificate that names it, and speaks under no other name.
//! Where nothing but TCP gets through, `tcp::TlsTcpTransport` (feature `tcp-tls`) is the same over
//! TCP. The transport is what is passed to [`spawn`]: one line. All nodes of a cluster use the same.
//!
//! ```no_run
//! # #[cfg(feature = "quic")]
//! use chitchat::{ChitchatConfig, quic::QuicTransport, tls::TlsConfig};
//!
//! # #[cfg(feature = "quic")]
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // The certificate has the URI chitchat://my-cluster/node-1 as a subject alternative name.
//!     // The files are watched: replace them, and the node goes on with the new ones.
//!     let identity = TlsConfig::from_pem_files("ca.pem", "cert.pem", "key.pem")?;
//!     let config = ChitchatConfig::builder("my-cluster", "node-1")
//!         .listen(["0.0.0.0:7280", "[::]:7280"])
//!         .seeds(["seed.example.org:7280"])
//!         .build()?;
//!     let node = chitchat::spawn(config, QuicTransport::new(identity)).await?;
//!     node.joined().await?;
//!     Ok(())
//! }
//! # #[cfg(not(feature = "quic"))]
//! # fn main() {}
//! ```
//!
//! # Words
//!
//! - A **node** is one member of a **cluster**. It has a *node id*, stable over restarts, and each
//!   run of it has a *generation*, which grows from run to run; together they are its
//!   [`ChitchatId`]. Addresses are no part of it, and may change.
//! - **Gossip**: once per *gossip interval* (a round), a node compares notes with a few others.
//!   News reaches all nodes after a number of rounds that grows with the logarithm of theirs.
//! - A **seed** is an address at which a new node can find the cluster. Seeds are ordinary nodes.
//! - **Live**, **dead**: whether a node has been heard of lately, directly or through others, as
//!   seen by the node that is asked. Nodes need not agree at every moment.
//! - **Left**: a node that left on purpose. **Scheduled for deletion**: dead or left for half of the
//!   *dead node grace period*, and no longer gossiped; removed when all of it is over.
//! - A **snapshot** is the whole state as one node sees it, at one moment, and never changes.
//! - **Events** lead from one snapshot to the next. **Notices** are what else an operator may want
//!   to know.
//!
//! # Which method for what
//!
//! | You want | Use |
//! | --- | --- |
//! | configure a node | [`ChitchatConfig::builder`] |
//! | start it | [`spawn`], with a transport |
//! | know that it found its cluster | [`joined`](ChitchatHandle::joined) |
//! | publish something | [`set`](ChitchatHandle::set), [`set_many`](ChitchatHandle::set_many), [`set_with_ttl`](ChitchatHandle::set_with_ttl), [`delete`](ChitchatHandle::delete), [`delete_after_ttl`](ChitchatHandle::delete_after_ttl), [`replace_prefix`](ChitchatHandle::replace_prefix) |
//! | read what is there now | [`snapshot`](ChitchatHandle::snapshot); own keys: [`get`](ChitchatHandle::get) |
//! | react when nodes come and go | [`live_nodes_watcher`](ChitchatHandle::live_nodes_watcher) |
//! | react to keys | [`subscribe`](ChitchatHandle::subscribe) to a prefix |
//! | mirror the state elsewhere | [`events`](ChitchatHandle::events) |
//! | go, and let the others know | [`leave`](ChitchatHandle::leave), then [`shutdown`](ChitchatHandle::shutdown) |
//! | watch over the node | [`closed`](ChitchatHandle::closed), [`stats`](ChitchatHandle::stats), [`notices`](ChitchatHandle::notices), [`node_health`](ChitchatHandle::node_health) |
//! | test an application | `chitchat::testing` (feature `testing`): a cluster in one process and virtual time |
//!
//! # What it is not
//!
//! No consensus: two nodes may see different states for a while, and both sides of a network
//! partition go on. No database: all of it is in the memory of every node, for as long as its owner
//! runs, and kilobytes per node are better than megabytes.
//!
//! # Features
//!
//! Features add, and change no behaviour: which transport is used is decided by what is passed to
//! [`spawn`].
//!
//! - `udp` (default): `chitchat::udp`. Plain UDP, without authentication or encryption: only for
//!   networks that keep strangers out.
//! - `tcp`: `chitchat::tcp`. Plain TCP, for the same networks.
//! - `quic`: `chitchat::quic` and `chitchat::tls`. QUIC with mutual TLS: for networks that do not.
//! - `tcp-tls`: `chitchat::tcp` and `chitchat::tls`. TCP with mutual TLS: the same where UDP is blocked.
//! - `dev-ca`: with mutual TLS, a certificate authority for development and tests.
//! - `aws-lc-rs`: with mutual TLS, a second crypto provider beside ring, for those who pass it on.
//! - `metrics`: reports to the [`metrics`](https://docs.rs/metrics) facade; the names stand in the
//!   module `chitchat::metrics`.
//! - `full`: all of these.
//! - `testing`: `chitchat::testing`, a cluster in one process and virtual time, for tests of
//!   applications. For `[dev-dependencies]`, and therefore not in `full`: it brings tokio's
//!   `test-util`.
//!
//! # Requirements
//!
//! A tokio runtime with time enabled, and I/O if the transport needs it. The node's task runs on the
//! runtime that [`spawn`] was called on, and ends with it.
//!
//! Log lines are written through `tracing`, within a span `chitchat` that has the `node_id`: one
//! line when a node joins, fails, recovers or leaves; repeated trouble at most once a minute;
//! everything that happens per message at the levels `debug` and `trace`.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod builder;
mod clock;
mod config;
mod driver;
mod error;
mod handle;
mod journal;
mod log_limit;
#[cfg(feature = "metrics")]
pub mod metrics;
mod retired;
mod ring;
mod seeds;
mod shared;
mod spawn;
mod stats;
mod stream;
mod subscribe;
#[cfg(feature = "testing")]
pub mod testing;
mod watch;

pub use builder::ChitchatConfigBuilder;
pub use config::ChitchatConfig;
pub use error::{CloseReason, ConfigError, Error, SpawnError};
pub use handle::{ChitchatHandle, JoinReport};
pub use ring::Lagged;
pub use spawn::spawn;
pub use stats::{ReportCounts, SeedStats, SendErrors, Stats};
pub use stream::{EventStream, NoticeStream, OperatorNotice};
pub use subscribe::{KeyEvent, PrefixSubscription};
pub use watch::LiveNodesWatcher;

pub use chitchat_protocol as protocol;
pub use chitchat_protocol::{
    ChitchatId, ClusterStateSnapshot, Counters, Event, Incarnation, LeaveOutcome, Limits,
    NodeHealth, NodeId, NodeState, NodeStatus, Notice, VersionedValue, WriteError,
};
#[cfg(any(feature = "quic", feature = "tcp-tls"))]
pub use chitchat_tls as tls;
pub use chitchat_transport as transport;
#[cfg(feature = "quic")]
pub use chitchat_transport_quic as quic;
#[cfg(feature = "tcp")]
pub use chitchat_transport_tcp as tcp;
#[cfg(feature = "udp")]
pub use chitchat_transport_udp as udp;
