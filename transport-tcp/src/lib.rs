//! TCP transport for [chitchat](https://docs.rs/chitchat), plain or with mutual TLS, for networks
//! that let nothing else pass.
//!
//! With feature `tls` there is `TlsTcpTransport`: both ends of every connection prove who they are
//! with certificates that name nodes of the cluster, as with QUIC. [`PlainTcpTransport`] neither
//! authenticates nor encrypts: whoever reaches its port can read and change everything, as whatever
//! node it likes. Use it where the network itself is trusted.
//!
//! - One socket per listen address; IPv6 sockets carry IPv6 only, so `0.0.0.0` and `[::]` can
//!   listen on the same port side by side. A peer with several addresses is dialled at all of them,
//!   with a head start for each (Happy Eyeballs, RFC 8305).
//! - One connection per pair of nodes that talk, whoever dialled it. It is kept while it is used,
//!   and costs nothing on the wire while it is not. At most
//!   [`max_connections`](TcpConfig::max_connections) are open.
//! - Gossip overtakes bulk: long messages are sent in frames of 16 KiB, and short ones go between
//!   them. On Linux the kernel is kept from taking more than 32 KiB ahead of what it sends
//!   (`TCP_NOTSENT_LOWAT`); elsewhere a small send buffer serves for the same.
//! - A peer that was restarted, and a path that is dead, are noticed within three seconds of
//!   the first message that they should have answered. Failed addresses are dialled again
//!   after a jittered backoff of up to a second.
//! - A peer that sends slowly, takes nothing, or floods holds up nobody but itself.
//! - Certificates, trust anchors and revocation lists can be replaced while everything runs. Peers
//!   that the new ones do not allow are cut off at once.
//!
//! ```
//! use chitchat_transport::{OpenOptions, Transport, TransportSender};
//! use chitchat_transport_tcp::PlainTcpTransport;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), chitchat_transport::OpenError> {
//! let listen = vec!["127.0.0.1:0".parse().unwrap()];
//! let options = OpenOptions::new("my-cluster", "node-1", listen);
//! let (sender, receiver) = PlainTcpTransport::new().open(options).await?;
//! assert_ne!(sender.local_addrs()[0].port(), 0);
//! # drop(receiver);
//! # Ok(())
//! # }
//! ```
//!
//! No error of the operating system ends the tasks; they are counted by name in
//! [`TransportStats::failures`](chitchat_transport::TransportStats::failures), and summed up in at
//! most one warning a minute.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::panic))]

mod accept;
mod config;
mod dial;
mod ending;
mod frame;
#[cfg(feature = "__fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod greeting;
mod janitor;
mod link;
mod preface;
mod security;
mod shared;
mod socket;
mod stream;
mod transport;
mod trust;

pub use config::{TcpConfig, TcpConfigError};
#[cfg(feature = "tls")]
pub use transport::TlsTcpTransport;
pub use transport::{PlainTcpTransport, TcpReceiver, TcpSender};
