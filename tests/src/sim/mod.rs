//! A cluster of [`Node`](chitchat_protocol::Node)s in one thread, in virtual time, from one seed.
//!
//! The same seed gives the same run, byte for byte. Nothing sleeps: an hour of gossip between three
//! nodes takes a fraction of a second.

mod addresses;
mod checker;
mod cluster;
mod conditions;
mod events;
mod faults;
mod host;
mod lives;
mod network;
mod puppet;
mod replay;
mod seeds;

pub use checker::{Checker, Observer, Seen, View};
pub use cluster::Sim;
pub use conditions::text_of;
pub use host::{Host, HostId};
pub use lives::{Lives, exceeded};
pub use network::{Captured, LONGEST_DELAY, Links, Tail, Traffic};
pub use puppet::Puppet;
pub use replay::Replayed;
pub use seeds::{chosen_nodes, for_seeds, replayed_seed};
