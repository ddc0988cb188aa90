//! What the node, the counters and the log are told.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use chitchat_tls::IdentityError;
use chitchat_transport::errno::{Class, Failure};
use chitchat_transport::{Inbound, InboxSender, InboxShare, Report, UnreachableReason};
use tokio::time::Instant;

use crate::shared::{Shared, lock};
use crate::socket::SocketObserver;

/// More are not remembered between two looks.
const MAX_UNROUTABLE: usize = 1_024;

impl Shared {
    /// The peer will not have us. Asking again at once would not help.
    pub(crate) fn rejected(&self, addr: SocketAddr, node_id: Option<&Arc<str>>, reason: Arc<str>) {
        self.failure("rejected by a peer");
        self.connections().backoffs.failed(addr, None, true, Instant::now());
        self.tell(Report::RejectedUs { node_id: node_id.cloned(), addr, reason });
    }

    /// We will not have the peer.
    pub(crate) fn refused(
        &self,
        addr: SocketAddr,
        expected: Option<&Arc<str>>,
        error: &IdentityError,
    ) {
        self.counters.identity_refused(error.kind());
        self.tell(Report::IdentityRefused {
            addr,
            expected: expected.cloned(),
            presented: error.presented().map(Arc::from),
            reason: error.to_string().into(),
        });
    }

    pub(crate) fn unreachable(
        &self,
        addr: SocketAddr,
        node_id: Option<Arc<str>>,
        reason: UnreachableReason,
    ) {
        self.tell(Report::Unreachable { node_id, addr, reason });
    }

    /// Counts a failure that was survived, for the stats and for the summary in the log.
    pub(crate) fn failure(&self, name: &'static str) {
        self.counters.failure(name);
        self.reports.record(name);
    }

    /// Where datagrams could not be sent since this was asked last.
    pub(crate) fn take_unroutable(&self) -> HashSet<SocketAddr> {
        std::mem::take(&mut *lock(&self.unroutable))
    }

    pub(crate) fn tell(&self, report: Report) {
        if let Some(inbox) = lock(&self.inbox).as_ref() {
            self.reports.tell(report, inbox, &self.counters);
        }
    }

    /// The part of the queue towards the node that one connection may fill; `None` when the
    /// transport is closed.
    pub(crate) fn share_of_inbox(&self) -> Option<InboxShare> {
        lock(&self.inbox).as_ref().map(InboxSender::share)
    }

    /// Hands a message of `len` bytes to the node.
    pub(crate) fn deliver(&self, inbox: &InboxShare, inbound: Inbound, len: u64) {
        if inbox.push(inbound).is_ok() {
            self.counters.messages_received.add(1);
            self.counters.bytes_received.add(len);
        } else {
            self.counters.dropped_receive_queue_full.add(1);
        }
    }
}

impl SocketObserver for Shared {
    fn send_failed(&self, to: SocketAddr, failure: Failure) {
        self.failure(failure.name);
        let reason = match failure.class {
            Class::Peer(reason) => reason,
            Class::Route | Class::Family => {
                let mut unroutable = lock(&self.unroutable);
                if unroutable.len() < MAX_UNROUTABLE {
                    unroutable.insert(to);
                }
                UnreachableReason::NetworkUnreachable
            }
            _ => return,
        };
        self.send_failures.send_replace(Some((to, reason)));
    }

    fn recv_failed(&self, failure: Failure) {
        // Answers of routers and hosts that are not there come this way, too.
        if matches!(failure.class, Class::Peer(_)) {
            self.counters.failure(failure.name);
        } else {
            self.failure(failure.name);
        }
    }
}
