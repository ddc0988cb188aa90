//! The entries of one namespace, indexed by key and by version.

use std::collections::BTreeSet;
use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::state::entry_map::EntryMap;
use crate::state::key::Key;
use crate::state::value::VersionedValue;
use crate::state::version_index::VersionIndex;
use crate::time::Timestamp;

/// What an entry costs beside its key and value, for the limit on bytes per node.
pub(crate) const ENTRY_OVERHEAD: usize = 64;

/// Entries of one namespace.
///
/// `by_key` is what readers see and is shared with the published snapshots; it also holds the
/// doomed entries. `by_version` is `E` of ALGORITHM.md: what is served to others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entries {
    by_key: EntryMap,
    by_version: VersionIndex,
    /// Versions of the tombstones in `E`, so that a purge costs what it removes.
    tombstones: BTreeSet<u64>,
    doomed: BTreeSet<Key>,
    deadlines: BTreeSet<(Timestamp, Key)>,
    hash: u64,
    bytes: usize,
}

/// Hash of one entry. Summed up over `E` it names a state: a sum, so that one entry can be taken
/// out again, and keyed by the cluster, so that collisions cannot be prepared elsewhere.
fn entry_hash(key: &Key, version: u64, value: Option<&str>) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0x6368_6974_6368_6174, 0x7374_6174_6568_6173);
    hasher.write_u64(version);
    hasher.write_usize(key.len());
    hasher.write(key.as_bytes());
    match value {
        None => hasher.write_u8(0),
        Some(value) => {
            hasher.write_u8(1);
            hasher.write(value.as_bytes());
        }
    }
    hasher.finish()
}

impl Entries {
    /// What readers see, doomed and hidden entries included.
    pub(crate) fn by_key(&self) -> &EntryMap {
        &self.by_key
    }

    /// The entry of a key, doomed or not.
    pub(crate) fn get(&self, key: &str) -> Option<&VersionedValue> {
        self.by_key.get(key)
    }

    /// Entries of `E` with a version in `(from, to]`, ascending.
    pub(crate) fn range(
        &self,
        from: u64,
        to: u64,
    ) -> impl Iterator<Item = (u64, &Key, &VersionedValue)> {
        let mut finder = self.by_key.finder();
        self.by_version.range(from, to).filter_map(move |(version, key)| {
            // Every version in the index has its entry; see `check`.
            finder.find(key).map(|value| (version, key, value))
        })
    }

    /// Versions of `E` in `(from, to]`, ascending.
    pub(crate) fn versions(&self, from: u64, to: u64) -> impl Iterator<Item = u64> {
        self.by_version.range(from, to).map(|(version, _)| version)
    }

    /// Number of entries, tombstones and doomed ones included.
    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Number of doomed entries.
    pub(crate) fn doomed_len(&self) -> usize {
        self.doomed.len()
    }

    /// Number of tombstones.
    pub(crate) fn tombstones_len(&self) -> usize {
        self.tombstones.len()
    }

    /// Payload and overhead, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Order-free hash over `E`: keys, versions, values and tombstones.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// The next deadline of a readable entry.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Puts an entry in the place of whatever the key had.
    pub(crate) fn insert(&mut self, key: Key, entry: VersionedValue) {
        let version = entry.version();
        self.hash =
            self.hash.wrapping_add(entry_hash(&key, version, entry.stored().map(|value| &**value)));
        self.bytes += ENTRY_OVERHEAD + key.len() + entry.payload_len();
        let is_tombstone = entry.is_tombstone();
        let deadline = entry.raw_deadline();
        // Before the indexes have the new entry, since the old one may have the same version.
        if let Some(old) = self.by_key.insert(key.clone(), entry) {
            self.forget(&key, &old);
        }
        if is_tombstone {
            self.tombstones.insert(version);
        } else if deadline != Timestamp::MAX {
            self.deadlines.insert((deadline, key.clone()));
        }
        self.by_version.insert(version, key);
    }

    /// Takes an entry out of every index.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Key> {
        let (key, entry) = self.by_key.remove(key)?;
        self.forget(&key, &entry);
        Some(key)
    }

    /// Takes an entry that is no longer in `by_key` out of everything else.
    fn forget(&mut self, key: &Key, entry: &VersionedValue) {
        self.bytes -= ENTRY_OVERHEAD + key.len() + entry.payload_len();
        if entry.is_doomed() {
            self.doomed.remove(key);
        } else {
            self.forget_version(key, entry);
        }
        if entry.raw_deadline() != Timestamp::MAX && !entry.is_tombstone() {
            self.deadlines.remove(&(entry.raw_deadline(), key.clone()));
        }
    }

    /// Takes an entry out of `E`.
    fn forget_version(&mut self, key: &Key, entry: &VersionedValue) {
        self.by_version.remove(entry.version());
        self.tombstones.remove(&entry.version());
        let value = entry.stored().map(|value| &**value);
        self.hash = self.hash.wrapping_sub(entry_hash(key, entry.version(), value));
    }

    /// Moves a live entry out of `E`: still readable, with its deadline, but never served on.
    pub(crate) fn doom(&mut self, version: u64) {
        let Some(key) = self.by_version.get(version).cloned() else {
            return;
        };
        let Some(entry) = self.by_key.find(&key).cloned() else {
            return;
        };
        self.forget_version(&key, &entry);
        self.by_key.update(&key, VersionedValue::set_doomed);
        self.doomed.insert(key);
    }

    /// Drops all doomed entries. True if there were any.
    pub(crate) fn drop_doomed(&mut self) -> bool {
        let doomed = std::mem::take(&mut self.doomed);
        for key in &doomed {
            self.remove(key.as_str());
        }
        !doomed.is_empty()
    }

    /// Drops the tombstones with versions up to `last_gc_version`. True if there were any.
    pub(crate) fn purge(&mut self, last_gc_version: u64) -> bool {
        let mut purged = false;
        while let Some(version) = self.tombstones.first().copied() {
            if version > last_gc_version {
                break;
            }
            purged = true;
            match self.by_version.get(version).cloned() {
                Some(key) => {
                    self.remove(key.as_str());
                }
                None => {
                    self.tombstones.remove(&version);
                }
            }
        }
        purged
    }

    /// Lowers the deadline of the entry with this key and version. Never raises it (rule b), so
    /// that the news of a lease cannot make it live longer however often it is passed on.
    pub(crate) fn lower_deadline(&mut self, key: &str, version: u64, deadline: Timestamp) -> bool {
        let Some(entry) = self.by_key.get(key) else {
            return false;
        };
        if entry.version() != version || entry.is_tombstone() || entry.raw_deadline() <= deadline {
            return false;
        }
        let old = entry.raw_deadline();
        let key = Key::new(key);
        if old != Timestamp::MAX {
            self.deadlines.remove(&(old, key.clone()));
        }
        self.by_key.update(&key, |entry| entry.set_deadline(deadline));
        self.deadlines.insert((deadline, key));
        true
    }

    /// Hides the entries whose deadline has come; returns their keys.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Vec<Key> {
        let mut expired = Vec::new();
        while let Some((deadline, _)) = self.deadlines.first() {
            if *deadline > now {
                break;
            }
            let Some((_, key)) = self.deadlines.pop_first() else {
                break;
            };
            if self.by_key.update(&key, VersionedValue::set_expired) {
                expired.push(key);
            }
        }
        expired
    }

    /// Verifies that the indexes agree; for tests.
    #[doc(hidden)]
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut hash = 0u64;
        let mut bytes = 0;
        let mut served = 0;
        self.by_key.check()?;
        for (key, entry) in self.by_key.iter() {
            bytes += ENTRY_OVERHEAD + key.len() + entry.payload_len();
            if entry.is_doomed() != self.doomed.contains(key) {
                return Err(format!("{key:?}: doomed flag and index disagree"));
            }
            if !entry.is_doomed() {
                served += 1;
                let value = entry.stored().map(|value| &**value);
                hash = hash.wrapping_add(entry_hash(key, entry.version(), value));
                if self.by_version.get(entry.version()) != Some(key) {
                    return Err(format!("{key:?}@{} is not in the version index", entry.version()));
                }
                if entry.is_tombstone() != self.tombstones.contains(&entry.version()) {
                    return Err(format!("{key:?}: tombstone index disagrees"));
                }
            }
        }
        if served != self.by_version.len() {
            return Err("the version index has strangers".into());
        }
        if hash != self.hash || bytes != self.bytes {
            return Err("hash or size was not kept".into());
        }
        Ok(())
    }
}
