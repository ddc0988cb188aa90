//! What the node is told, and what the socket tells.

use std::collections::HashSet;
use std::net::SocketAddr;

use chitchat_transport::UnreachableReason;
use chitchat_transport::errno::{Class, Failure};

use crate::shared::{Shared, lock};
use crate::socket::SocketObserver;

/// More are not remembered between two looks.
const MAX_UNROUTABLE: usize = 1_024;

impl Shared {
    /// Where datagrams could not be sent since this was asked last.
    pub(crate) fn take_unroutable(&self) -> HashSet<SocketAddr> {
        std::mem::take(&mut *lock(&self.unroutable))
    }
}

impl SocketObserver for Shared {
    fn send_failed(&self, to: SocketAddr, failure: Failure) {
        self.hub.news.failure(failure.name);
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
            self.hub.news.counters.failure(failure.name);
        } else {
            self.hub.news.failure(failure.name);
        }
    }
}
