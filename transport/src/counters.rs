//! Counters that many tasks of a transport share, for writing one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::SendError;
use crate::inbox::InboxFull;
use crate::stats::TransportStats;

/// A number that only grows, shared between tasks.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// Its value at this moment.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of [`TransportStats`], each with the meaning that it has there.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct TransportCounters {
    /// See [`TransportStats::messages_sent`].
    pub messages_sent: Counter,
    /// See [`TransportStats::bytes_sent`].
    pub bytes_sent: Counter,
    /// See [`TransportStats::messages_received`].
    pub messages_received: Counter,
    /// See [`TransportStats::bytes_received`].
    pub bytes_received: Counter,
    /// See [`TransportStats::refused_queue_full`].
    pub refused_queue_full: Counter,
    /// See [`TransportStats::refused_too_large`].
    pub refused_too_large: Counter,
    /// See [`TransportStats::refused_no_usable_address`].
    pub refused_no_usable_address: Counter,
    /// See [`TransportStats::dropped_sending`].
    pub dropped_sending: Counter,
    /// See [`TransportStats::dropped_receive_queue_full`].
    pub dropped_receive_queue_full: Counter,
    /// See [`TransportStats::dropped_malformed`].
    pub dropped_malformed: Counter,
    /// See [`TransportStats::reports_suppressed`].
    pub reports_suppressed: Counter,
    /// See [`TransportStats::reopened`].
    pub reopened: Counter,
    /// See [`TransportStats::connections_opened`].
    pub connections_opened: Counter,
    /// See [`TransportStats::identities_refused`].
    identities_refused: Mutex<BTreeMap<&'static str, u64>>,
    /// See [`TransportStats::failures`]: names from the source, so that there is a handful.
    failures: Mutex<BTreeMap<&'static str, u64>>,
}

impl TransportCounters {
    /// Counts a failure of the environment that was survived.
    pub fn failure(&self, name: &'static str) {
        *lock(&self.failures).entry(name).or_default() += 1;
    }

    /// Counts a peer that was refused because of its identity, by a name from the source.
    pub fn identity_refused(&self, reason: &'static str) {
        *lock(&self.identities_refused).entry(reason).or_default() += 1;
    }

    /// Counts a message of `len` bytes that was handed to the network.
    pub fn sent(&self, len: usize) {
        self.messages_sent.add(1);
        self.bytes_sent.add(len as u64);
    }

    /// Counts a message of `len` bytes that arrived, by whether the [`inbox`](crate::inbox()) took
    /// it: pass on what `push` returned.
    pub fn arrived(&self, len: usize, queued: Result<(), InboxFull>) {
        match queued {
            Ok(()) => {
                self.messages_received.add(1);
                self.bytes_received.add(len as u64);
            }
            Err(InboxFull) => self.dropped_receive_queue_full.add(1),
        }
    }

    /// Counts an error of [`send`](crate::TransportSender::send) by its kind.
    pub fn refused(&self, error: &SendError) {
        match error {
            SendError::QueueFull => self.refused_queue_full.add(1),
            SendError::TooLarge { .. } => self.refused_too_large.add(1),
            SendError::NoUsableAddress => self.refused_no_usable_address.add(1),
            _ => {}
        }
    }

    /// All values at this moment; the lengths of queues are the transport's to add.
    #[must_use]
    pub fn snapshot(&self) -> TransportStats {
        TransportStats {
            messages_sent: self.messages_sent.get(),
            bytes_sent: self.bytes_sent.get(),
            messages_received: self.messages_received.get(),
            bytes_received: self.bytes_received.get(),
            refused_queue_full: self.refused_queue_full.get(),
            refused_too_large: self.refused_too_large.get(),
            refused_no_usable_address: self.refused_no_usable_address.get(),
            dropped_sending: self.dropped_sending.get(),
            dropped_receive_queue_full: self.dropped_receive_queue_full.get(),
            dropped_malformed: self.dropped_malformed.get(),
            reports_suppressed: self.reports_suppressed.get(),
            reopened: self.reopened.get(),
            connections_opened: self.connections_opened.get(),
            identities_refused: lock(&self.identities_refused).clone(),
            failures: lock(&self.failures).clone(),
            ..TransportStats::default()
        }
    }
}

/// Nothing that is done under these locks can leave a map half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
