//! Versioned values, tombstones and their deadlines.

use std::sync::Arc;

use crate::time::Timestamp;

/// The value of one key, as of one version of its owner's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionedValue {
    /// `None` is a tombstone.
    value: Option<Arc<str>>,
    version: u64,
    term: Term,
}

/// A deadline and two flags in one word, since there are millions of them: microseconds, of which
/// the two highest bits are worth 70,000 years.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Term(i64);

impl Term {
    const EXPIRED: i64 = 1;
    const DOOMED: i64 = 2;
    const FLAG_BITS: u32 = 2;
    /// Does not expire.
    const NEVER: i64 = i64::MAX >> Term::FLAG_BITS;

    fn new(deadline: Timestamp) -> Term {
        Term(0).with_deadline(deadline)
    }

    fn deadline(self) -> Timestamp {
        match self.0 >> Term::FLAG_BITS {
            Term::NEVER => Timestamp::MAX,
            micros => Timestamp::from_micros(micros),
        }
    }

    fn with_deadline(self, deadline: Timestamp) -> Term {
        let micros = deadline.as_micros().clamp(!Term::NEVER, Term::NEVER);
        let flags = self.0 & (Term::EXPIRED | Term::DOOMED);
        Term(micros << Term::FLAG_BITS | flags)
    }

    fn has(self, flag: i64) -> bool {
        self.0 & flag != 0
    }
}

impl VersionedValue {
    pub(crate) fn new(value: Option<Arc<str>>, version: u64, deadline: Timestamp) -> Self {
        VersionedValue { value, version, term: Term::new(deadline) }
    }

    /// The value, unless the key is deleted or expired.
    pub fn value(&self) -> Option<&str> {
        if self.is_expired() { None } else { self.value.as_deref() }
    }

    /// The value as a shared string, unless the key is deleted or expired.
    pub fn value_arc(&self) -> Option<&Arc<str>> {
        if self.is_expired() { None } else { self.value.as_ref() }
    }

    /// Version of the write that made this entry: its position in the owner's log, from 1.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// When the entry expires, on the clock of the node that was asked; `None`: it does not.
    pub fn deadline(&self) -> Option<Timestamp> {
        let deadline = self.raw_deadline();
        (deadline != Timestamp::MAX).then_some(deadline)
    }

    /// Whether readers see a value here.
    pub fn is_readable(&self) -> bool {
        self.value.is_some() && !self.is_expired()
    }

    /// Whether this is the record of a deletion.
    pub fn is_tombstone(&self) -> bool {
        self.value.is_none()
    }

    /// Refuted by a prune: readable until the replica has reached its horizon, never served.
    pub(crate) fn is_doomed(&self) -> bool {
        self.term.has(Term::DOOMED)
    }

    fn is_expired(&self) -> bool {
        self.term.has(Term::EXPIRED)
    }

    /// The stored value, expired or not.
    pub(crate) fn stored(&self) -> Option<&Arc<str>> {
        self.value.as_ref()
    }

    pub(crate) fn raw_deadline(&self) -> Timestamp {
        self.term.deadline()
    }

    pub(crate) fn set_deadline(&mut self, deadline: Timestamp) {
        self.term = self.term.with_deadline(deadline);
    }

    pub(crate) fn set_expired(&mut self) {
        self.term.0 |= Term::EXPIRED;
    }

    pub(crate) fn set_doomed(&mut self) {
        self.term.0 |= Term::DOOMED;
    }

    /// The same, as an entry of `E` whose deadline is watched.
    pub(crate) fn renewed(self) -> VersionedValue {
        VersionedValue { term: Term::new(self.raw_deadline()), ..self }
    }

    /// Bytes of payload.
    pub(crate) fn payload_len(&self) -> usize {
        self.value.as_ref().map_or(0, |value| value.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_and_the_flags_do_not_touch_each_other() {
        assert_eq!(size_of::<VersionedValue>(), 32);
        let times = [Timestamp::MAX, Timestamp::ZERO, Timestamp::from_micros(-7)];
        for deadline in times.into_iter().chain([1, 1 << 60].map(Timestamp::from_micros)) {
            let mut value = VersionedValue::new(Some("v".into()), 1, deadline);
            assert_eq!((value.raw_deadline(), value.value()), (deadline, Some("v")));
            value.set_doomed();
            value.set_expired();
            assert_eq!((value.raw_deadline(), value.value()), (deadline, None));
            value.set_deadline(Timestamp::from_micros(5));
            assert!(value.is_doomed() && value.stored().is_some() && !value.is_readable());
            assert_eq!(value.clone().renewed().value(), Some("v"));
            assert_eq!(value.renewed().raw_deadline(), Timestamp::from_micros(5));
        }
        let far = VersionedValue::new(None, 1, Timestamp::from_micros(i64::MAX - 1));
        assert_eq!(far.deadline(), None, "in 70,000 years is never");
    }
}
