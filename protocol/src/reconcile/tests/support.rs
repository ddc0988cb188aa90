//! Short forms for the named tests: an owner's log, replicas, and deltas between them.

use std::borrow::Cow;
use std::time::Duration;

use crate::delta::{DeltaEntry, DeltaOp, NodeDelta, PruneSection};
use crate::id::Incarnation;
use crate::limits::Limits;
use crate::reconcile::model::OWNER;
use crate::reconcile::plan::{PeerView, plan_part};
use crate::state::{ApplyOutcome, DropReason, OwnState, Replica, Versions};
use crate::time::Timestamp;
use crate::wire::size;

/// Room for everything.
pub(super) const ALL: usize = 1 << 30;

pub(super) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

/// An owner's state. Version 1 is the protocol's own key, so that the first write has version 2.
pub(super) struct Log {
    pub(super) state: OwnState,
    pub(super) now: Timestamp,
}

impl Log {
    pub(super) fn new() -> Log {
        let now = Timestamp::ZERO;
        let state = OwnState::new(Limits::default(), 1 << 20, Vec::new(), Vec::new(), now);
        Log { state, now }
    }

    pub(super) fn with(keys: &[&str]) -> Log {
        let mut log = Log::new();
        for key in keys {
            log.set(key, "0");
        }
        log
    }

    pub(super) fn set(&mut self, key: &str, value: &str) {
        self.state.set(key, value, None, self.now).unwrap().unwrap();
    }

    pub(super) fn lease(&mut self, key: &str, value: &str, ms: u64) -> Option<u64> {
        self.state.set(key, value, Some(Duration::from_millis(ms)), self.now).unwrap()
    }

    /// Deletes, and moves the watermark there once grace is over.
    pub(super) fn delete(&mut self, key: &str) {
        self.state.delete(key, self.now).unwrap().unwrap();
    }

    pub(super) fn collect(&mut self) {
        assert!(self.state.collect_garbage(self.now, Duration::ZERO));
    }

    pub(super) fn replica(&self) -> &Replica {
        self.state.replica()
    }

    /// A copy of the state as it is now: a replica that is up to date.
    pub(super) fn copy(&self) -> Replica {
        let mut copy = Replica::new();
        catch_up(&mut copy, self.replica());
        copy
    }

    pub(super) fn assert_equal(&self, replica: &Replica) {
        assert_eq!(replica.versions(), self.replica().versions());
        assert_eq!(replica.state_hash(), self.replica().state_hash());
        assert_eq!(replica.doomed_len(), 0);
        replica.check().unwrap();
    }
}

/// What `from` sends to a peer with these versions, in `room` bytes beside the header.
pub(super) fn part(from: &Replica, versions: Versions, room: usize) -> Option<NodeDelta<'static>> {
    part_at(from, versions, room, Timestamp::ZERO)
}

pub(super) fn part_at(
    from: &Replica,
    versions: Versions,
    room: usize,
    now: Timestamp,
) -> Option<NodeDelta<'static>> {
    let room = room + size::delta_header(OWNER.len());
    let mut peer = PeerView::from_versions(versions);
    let delta = plan_part(OWNER, Incarnation::default(), from, &mut peer, room, now)?;
    Some(delta.into_owned())
}

/// The different parts that all budgets between nothing and everything make: every way to cut.
pub(super) fn cuts(from: &Replica, versions: Versions) -> Vec<NodeDelta<'static>> {
    let whole = 128 + from.bytes() + 10 * from.len();
    let mut cuts: Vec<NodeDelta<'static>> = Vec::new();
    for room in 0..whole {
        if let Some(delta) = part(from, versions, room)
            && cuts.last() != Some(&delta)
        {
            cuts.push(delta);
        }
    }
    cuts
}

pub(super) fn take(to: &mut Replica, delta: &NodeDelta<'_>) -> Result<ApplyOutcome, DropReason> {
    let result = to.apply(delta, Timestamp::ZERO);
    to.check().unwrap();
    result
}

/// One part from `from`, for the present state of `to`. True if there was one.
pub(super) fn exchange(to: &mut Replica, from: &Replica, room: usize) -> bool {
    let Some(delta) = part(from, to.versions(), room) else {
        return false;
    };
    take(to, &delta).unwrap();
    true
}

pub(super) fn catch_up(to: &mut Replica, from: &Replica) {
    for _ in 0..100 {
        if !exchange(to, from, ALL) {
            return;
        }
    }
    panic!("no end");
}

/// Whether readers see the key.
pub(super) fn sees(replica: &Replica, key: &str) -> bool {
    replica.get(key).is_some_and(|entry| entry.is_readable())
}

/// A delta with the numbers `f`, `t`, `src`, `h`, `gc`.
pub(super) fn delta(numbers: [u64; 5], entries: Vec<DeltaEntry<'static>>) -> NodeDelta<'static> {
    let [from, to, source, horizon, last_gc_version] = numbers;
    NodeDelta {
        node_id: Cow::Borrowed(OWNER),
        incarnation: Incarnation::default(),
        heartbeat: 0,
        age: None,
        from,
        to,
        source,
        horizon,
        last_gc_version,
        prune: None,
        entries,
    }
}

pub(super) fn with_prune(
    mut delta: NodeDelta<'static>,
    (from, to): (u64, u64),
    versions: &[u64],
) -> NodeDelta<'static> {
    delta.prune = Some(PruneSection { from, to, versions: versions.to_vec() });
    delta
}

pub(super) fn set(key: &'static str, version: u64) -> DeltaEntry<'static> {
    DeltaEntry {
        key: Cow::Borrowed(key),
        version,
        op: DeltaOp::Set { value: Cow::Borrowed("v"), ttl: None },
    }
}

pub(super) fn deleted(key: &'static str, version: u64) -> DeltaEntry<'static> {
    DeltaEntry { key: Cow::Borrowed(key), version, op: DeltaOp::Delete }
}
