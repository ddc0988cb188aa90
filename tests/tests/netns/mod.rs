//! Nodes in processes of their own, in networks of their own.

mod network;
mod process;

pub(crate) use network::Network;
pub(crate) use process::{Process, Starter, until};
