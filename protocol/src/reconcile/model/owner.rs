//! The owner of the log, and the log itself: the truth that replicas are compared with.

use std::sync::Arc;
use std::time::Duration;

use crate::limits::Limits;
use crate::state::{KEY_INITIAL, OwnState, Replica, Versions};
use crate::time::Timestamp;

pub(crate) const OWNER: &str = "o";

/// All keys of the model: few, so that they collide. The first is written once, by the protocol.
pub(crate) const KEYS: [&str; 6] = [KEY_INITIAL, "a", "b", "c", "d", "e"];

/// One operation of the log.
#[derive(Clone, Debug)]
pub(crate) struct Op {
    pub(crate) key: usize,
    pub(crate) value: Option<Arc<str>>,
    pub(crate) deadline: Timestamp,
}

/// The owner's state with the full list of its operations.
#[derive(Clone)]
pub(crate) struct Owner {
    pub(crate) state: OwnState,
    /// The operation with version `v` is at `v - 1`.
    pub(crate) log: Vec<Op>,
    /// Versions of each key's operations, ascending.
    pub(crate) history: [Vec<u64>; KEYS.len()],
    /// Versions of each key's deletions, ascending.
    pub(crate) deletions: [Vec<u64>; KEYS.len()],
}

impl Owner {
    pub(crate) fn new() -> Owner {
        let state =
            OwnState::new(Limits::default(), 1 << 20, Vec::new(), Vec::new(), Timestamp::ZERO);
        let mut owner = Owner {
            state,
            log: Vec::new(),
            history: Default::default(),
            deletions: Default::default(),
        };
        owner.record(0);
        owner
    }

    pub(crate) fn replica(&self) -> &Replica {
        self.state.replica()
    }

    pub(crate) fn versions(&self) -> Versions {
        self.replica().versions()
    }

    /// The operation with this version.
    pub(crate) fn op(&self, version: u64) -> &Op {
        &self.log[usize::try_from(version).unwrap() - 1]
    }

    /// The newest operation on a key, among the first `limit`.
    pub(crate) fn newest(&self, key: usize, limit: u64) -> Option<u64> {
        self.history[key].iter().rev().find(|version| **version <= limit).copied()
    }

    pub(crate) fn set(&mut self, key: usize, value: &str, ttl: Option<Duration>, now: Timestamp) {
        self.state.set(KEYS[key], value, ttl, now).unwrap();
        self.record(key);
    }

    pub(crate) fn delete(&mut self, key: usize, now: Timestamp) {
        self.state.delete(KEYS[key], now).unwrap();
        self.record(key);
    }

    pub(crate) fn renew(&mut self, key: usize, ttl: Duration, now: Timestamp) {
        // A key that is not set is refused, and nothing changes.
        let _ = self.state.delete_after_ttl(KEYS[key], ttl, now);
        self.record(key);
    }

    pub(crate) fn tick(&mut self, now: Timestamp, grace: Duration) {
        self.state.expire(now);
        self.record(0);
        self.state.collect_garbage(now, grace);
    }

    /// Moves the watermark to the newest tombstone, at once.
    pub(crate) fn collect(&mut self, now: Timestamp) {
        self.state.collect_garbage(now, Duration::ZERO);
    }

    /// Notes what was appended. A version that is no entry any more was the deletion of `key`, which
    /// precedes a set on an expired key.
    fn record(&mut self, key: usize) {
        for version in self.log.len() as u64 + 1..=self.versions().max_version {
            let entries = &self.state.replica().entries;
            let op = match entries.range(version - 1, version).next() {
                Some((_, name, entry)) => Op {
                    key: KEYS.iter().position(|it| **it == *name.as_str()).unwrap(),
                    value: entry.stored().cloned(),
                    deadline: entry.raw_deadline(),
                },
                None => Op { key, value: None, deadline: Timestamp::MAX },
            };
            self.history[op.key].push(version);
            if op.value.is_none() {
                self.deletions[op.key].push(version);
            }
            self.log.push(op);
        }
    }

    /// What a replica is at `m = V` and `g = G`, computed from the log alone: version, key and
    /// value of each entry.
    pub(crate) fn expected(&self) -> Vec<(u64, usize, Option<Arc<str>>)> {
        let mut entries = Vec::new();
        for key in 0..KEYS.len() {
            let Some(version) = self.history[key].last().copied() else {
                continue;
            };
            let value = self.op(version).value.clone();
            if value.is_some() || version > self.versions().last_gc_version {
                entries.push((version, key, value));
            }
        }
        entries.sort_by_key(|(version, _, _)| *version);
        entries
    }
}

/// The entries of a replica in the form of [`Owner::expected`].
pub(crate) fn contents(replica: &Replica) -> Vec<(u64, usize, Option<Arc<str>>)> {
    let key_of = |name: &str| KEYS.iter().position(|it| *it == name).unwrap();
    let all = replica.entries.range(0, u64::MAX);
    all.map(|(version, key, entry)| (version, key_of(key.as_str()), entry.stored().cloned()))
        .collect()
}
