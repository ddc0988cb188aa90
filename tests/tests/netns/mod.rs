//! Networks for the nodes of a test alone.

mod network;

pub(crate) use network::Network;
