//! Local writes to the own namespace.

use std::time::Duration;

use crate::error::WriteError;
use crate::node::Node;
use crate::node::timers::Timer;
use crate::state::VersionedValue;
use crate::time::Timestamp;

impl Node {
    /// Sets an own key. Returns the version of the write, or `None` if nothing changed.
    pub fn set(
        &mut self,
        key: &str,
        value: &str,
        now: Timestamp,
    ) -> Result<Option<u64>, WriteError> {
        self.write(now, |own, now| own.set(key, value, None, now))
    }

    /// Sets an own key that every node forgets after `ttl`, whatever becomes of this node. Renewing
    /// it, even with the same value, is a new version.
    pub fn set_with_ttl(
        &mut self,
        key: &str,
        value: &str,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<u64>, WriteError> {
        self.write(now, |own, now| own.set(key, value, Some(ttl), now))
    }

    /// Deletes an own key. Returns the version of the deletion, or `None` if the key was not set.
    pub fn delete(&mut self, key: &str, now: Timestamp) -> Result<Option<u64>, WriteError> {
        self.write(now, |own, now| own.delete(key, now))
    }

    /// Gives an own key that is set a time to live.
    pub fn delete_after_ttl(
        &mut self,
        key: &str,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<u64>, WriteError> {
        self.write(now, |own, now| own.delete_after_ttl(key, ttl, now))
    }

    /// Sets own keys; of several entries with one key the last counts. All or nothing. Returns the
    /// number of versions appended: an entry that changes nothing appends none.
    pub fn set_many(
        &mut self,
        entries: &[(String, String)],
        now: Timestamp,
    ) -> Result<u64, WriteError> {
        self.write(now, |own, now| own.set_many(entries, now))
    }

    /// Makes the own keys below `prefix` exactly these: others are deleted, unchanged ones stay as
    /// they are. All or nothing. Returns the number of versions appended.
    pub fn replace_prefix(
        &mut self,
        prefix: &str,
        entries: &[(String, String)],
        now: Timestamp,
    ) -> Result<u64, WriteError> {
        self.write(now, |own, now| own.replace_prefix(prefix, entries, now))
    }

    /// The entry of an own key.
    pub fn get(&self, key: &str) -> Option<&VersionedValue> {
        self.own.replica().get(key).filter(|entry| entry.is_readable())
    }

    fn write<T>(
        &mut self,
        now: Timestamp,
        write: impl FnOnce(&mut crate::state::OwnState, Timestamp) -> Result<T, WriteError>,
    ) -> Result<T, WriteError> {
        // The clock of a write is not a sign that the driver runs, so pauses are not judged here.
        self.now = self.now.max(now);
        if self.leaving.is_some() {
            return Err(WriteError::Left);
        }
        let before = self.own.replica().versions().max_version;
        let result = write(&mut self.own, self.now)?;
        if self.own.replica().versions().max_version != before {
            self.dirty.insert(self.config.node_id.clone());
            self.update_own_timer();
            self.tell_own(before);
        }
        Ok(result)
    }

    pub(super) fn update_own_timer(&mut self) {
        let due = self.own.next_deadline(self.config.marked_for_deletion_grace_period);
        self.timers.set(Timer::Own, due);
    }

    /// Expires own keys and moves the watermark.
    pub(super) fn tend_own_state(&mut self) {
        let grace = self.config.marked_for_deletion_grace_period;
        let before = self.own.replica().versions().max_version;
        let expired = self.own.expire(self.now);
        let collected = self.own.collect_garbage(self.now, grace);
        if expired || collected {
            self.dirty.insert(self.config.node_id.clone());
        }
        self.tell_own(before);
        self.update_own_timer();
    }

    /// Hides the expired entries of other nodes.
    pub(super) fn expire_entries(&mut self) {
        let mut next = Timestamp::MAX;
        for (node_id, member) in self.members.iter_mut() {
            let due = |replica: &crate::state::Replica| replica.entries.next_deadline();
            if due(&member.replica).is_some_and(|due| due <= self.now) {
                member.replica.expire(self.now);
                // What has expired is hidden at once, whatever else is under way.
                member.published_at = Timestamp::MIN;
                self.dirty.insert(node_id.clone());
            }
            next = next.min(due(&member.replica).unwrap_or(Timestamp::MAX));
        }
        self.timers.set(Timer::Expiry, next);
    }
}
