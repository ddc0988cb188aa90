//! One part of a delta: what to send next to a peer with given versions.

use std::borrow::Cow;

use crate::delta::{DeltaEntry, DeltaOp, NodeDelta, PruneSection};
use crate::digest::DigestEntry;
use crate::id::Incarnation;
use crate::state::{DeltaVersions, Replica, VersionedValue, Versions};
use crate::time::Timestamp;
use crate::wire::size;

/// What a peer has of one owner, as far as the sender knows: what its digest said, and what the
/// parts sent since will have made of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerView {
    versions: Versions,
    parked: Option<(u64, u64)>,
    frozen: bool,
}

impl PeerView {
    /// A peer that has nothing of the owner.
    pub fn nothing() -> PeerView {
        PeerView::default()
    }

    /// A peer as its digest describes it.
    pub fn from_digest(entry: &DigestEntry<'_>) -> PeerView {
        PeerView { versions: entry.versions(), parked: entry.parked, frozen: entry.frozen }
    }

    /// A peer with these versions.
    pub fn from_versions(versions: Versions) -> PeerView {
        PeerView { versions, parked: None, frozen: false }
    }

    /// A peer that most likely has the log of a copy with these versions up to `m`, and has heard of its
    /// watermark.
    pub(crate) fn complete_to(m: u64, versions: Versions) -> PeerView {
        PeerView::from_versions(Versions {
            max_version: m,
            last_gc_version: versions.last_gc_version,
            horizon: versions.max_version,
            cursor: None,
        })
    }

    /// How much of the log the peer has.
    pub(crate) fn max_version(&self) -> u64 {
        self.versions.max_version
    }

    /// Whether `replica` has something for this peer (ALGORITHM.md, rule S1).
    pub fn is_behind(&self, replica: &Replica) -> bool {
        let (ours, theirs) = (replica.versions(), self.versions);
        let nothing_newer = ours.max_version < theirs.max_version
            || (ours.max_version == theirs.max_version
                && ours.last_gc_version <= theirs.last_gc_version)
            || ours.max_version.max(ours.last_gc_version) < theirs.last_gc_version;
        !nothing_newer && !self.frozen
    }

    /// Accounts for a part that is on its way (the receiver's own rules), and steps over what the
    /// peer keeps aside. A part that would not be taken changes nothing.
    fn advance(&mut self, part: &DeltaVersions) {
        if let Ok(step) = self.versions.step(part) {
            self.versions = step.next;
        }
        if let Some((from, to)) = self.parked
            && from <= self.versions.max_version
        {
            self.versions.max_version = self.versions.max_version.max(to);
            self.parked = None;
        }
    }
}

/// A planned part, and whether it was cut for lack of room.
#[derive(Debug)]
pub(crate) enum Planned<'a> {
    /// Nothing to send to this peer.
    Nothing,
    /// There is something to send, but nothing of it fits. The length that would be needed, and
    /// the version of the entry.
    TooSmall {
        /// Bytes that the smallest useful part takes.
        needed: usize,
        /// The entry that is next.
        version: u64,
    },
    /// Send this.
    Part {
        /// The part.
        delta: NodeDelta<'a>,
        /// Bytes that it takes at most.
        len: usize,
    },
}

/// Plans the next part for a peer, of at most `room` encoded bytes, and advances the view of the
/// peer to what it will have (ALGORITHM.md, rules S1 to S3). `None`: nothing to send, or nothing
/// that fits.
///
/// Repeated until it returns `None` it gives a train: parts that can be applied in order and, being
/// self-contained, in any other.
pub fn plan_part<'a>(
    owner: &'a str,
    incarnation: Incarnation,
    replica: &'a Replica,
    peer: &mut PeerView,
    room: usize,
    now: Timestamp,
) -> Option<NodeDelta<'a>> {
    match plan(owner, incarnation, replica, peer, room, now) {
        Planned::Part { delta, .. } => Some(delta),
        Planned::Nothing | Planned::TooSmall { .. } => None,
    }
}

pub(crate) fn plan<'a>(
    owner: &'a str,
    incarnation: Incarnation,
    replica: &'a Replica,
    peer: &mut PeerView,
    room: usize,
    now: Timestamp,
) -> Planned<'a> {
    // Rule S1.
    if !peer.is_behind(replica) {
        return Planned::Nothing;
    }
    let ours = replica.versions();
    let theirs = peer.versions;
    let m = theirs.max_version;
    let mut len = size::delta_header(owner.len());
    let mut delta = NodeDelta {
        node_id: Cow::Borrowed(owner),
        incarnation,
        heartbeat: 0,
        age: None,
        from: m,
        to: m,
        source: ours.max_version,
        horizon: ours.horizon.max(ours.max_version),
        last_gc_version: ours.last_gc_version,
        prune: None,
        entries: Vec::new(),
    };
    // Rule S2.
    if m > 0 && ours.last_gc_version > theirs.last_gc_version.max(m) {
        let cursor = theirs.cursor.filter(|cursor| cursor.gc_version > theirs.last_gc_version);
        let start = cursor.map_or(0, |cursor| cursor.position);
        let (prune, prune_len) = list_versions(replica, start, m, room.saturating_sub(len));
        len += prune_len;
        let complete = prune.to == m;
        if !complete && prune.versions.is_empty() {
            return Planned::TooSmall { needed: len + size::MAX_VARINT, version: m };
        }
        delta.prune = Some(prune);
        if !complete {
            return finish(delta, len, peer);
        }
    }
    // Rule S3.
    let limit = match peer.parked {
        Some((from, to)) if from >= m && to <= ours.max_version => from,
        _ => ours.max_version,
    };
    let limit = if limit == m { ours.max_version } else { limit };
    let mut previous = m;
    let mut cut = None;
    for (version, key, value) in replica.entries.range(m, limit) {
        let op = entry_op(value, now);
        let entry_len = size::delta_entry(key.len(), &op, version - previous);
        if len + entry_len > room {
            cut = Some((len + entry_len, version));
            break;
        }
        len += entry_len;
        previous = version;
        delta.entries.push(DeltaEntry { key: Cow::Borrowed(key.as_str()), version, op });
    }
    delta.to = if cut.is_some() { previous } else { limit };
    // A part that would be dropped as stale is not worth sending.
    let useful = peer.versions.step(&delta.versions()).is_ok();
    match cut {
        Some((needed, version)) if !useful => Planned::TooSmall { needed, version },
        _ if len > room => Planned::TooSmall { needed: len, version: m },
        _ if !useful => Planned::Nothing,
        _ => finish(delta, len, peer),
    }
}

fn finish<'a>(delta: NodeDelta<'a>, len: usize, peer: &mut PeerView) -> Planned<'a> {
    peer.advance(&delta.versions());
    Planned::Part { delta, len }
}

/// The versions of the replica in `(from, to]`, as many as fit.
fn list_versions(replica: &Replica, from: u64, to: u64, room: usize) -> (PruneSection, usize) {
    let mut len = size::PRUNE_HEADER;
    let mut previous = from;
    let mut versions = Vec::new();
    let mut complete = true;
    for version in replica.entries.versions(from, to) {
        let version_len = size::varint(version - previous);
        if len + version_len > room {
            complete = false;
            break;
        }
        len += version_len;
        previous = version;
        versions.push(version);
    }
    let to = if complete { to } else { previous };
    (PruneSection { from, to, versions }, len)
}

fn entry_op<'a>(value: &'a VersionedValue, now: Timestamp) -> DeltaOp<'a> {
    match value.stored() {
        None => DeltaOp::Delete,
        Some(text) => DeltaOp::Set {
            value: Cow::Borrowed(text),
            // What is left when the message leaves: it is encoded right after this.
            ttl: value.deadline().map(|deadline| deadline.since(now)),
        },
    }
}
