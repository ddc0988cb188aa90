//! The counters behind the transport's stats.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use chitchat_transport::TransportStats;

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) messages_sent: Counter,
    pub(crate) bytes_sent: Counter,
    pub(crate) messages_received: Counter,
    pub(crate) bytes_received: Counter,
    pub(crate) refused_queue_full: Counter,
    pub(crate) refused_too_large: Counter,
    pub(crate) refused_no_usable_address: Counter,
    pub(crate) dropped_sending: Counter,
    pub(crate) dropped_receive_queue_full: Counter,
    pub(crate) dropped_malformed: Counter,
    pub(crate) reports_suppressed: Counter,
    pub(crate) reopened: Counter,
    /// A handful of names, all from [`crate::errno`].
    failures: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counters {
    pub(crate) fn failure(&self, name: &'static str) {
        *self.failures.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
    }

    pub(crate) fn snapshot(&self) -> TransportStats {
        let mut stats = TransportStats::default();
        stats.messages_sent = self.messages_sent.get();
        stats.bytes_sent = self.bytes_sent.get();
        stats.messages_received = self.messages_received.get();
        stats.bytes_received = self.bytes_received.get();
        stats.refused_queue_full = self.refused_queue_full.get();
        stats.refused_too_large = self.refused_too_large.get();
        stats.refused_no_usable_address = self.refused_no_usable_address.get();
        stats.dropped_sending = self.dropped_sending.get();
        stats.dropped_receive_queue_full = self.dropped_receive_queue_full.get();
        stats.dropped_malformed = self.dropped_malformed.get();
        stats.reports_suppressed = self.reports_suppressed.get();
        stats.reopened = self.reopened.get();
        stats.failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone();
        stats
    }
}
