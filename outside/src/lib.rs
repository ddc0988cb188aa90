//! A transport for [`chitchat`], written against its public crates alone, as anybody's would be.
//!
//! - [`PipeTransport`] carries messages as frames over streams: connections that have to be made,
//!   kept, and given up, unlike datagrams. The streams are pipes in this process, from a
//!   [`Switchboard`]; the code that reads and writes them would be the same over sockets.
//! - [`Inspected`] is a transport around any other: it decodes what passes with the public codec of
//!   [`chitchat_protocol`], and counts the kinds of messages.
//!
//! Nobody proves who they are here, so no message has a verified peer.

mod connection;
mod frame;
mod inspect;
mod queue;
mod switchboard;
mod transport;

pub use frame::MAX_MESSAGE;
pub use inspect::{Inspected, InspectedReceiver, InspectedSender, Kinds, Tally};
pub use switchboard::{Listener, Switchboard};
pub use transport::{PipeSender, PipeTransport};
