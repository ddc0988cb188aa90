//! The checkers: a replica and its reader against the owner's log.

use crate::delta::NodeDelta;
use crate::state::{Replica, Versions};
use crate::time::Timestamp;
use crate::wire::size;

use super::owner::{KEYS, Owner};
use super::peer::Peer;

/// A broken invariant.
#[derive(Clone, Debug)]
pub(super) struct Violation {
    pub(super) rule: &'static str,
    pub(super) detail: String,
}

pub(super) fn violation<T>(rule: &'static str, detail: String) -> Result<T, Violation> {
    Err(Violation { rule, detail })
}

/// What the user of a replica has seen.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Reader {
    versions: Versions,
    keys: [Seen; KEYS.len()],
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Seen {
    /// The version that is shown; 0: none.
    shown: u64,
    /// Nothing older than this may be shown again.
    floor: u64,
    /// This version was hidden because its time was over.
    expired: u64,
}

impl Reader {
    /// The replica is exchanged for a longer copy, which may lie below the old watermark. What was
    /// seen before binds it too.
    pub(super) fn swapped(&mut self) {
        self.versions.last_gc_version = 0;
    }
}

/// I1 to I5, and that the replica's indexes agree.
pub(super) fn check_peer(peer: &mut Peer, owner: &Owner, now: Timestamp) -> Result<(), Violation> {
    let replica = &peer.replica;
    let versions = replica.versions();
    check_versions(peer.reader.versions, versions, owner.versions())?;
    peer.reader.versions = versions;
    if let Err(text) = replica.check() {
        return violation("index", text);
    }
    if versions.max_version >= versions.horizon && replica.doomed_len() > 0 {
        return violation("rule g", format!("doomed entries at {versions:?}"));
    }
    for key in 0..KEYS.len() {
        check_key(peer, owner, key, now)?;
        check_reader(peer, owner, key, now)?;
    }
    Ok(())
}

/// I4.
fn check_versions(before: Versions, after: Versions, owner: Versions) -> Result<(), Violation> {
    let fell = after.max_version < before.max_version
        || after.last_gc_version < before.last_gc_version
        || after.horizon < before.horizon;
    if fell {
        return violation("I4", format!("{before:?} became {after:?}"));
    }
    let bounded = after.max_version <= owner.max_version
        && after.last_gc_version <= owner.last_gc_version
        && owner.last_gc_version <= owner.max_version
        && after.horizon <= owner.max_version;
    if !bounded {
        return violation("I4", format!("{after:?} is beyond the owner's {owner:?}"));
    }
    if let Some(cursor) = after.cursor
        && (cursor.position >= after.max_version || cursor.gc_version <= after.last_gc_version)
    {
        return violation("cursor", format!("{after:?}"));
    }
    Ok(())
}

/// I1, I2, I3, and that every entry is an operation of the log.
fn check_key(peer: &Peer, owner: &Owner, key: usize, now: Timestamp) -> Result<(), Violation> {
    let Versions { max_version: m, last_gc_version: g, .. } = peer.replica.versions();
    let name = KEYS[key];
    let entry = peer.replica.get(name);
    if let Some(entry) = entry {
        let op = owner.op(entry.version());
        if entry.version() > m || op.key != key || op.value.as_ref() != entry.stored() {
            return violation("entry", format!("{name}: {entry:?} is not {op:?}, or above {m}"));
        }
        let leased = entry.raw_deadline() != Timestamp::MAX;
        if entry.raw_deadline() < op.deadline || leased != (op.deadline != Timestamp::MAX) {
            return violation("deadline", format!("{name}: {entry:?}, but {op:?}"));
        }
        let readable = !entry.is_tombstone() && entry.raw_deadline() > now;
        if entry.is_readable() != readable {
            return violation("deadline", format!("{name}: {entry:?} at {now}"));
        }
    }
    let Some(newest) = owner.history[key].last().copied() else {
        return Ok(());
    };
    let served = entry.filter(|entry| !entry.is_doomed());
    let is_newest = served.is_some_and(|entry| entry.version() == newest);
    let is_live = served.is_some_and(|entry| !entry.is_tombstone());
    match (owner.op(newest).value.is_some(), newest <= m) {
        (true, true) if !is_newest => {
            violation("I1", format!("{name}@{newest} is missing, there is {entry:?}; m {m} g {g}"))
        }
        (false, true) if served.is_some() && !is_newest => {
            violation("I2", format!("{name} was deleted @{newest}: {entry:?}; m {m} g {g}"))
        }
        (false, true) if served.is_none() && newest > g => {
            violation("I2", format!("tombstone {name}@{newest} is missing; m {m} g {g}"))
        }
        (false, false) if newest <= g && is_live => {
            violation("I3", format!("{name} was deleted @{newest}: {entry:?}; m {m} g {g}"))
        }
        _ => Ok(()),
    }
}

/// I5: what was shown never disappears without a deletion, and never gets older; what was seen
/// deleted or expired does not come back.
fn check_reader(
    peer: &mut Peer,
    owner: &Owner,
    key: usize,
    now: Timestamp,
) -> Result<(), Violation> {
    let m = peer.replica.versions().max_version;
    let name = KEYS[key];
    let entry = peer.replica.get(name).filter(|entry| !entry.is_tombstone());
    let seen = &mut peer.reader.keys[key];
    let Some(entry) = entry else {
        let deleted = owner.deletions[key].last().copied().unwrap_or(0);
        if deleted <= seen.shown && seen.shown > 0 {
            let shown = seen.shown;
            return violation("I5", format!("{name}@{shown} disappeared and was not deleted"));
        }
        // The reader has seen the deletion if that is what the log says at `m`.
        if let Some(newest) = owner.newest(key, m)
            && owner.op(newest).value.is_none()
        {
            seen.floor = seen.floor.max(newest);
        }
        seen.shown = 0;
        return Ok(());
    };
    let version = entry.version();
    if version < seen.floor {
        return violation("I5", format!("{name}@{version} is back after @{}", seen.floor));
    }
    if entry.is_readable() && version <= seen.expired {
        return violation("deadline", format!("{name}@{version} is back after its end at {now}"));
    }
    if !entry.is_readable() {
        seen.expired = version;
    }
    seen.shown = version;
    seen.floor = version;
    Ok(())
}

/// X1.
pub(super) fn progressed(before: Versions, after: Versions) -> bool {
    let position = |versions: Versions| versions.cursor.map_or(0, |cursor| cursor.position);
    after.max_version > before.max_version
        || after.last_gc_version > before.last_gc_version
        || position(after) > position(before)
}

/// What every part keeps towards its sender's state.
pub(super) fn check_part(
    replica: &Replica,
    delta: &NodeDelta<'_>,
    len: usize,
    room: usize,
) -> Result<(), Violation> {
    let ours = replica.versions();
    let entries = delta.entries.iter().map(|entry| entry.version);
    let covers = entries.eq(replica.entries.versions(delta.from, delta.to));
    let listed = delta.prune.as_ref().is_none_or(|prune| {
        let listed = prune.versions.iter().copied();
        listed.eq(replica.entries.versions(prune.from, prune.to))
    });
    let named = delta.source == ours.max_version
        && delta.last_gc_version == ours.last_gc_version
        && delta.horizon == ours.horizon.max(ours.max_version);
    if !(delta.is_valid() && covers && listed && named) {
        return violation("S23", format!("{delta:?} from {ours:?}"));
    }
    let needed = planned_len(delta);
    if needed != len || len > room {
        return violation("S23", format!("{len} bytes in {room}, and {needed} are needed"));
    }
    Ok(())
}

/// The length that a part is planned with.
pub(super) fn planned_len(delta: &NodeDelta<'_>) -> usize {
    let prune = delta.prune.as_ref().map_or(0, |prune| {
        let steps = prune.versions.iter().scan(prune.from, |previous, version| {
            let step = version - std::mem::replace(previous, *version);
            Some(size::varint(step))
        });
        size::PRUNE_HEADER + steps.sum::<usize>()
    });
    let mut previous = delta.from;
    let entries = delta.entries.iter().map(|entry| {
        let step = entry.version - std::mem::replace(&mut previous, entry.version);
        size::delta_entry(entry.key.len(), &entry.op, step)
    });
    size::delta_header(delta.node_id.len()) + prune + entries.sum::<usize>()
}
