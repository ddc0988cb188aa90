//! A cluster of [`Node`](chitchat_protocol::Node)s in one thread, in virtual time, from one seed.
//!
//! The same seed gives the same run, byte for byte. Nothing sleeps: an hour of gossip between three
//! nodes takes a fraction of a second.

mod cluster;
mod host;
mod network;

pub use cluster::Sim;
pub use host::{Host, HostId};
pub use network::{Links, Traffic};
