//! Tests of applications: a cluster of real nodes in one process, in virtual time, on a network that
//! does what the test says.
//!
//! The nodes are those of production, with [`ChitchatHandle`](crate::ChitchatHandle)s as the
//! application uses them; only the network, the clock and the dice are the test's. An hour of
//! virtual time takes a fraction of a second, and a seed gives the same run each time.
//!
//! ```
//! use chitchat::testing::{ClusterBuilder, for_each_seed};
//!
//! // In earnest this is a #[test].
//! for_each_seed(5, async |seed| {
//!     let mut cluster = ClusterBuilder::new(seed, 5).start().await;
//!     cluster.until_converged().await;
//!
//!     cluster.partition(&[0, 1], &[2, 3, 4]);
//!     cluster.until_live(0, &[0, 1]).await;
//!     cluster.crash(4);
//!     cluster.heal();
//!     cluster.until_converged().await; // without node 4
//!     cluster.restart(4).await;
//!     cluster.until_converged().await; // with it
//! });
//! ```
//!
//! The guide `docs/testing.md` of the repository goes from there to an application with tests.
//!
//! | You want | Use |
//! | --- | --- |
//! | many seeds, and to replay one | [`for_each_seed`], `CHITCHAT_TEST_SEED=n` |
//! | start a cluster | [`ClusterBuilder`] |
//! | start the application with each node | [`ClusterBuilder::start_with`], [`TestNode`] |
//! | look at a node, or at the application | [`Cluster::node`], [`Cluster::live`], [`Cluster::app`] |
//! | wait | [`Cluster::until`], [`until_converged`](Cluster::until_converged), [`until_live`](Cluster::until_live), [`run_for`](Cluster::run_for), [`run_rounds`](Cluster::run_rounds) |
//! | check something all the time | [`Cluster::always`] |
//! | end and start nodes | [`Cluster::crash`], [`leave`](Cluster::leave), [`restart`](Cluster::restart), [`restart_as`](Cluster::restart_as), [`pause`](Cluster::pause), [`add_node`](Cluster::add_node) |
//! | disturb the network | [`Cluster::set_conditions`], [`set_conditions_between`](Cluster::set_conditions_between), [`partition`](Cluster::partition), [`isolate`](Cluster::isolate), [`block`](Cluster::block), [`heal`](Cluster::heal) |
//! | see what happened | [`Cluster::history`], [`Cluster::report`] |
//! | show that a test finds a fault | [`find_failure`] |
//!
//! # The same seed, the same run
//!
//! All that is random in the nodes and in the network follows from the seed, tokio runs one task at
//! a time in a fixed order, and time passes only when all tasks wait. So a run can be repeated, event
//! by event, unless the application brings chance of its own:
//!
//! - **`tokio::select!`** begins with a random branch. Write `biased;` as its first line, or make
//!   sure that the order does not matter. (tokio lets nobody seed this but with `--cfg
//!   tokio_unstable`.)
//! - **`HashMap` and `HashSet`** have another order in each run of a process. Where the order shows
//!   in what the application does, take a `BTreeMap`.
//! - **Randomness** from `rand::rng()` or `getrandom`: seed it with [`TestNode::seed`].
//! - **Clocks**: `std::time` and `SystemTime` do not know of virtual time. Take `tokio::time`.
//! - **Several tasks that wait for one `tokio::sync::watch` channel** are woken in a random order.
//!   That goes for several [`live_nodes_watcher`](crate::ChitchatHandle::live_nodes_watcher)s of one
//!   node; [`events`](crate::ChitchatHandle::events) and
//!   [`subscribe`](crate::ChitchatHandle::subscribe) wake their readers in a fixed order.
//! - **Threads, `spawn_blocking`, files, sockets, names of seeds to look up**: virtual time does not
//!   wait for some of them, and nothing orders the rest.
//! - **[`pause`](tokio::time::pause) in the middle**: the run then depends on the fraction of a
//!   millisecond at which it was called. Start paused, as [`for_each_seed`] does.
//! - Other versions of tokio or of this crate may have other runs for a seed.
//!
//! If a run differs from its repetition, compare their [histories](Cluster::history): the first
//! difference is close to the cause.

#![allow(clippy::panic, clippy::missing_panics_doc, reason = "a test fails by a panic")]

mod builder;
mod cluster;
mod history;
mod network;
mod node;
mod process;
mod report;
mod runtime;
mod seeds;
mod wait;

pub use builder::ClusterBuilder;
pub use cluster::{Cluster, Generation};
pub use history::{HistoryEntry, Occurrence};
pub use node::TestNode;
pub use seeds::{SeedFailure, find_failure, for_each_seed};
pub use wait::Verdict;
