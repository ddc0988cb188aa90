//! The version bookkeeping of a replica, and what a delta does to it.
//!
//! [`Versions::step`] is rules (a) to (f) of ALGORITHM.md without the entries. The receiver uses it
//! to judge a delta; the sender uses it to know what the receiver will have after each part of a
//! train. One piece of code for both, so that they cannot disagree.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The highest version or heartbeat that is taken from a peer. Leaves room to add without overflow.
pub(crate) const MAX_VERSION: u64 = 1 << 62;

/// How far a prune that did not fit one message has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PruneCursor {
    /// Entries up to this version have been checked (`p`).
    pub position: u64,
    /// The watermark that the completed pass will justify (`gp`).
    pub gc_version: u64,
}

/// How much of an owner's log a replica holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Versions {
    /// Complete up to here (`m`).
    pub max_version: u64,
    /// Tombstones up to here may be gone (`g`).
    pub last_gc_version: u64,
    /// Highest `m` of any source that this replica learnt from, transitively (`h`).
    pub horizon: u64,
    /// A prune under way.
    pub cursor: Option<PruneCursor>,
}

/// The versions that a delta names. Valid by construction, see [`DeltaVersions::is_valid`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeltaVersions {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) source: u64,
    pub(crate) horizon: u64,
    pub(crate) gc: u64,
    /// Bounds `(a, b]` of the prune section.
    pub(crate) prune: Option<(u64, u64)>,
}

impl DeltaVersions {
    /// The validity rule of ALGORITHM.md (V1), for everything but the entries.
    pub(crate) fn is_valid(&self) -> bool {
        self.from <= self.to
            && self.to <= self.source
            && self.source <= self.horizon
            && self.gc <= self.horizon
            && self.horizon <= MAX_VERSION
            && self.prune.is_none_or(|(a, b)| a <= b && b <= self.from)
    }
}

/// Why a delta changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// It breaks the validity rule (V1): no correct node sends it.
    Invalid,
    /// It starts above what we have (rule a). It is applied when the gap has closed.
    Gap,
    /// It says nothing that we do not have (rule b).
    Stale,
    /// Its source had not reached our watermark, so it may carry values that were deleted and
    /// whose tombstones are gone (rule c).
    SourceBehindFloor,
    /// It would make a joiner complete up to nothing (rule d).
    Empty,
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DropReason::Invalid => "invalid",
            DropReason::Gap => "gap",
            DropReason::Stale => "stale",
            DropReason::SourceBehindFloor => "source behind floor",
            DropReason::Empty => "empty",
        })
    }
}

/// A range of versions `(from, to]` that a delta's lists speak for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Covered {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// What a delta does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The versions after the delta.
    pub(crate) next: Versions,
    /// Live entries in this range that the delta does not confirm are doomed.
    pub(crate) prune: Option<Covered>,
    /// Whether the entries above `m` are taken (rule e).
    pub(crate) takes_entries: bool,
}

/// Deliberate omissions, with which the tests prove that the checkers see something. The default
/// breaks nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Breakage {
    /// Leave out rule (a): take what starts above what we have.
    pub(crate) takes_gaps: bool,
    /// Leave out rule (c).
    pub(crate) no_source_floor: bool,
    /// Learn the source's own `m` instead of its horizon.
    pub(crate) horizon_is_not_passed_on: bool,
    /// Leave out rule (d): take a watermark above what we have without refuting anything.
    pub(crate) no_prune: bool,
    /// Go on with a pass that we have not begun.
    pub(crate) prunes_without_cursor: bool,
    /// End a pass with the watermark of its last part instead of the least.
    pub(crate) last_part_of_a_prune_decides: bool,
    /// Let every part of a prune raise the watermark.
    pub(crate) partial_prune_raises_gc: bool,
    /// Do not count the delta's own entries as confirmed.
    pub(crate) entries_do_not_confirm: bool,
    /// Remove refuted entries at once, as if there were no horizon.
    pub(crate) no_doom: bool,
}

impl Versions {
    /// The watermark to beat before a prune is needed.
    fn floor(&self) -> u64 {
        self.last_gc_version.max(self.max_version)
    }

    /// What `delta` does to a replica with these versions (ALGORITHM.md, rules a to f). The delta
    /// must be valid.
    pub(crate) fn step(&self, delta: &DeltaVersions) -> Result<Step, DropReason> {
        self.step_with(delta, Breakage::default())
    }

    pub(crate) fn step_with(
        &self,
        delta: &DeltaVersions,
        breakage: Breakage,
    ) -> Result<Step, DropReason> {
        // Rule a.
        if delta.from > self.max_version && !breakage.takes_gaps {
            return Err(DropReason::Gap);
        }
        // Rule b.
        if delta.to <= self.max_version && delta.gc <= self.last_gc_version {
            return Err(DropReason::Stale);
        }
        // Rule c: the comparison that keeps deleted keys dead (I2, I3). A source with a watermark
        // that is not below ours holds nothing that was deleted up to there, however short its copy.
        if delta.source.max(delta.gc) < self.last_gc_version && !breakage.no_source_floor {
            return Err(DropReason::SourceBehindFloor);
        }
        let mut next = *self;
        let horizon = match breakage.horizon_is_not_passed_on {
            true => delta.source.max(delta.gc),
            false => delta.horizon,
        };
        next.horizon = next.horizon.max(horizon);
        let mut prune = None;
        let mut takes_entries = true;
        // Rule d.
        if delta.gc > self.floor() {
            if breakage.no_prune {
                next.last_gc_version = delta.gc;
            } else if self.max_version == 0 {
                if delta.to == 0 {
                    return Err(DropReason::Empty);
                }
                // Joining is not a reset: there is nothing here that could be refuted.
                next.last_gc_version = delta.gc;
            } else {
                prune = self.step_prune(delta, &mut next, breakage);
                if breakage.partial_prune_raises_gc && prune.is_some() {
                    next.last_gc_version = next.last_gc_version.max(delta.gc);
                }
                takes_entries = delta.gc <= next.floor();
            }
        }
        // Rules e and f.
        if takes_entries {
            next.max_version = next.max_version.max(delta.to);
            if delta.gc <= next.max_version {
                next.last_gc_version = next.last_gc_version.max(delta.gc);
            }
        }
        if next.cursor.is_some_and(|cursor| cursor.gc_version <= next.last_gc_version) {
            next.cursor = None;
        }
        Ok(Step { next, prune, takes_entries })
    }

    /// The prune half of rule d. Returns the range that the prune section speaks for, if it can be
    /// used here at all.
    fn step_prune(
        &self,
        delta: &DeltaVersions,
        next: &mut Versions,
        breakage: Breakage,
    ) -> Option<Covered> {
        let (from, to) = delta.prune?;
        let m = self.max_version;
        let cursor = self.cursor.filter(|cursor| cursor.gc_version > self.last_gc_version);
        if delta.source < m {
            return None;
        }
        let justified = if from == 0 {
            delta.gc
        } else {
            match cursor.filter(|cursor| cursor.position >= from) {
                Some(_) if breakage.last_part_of_a_prune_decides => delta.gc,
                Some(cursor) => cursor.gc_version.min(delta.gc),
                None if breakage.prunes_without_cursor => delta.gc,
                None => return None,
            }
        };
        // With the list complete up to `from` of the delta, its entries carry on where the list
        // ends.
        let covered = if to >= delta.from { delta.to } else { to };
        if covered >= m {
            next.last_gc_version = next.last_gc_version.max(justified);
            next.cursor = None;
        } else {
            // A pass that was begun anew and got less far than the one under way teaches nothing.
            let behind = |cursor: PruneCursor| {
                from == 0 && covered < cursor.position && delta.gc <= cursor.gc_version
            };
            if cursor.is_some_and(behind) {
                return None;
            }
            next.cursor = Some(PruneCursor { position: covered, gc_version: justified });
        }
        Some(Covered { from, to: covered })
    }
}
