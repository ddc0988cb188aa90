//! Answers to questions in columns.

#![deny(clippy::arithmetic_side_effects)]

use super::{bits, lists};
use crate::columns::{Cell, ColumnAnswer, Standing};
use crate::error::DecodeError;
use crate::wire::codec::{Reader, Writer, flags, known_flags};
use crate::wire::v1::AgeUnit;

const SAME: u8 = 0;
const OTHER: u8 = 1;
const UNKNOWN_SET: u8 = 2;
const NO_STANDING: u8 = 3;

const NEWER: u8 = 1;
const LIVES: u8 = 2;
const ASKED: u8 = 4;
const UNKNOWN: u8 = 8;
const VERSIONS: u8 = 16;

/// Whether what the encoding has no bytes for is not there.
fn is_sound(answer: &ColumnAnswer) -> bool {
    if answer.standing == Standing::Unknown {
        return *answer == ColumnAnswer { standing: Standing::Unknown, ..ColumnAnswer::default() };
    }
    answer.newer.is_sorted_by(|(before, _), (after, _)| before < after)
        && answer.newer.last().is_none_or(|(last, _)| *last < answer.count)
}

pub(super) fn encode(answer: &ColumnAnswer, unit: AgeUnit, writer: &mut Writer<'_>) {
    if !is_sound(answer) {
        // Readers refuse it.
        return writer.put(&NO_STANDING);
    }
    writer.put(&match answer.standing {
        Standing::Same => SAME,
        Standing::Other => OTHER,
        Standing::Unknown => UNKNOWN_SET,
    });
    if answer.standing == Standing::Unknown {
        return;
    }
    writer.put(&answer.count);
    writer.put(&flags(&[
        (NEWER, !answer.newer.is_empty()),
        (LIVES, !answer.lives.is_empty()),
        (ASKED, !answer.asked.is_empty()),
        (UNKNOWN, !answer.unknown.is_empty()),
        (VERSIONS, !answer.versions.is_empty()),
    ]));
    if !answer.newer.is_empty() {
        let count = usize::try_from(answer.count).unwrap_or(usize::MAX);
        bits::encode_bitmap(count, answer.newer.iter().map(|(position, _)| *position), writer);
        bits::encode_cells(answer.newer.iter().map(|(_, cell)| *cell), writer);
    }
    if !answer.lives.is_empty() {
        lists::encode_lives(&answer.lives, unit, writer);
    }
    if !answer.asked.is_empty() {
        lists::encode_positions(&answer.asked, writer);
    }
    if !answer.unknown.is_empty() {
        lists::encode_positions(&answer.unknown, writer);
    }
    if !answer.versions.is_empty() {
        lists::encode_versions(&answer.versions, writer);
    }
}

pub(super) fn decode(unit: AgeUnit, reader: &mut Reader<'_>) -> Result<ColumnAnswer, DecodeError> {
    let standing = match reader.take::<u8>()? {
        SAME => Standing::Same,
        OTHER => Standing::Other,
        UNKNOWN_SET => {
            return Ok(ColumnAnswer { standing: Standing::Unknown, ..ColumnAnswer::default() });
        }
        _ => return Err(DecodeError::Malformed("a standing that is none")),
    };
    let declared: u32 = reader.take()?;
    let count = usize::try_from(declared).unwrap_or(usize::MAX);
    let present: u8 = reader.take()?;
    known_flags(present, NEWER | LIVES | ASKED | UNKNOWN | VERSIONS)?;
    let mut answer = ColumnAnswer { standing, count: declared, ..ColumnAnswer::default() };
    if present & NEWER != 0 {
        let positions = filled(bits::decode_bitmap(count, reader)?)?;
        let cells = bits::decode_cells(positions.len(), reader)?;
        if !cells.iter().all(|cell| matches!(cell, Cell::Young { .. })) {
            return Err(DecodeError::Malformed("a later life without a heartbeat"));
        }
        answer.newer = positions.into_iter().zip(cells).collect();
    }
    if present & LIVES != 0 {
        answer.lives = filled(lists::decode_lives(count, unit, reader)?)?;
    }
    if present & ASKED != 0 {
        answer.asked = filled(lists::decode_positions(count, reader)?)?;
    }
    if present & UNKNOWN != 0 {
        answer.unknown = filled(lists::decode_positions(count, reader)?)?;
    }
    if present & VERSIONS != 0 {
        answer.versions = filled(lists::decode_versions(count, reader)?)?;
    }
    Ok(answer)
}

/// What is announced is not empty: there is one way to say a thing.
fn filled<T>(list: Vec<T>) -> Result<Vec<T>, DecodeError> {
    if list.is_empty() { Err(DecodeError::Malformed("a list without entries")) } else { Ok(list) }
}
