//! QUIC transport for [chitchat](https://docs.rs/chitchat): mutual TLS, IPv4 and IPv6, and no limit
//! on the length of deltas.
//!
//! Both sides of every connection prove who they are with a certificate that names a node of the
//! cluster ([`chitchat_tls`]); nobody else gets a byte of the state, or changes one. There is no
//! mode without it.
//!
//! - One UDP socket per listen address; IPv6 sockets carry IPv6 only, so `0.0.0.0` and `[::]` can
//!   listen on the same port side by side. A peer with several addresses is dialled at all of them,
//!   with a head start for each (Happy Eyeballs, RFC 8305).
//! - One connection per pair of nodes that talk, whoever dialled it. It is kept while it is used,
//!   and costs nothing on the wire while it is not. At most
//!   [`max_connections`](QuicConfig::max_connections) are open.
//! - Short messages travel as QUIC datagrams (RFC 9221), longer ones each on a stream of its own,
//!   in front of which gossip always has room: bulk is bounded, and of lower priority.
//! - A peer that was restarted is noticed by its first packet, a path that is dead within three
//!   seconds.
//! - Certificates, trust anchors and revocation lists can be replaced while everything runs. Peers
//!   that the new ones do not allow are cut off at once.
//! - Before the handshake nothing is kept for a newcomer beyond bounds in total and by network, and
//!   after it a peer's messages, streams and bytes are bounded.
//!
//! No error of the operating system ends the tasks; they are counted by name in
//! [`TransportStats::failures`](chitchat_transport::TransportStats::failures), and summed up in at
//! most one warning a minute.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::panic))]

mod accept;
mod code;
mod config;
mod dial;
mod ending;
mod identity;
mod janitor;
mod link;
mod quinn_tasks;
mod reset_key;
mod setup;
mod shared;
mod socket;
mod transport;

pub use config::{QuicConfig, QuicConfigError};
pub use transport::{QuicReceiver, QuicSender, QuicTransport};
