//! What the transports of [chitchat](https://docs.rs/chitchat) that hold connections have in
//! common, whatever protocol carries the bytes.
//!
//! A transport brings its own [`Link`]: one connection with its task. From here come
//!
//! - [`Hub`]: what its two halves and all its tasks share, made of what follows;
//! - [`Connections`]: which link serves for whom (one per identity, and what becomes of two that were
//!   dialled at once), messages for peers that are being dialled, and when to dial again
//!   ([`Backoffs`]);
//! - [`race`]: reaching a peer at one of its addresses (Happy Eyeballs, RFC 8305);
//! - [`SendQueue`]: how much may wait for a peer, gossip before bulk;
//! - [`Admission`] and [`Buckets`]: how many newcomers, and how many messages of one peer;
//! - [`News`]: what the node, the counters and the log are told, with feature `tls` by
//!   [`tell_refused`] of identities too;
//! - [`Tasks`]: its tasks, which end with it;
//! - [`CloseCode`]: why a connection is closed, told to the peer;
//! - [`evict`], [`close_if_due`], and with feature `tls` [`verify_again`] and [`Renewals`]: what
//!   has to be looked at from time to time.
//!
//! It serves the transports of this workspace. Its interface follows their needs and may change
//! with any release; [`chitchat_transport`] is what is stable to write a transport against.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::panic))]

mod admission;
mod backoff;
mod bucket;
mod code;
mod connections;
mod ending;
mod hub;
#[cfg(feature = "tls")]
mod news;
mod queue;
mod race;
mod registry;
mod tasks;
#[cfg(feature = "tls")]
mod verified;
mod waiting;

pub use admission::{Admission, AdmissionLimits, Place, Verdict};
pub use backoff::Backoffs;
pub use bucket::{Buckets, SharedBucket};
pub use chitchat_transport::News;
pub use code::CloseCode;
pub use connections::{Connections, HandOver, NextDial};
pub use ending::{Ending, EndingSlot, Link, QUIET_FOR, RENEWAL_TAKES, close_if_due, evict};
pub use hub::{Hub, HubOptions, Phase};
#[cfg(feature = "tls")]
pub use news::tell_refused;
pub use queue::{BULK_FROM, SendQueue, TotalBytes};
pub use race::race;
pub use registry::Linked;
pub use tasks::Tasks;
#[cfg(feature = "tls")]
pub use verified::{Proof, RefusalSlot, Renewals, Verified, credentials_report, verify_again};
pub use waiting::Peer;
