//! What can go wrong when opening a transport or handing it a message.

use std::net::SocketAddr;

/// Opening a transport failed. Nothing stays open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No address to listen on was given.
    #[error("no listen address: give at least one, for example 0.0.0.0:7280 or [::]:7280")]
    NoListenAddress,
    /// More addresses to listen on than a node can have.
    #[error("{count} listen addresses: give at most {limit}")]
    TooManyListenAddresses {
        /// How many were given.
        count: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// A listen address could not be bound.
    #[error(
        "cannot listen on {addr}: {source}; use an address of this host and a free port \
         (port 0 picks one)"
    )]
    Bind {
        /// The address that failed.
        addr: SocketAddr,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The transport's own configuration does not fit with how the node opens it (for example a
    /// certificate for another node or cluster). The source says what to change.
    #[error("the transport's configuration does not fit this node: {0}")]
    Config(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A message was not accepted for sending. Nothing was sent, and nothing changed but a counter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The queue for this peer or socket is full. The message is lost; gossip sends the
    /// information again in a later round.
    #[error("the send queue is full; the peer or the network is slower than what is sent")]
    QueueFull,
    /// The message is longer than [`max_message_len`](crate::TransportSender::max_message_len).
    #[error("a message of {len} bytes exceeds the transport's limit of {limit} bytes; split it")]
    TooLarge {
        /// The length of the message.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// None of the destination's addresses can be used: no socket of that address family is open,
    /// the network refuses all of them at present, or there are none.
    #[error(
        "none of the destination's addresses is usable from here; listen on an address of \
         the same family"
    )]
    NoUsableAddress,
    /// The transport is closed.
    #[error("the transport is closed")]
    Closed,
}
