//! Entries of digests, and digests over a range.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::scalar::{AgeUnit, Incarnation};
use crate::digest;
use crate::error::DecodeError;
use crate::id::NodeId;
use crate::state::PruneCursor;
use crate::wire::codec::{
    Reader, Writer, bounded, difference, flags, known_flags, node_id, relative,
};

const FROZEN: u8 = 1;
const CURSOR: u8 = 2;
const PARKED: u8 = 4;
const GC: u8 = 8;

/// The shortest entry: an id of one byte with its length, an incarnation, four more bytes.
const MIN_ENTRY_LEN: usize = 15;

#[derive(Serialize, Deserialize)]
struct Entry<'a> {
    node_id: &'a str,
    incarnation: Incarnation,
    heartbeat: u64,
    age: u64,
    max_version: u64,
    flags: u8,
    // Then `gc_difference: i64`, `cursor: Cursor` and `parked: Parked`, as flagged.
}

/// See [`PruneCursor`].
#[derive(Serialize, Deserialize)]
struct Cursor {
    position: u64,
    gc_version: u64,
}

/// Versions `(from, to]`.
#[derive(Serialize, Deserialize)]
struct Parked {
    from: u64,
    to: u64,
}

#[derive(Serialize, Deserialize)]
struct Range<'a> {
    start: &'a str,
    #[serde(borrow)]
    end: Option<&'a str>,
}

pub(super) fn encode(digest: &digest::Digest<'_>, unit: AgeUnit, writer: &mut Writer<'_>) {
    writer.put(&Range { start: &digest.start, end: digest.end.as_deref() });
    encode_entries(&digest.entries, unit, writer);
}

pub(super) fn decode<'a>(
    unit: AgeUnit,
    reader: &mut Reader<'a>,
) -> Result<digest::Digest<'a>, DecodeError> {
    let Range { start, end } = reader.take()?;
    if start.len() > NodeId::MAX_LEN {
        return Err(DecodeError::Malformed("the start of a range is too long"));
    }
    if let Some(end) = end
        && node_id(end)? <= start
    {
        return Err(DecodeError::Malformed("a digest over an empty range"));
    }
    let entries = decode_entries(unit, reader)?;
    // The entries ascend, so that the first and the last are enough.
    let below = entries.first().is_some_and(|first| *first.node_id < *start);
    let above = |end: &str| entries.last().is_some_and(|last| *last.node_id >= *end);
    if below || end.is_some_and(above) {
        return Err(DecodeError::Malformed("a digest entry outside the range"));
    }
    Ok(digest::Digest { start: Cow::Borrowed(start), end: end.map(Cow::Borrowed), entries })
}

pub(super) fn encode_entries(
    entries: &[digest::DigestEntry<'_>],
    unit: AgeUnit,
    writer: &mut Writer<'_>,
) {
    writer.put_len(entries.len());
    for entry in entries {
        encode_entry(entry, unit, writer);
    }
}

/// Reads a list of entries, which must ascend: whoever merges it with a sorted state may rely on
/// that, and nobody is listed twice.
pub(super) fn decode_entries<'a>(
    unit: AgeUnit,
    reader: &mut Reader<'a>,
) -> Result<Vec<digest::DigestEntry<'a>>, DecodeError> {
    // Less than any id, none of which is empty.
    let mut previous = "";
    reader.list(MIN_ENTRY_LEN, |reader| {
        let wire: Entry<'a> = reader.take()?;
        if wire.node_id <= previous {
            return Err(DecodeError::Malformed("digest entries that do not ascend"));
        }
        previous = wire.node_id;
        decode_entry(wire, unit, reader)
    })
}

fn encode_entry(entry: &digest::DigestEntry<'_>, unit: AgeUnit, writer: &mut Writer<'_>) {
    writer.put(&Entry {
        node_id: &entry.node_id,
        incarnation: entry.incarnation.into(),
        heartbeat: entry.heartbeat,
        age: unit.encode_known(entry.age),
        max_version: entry.max_version,
        flags: flags(&[
            (FROZEN, entry.frozen),
            (CURSOR, entry.cursor.is_some()),
            (PARKED, entry.parked.is_some()),
            (GC, entry.last_gc_version != 0),
        ]),
    });
    if entry.last_gc_version != 0 {
        writer.put(&difference(entry.max_version, entry.last_gc_version));
    }
    if let Some(cursor) = entry.cursor {
        writer.put(&Cursor { position: cursor.position, gc_version: cursor.gc_version });
    }
    if let Some((from, to)) = entry.parked {
        writer.put(&Parked { from, to });
    }
}

fn decode_entry<'a>(
    wire: Entry<'a>,
    unit: AgeUnit,
    reader: &mut Reader<'a>,
) -> Result<digest::DigestEntry<'a>, DecodeError> {
    known_flags(wire.flags, FROZEN | CURSOR | PARKED | GC)?;
    let max_version = bounded(wire.max_version)?;
    let last_gc_version =
        if wire.flags & GC != 0 { relative(max_version, reader.take()?)? } else { 0 };
    let cursor =
        if wire.flags & CURSOR != 0 { Some(reader.take::<Cursor>()?.decode()?) } else { None };
    let parked =
        if wire.flags & PARKED != 0 { Some(reader.take::<Parked>()?.decode()?) } else { None };
    Ok(digest::DigestEntry {
        node_id: Cow::Borrowed(node_id(wire.node_id)?),
        incarnation: wire.incarnation.decode()?,
        heartbeat: bounded(wire.heartbeat)?,
        age: unit.decode_known(wire.age),
        max_version,
        last_gc_version,
        cursor,
        parked,
        frozen: wire.flags & FROZEN != 0,
    })
}

impl Cursor {
    fn decode(self) -> Result<PruneCursor, DecodeError> {
        Ok(PruneCursor { position: bounded(self.position)?, gc_version: bounded(self.gc_version)? })
    }
}

impl Parked {
    fn decode(self) -> Result<(u64, u64), DecodeError> {
        if self.from < self.to {
            Ok((self.from, bounded(self.to)?))
        } else {
            Err(DecodeError::Malformed("an empty range of parked versions"))
        }
    }
}
