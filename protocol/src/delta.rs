//! What a node sends of a namespace to a peer that is behind.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use crate::id::{Incarnation, NodeId};
use crate::state::{DeltaVersions, ENTRY_OVERHEAD};

/// A part of one owner's log: all entries that the sender has in `(from, to]`.
///
/// Strings are borrowed from the message or from the state, so that neither decoding nor encoding
/// copies them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeDelta<'a> {
    /// The owner.
    pub node_id: Cow<'a, str>,
    /// Whose log: never mixed with another incarnation's.
    pub incarnation: Incarnation,
    /// The owner's heartbeat, as the sender knows it.
    pub heartbeat: u64,
    /// How long ago the owner emitted that heartbeat; `None`: not known.
    pub age: Option<Duration>,
    /// Entries start above this version (`f`, exclusive).
    pub from: u64,
    /// Entries are complete up to this version (`t`, inclusive).
    pub to: u64,
    /// The sender's own `max_version` (`src`).
    pub source: u64,
    /// Highest `max_version` of any source that the sender learnt from (`h`).
    pub horizon: u64,
    /// The sender's `last_gc_version` (`gc`).
    pub last_gc_version: u64,
    /// Which of the older versions still stand.
    pub prune: Option<PruneSection>,
    /// Ascending by version.
    pub entries: Vec<DeltaEntry<'a>>,
}

/// The versions in `(from, to]` that are still entries of the sender. What is missing was
/// overwritten or deleted, and its tombstone may be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PruneSection {
    /// Exclusive (`a`).
    pub from: u64,
    /// Inclusive (`b`).
    pub to: u64,
    /// Ascending.
    pub versions: Vec<u64>,
}

/// One operation of an owner's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeltaEntry<'a> {
    /// The key.
    pub key: Cow<'a, str>,
    /// Position in the owner's log.
    pub version: u64,
    /// What was done to the key.
    pub op: DeltaOp<'a>,
}

/// What a write did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeltaOp<'a> {
    /// The key has a value.
    Set {
        /// The value.
        value: Cow<'a, str>,
        /// What is left of its time to live; `None`: for ever.
        ttl: Option<Duration>,
    },
    /// The key was deleted.
    Delete,
}

impl DeltaOp<'_> {
    /// Bytes of payload.
    pub(crate) fn payload_len(&self) -> usize {
        match self {
            DeltaOp::Set { value, .. } => value.len(),
            DeltaOp::Delete => 0,
        }
    }

    fn into_owned(self) -> DeltaOp<'static> {
        match self {
            DeltaOp::Set { value, ttl } => {
                DeltaOp::Set { value: Cow::Owned(value.into_owned()), ttl }
            }
            DeltaOp::Delete => DeltaOp::Delete,
        }
    }
}

impl NodeDelta<'_> {
    /// The owner as a shared id.
    pub(crate) fn owner(&self) -> NodeId {
        NodeId::new(&*self.node_id)
    }

    pub(crate) fn versions(&self) -> DeltaVersions {
        DeltaVersions {
            from: self.from,
            to: self.to,
            source: self.source,
            horizon: self.horizon,
            gc: self.last_gc_version,
            prune: self.prune.as_ref().map(|prune| (prune.from, prune.to)),
        }
    }

    /// The validity rule (ALGORITHM.md, V1): what every correct sender keeps. Tested before any
    /// other rule.
    pub fn is_valid(&self) -> bool {
        self.versions().is_valid()
            && ascending(self.from, self.to, self.entries.iter().map(|entry| entry.version))
            && self.has_unique_keys()
            && self
                .prune
                .as_ref()
                .is_none_or(|prune| ascending(prune.from, prune.to, prune.versions.iter().copied()))
    }

    fn has_unique_keys(&self) -> bool {
        // A state that was written in the order of its keys is proven so at a tenth of the cost.
        let mut keys = HashSet::new();
        self.entries.is_sorted_by(|before, after| before.key < after.key)
            || self.entries.iter().all(|entry| keys.insert(&*entry.key))
    }

    /// What the entries take, for the bounds on what is kept.
    pub(crate) fn payload_len(&self) -> usize {
        let entries =
            self.entries.iter().map(|it| ENTRY_OVERHEAD + it.key.len() + it.op.payload_len());
        let prune = self.prune.as_ref().map_or(0, |prune| 8 * prune.versions.len());
        entries.sum::<usize>() + prune + 256
    }

    /// About what it takes in a message, rather more than less.
    pub(crate) fn wire_len(&self) -> usize {
        let entry = |it: &DeltaEntry<'_>| 12 + it.key.len() + it.op.payload_len();
        let prune = self.prune.as_ref().map_or(0, |prune| 2 * prune.versions.len());
        self.entries.iter().map(entry).sum::<usize>() + prune + 64 + self.node_id.len()
    }

    /// A copy that borrows from nothing.
    pub fn into_owned(self) -> NodeDelta<'static> {
        let own = |entry: DeltaEntry<'_>| DeltaEntry {
            key: Cow::Owned(entry.key.into_owned()),
            version: entry.version,
            op: entry.op.into_owned(),
        };
        NodeDelta {
            node_id: Cow::Owned(self.node_id.into_owned()),
            incarnation: self.incarnation,
            heartbeat: self.heartbeat,
            age: self.age,
            from: self.from,
            to: self.to,
            source: self.source,
            horizon: self.horizon,
            last_gc_version: self.last_gc_version,
            prune: self.prune,
            entries: self.entries.into_iter().map(own).collect(),
        }
    }
}

/// Whether the versions ascend strictly within `(low, high]`.
fn ascending(low: u64, high: u64, mut versions: impl Iterator<Item = u64>) -> bool {
    let mut previous = low;
    versions.all(|version| {
        let fits = version > previous && version <= high;
        previous = version;
        fits
    })
}
