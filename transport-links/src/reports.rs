//! What the node and the log are told about peers, and how often.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chitchat_transport::{FailureLog, Inbound, InboxSender, Report, TransportCounters};
use lru::LruCache;
use tokio::time::Instant;

/// The least time between two reports of one kind about one address.
const INTERVAL: Duration = Duration::from_secs(10);
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(1_024).expect("it is not zero");

/// Hands reports to the node, at most one of a kind and address in ten seconds.
#[derive(Debug)]
pub(crate) struct Reports {
    told: Mutex<LruCache<(SocketAddr, u8), Instant>>,
    log: Mutex<FailureLog>,
}

impl Default for Reports {
    fn default() -> Self {
        Self { told: Mutex::new(LruCache::new(REMEMBERED)), log: Mutex::default() }
    }
}

fn subject(report: &Report) -> Option<(SocketAddr, u8)> {
    match report {
        Report::Unreachable { addr, .. } => Some((*addr, 0)),
        Report::RejectedUs { addr, .. } => Some((*addr, 1)),
        Report::IdentityRefused { addr, .. } => Some((*addr, 2)),
        _ => None,
    }
}

impl Reports {
    /// Tells the node, unless it was told just now or its queue is full, which is counted.
    pub(crate) fn tell(&self, report: Report, inbox: &InboxSender, counters: &TransportCounters) {
        let now = Instant::now();
        let subject = subject(&report);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let last = subject.and_then(|subject| told.get(&subject));
        let recent = last.is_some_and(|last| now.duration_since(*last) < INTERVAL);
        if recent || inbox.push(Inbound::Report(report)).is_err() {
            counters.reports_suppressed.add(1);
        } else if let Some(subject) = subject {
            told.put(subject, now);
        }
    }

    /// For the summary in the log.
    pub(crate) fn record(&self, failure: &'static str) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).record(failure);
    }

    /// The summary, if it is due.
    pub(crate) fn summary(&self) -> Option<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).due(Instant::now())
    }
}
