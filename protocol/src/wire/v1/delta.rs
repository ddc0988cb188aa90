//! Deltas.
//!
//! The versions of a valid delta stand in an order, and are written as the differences between
//! neighbours. What remains of the validity rule is tested where the delta is applied.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::scalar::{AgeUnit, Incarnation, ttl_ms};
use crate::delta::{self, DeltaEntry, DeltaOp, PruneSection};
use crate::error::DecodeError;
use crate::wire::codec::{
    Reader, Writer, above, bounded, flags, known_flags, node_id, strictly_above,
};

const PRUNE: u8 = 1;
const GC: u8 = 2;

/// The shortest delta: an id of one byte with its length, an incarnation, seven numbers of one byte
/// and the count of its entries.
const MIN_DELTA_LEN: usize = 19;

/// The shortest entry: a deleted key of one byte.
const MIN_ENTRY_LEN: usize = 4;

#[derive(Serialize, Deserialize)]
struct Delta<'a> {
    node_id: &'a str,
    incarnation: Incarnation,
    heartbeat: u64,
    age: u64,
    from: u64,
    to_difference: u64,
    source_difference: u64,
    horizon_difference: u64,
    flags: u8,
    // Then `gc_difference: u64` and `Prune`, as flagged, and a list of `Entry`.
}

/// Then a list of versions, each as the difference to the one before.
#[derive(Serialize, Deserialize)]
struct Prune {
    from: u64,
    to_difference: u64,
}

#[derive(Serialize, Deserialize)]
struct Entry<'a> {
    difference: u64,
    key: &'a str,
    #[serde(borrow)]
    op: Op<'a>,
}

/// See [`DeltaOp`].
#[derive(Serialize, Deserialize)]
enum Op<'a> {
    Delete,
    Set { value: &'a str },
    SetFor { value: &'a str, ms: u64 },
}

pub(in crate::wire) fn encode_list(
    deltas: &[delta::NodeDelta<'_>],
    unit: AgeUnit,
    writer: &mut Writer<'_>,
) {
    writer.put_len(deltas.len());
    for delta in deltas {
        encode(delta, unit, writer);
    }
}

pub(in crate::wire) fn decode_list<'a>(
    unit: AgeUnit,
    reader: &mut Reader<'a>,
) -> Result<Vec<delta::NodeDelta<'a>>, DecodeError> {
    reader.list(MIN_DELTA_LEN, |reader| decode(unit, reader))
}

// Differences wrap where versions do not ascend. What comes of that is far above the bound on
// versions, and the reader refuses it.
fn encode(delta: &delta::NodeDelta<'_>, unit: AgeUnit, writer: &mut Writer<'_>) {
    writer.put(&Delta {
        node_id: &delta.node_id,
        incarnation: delta.incarnation.into(),
        heartbeat: delta.heartbeat,
        age: unit.encode_known(delta.age),
        from: delta.from,
        to_difference: delta.to.wrapping_sub(delta.from),
        source_difference: delta.source.wrapping_sub(delta.to),
        horizon_difference: delta.horizon.wrapping_sub(delta.source),
        flags: flags(&[(PRUNE, delta.prune.is_some()), (GC, delta.last_gc_version != 0)]),
    });
    if delta.last_gc_version != 0 {
        writer.put(&delta.horizon.wrapping_sub(delta.last_gc_version));
    }
    if let Some(prune) = &delta.prune {
        writer.put(&Prune { from: prune.from, to_difference: prune.to.wrapping_sub(prune.from) });
        writer.put_len(prune.versions.len());
        let mut previous = prune.from;
        for version in &prune.versions {
            writer.put(&version.wrapping_sub(previous));
            previous = *version;
        }
    }
    writer.put_len(delta.entries.len());
    let mut previous = delta.from;
    for entry in &delta.entries {
        writer.put(&Entry {
            difference: entry.version.wrapping_sub(previous),
            key: &entry.key,
            op: Op::from(&entry.op),
        });
        previous = entry.version;
    }
}

fn decode<'a>(unit: AgeUnit, reader: &mut Reader<'a>) -> Result<delta::NodeDelta<'a>, DecodeError> {
    let wire: Delta<'a> = reader.take()?;
    known_flags(wire.flags, PRUNE | GC)?;
    let from = bounded(wire.from)?;
    let to = above(from, wire.to_difference)?;
    let source = above(to, wire.source_difference)?;
    let horizon = above(source, wire.horizon_difference)?;
    let last_gc_version = if wire.flags & GC != 0 {
        let gc = horizon.checked_sub(reader.take::<u64>()?);
        gc.ok_or(DecodeError::Malformed("a watermark below 0"))?
    } else {
        0
    };
    let prune = if wire.flags & PRUNE != 0 { Some(decode_prune(reader)?) } else { None };
    let mut previous = from;
    let entries = reader.list(MIN_ENTRY_LEN, |reader| {
        let entry = decode_entry(previous, reader)?;
        previous = entry.version;
        Ok(entry)
    })?;
    Ok(delta::NodeDelta {
        node_id: Cow::Borrowed(node_id(wire.node_id)?),
        incarnation: wire.incarnation.decode()?,
        heartbeat: bounded(wire.heartbeat)?,
        age: unit.decode_known(wire.age),
        from,
        to,
        source,
        horizon,
        last_gc_version,
        prune,
        entries,
    })
}

fn decode_prune(reader: &mut Reader<'_>) -> Result<PruneSection, DecodeError> {
    let wire: Prune = reader.take()?;
    let from = bounded(wire.from)?;
    let to = above(from, wire.to_difference)?;
    let mut previous = from;
    let versions = reader.list(1, |reader| {
        previous = strictly_above(previous, reader.take()?)?;
        Ok(previous)
    })?;
    Ok(PruneSection { from, to, versions })
}

fn decode_entry<'a>(previous: u64, reader: &mut Reader<'a>) -> Result<DeltaEntry<'a>, DecodeError> {
    let wire: Entry<'a> = reader.take()?;
    if wire.key.is_empty() {
        return Err(DecodeError::Malformed("an empty key"));
    }
    let version = strictly_above(previous, wire.difference)?;
    Ok(DeltaEntry { key: Cow::Borrowed(wire.key), version, op: wire.op.into() })
}

impl<'a> From<&'a DeltaOp<'_>> for Op<'a> {
    fn from(op: &'a DeltaOp<'_>) -> Self {
        match op {
            DeltaOp::Delete => Op::Delete,
            DeltaOp::Set { value, ttl: None } => Op::Set { value },
            DeltaOp::Set { value, ttl: Some(ttl) } => Op::SetFor { value, ms: ttl_ms(*ttl) },
        }
    }
}

impl<'a> From<Op<'a>> for DeltaOp<'a> {
    fn from(op: Op<'a>) -> Self {
        match op {
            Op::Delete => DeltaOp::Delete,
            Op::Set { value } => DeltaOp::Set { value: Cow::Borrowed(value), ttl: None },
            Op::SetFor { value, ms } => {
                DeltaOp::Set { value: Cow::Borrowed(value), ttl: Some(Duration::from_millis(ms)) }
            }
        }
    }
}
