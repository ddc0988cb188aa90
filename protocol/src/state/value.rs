//! Versioned values, tombstones and their deadlines.

use std::sync::Arc;

use crate::time::Timestamp;

/// The value of one key, as of one version of its owner's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionedValue {
    /// `None` is a tombstone.
    value: Option<Arc<str>>,
    version: u64,
    /// [`Timestamp::MAX`]: does not expire.
    deadline: Timestamp,
    expired: bool,
    doomed: bool,
}

impl VersionedValue {
    pub(crate) fn new(value: Option<Arc<str>>, version: u64, deadline: Timestamp) -> Self {
        VersionedValue { value, version, deadline, expired: false, doomed: false }
    }

    /// The value, unless the key is deleted or expired.
    pub fn value(&self) -> Option<&str> {
        if self.expired { None } else { self.value.as_deref() }
    }

    /// The value as a shared string, unless the key is deleted or expired.
    pub fn value_arc(&self) -> Option<&Arc<str>> {
        if self.expired { None } else { self.value.as_ref() }
    }

    /// Version of the write that made this entry: its position in the owner's log, from 1.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// When the entry expires, on the clock of the node that was asked; `None`: it does not.
    pub fn deadline(&self) -> Option<Timestamp> {
        (self.deadline != Timestamp::MAX).then_some(self.deadline)
    }

    /// Whether readers see a value here.
    pub fn is_readable(&self) -> bool {
        self.value.is_some() && !self.expired
    }

    /// Whether this is the record of a deletion.
    pub fn is_tombstone(&self) -> bool {
        self.value.is_none()
    }

    /// Refuted by a prune: readable until the replica has reached its horizon, never served.
    pub(crate) fn is_doomed(&self) -> bool {
        self.doomed
    }

    /// The stored value, expired or not.
    pub(crate) fn stored(&self) -> Option<&Arc<str>> {
        self.value.as_ref()
    }

    pub(crate) fn raw_deadline(&self) -> Timestamp {
        self.deadline
    }

    pub(crate) fn set_deadline(&mut self, deadline: Timestamp) {
        self.deadline = deadline;
    }

    pub(crate) fn set_expired(&mut self) {
        self.expired = true;
    }

    pub(crate) fn set_doomed(&mut self) {
        self.doomed = true;
    }

    /// The same, as an entry of `E` whose deadline is watched.
    pub(crate) fn renewed(self) -> VersionedValue {
        VersionedValue { doomed: false, expired: false, ..self }
    }

    /// Bytes of payload.
    pub(crate) fn payload_len(&self) -> usize {
        self.value.as_ref().map_or(0, |value| value.len())
    }
}
