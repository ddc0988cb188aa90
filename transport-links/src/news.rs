//! What the node, the counters and the log are told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chitchat_transport::{
    Inbound, InboxGauge, InboxSender, InboxShare, Report, TransportCounters, TransportStats,
    UnreachableReason,
};

use crate::reports::Reports;

/// The way from the tasks of a transport to its node.
#[derive(Debug)]
pub struct News {
    /// The figures of the transport.
    pub counters: TransportCounters,
    reports: Reports,
    /// Taken away on closing, so that the receiving half ends.
    inbox: Mutex<Option<InboxSender>>,
    gauge: InboxGauge,
}

impl News {
    /// Everything goes to this queue.
    #[must_use]
    pub fn new(inbox: InboxSender) -> Self {
        Self {
            counters: TransportCounters::default(),
            reports: Reports::default(),
            gauge: inbox.gauge(),
            inbox: Mutex::new(Some(inbox)),
        }
    }

    /// Hands a report to the node; too many about one address are counted instead.
    pub fn tell(&self, report: Report) {
        if let Some(inbox) = self.inbox().as_ref() {
            self.reports.tell(report, inbox, &self.counters);
        }
    }

    /// Nothing gets through to an address.
    pub fn unreachable(
        &self,
        addr: SocketAddr,
        node_id: Option<Arc<str>>,
        reason: UnreachableReason,
    ) {
        self.tell(Report::Unreachable { node_id, addr, reason });
    }

    /// The peer will not have us.
    pub fn rejected(&self, addr: SocketAddr, node_id: Option<Arc<str>>, reason: Arc<str>) {
        self.failure("rejected by a peer");
        self.tell(Report::RejectedUs { node_id, addr, reason });
    }

    /// We will not have the peer.
    #[cfg(feature = "tls")]
    pub fn refused(
        &self,
        addr: SocketAddr,
        expected: Option<Arc<str>>,
        error: &chitchat_tls::IdentityError,
    ) {
        self.counters.identity_refused(error.kind());
        let presented = error.presented().map(Arc::from);
        self.tell(Report::IdentityRefused {
            addr,
            expected,
            presented,
            reason: error.to_string().into(),
        });
    }

    /// Counts a failure that was survived, for the stats and for the summary in the log.
    pub fn failure(&self, name: &'static str) {
        self.counters.failure(name);
        self.reports.record(name);
    }

    /// The summary of failures for the log, if it is due.
    #[must_use]
    pub fn summary(&self) -> Option<String> {
        self.reports.summary()
    }

    /// The part of the queue towards the node that one connection may fill; `None` when the
    /// transport is closed.
    #[must_use]
    pub fn share_of_inbox(&self) -> Option<InboxShare> {
        self.inbox().as_ref().map(InboxSender::share)
    }

    /// Hands a message of `len` bytes to the node.
    pub fn deliver(&self, inbox: &InboxShare, inbound: Inbound, len: u64) {
        if inbox.push(inbound).is_ok() {
            self.counters.messages_received.add(1);
            self.counters.bytes_received.add(len);
        } else {
            self.counters.dropped_receive_queue_full.add(1);
        }
    }

    /// The counters, and how much waits for the node.
    #[must_use]
    pub fn stats(&self) -> TransportStats {
        let mut stats = self.counters.snapshot();
        stats.receive_queue_bytes = self.gauge.queued_bytes();
        stats
    }

    /// The receiving half ends when it has read what is there.
    pub fn close(&self) {
        *self.inbox() = None;
    }

    fn inbox(&self) -> MutexGuard<'_, Option<InboxSender>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
