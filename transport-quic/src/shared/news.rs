//! What the node is told, and what the socket tells.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use chitchat_transport::UnreachableReason;
use chitchat_transport::errno::{Class, Failure};
use tokio::time::Instant;

use crate::shared::{Shared, lock};
use crate::socket::SocketObserver;

/// More are not remembered between two looks.
const MAX_UNROUTABLE: usize = 1_024;

impl Shared {
    /// The peer will not have us. Asking again at once would not help.
    pub(crate) fn rejected(&self, addr: SocketAddr, node_id: Option<&Arc<str>>, reason: Arc<str>) {
        self.connections().backoffs.failed(addr, None, true, Instant::now());
        self.news.rejected(addr, node_id.cloned(), reason);
    }

    /// Where datagrams could not be sent since this was asked last.
    pub(crate) fn take_unroutable(&self) -> HashSet<SocketAddr> {
        std::mem::take(&mut *lock(&self.unroutable))
    }
}

impl SocketObserver for Shared {
    fn send_failed(&self, to: SocketAddr, failure: Failure) {
        self.news.failure(failure.name);
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
            self.news.counters.failure(failure.name);
        } else {
            self.news.failure(failure.name);
        }
    }
}
