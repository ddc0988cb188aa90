//! Plain counters.

use std::collections::BTreeMap;
use std::time::SystemTime;

/// Counters of a transport since it was opened, and the present length of its queues.
///
/// Counters only grow. A transport leaves those at zero that mean nothing for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportStats {
    /// Messages handed to the network.
    pub messages_sent: u64,
    /// Bytes of those messages, without the transport's own overhead.
    pub bytes_sent: u64,
    /// Messages handed to the node, or waiting for it.
    pub messages_received: u64,
    /// Bytes of those messages, without the transport's own overhead.
    pub bytes_received: u64,
    /// Refused with [`SendError::QueueFull`](crate::SendError::QueueFull).
    pub refused_queue_full: u64,
    /// Refused with [`SendError::TooLarge`](crate::SendError::TooLarge).
    pub refused_too_large: u64,
    /// Refused with [`SendError::NoUsableAddress`](crate::SendError::NoUsableAddress).
    pub refused_no_usable_address: u64,
    /// Accepted for sending, but given up: the network refused it, or the transport was closed.
    pub dropped_sending: u64,
    /// Arrived, but dropped because the node reads too slowly (the newest is dropped).
    pub dropped_receive_queue_full: u64,
    /// Arrived, but dropped because it was cut, too long or not a message at all.
    pub dropped_malformed: u64,
    /// Reports dropped, because the queue was full or the address was reported just before.
    pub reports_suppressed: u64,
    /// How often a socket or connection was opened anew after failures.
    pub reopened: u64,
    /// Failures of the environment that were survived, by name (for example `ENOBUFS`).
    pub failures: BTreeMap<&'static str, u64>,
    /// Peers refused because of their identity or certificate, by reason (for example `revoked`).
    pub identities_refused: BTreeMap<&'static str, u64>,
    /// Connections that were set up, both directions.
    pub connections_opened: u64,
    /// Connections that are open at this moment, draining ones included.
    pub connections: usize,
    /// When this node's certificate, or one that it hangs on, expires.
    pub credentials_expire_at: Option<SystemTime>,
    /// Bytes that wait in send queues at this moment.
    pub send_queue_bytes: usize,
    /// Bytes that wait for the node at this moment.
    pub receive_queue_bytes: usize,
}

impl TransportStats {
    /// All that was refused or dropped for lack of room, in either direction.
    #[must_use]
    pub fn lost_to_full_queues(&self) -> u64 {
        self.refused_queue_full + self.dropped_receive_queue_full
    }

    /// All survived failures of the environment.
    #[must_use]
    pub fn failures_total(&self) -> u64 {
        self.failures.values().sum()
    }
}
