//! The own namespace: the log that only this node writes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::error::WriteError;
use crate::limits::Limits;
use crate::state::entries::ENTRY_OVERHEAD;
use crate::state::key::Key;
use crate::state::replica::Replica;
use crate::state::reserved::{KEY_INITIAL, RESERVED_PREFIX};
use crate::state::value::VersionedValue;
use crate::time::Timestamp;

/// The own namespace. Every effective write appends one version; a write that changes nothing
/// appends nothing.
#[derive(Clone, Debug)]
pub(crate) struct OwnState {
    replica: Replica,
    limits: Limits,
    /// Bound on key and value together that the transport sets.
    max_entry_len: usize,
    /// When each tombstone was written. Only the owner keeps deletion clocks.
    tombstones: VecDeque<(u64, Timestamp)>,
    last_gc_move: Option<Timestamp>,
}

/// An initial or re-announced key-value.
pub(crate) type Seedling = (Arc<str>, Arc<str>, Option<Duration>);

impl OwnState {
    /// A log that begins with `reserved` and `initial` as one whole: version 1 says how many
    /// versions there are, so that nobody shows the node before all of them have arrived.
    pub(crate) fn new(
        limits: Limits,
        max_entry_len: usize,
        reserved: Vec<Seedling>,
        initial: Vec<Seedling>,
        now: Timestamp,
    ) -> OwnState {
        let mut own = OwnState {
            replica: Replica::new(),
            limits,
            max_entry_len,
            tombstones: VecDeque::new(),
            last_gc_move: None,
        };
        let count = 1 + reserved.len() + initial.len();
        own.append(Key::new(KEY_INITIAL), Some(count.to_string().into()), Timestamp::MAX);
        for (key, value, ttl) in reserved.into_iter().chain(initial) {
            let deadline = ttl.map_or(Timestamp::MAX, |ttl| now + ttl);
            own.append(Key::new(&key), Some(value), deadline);
        }
        own
    }

    pub(crate) fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The readable user keys with what is left of their time to live, to begin a new log with.
    pub(crate) fn live_entries(&self, now: Timestamp) -> Vec<Seedling> {
        let mut live = Vec::new();
        for (key, entry) in self.replica.entries() {
            let expired = entry.deadline().is_some_and(|deadline| deadline <= now);
            let Some(value) = entry.value_arc().filter(|_| !expired) else {
                continue;
            };
            if !key.starts_with(RESERVED_PREFIX) {
                let ttl = entry.deadline().map(|deadline| deadline.since(now));
                live.push((key.into(), value.clone(), ttl));
            }
        }
        live
    }

    /// Whether a write could be accepted, whatever the state.
    pub(crate) fn check_entry(
        limits: &Limits,
        max_entry_len: usize,
        key: &str,
        value: &str,
    ) -> Result<(), WriteError> {
        if key.is_empty() {
            return Err(WriteError::EmptyKey);
        }
        if key.starts_with(RESERVED_PREFIX) {
            return Err(WriteError::ReservedKey);
        }
        if key.len() > limits.max_key_len {
            return Err(WriteError::KeyTooLong { len: key.len(), limit: limits.max_key_len });
        }
        let len = key.len() + value.len();
        let limit = max_entry_len.min(key.len() + limits.max_value_len);
        if len > limit {
            return Err(WriteError::ValueTooLong { len, limit });
        }
        Ok(())
    }

    fn check_room(&self, key: &str, value_len: usize) -> Result<(), WriteError> {
        let old = self.replica.get(key);
        let limit = self.limits.max_keys_per_node;
        if old.is_none() && self.replica.len() >= limit {
            return Err(WriteError::TooManyKeys { limit });
        }
        let limit = self.limits.max_bytes_per_node;
        let (grows, shrinks) = Self::change_of_size(old, key, value_len);
        if self.replica.bytes() + grows > limit.saturating_add(shrinks) {
            return Err(WriteError::StateTooLarge { limit });
        }
        Ok(())
    }

    /// Bytes that a set adds, and those that it takes away: what peers count too.
    fn change_of_size(old: Option<&VersionedValue>, key: &str, value_len: usize) -> (usize, usize) {
        match old {
            Some(old) => (value_len, old.payload_len()),
            None => (ENTRY_OVERHEAD + key.len() + value_len, 0),
        }
    }

    /// Sets a user key. Returns the new version, or `None` if nothing changed.
    pub(crate) fn set(
        &mut self,
        key: &str,
        value: &str,
        ttl: Option<Duration>,
        now: Timestamp,
    ) -> Result<Option<u64>, WriteError> {
        Self::check_entry(&self.limits, self.max_entry_len, key, value)?;
        if ttl == Some(Duration::ZERO) {
            return Err(WriteError::ZeroTtl);
        }
        self.check_room(key, value.len())?;
        Ok(self.put(key, value, ttl, now))
    }

    /// Sets a reserved key.
    pub(crate) fn set_reserved(&mut self, key: &str, value: &str, now: Timestamp) -> Option<u64> {
        self.put(key, value, None, now)
    }

    fn put(
        &mut self,
        key: &str,
        value: &str,
        ttl: Option<Duration>,
        now: Timestamp,
    ) -> Option<u64> {
        let deadline = ttl.map_or(Timestamp::MAX, |ttl| now + ttl);
        if let Some(old) = self.replica.get(key) {
            let old_deadline = old.raw_deadline();
            if !old.is_tombstone() && (old.value().is_none() || old_deadline <= now) {
                // An expired key is deleted before it is set again, so that watchers see both.
                self.delete_entry(key, now);
            } else if old.value() == Some(value) && old_deadline == deadline {
                return None;
            }
        }
        Some(self.append(Key::new(key), Some(value.into()), deadline))
    }

    /// Deletes a user key. Returns the new version, or `None` if there was nothing to delete.
    pub(crate) fn delete(&mut self, key: &str, now: Timestamp) -> Result<Option<u64>, WriteError> {
        if key.starts_with(RESERVED_PREFIX) {
            return Err(WriteError::ReservedKey);
        }
        Ok(self.delete_entry(key, now))
    }

    /// Gives a key that is set a time to live: the value stays, the deadline is new.
    pub(crate) fn delete_after_ttl(
        &mut self,
        key: &str,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<u64>, WriteError> {
        if ttl == Duration::ZERO {
            return Err(WriteError::ZeroTtl);
        }
        if key.starts_with(RESERVED_PREFIX) {
            return Err(WriteError::ReservedKey);
        }
        let readable = |entry: &&VersionedValue| entry.raw_deadline() > now;
        let value = self
            .replica
            .get(key)
            .filter(readable)
            .and_then(|entry| entry.value_arc().cloned())
            .ok_or(WriteError::NoSuchKey)?;
        Ok(self.put(key, &value, Some(ttl), now))
    }

    /// Sets user keys; of several entries with one key the last counts. Checks everything before it
    /// changes anything. Returns how many versions were appended.
    pub(crate) fn set_many(
        &mut self,
        entries: &[(String, String)],
        now: Timestamp,
    ) -> Result<u64, WriteError> {
        self.check_all(entries)?;
        let before = self.replica.versions.max_version;
        for (key, value) in entries {
            self.put(key, value, None, now);
        }
        Ok(self.replica.versions.max_version - before)
    }

    /// Whether all entries could be set together.
    fn check_all(&self, entries: &[(String, String)]) -> Result<(), WriteError> {
        let (mut added, mut bytes) = (0, 0);
        for (key, value) in entries {
            Self::check_entry(&self.limits, self.max_entry_len, key, value)?;
            added += 1;
            bytes += ENTRY_OVERHEAD + key.len() + value.len();
        }
        let (max_len, max_bytes) = (self.limits.max_keys_per_node, self.limits.max_bytes_per_node);
        if self.replica.len() + added <= max_len && self.replica.bytes() + bytes <= max_bytes {
            return Ok(());
        }
        // Near a limit it counts what is replaced, by entries before or within the list.
        let unique: BTreeMap<&str, &str> =
            entries.iter().map(|(key, it)| (&**key, &**it)).collect();
        let (mut len, mut grows, mut shrinks) = (self.replica.len(), self.replica.bytes(), 0);
        for (key, value) in unique {
            let old = self.replica.get(key);
            let change = Self::change_of_size(old, key, value.len());
            len += usize::from(old.is_none());
            grows += change.0;
            shrinks += change.1;
        }
        if len > max_len {
            return Err(WriteError::TooManyKeys { limit: max_len });
        }
        if grows > max_bytes.saturating_add(shrinks) {
            return Err(WriteError::StateTooLarge { limit: max_bytes });
        }
        Ok(())
    }

    /// Makes the user keys below `prefix` exactly `entries`. Checks everything before it changes
    /// anything. Returns how many versions were appended.
    pub(crate) fn replace_prefix(
        &mut self,
        prefix: &str,
        entries: &[(String, String)],
        now: Timestamp,
    ) -> Result<u64, WriteError> {
        if prefix.starts_with(RESERVED_PREFIX) {
            return Err(WriteError::ReservedKey);
        }
        if let Some((key, _)) = entries.iter().find(|(key, _)| !key.starts_with(prefix)) {
            return Err(WriteError::OutsidePrefix { key: key.clone() });
        }
        self.check_all(entries)?;
        let wanted: BTreeSet<&str> = entries.iter().map(|(key, _)| &**key).collect();
        let before = self.replica.versions.max_version;
        let stale: Vec<Key> = self
            .replica
            .entries
            .by_key()
            .iter_from(prefix)
            .take_while(|(key, _)| key.as_str().starts_with(prefix))
            .filter(|(key, entry)| {
                !entry.is_tombstone()
                    && !wanted.contains(key.as_str())
                    && !key.as_str().starts_with(RESERVED_PREFIX)
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in stale {
            self.delete_entry(key.as_str(), now);
        }
        for (key, value) in entries {
            self.put(key, value, None, now);
        }
        Ok(self.replica.versions.max_version - before)
    }

    fn delete_entry(&mut self, key: &str, now: Timestamp) -> Option<u64> {
        if self.replica.get(key)?.is_tombstone() {
            return None;
        }
        let version = self.append(Key::new(key), None, Timestamp::MAX);
        self.tombstones.push_back((version, now));
        Some(version)
    }

    fn append(&mut self, key: Key, value: Option<Arc<str>>, deadline: Timestamp) -> u64 {
        let versions = &mut self.replica.versions;
        versions.max_version += 1;
        versions.horizon = versions.max_version;
        let version = versions.max_version;
        self.replica.entries.insert(key, VersionedValue::new(value, version, deadline));
        version
    }

    /// Appends the deletion of every key whose deadline has come. True if there were any.
    pub(crate) fn expire(&mut self, now: Timestamp) -> bool {
        let expired = self.replica.entries.expire(now);
        for key in &expired {
            self.delete_entry(key.as_str(), now);
        }
        !expired.is_empty()
    }

    /// Moves the watermark (ALGORITHM.md, rule G1): to the newest tombstone that is older than the
    /// grace period, and not more often than every `min(30 s, grace / 4)`, so that a cluster has
    /// few watermarks about. True if it moved.
    pub(crate) fn collect_garbage(&mut self, now: Timestamp, grace: Duration) -> bool {
        let pace = (grace / 4).min(Duration::from_secs(30));
        if self.last_gc_move.is_some_and(|last| now.since(last) < pace) {
            return false;
        }
        let mut newest = None;
        while let Some((version, written)) = self.tombstones.front().copied() {
            if now.since(written) < grace {
                break;
            }
            newest = Some(version);
            self.tombstones.pop_front();
        }
        let versions = &mut self.replica.versions;
        let Some(version) = newest.filter(|version| *version > versions.last_gc_version) else {
            return false;
        };
        versions.last_gc_version = version;
        self.last_gc_move = Some(now);
        self.replica.entries.purge(version);
        true
    }

    /// When the own state next needs a look: an expiry, or a tombstone that is old enough.
    pub(crate) fn next_deadline(&self, grace: Duration) -> Timestamp {
        let pace = (grace / 4).min(Duration::from_secs(30));
        let expiry = self.replica.entries.next_deadline().unwrap_or(Timestamp::MAX);
        let garbage = self.tombstones.front().map_or(Timestamp::MAX, |(_, written)| {
            let paced = self.last_gc_move.map_or(Timestamp::MIN, |last| last + pace);
            (*written + grace).max(paced)
        });
        expiry.min(garbage)
    }
}
