//! Questions in columns.

#![deny(clippy::arithmetic_side_effects)]

use std::borrow::Cow;

use super::{bits, lists, short_hash};
use crate::columns::{BUCKET, Cell, Columns, Layout, SHORT_HASH_LEN};
use crate::error::DecodeError;
use crate::wire::codec::{Reader, Writer};
use crate::wire::v1::{AgeUnit, digest};

const SET: u8 = 0;
const HASHES: u8 = 1;
const NO_LAYOUT: u8 = 2;

/// Whether all columns are about the same members. What of them disagreed would be read as something
/// else.
fn is_sound(columns: &Columns<'_>) -> bool {
    let count = columns.cells.len();
    let is_short = |hash: &u64| hash >> (8 * SHORT_HASH_LEN) == 0;
    let hashes = match &columns.layout {
        Layout::Set { .. } => true,
        Layout::Hashes { hashes, .. } => hashes.len() == count && hashes.iter().all(is_short),
    };
    hashes
        && listed(&columns.cells).eq(columns.lives.iter().map(|life| life.position))
        && (columns.not_live == 0 || columns.cells.contains(&Cell::NotLive))
        && columns.buckets.len() == count.div_ceil(BUCKET)
}

/// Positions of those whose lives are listed.
fn listed(cells: &[Cell]) -> impl Iterator<Item = u32> + '_ {
    (0..).zip(cells).filter(|(_, cell)| matches!(cell, Cell::Listed)).map(|(position, _)| position)
}

pub(super) fn encode(columns: &Columns<'_>, unit: AgeUnit, writer: &mut Writer<'_>) {
    if !is_sound(columns) {
        // Readers refuse it.
        return writer.put(&NO_LAYOUT);
    }
    match &columns.layout {
        Layout::Set { fingerprint, first } => {
            writer.put(&SET);
            writer.put_bytes(&fingerprint.to_le_bytes());
            writer.put(first);
            writer.put_len(columns.cells.len());
        }
        Layout::Hashes { start, end, hashes } => {
            writer.put(&HASHES);
            digest::encode_range(start, end.as_deref(), writer);
            writer.put_len(hashes.len());
            for hash in hashes {
                short_hash::encode(*hash, writer);
            }
        }
    }
    bits::encode_cells(columns.cells.iter().copied(), writer);
    for life in &columns.lives {
        // Whose it is, the cells say.
        lists::encode_life(life, unit, writer);
    }
    if columns.cells.contains(&Cell::NotLive) {
        writer.put_bytes(&columns.not_live.to_le_bytes());
    }
    for bucket in &columns.buckets {
        writer.put_bytes(&bucket.to_le_bytes());
    }
    lists::encode_versions(&columns.versions, writer);
}

pub(super) fn decode<'a>(
    unit: AgeUnit,
    reader: &mut Reader<'a>,
) -> Result<Columns<'a>, DecodeError> {
    let (layout, count) = match reader.take::<u8>()? {
        SET => {
            let fingerprint = u64::from_le_bytes(*reader.array()?);
            let first = reader.take()?;
            // Its cells follow, and are not read if the bytes are not there.
            let count = usize::try_from(reader.take::<u64>()?).unwrap_or(usize::MAX);
            (Layout::Set { fingerprint, first }, count)
        }
        HASHES => {
            let (start, end) = digest::decode_range(reader)?;
            let hashes = reader.list(SHORT_HASH_LEN, short_hash::decode)?;
            let count = hashes.len();
            let (start, end) = (Cow::Borrowed(start), end.map(Cow::Borrowed));
            (Layout::Hashes { start, end, hashes }, count)
        }
        _ => return Err(DecodeError::Malformed("a layout that is none")),
    };
    let cells = bits::decode_cells(count, reader)?;
    let most = listed(&cells).count();
    if most.saturating_mul(lists::MIN_WHOSE_LIFE_LEN) > reader.rest().len() {
        return Err(DecodeError::Truncated);
    }
    let mut lives = Vec::with_capacity(most);
    for position in listed(&cells) {
        lives.push(lists::decode_life(position, unit, reader)?);
    }
    let not_live =
        if cells.contains(&Cell::NotLive) { u32::from_le_bytes(*reader.array()?) } else { 0 };
    let mut buckets = Vec::with_capacity(count.div_ceil(BUCKET));
    for _ in 0..count.div_ceil(BUCKET) {
        buckets.push(u16::from_le_bytes(*reader.array()?));
    }
    let versions = lists::decode_versions(count, reader)?;
    Ok(Columns { layout, cells, lives, not_live, buckets, versions })
}
