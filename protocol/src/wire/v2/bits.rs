//! Fields that are not whole bytes: the first bit is the lowest of the first byte.

#![deny(clippy::arithmetic_side_effects)]

use crate::columns::{Cell, HEARTBEAT_WRAP, MAX_CELL_AGE};
use crate::error::DecodeError;
use crate::wire::codec::{Reader, Writer};

/// Bits of a cell: seven for the age, four for the heartbeat.
pub(in crate::wire) const CELL_BITS: usize = 11;
const AGE_BITS: usize = 7;

const NO_CELL: u8 = 125;
const NOT_LIVE: u8 = 126;
const LISTED: u8 = 127;

/// Bytes that so many cells take.
pub(in crate::wire) fn cells_len(count: usize) -> usize {
    count.saturating_mul(CELL_BITS).div_ceil(8)
}

fn to_bits(cell: Cell) -> u32 {
    let (age, heartbeat) = match cell {
        Cell::Young { heartbeat: heartbeat @ 0..HEARTBEAT_WRAP, age: age @ 0..=MAX_CELL_AGE } => {
            (age, heartbeat)
        }
        // No bits say that: readers refuse these.
        Cell::Young { .. } => (NO_CELL, 0),
        Cell::NotLive => (NOT_LIVE, 0),
        Cell::Listed => (LISTED, 0),
    };
    u32::from(age) | u32::from(heartbeat) << AGE_BITS
}

fn from_bits(bits: u32) -> Result<Cell, DecodeError> {
    let [low, high, ..] = bits.to_le_bytes();
    let age = low & 0x7F;
    let heartbeat = (low >> AGE_BITS) | (high << 1);
    match (age, heartbeat) {
        (NOT_LIVE, 0) => Ok(Cell::NotLive),
        (LISTED, 0) => Ok(Cell::Listed),
        (0..=MAX_CELL_AGE, 0..HEARTBEAT_WRAP) => Ok(Cell::Young { heartbeat, age }),
        _ => Err(DecodeError::Malformed("a cell that is none")),
    }
}

/// Appends cells, with zeros up to a whole byte.
pub(super) fn encode_cells(cells: impl Iterator<Item = Cell>, writer: &mut Writer<'_>) {
    // At most 7 bits wait for the rest of their byte, and 11 are added.
    let mut waiting = 0_u32;
    let mut count = 0_usize;
    for cell in cells {
        waiting |= to_bits(cell).wrapping_shl(u32::try_from(count).unwrap_or(0));
        count = count.saturating_add(CELL_BITS);
        while count >= 8 {
            let [low, ..] = waiting.to_le_bytes();
            writer.put_bytes(&[low]);
            waiting >>= 8;
            count = count.saturating_sub(8);
        }
    }
    if count > 0 {
        let [low, ..] = waiting.to_le_bytes();
        writer.put_bytes(&[low]);
    }
}

/// Reads so many cells.
pub(super) fn decode_cells(
    count: usize,
    reader: &mut Reader<'_>,
) -> Result<Vec<Cell>, DecodeError> {
    let mut bytes = reader.bytes(cells_len(count))?.iter();
    let mut cells = Vec::with_capacity(count);
    let mut waiting = 0_u32;
    let mut ready = 0_usize;
    for _ in 0..count {
        while ready < CELL_BITS {
            let byte = bytes.next().ok_or(DecodeError::Truncated)?;
            waiting |= u32::from(*byte).wrapping_shl(u32::try_from(ready).unwrap_or(0));
            ready = ready.saturating_add(8);
        }
        cells.push(from_bits(waiting & ((1 << CELL_BITS) - 1))?);
        waiting >>= CELL_BITS;
        ready = ready.saturating_sub(CELL_BITS);
    }
    if waiting == 0 { Ok(cells) } else { Err(padding()) }
}

/// Appends one bit for each position, which is set for those that are given. They ascend.
pub(super) fn encode_bitmap(count: usize, set: impl Iterator<Item = u32>, writer: &mut Writer<'_>) {
    let mut bytes = vec![0_u8; count.div_ceil(8)];
    for position in set {
        let index = usize::try_from(position / 8).unwrap_or(usize::MAX);
        if let Some(byte) = bytes.get_mut(index) {
            *byte |= 1 << (position % 8);
        }
    }
    writer.put_bytes(&bytes);
}

/// The positions that are set, ascending. The cell of each follows: a bit alone is too little for the
/// memory that a position takes.
pub(super) fn decode_bitmap(
    count: usize,
    reader: &mut Reader<'_>,
) -> Result<Vec<u32>, DecodeError> {
    let bytes = reader.bytes(count.div_ceil(8))?;
    let ones: usize =
        bytes.iter().map(|byte| usize::try_from(byte.count_ones()).unwrap_or(8)).sum();
    if cells_len(ones) > reader.rest().len() {
        return Err(DecodeError::Truncated);
    }
    let mut set = Vec::with_capacity(ones);
    for (index, byte) in (0_u32..).zip(bytes) {
        for bit in (0..8_u32).filter(|bit| byte >> bit & 1 == 1) {
            set.push(index.saturating_mul(8).saturating_add(bit));
        }
    }
    let within = |last: &u32| usize::try_from(*last).is_ok_and(|last| last < count);
    if set.last().is_none_or(within) { Ok(set) } else { Err(padding()) }
}

fn padding() -> DecodeError {
    DecodeError::Malformed("bits behind the last")
}
