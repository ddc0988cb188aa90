//! One node's end of the network: its addresses and its queue of messages that are due later.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::inbound::Inbound;
use crate::inbox::InboxLimits;
use crate::stats::TransportStats;

/// What an entry costs besides its bytes.
const ENTRY_OVERHEAD: usize = 64;

/// A message under way, or waiting to be read.
#[derive(Debug)]
struct Due {
    at: Instant,
    /// Messages that are due at the same time keep the order in which they were sent.
    sequence: u64,
    cost: usize,
    inbound: Inbound,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

/// What a receiver finds when it looks.
#[derive(Debug)]
pub(super) enum Next {
    Ready(Inbound),
    /// The next one is due then.
    Later(Instant),
    Empty,
    Closed,
}

#[derive(Debug)]
pub(super) struct Endpoint {
    /// As the node knows them.
    pub(super) bound: Vec<SocketAddr>,
    /// As its peers see them, in the same order.
    pub(super) network: Vec<SocketAddr>,
    pub(super) max_message_len: usize,
    pub(super) stats: TransportStats,
    /// The sending half was closed or dropped.
    pub(super) closed: bool,
    /// The receiving half was dropped.
    pub(super) unread: bool,
    pub(super) wake: Arc<Notify>,
    queue: BinaryHeap<Reverse<Due>>,
    queued_bytes: usize,
    limits: InboxLimits,
}

impl Endpoint {
    pub(super) fn new(
        bound: Vec<SocketAddr>,
        network: Vec<SocketAddr>,
        max_message_len: usize,
        limits: InboxLimits,
    ) -> Self {
        Self {
            bound,
            network,
            max_message_len,
            stats: TransportStats::default(),
            closed: false,
            unread: false,
            wake: Arc::new(Notify::new()),
            queue: BinaryHeap::new(),
            queued_bytes: 0,
            limits,
        }
    }

    /// Queues an entry; false if it was dropped for lack of room.
    pub(super) fn push(&mut self, at: Instant, sequence: u64, inbound: Inbound) -> bool {
        let len = match &inbound {
            Inbound::Message(message) => message.bytes.len(),
            Inbound::Report(_) => 0,
        };
        let cost = len + ENTRY_OVERHEAD;
        let is_message = matches!(inbound, Inbound::Message(_));
        if self.unread
            || self.queue.len() >= self.limits.entries
            || self.queued_bytes + cost > self.limits.bytes
        {
            if is_message {
                self.stats.dropped_receive_queue_full += 1;
            } else {
                self.stats.reports_suppressed += 1;
            }
            return false;
        }
        self.queued_bytes += cost;
        self.queue.push(Reverse(Due { at, sequence, cost, inbound }));
        self.wake.notify_one();
        true
    }

    pub(super) fn next(&mut self, now: Instant) -> Next {
        match self.queue.peek() {
            Some(Reverse(due)) if due.at <= now => {}
            _ if self.closed => return Next::Closed,
            Some(Reverse(due)) => return Next::Later(due.at),
            None => return Next::Empty,
        }
        let Some(Reverse(due)) = self.queue.pop() else { return Next::Empty };
        self.queued_bytes -= due.cost;
        if let Inbound::Message(message) = &due.inbound {
            self.stats.messages_received += 1;
            self.stats.bytes_received += message.bytes.len() as u64;
        }
        Next::Ready(due.inbound)
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }
}
