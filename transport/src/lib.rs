//! The contract between a chitchat node and whatever carries its messages.
//!
//! A node hands a transport opaque [`bytes::Bytes`] and a [`Destination`]; the transport brings
//! them there, or does not: gossip survives loss, so a transport never promises delivery, order
//! or uniqueness. What it does promise is written down in [`Transport`], [`TransportSender`] and
//! [`TransportReceiver`], and checked by the suite in `conformance` (feature `conformance`), which
//! any transport runs with one macro call.
//!
//! The [`memory`] module is a transport without sockets: a seeded network with loss, delay,
//! duplication, reordering and partitions, for tests of this project and of applications.
//!
//! ```
//! use bytes::Bytes;
//! use chitchat_transport::memory::MemoryNetwork;
//! use chitchat_transport::{
//!     Destination, Inbound, OpenOptions, Transport, TransportReceiver, TransportSender,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let network = MemoryNetwork::new(42);
//! let listen = vec!["127.0.0.1:0".parse()?];
//! let (alice, _) = network.transport().open(OpenOptions::new("c", "alice", listen.clone())).await?;
//! let (bob, mut bobs_inbox) = network.transport().open(OpenOptions::new("c", "bob", listen)).await?;
//!
//! alice.send(&Destination::addr(bob.local_addrs()[0]), Bytes::from_static(b"hello"))?;
//! let Some(Inbound::Message(message)) = bobs_inbox.recv().await else { unreachable!() };
//! assert_eq!(&message.bytes[..], b"hello");
//! // The answer goes back the way the question came.
//! bob.send(&Destination::reply(message.from), Bytes::from_static(b"hello yourself"))?;
//! # Ok(())
//! # }
//! ```
//!
//! # Writing a transport
//!
//! Implement the three traits; [`inbox()`] is a bounded queue towards the node that is ready to
//! use, and [`News`] what stands before it: counters, limits on reports, a summary for the log.
//! [`errno`] says what an error of the operating system is about, and [`canonical`] is the form in
//! which addresses cross every boundary. Then run the suite.
//! `docs/custom-transports.md` in the repository goes through it with an example.

mod addr;
#[cfg(feature = "conformance")]
pub mod conformance;
mod contract;
mod counters;
mod destination;
pub mod errno;
mod error;
mod failure_log;
mod inbound;
mod inbox;
pub mod memory;
mod news;
mod reports;
mod stats;

pub use addr::{AddressFamily, canonical};
pub use contract::{OpenOptions, Transport, TransportReceiver, TransportSender};
pub use counters::{Counter, TransportCounters};
pub use destination::{Destination, ReplyPath};
pub use error::{OpenError, SendError};
pub use failure_log::FailureLog;
pub use inbound::{CredentialsReport, Inbound, InboundMessage, Report, UnreachableReason};
pub use inbox::{Inbox, InboxFull, InboxGauge, InboxLimits, InboxSender, InboxShare, inbox};
pub use news::News;
pub use reports::Reports;
pub use stats::TransportStats;
