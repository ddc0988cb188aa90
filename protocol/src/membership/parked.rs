//! What has come of a node's log too early.

use std::collections::BTreeMap;

use crate::delta::NodeDelta;
use crate::time::Timestamp;

/// Deltas that start above what the replica has.
#[derive(Clone, Debug, Default)]
pub(super) struct Parked {
    /// By where they start.
    deltas: BTreeMap<u64, NodeDelta<'static>>,
    bytes: usize,
    /// When something was last put aside.
    since: Timestamp,
}

impl Parked {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.deltas.len()
    }

    pub(super) fn since(&self) -> Timestamp {
        self.since
    }

    /// Whether all of this delta is here.
    pub(super) fn covers(&self, delta: &NodeDelta<'_>) -> bool {
        let before = self.deltas.range(..=delta.from).next_back();
        before.is_some_and(|(_, parked)| parked.to >= delta.to)
    }

    pub(super) fn add(&mut self, delta: NodeDelta<'static>, now: Timestamp) {
        self.since = now;
        self.bytes += delta.payload_len();
        if let Some(old) = self.deltas.insert(delta.from, delta) {
            self.bytes -= old.payload_len();
        }
    }

    /// Takes out a delta that begins within what the replica has.
    pub(super) fn take(&mut self, max_version: u64) -> Option<NodeDelta<'static>> {
        let (from, _) = self.deltas.first_key_value()?;
        if *from > max_version {
            return None;
        }
        let (_, delta) = self.deltas.pop_first()?;
        self.bytes -= delta.payload_len();
        Some(delta)
    }

    /// The first run of versions, for the digest.
    pub(super) fn range(&self) -> Option<(u64, u64)> {
        let mut run: Option<(u64, u64)> = None;
        for delta in self.deltas.values() {
            match &mut run {
                None => run = Some((delta.from, delta.to)),
                Some((_, to)) if delta.from <= *to => *to = delta.to.max(*to),
                Some(_) => break,
            }
        }
        run.filter(|(from, to)| from < to)
    }
}
