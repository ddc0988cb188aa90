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
    // Then a `State`.
}

/// What there is of a log. The same wherever it stands in a message.
pub(in crate::wire) struct State {
    pub(in crate::wire) max_version: u64,
    pub(in crate::wire) last_gc_version: u64,
    pub(in crate::wire) cursor: Option<PruneCursor>,
    pub(in crate::wire) parked: Option<(u64, u64)>,
    pub(in crate::wire) frozen: bool,
}

#[derive(Serialize, Deserialize)]
struct WireState {
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
    encode_range(&digest.start, digest.end.as_deref(), writer);
    encode_entries(&digest.entries, unit, writer);
}

pub(super) fn decode<'a>(
    unit: AgeUnit,
    reader: &mut Reader<'a>,
) -> Result<digest::Digest<'a>, DecodeError> {
    let (start, end) = decode_range(reader)?;
    let entries = decode_entries(unit, reader)?;
    // The entries ascend, so that the first and the last are enough.
    let below = entries.first().is_some_and(|first| *first.node_id < *start);
    let above = |end: &str| entries.last().is_some_and(|last| *last.node_id >= *end);
    if below || end.is_some_and(above) {
        return Err(DecodeError::Malformed("a digest entry outside the range"));
    }
    Ok(digest::Digest { start: Cow::Borrowed(start), end: end.map(Cow::Borrowed), entries })
}

/// A range of node ids.
pub(in crate::wire) fn encode_range(start: &str, end: Option<&str>, writer: &mut Writer<'_>) {
    writer.put(&Range { start, end });
}

pub(in crate::wire) fn decode_range<'a>(
    reader: &mut Reader<'a>,
) -> Result<(&'a str, Option<&'a str>), DecodeError> {
    let Range { start, end } = reader.take()?;
    if start.len() > NodeId::MAX_LEN {
        return Err(DecodeError::Malformed("the start of a range is too long"));
    }
    if let Some(end) = end
        && node_id(end)? <= start
    {
        return Err(DecodeError::Malformed("a digest over an empty range"));
    }
    Ok((start, end))
}

pub(in crate::wire) fn encode_entries(
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
pub(in crate::wire) fn decode_entries<'a>(
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
    });
    let state = State {
        max_version: entry.max_version,
        last_gc_version: entry.last_gc_version,
        cursor: entry.cursor,
        parked: entry.parked,
        frozen: entry.frozen,
    };
    state.encode(writer);
}

fn decode_entry<'a>(
    wire: Entry<'a>,
    unit: AgeUnit,
    reader: &mut Reader<'a>,
) -> Result<digest::DigestEntry<'a>, DecodeError> {
    let State { max_version, last_gc_version, cursor, parked, frozen } = State::decode(reader)?;
    Ok(digest::DigestEntry {
        node_id: Cow::Borrowed(node_id(wire.node_id)?),
        incarnation: wire.incarnation.decode()?,
        heartbeat: bounded(wire.heartbeat)?,
        age: unit.decode_known(wire.age),
        max_version,
        last_gc_version,
        cursor,
        parked,
        frozen,
    })
}

impl State {
    pub(in crate::wire) fn encode(&self, writer: &mut Writer<'_>) {
        writer.put(&WireState {
            max_version: self.max_version,
            flags: flags(&[
                (FROZEN, self.frozen),
                (CURSOR, self.cursor.is_some()),
                (PARKED, self.parked.is_some()),
                (GC, self.last_gc_version != 0),
            ]),
        });
        if self.last_gc_version != 0 {
            writer.put(&difference(self.max_version, self.last_gc_version));
        }
        if let Some(cursor) = self.cursor {
            writer.put(&Cursor { position: cursor.position, gc_version: cursor.gc_version });
        }
        if let Some((from, to)) = self.parked {
            writer.put(&Parked { from, to });
        }
    }

    pub(in crate::wire) fn decode(reader: &mut Reader<'_>) -> Result<State, DecodeError> {
        let wire: WireState = reader.take()?;
        known_flags(wire.flags, FROZEN | CURSOR | PARKED | GC)?;
        let max_version = bounded(wire.max_version)?;
        let last_gc_version =
            if wire.flags & GC != 0 { relative(max_version, reader.take()?)? } else { 0 };
        let cursor =
            if wire.flags & CURSOR != 0 { Some(reader.take::<Cursor>()?.decode()?) } else { None };
        let parked =
            if wire.flags & PARKED != 0 { Some(reader.take::<Parked>()?.decode()?) } else { None };
        let frozen = wire.flags & FROZEN != 0;
        Ok(State { max_version, last_gc_version, cursor, parked, frozen })
    }
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
