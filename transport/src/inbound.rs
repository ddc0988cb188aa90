//! What a transport hands to the node.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use crate::destination::ReplyPath;

/// What arrives from a transport: a message, or news about a peer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Inbound {
    /// A message from a peer.
    Message(InboundMessage),
    /// Something that the transport found out about a peer.
    Report(Report),
}

/// A message as it arrived. Its content is not to be trusted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct InboundMessage {
    /// Exactly the bytes of one message.
    pub bytes: Bytes,
    /// The way back to the sender.
    pub from: ReplyPath,
    /// The sender's node id if the transport has proof of it (mutual TLS), `None` if the
    /// transport verifies nobody.
    pub peer: Option<Arc<str>>,
}

impl InboundMessage {
    /// A message from a sender whose identity was not verified.
    #[must_use]
    pub fn new(bytes: Bytes, from: ReplyPath) -> Self {
        Self { bytes, from, peer: None }
    }

    /// The same message from a sender whose identity was verified as `peer`.
    #[must_use]
    pub fn with_peer(self, peer: Arc<str>) -> Self {
        Self { peer: Some(peer), ..self }
    }
}

/// News about a peer. A hint, not a proof: where peers are not authenticated, a report can be
/// forged as easily as a message.
///
/// Transports limit the rate of reports per address; a report that finds the queue full is
/// dropped and counted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Report {
    /// Nothing gets through to `addr` at present.
    Unreachable {
        /// The node that we wanted to reach there, if it is known.
        node_id: Option<Arc<str>>,
        /// The address that failed.
        addr: SocketAddr,
        /// Why.
        reason: UnreachableReason,
    },
    /// The peer at `addr` refused us: wrong cluster, revoked certificate, overloaded.
    RejectedUs {
        /// The node that we wanted to reach there, if it is known.
        node_id: Option<Arc<str>>,
        /// The address of the peer.
        addr: SocketAddr,
        /// The peer's own words, cut and escaped by the transport; not to be trusted.
        reason: Arc<str>,
    },
    /// The peer at `addr` did not prove to be who it has to be, and was refused by us.
    IdentityRefused {
        /// The address of the peer.
        addr: SocketAddr,
        /// The node that was expected there, if it is known.
        expected: Option<Arc<str>>,
        /// The name that the peer presented, if there was one that could be read.
        presented: Option<Arc<str>>,
        /// What was wrong and what to do about it.
        reason: Arc<str>,
    },
    /// News about this node's own credentials.
    Credentials(CredentialsReport),
}

/// News about the credentials that a transport proves this node's identity with, and verifies
/// others' with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialsReport {
    /// New credentials are in use. Peers that do not pass by them have been cut off.
    Reloaded {
        /// When this node's certificate, or one that it hangs on, expires.
        not_after: SystemTime,
    },
    /// New credentials could not be read. The former ones stay in use.
    ReloadFailed {
        /// What is wrong with them and what to do about it.
        reason: Arc<str>,
    },
    /// This node's certificate expires soon, or has expired: peers refuse it from then on.
    Expiring {
        /// When.
        not_after: SystemTime,
    },
    /// A list of revoked certificates is older than it says that it may be. It stays in use.
    StaleRevocationList {
        /// Whose list.
        issuer: Arc<str>,
        /// When the next one was to come.
        next_update: SystemTime,
    },
}

/// Why an address cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnreachableReason {
    /// The host answered that nobody listens there (ICMP port unreachable, TCP reset).
    Refused,
    /// A router or our own network says that the host cannot be reached.
    HostUnreachable,
    /// There is no route to the network, or no usable address family.
    NetworkUnreachable,
    /// A firewall, ours or one on the way, forbids it.
    Prohibited,
    /// No answer in time.
    TimedOut,
    /// An established connection broke.
    ConnectionLost,
    /// Anything else, in words.
    Other(Arc<str>),
}

impl fmt::Display for UnreachableReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "nobody listens there",
            Self::HostUnreachable => "host unreachable",
            Self::NetworkUnreachable => "network unreachable",
            Self::Prohibited => "prohibited by a firewall",
            Self::TimedOut => "timed out",
            Self::ConnectionLost => "connection lost",
            Self::Other(words) => words,
        })
    }
}
