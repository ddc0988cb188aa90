//! Plain UDP for chitchat: **no authentication, no encryption**.
//!
//! Whoever can send a datagram to a node's port can pretend to be any node, read the cluster's
//! state, and change it; whoever is on the way can read and alter everything. Use this transport
//! only where the network itself keeps strangers out: on one host, in a private network or VPC
//! that holds nothing but trusted machines, or inside an encrypted overlay (WireGuard, IPsec).
//! Anywhere else use a transport with mutual TLS.
//!
//! What it is good at: no connections and no handshakes, so it is the cheapest transport there is
//! for small, frequent messages between very many nodes.
//!
//! ```
//! use chitchat_transport::{OpenOptions, Transport, TransportSender};
//! use chitchat_transport_udp::PlainUdpTransport;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let listen = vec!["127.0.0.1:0".parse()?];
//! let options = OpenOptions::new("my-cluster", "node-1", listen);
//! let (sender, receiver) = PlainUdpTransport::new().open(options).await?;
//! println!("listening on {:?}", sender.local_addrs());
//! # drop(receiver);
//! sender.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Behaviour
//!
//! - One socket and one task per listen address; IPv6 sockets carry IPv6 only, so `0.0.0.0` and
//!   `[::]` can listen on the same port side by side.
//! - A message is one datagram. Above the path's MTU (the default preferred length of 1,400 bytes
//!   stays below) IP fragments it, and the loss of one fragment loses it all.
//! - Of a destination's addresses, only those of a family that has a socket are tried: first the
//!   one last heard from, and the next when it goes quiet.
//! - No error of the operating system ends the tasks. They are counted by name in
//!   [`TransportStats::failures`](chitchat_transport::TransportStats::failures), waited out, and
//!   summed up in at most one warning a minute; a socket that keeps failing is opened anew on the
//!   same port.
//! - On Linux, ICMP errors become
//!   [`Report::Unreachable`](chitchat_transport::Report::Unreachable), at most one per address in
//!   ten seconds. Elsewhere only errors that sending itself returns do.

mod config;
mod endpoint;
mod paths;
mod queue;
mod shared;
mod socket;
mod transport;

pub use config::{PlainUdpConfig, PlainUdpConfigError};
pub use transport::{PlainUdpReceiver, PlainUdpSender, PlainUdpTransport};
