//! Lists of some positions: lives, versions, and nothing but the position.

#![deny(clippy::arithmetic_side_effects)]

use serde::{Deserialize, Serialize};

use crate::columns::{Life, PositionVersions};
use crate::error::DecodeError;
use crate::wire::codec::{Reader, Writer, bounded};
use crate::wire::v1::{AgeUnit, digest};

/// Writes positions that ascend, as how many lie between.
pub(super) struct GapWriter {
    next: u32,
}

impl GapWriter {
    pub(super) fn new() -> GapWriter {
        GapWriter { next: 0 }
    }

    pub(super) fn put(&mut self, position: u32, writer: &mut Writer<'_>) {
        writer.put(&position.wrapping_sub(self.next));
        self.next = position.wrapping_add(1);
    }
}

/// Reads what [`GapWriter`] writes, below a bound.
pub(super) struct GapReader {
    next: u32,
    count: usize,
}

impl GapReader {
    pub(super) fn new(count: usize) -> GapReader {
        GapReader { next: 0, count }
    }

    pub(super) fn take(&mut self, reader: &mut Reader<'_>) -> Result<u32, DecodeError> {
        let gap: u32 = reader.take()?;
        let position = self.next.checked_add(gap);
        let position = position
            .filter(|it| usize::try_from(*it).is_ok_and(|it| it < self.count))
            .ok_or(DecodeError::Malformed("a position behind the last"))?;
        self.next = position.saturating_add(1);
        Ok(position)
    }
}

#[derive(Serialize, Deserialize)]
struct WireLife {
    heartbeat: u64,
    age: u64,
}

pub(super) fn encode_life(life: &Life, unit: AgeUnit, writer: &mut Writer<'_>) {
    writer.put(&WireLife { heartbeat: life.heartbeat, age: unit.encode_known(life.age) });
}

pub(super) fn decode_life(
    position: u32,
    unit: AgeUnit,
    reader: &mut Reader<'_>,
) -> Result<Life, DecodeError> {
    let wire: WireLife = reader.take()?;
    let heartbeat = bounded(wire.heartbeat)?;
    Ok(Life { position, heartbeat, age: unit.decode_known(wire.age) })
}

/// Bytes of the shortest life where its position is known.
pub(super) const MIN_WHOSE_LIFE_LEN: usize = 2;

/// Bytes of the shortest entries of the lists: a position, and what follows it.
const MIN_LIFE_LEN: usize = 3;
const MIN_VERSIONS_LEN: usize = 3;

pub(super) fn encode_lives(lives: &[Life], unit: AgeUnit, writer: &mut Writer<'_>) {
    writer.put_len(lives.len());
    let mut gaps = GapWriter::new();
    for life in lives {
        gaps.put(life.position, writer);
        encode_life(life, unit, writer);
    }
}

pub(super) fn decode_lives(
    count: usize,
    unit: AgeUnit,
    reader: &mut Reader<'_>,
) -> Result<Vec<Life>, DecodeError> {
    let mut gaps = GapReader::new(count);
    reader.list(MIN_LIFE_LEN, |reader| {
        let position = gaps.take(reader)?;
        decode_life(position, unit, reader)
    })
}

pub(super) fn encode_versions(versions: &[PositionVersions], writer: &mut Writer<'_>) {
    writer.put_len(versions.len());
    let mut gaps = GapWriter::new();
    for it in versions {
        gaps.put(it.position, writer);
        let state = digest::State {
            max_version: it.max_version,
            last_gc_version: it.last_gc_version,
            cursor: it.cursor,
            parked: it.parked,
            frozen: it.frozen,
        };
        state.encode(writer);
    }
}

pub(super) fn decode_versions(
    count: usize,
    reader: &mut Reader<'_>,
) -> Result<Vec<PositionVersions>, DecodeError> {
    let mut gaps = GapReader::new(count);
    reader.list(MIN_VERSIONS_LEN, |reader| {
        let position = gaps.take(reader)?;
        let digest::State { max_version, last_gc_version, cursor, parked, frozen } =
            digest::State::decode(reader)?;
        Ok(PositionVersions { position, max_version, last_gc_version, cursor, parked, frozen })
    })
}

pub(super) fn encode_positions(positions: &[u32], writer: &mut Writer<'_>) {
    writer.put_len(positions.len());
    let mut gaps = GapWriter::new();
    for position in positions {
        gaps.put(*position, writer);
    }
}

pub(super) fn decode_positions(
    count: usize,
    reader: &mut Reader<'_>,
) -> Result<Vec<u32>, DecodeError> {
    let mut gaps = GapReader::new(count);
    reader.list(1, |reader| gaps.take(reader))
}
