//! One node's copy of an owner's namespace, and the application of deltas to it.

use std::collections::HashSet;
use std::sync::Arc;

use crate::delta::{DeltaOp, NodeDelta};
use crate::state::entries::{ENTRY_OVERHEAD, Entries};
use crate::state::key::Key;
use crate::state::value::VersionedValue;
use crate::state::versions::{Breakage, Covered, DropReason, Versions};
use crate::time::Timestamp;

/// A copy of one owner's namespace: entries and how much of the log they cover.
///
/// Changed by nothing but [`Replica::apply`], by deltas from peers, and by time. The owner writes through
/// [`Node`](crate::Node).
///
/// ```compile_fail,E0616
/// fn forge(replica: &mut chitchat_protocol::Replica) {
///     replica.versions.last_gc_version = 7;
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Replica {
    pub(crate) entries: Box<Entries>,
    pub(crate) versions: Versions,
}

/// What applying a delta did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApplyOutcome {
    /// The replica holds more of the log than before, or knows a later watermark.
    pub advanced: bool,
    /// Something that readers see changed.
    pub visible: bool,
    /// A prune section refuted this many entries.
    pub doomed: usize,
}

impl Replica {
    /// An empty replica.
    pub fn new() -> Replica {
        Replica::default()
    }

    /// How much of the owner's log is here.
    pub fn versions(&self) -> Versions {
        self.versions
    }

    /// The entry of a key: a value, a tombstone, or `None`.
    pub fn get(&self, key: &str) -> Option<&VersionedValue> {
        self.entries.get(key)
    }

    /// All entries with their keys, in key order, tombstones and hidden ones included.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &VersionedValue)> {
        self.entries.by_key().iter().map(|(key, entry)| (key.as_str(), entry))
    }

    /// Hash over what is served: comparable between replicas of equal `m` and `g` with `m = h` and
    /// nothing doomed, where it is equal exactly when the states are.
    pub fn state_hash(&self) -> u64 {
        self.entries.hash()
    }

    /// Number of entries, tombstones and doomed ones included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// Number of entries that a prune refuted and that are readable until the horizon is reached.
    pub fn doomed_len(&self) -> usize {
        self.entries.doomed_len()
    }

    /// Number of tombstones.
    pub fn tombstones_len(&self) -> usize {
        self.entries.tombstones_len()
    }

    /// Payload and overhead of the entries, in bytes.
    pub fn bytes(&self) -> usize {
        self.entries.bytes()
    }

    /// Hides the entries whose deadline has come. True if there were any.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        !self.entries.expire(now).is_empty()
    }

    /// Verifies that the indexes agree with each other; for tests.
    #[doc(hidden)]
    pub fn check(&self) -> Result<(), String> {
        self.entries.check()
    }

    /// Whether `delta` could make this copy larger than that: upper bounds, which cost no lookups
    /// unless they are near.
    pub(crate) fn outgrows(&self, delta: &NodeDelta<'_>, max_len: usize, max_bytes: usize) -> bool {
        if self.len() + delta.entries.len() <= max_len
            && self.bytes() + delta.payload_len() <= max_bytes
        {
            return false;
        }
        let (len, bytes) = self.size_after(delta);
        len > max_len || bytes > max_bytes
    }

    /// Upper bounds of the size after `delta`: number of entries and bytes.
    fn size_after(&self, delta: &NodeDelta<'_>) -> (usize, usize) {
        let m = self.versions.max_version;
        let mut len = self.entries.len();
        let mut bytes = self.entries.bytes();
        for entry in delta.entries.iter().filter(|entry| entry.version > m) {
            match self.entries.get(&entry.key) {
                Some(old) => bytes = bytes.saturating_sub(old.payload_len()),
                None => {
                    len += 1;
                    bytes += ENTRY_OVERHEAD + entry.key.len();
                }
            }
            bytes += entry.op.payload_len();
        }
        (len, bytes)
    }

    /// Applies a delta: rules (a) to (g) of ALGORITHM.md, testing only the present state. Total,
    /// idempotent, and free of any assumption on order: late, repeated and reordered deltas are
    /// harmless.
    pub fn apply(
        &mut self,
        delta: &NodeDelta<'_>,
        now: Timestamp,
    ) -> Result<ApplyOutcome, DropReason> {
        self.apply_with(delta, now, Breakage::default())
    }

    pub(crate) fn apply_with(
        &mut self,
        delta: &NodeDelta<'_>,
        now: Timestamp,
        breakage: Breakage,
    ) -> Result<ApplyOutcome, DropReason> {
        if !delta.is_valid() {
            return Err(DropReason::Invalid);
        }
        self.apply_rules(delta, now, breakage)
    }

    /// Applies a delta that was found to be [valid](NodeDelta::is_valid).
    pub(crate) fn apply_valid(
        &mut self,
        delta: &NodeDelta<'_>,
        now: Timestamp,
    ) -> Result<ApplyOutcome, DropReason> {
        self.apply_rules(delta, now, Breakage::default())
    }

    fn apply_rules(
        &mut self,
        delta: &NodeDelta<'_>,
        now: Timestamp,
        breakage: Breakage,
    ) -> Result<ApplyOutcome, DropReason> {
        let before = self.versions;
        let step = match before.step_with(&delta.versions(), breakage) {
            Ok(step) => step,
            Err(DropReason::Stale) => {
                self.lower_deadlines(delta, before.max_version, now);
                return Err(DropReason::Stale);
            }
            Err(reason) => return Err(reason),
        };
        let mut outcome = ApplyOutcome::default();
        if let Some(covered) = step.prune {
            outcome.doomed = self.prune(delta, covered, breakage);
        }
        self.versions = step.next;
        self.lower_deadlines(delta, before.max_version, now);
        if step.takes_entries {
            outcome.visible |= self.take_entries(delta, before.max_version, now);
            // What arrives with nothing left of its time is never shown.
            self.entries.expire(now);
        }
        outcome.visible |= self.entries.purge(self.versions.last_gc_version);
        // Rule g.
        if self.versions.max_version >= self.versions.horizon || breakage.no_doom {
            outcome.visible |= self.entries.drop_doomed();
        }
        let after = self.versions;
        outcome.advanced = after.max_version > before.max_version
            || after.last_gc_version > before.last_gc_version
            || after.cursor != before.cursor;
        Ok(outcome)
    }

    /// Puts a copy that was fetched from the start in the place of this one (rule F1). Both are
    /// complete up to their `m` (I1), so each refutes what the other has below that and it has not:
    /// such entries are not served on, and what readers see does not go back (I5).
    pub(crate) fn replace_with(&mut self, fresh: Replica) {
        let old = std::mem::replace(self, fresh);
        self.versions.horizon = self.versions.horizon.max(old.versions.horizon);
        let m = old.versions.max_version;
        let refuted: Vec<Key> = self
            .entries()
            .filter(|(_, entry)| !entry.is_tombstone() && entry.version() <= m)
            .filter(|(key, entry)| old.get(key).is_none_or(|it| it.version() != entry.version()))
            .map(|(key, _)| Key::new(key))
            .collect();
        for key in &refuted {
            self.entries.remove(key.as_str());
        }
        for (key, entry) in old.entries().filter(|(_, entry)| !entry.is_tombstone()) {
            match self.get(key) {
                None => {
                    self.entries.insert(Key::new(key), entry.clone().renewed());
                    self.entries.doom(entry.version());
                }
                Some(same) if same.version() == entry.version() => {
                    self.entries.lower_deadline(key, entry.version(), entry.raw_deadline());
                    if entry.is_doomed() {
                        self.entries.doom(entry.version());
                    }
                }
                Some(_) => {}
            }
        }
        if self.versions.max_version >= self.versions.horizon {
            self.entries.drop_doomed();
        }
    }

    /// Rule d: live entries in the covered range that the delta does not confirm are doomed.
    fn prune(&mut self, delta: &NodeDelta<'_>, covered: Covered, breakage: Breakage) -> usize {
        let listed = delta.prune.as_ref().map_or(&[][..], |prune| &prune.versions);
        let mut confirmed: HashSet<u64> = listed.iter().copied().collect();
        if !breakage.entries_do_not_confirm {
            confirmed.extend(delta.entries.iter().map(|entry| entry.version));
        }
        let refuted: Vec<u64> = self
            .entries
            .range(covered.from, covered.to)
            .filter(|(version, _, value)| !value.is_tombstone() && !confirmed.contains(version))
            .map(|(version, _, _)| version)
            .collect();
        for version in &refuted {
            self.entries.doom(*version);
        }
        refuted.len()
    }

    /// Rule e.
    fn take_entries(&mut self, delta: &NodeDelta<'_>, m: u64, now: Timestamp) -> bool {
        let mut visible = false;
        for entry in delta.entries.iter().filter(|entry| entry.version > m) {
            let (value, deadline) = match &entry.op {
                DeltaOp::Delete if entry.version <= self.versions.last_gc_version => {
                    // The tombstone may be gone elsewhere, so it is not stored (I2), but what it
                    // says of an older copy, doomed or not, is true.
                    visible |= self.entries.remove(&entry.key).is_some();
                    continue;
                }
                DeltaOp::Delete => (None, Timestamp::MAX),
                DeltaOp::Set { value, ttl } => {
                    let deadline = ttl.map_or(Timestamp::MAX, |ttl| now + ttl);
                    (Some(Arc::from(&**value)), deadline)
                }
            };
            visible = true;
            let key = Key::new(&entry.key);
            self.entries.insert(key, VersionedValue::new(value, entry.version, deadline));
        }
        visible
    }

    /// Entries that we have already can still tell that a lease ends sooner than we thought.
    fn lower_deadlines(&mut self, delta: &NodeDelta<'_>, m: u64, now: Timestamp) {
        for entry in delta.entries.iter().take_while(|entry| entry.version <= m) {
            if let DeltaOp::Set { ttl: Some(ttl), .. } = &entry.op {
                self.entries.lower_deadline(&entry.key, entry.version, now + *ttl);
            }
        }
    }
}
