//! What every reader of version 2 must refuse.

use chitchat_protocol::message::{Body, Unnamed};
use chitchat_protocol::{DecodeError, DigestEntry};

use crate::Refused;
use crate::parts::{ENVELOPE_LEN, entry, plain, plain_2, raw_2, replaced};
use crate::refused::{FLAGS, HIGH, malformed, refused};

const COLUMN_SYN: u8 = 7;
const COLUMN_SYN_ACK: u8 = 8;

const CELL: &str = "a cell that is none";
const PADDING: &str = "bits behind the last";
const POSITION: &str = "a position behind the last";

/// 2^62 + 1.
const TOO_HIGH: [u8; 9] = [0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40];

/// A set, from its first member on.
const SET: [u8; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 0];

/// The cell of a member whose life is listed.
const LISTED: [u8; 2] = [0x7F, 0];

/// No versions are listed.
const NO_VERSIONS: u8 = 0;

pub(crate) fn all() -> Vec<Refused> {
    let mut all = kinds();
    all.extend(questions());
    all.extend(answers());
    all
}

fn inquiry(entries: Vec<DigestEntry<'static>>) -> Body<'static> {
    Body::Inquiry { budget: 0, entries, unnamed: Unnamed::default() }
}

fn kinds() -> Vec<Refused> {
    let old = |kind| {
        let bytes = replaced(plain(Body::PushAck { max_version: 12_345 }), 3..4, &[kind]);
        (bytes, DecodeError::UnknownKind(kind))
    };
    let [(eight, eighth), (nine, ninth), (ten, tenth)] = [8, 9, 10].map(old);
    vec![
        refused("kind_8", "kind 8, in version 1", eight, eighth),
        refused("kind_9", "kind 9, in version 1", nine, ninth),
        refused("kind_10", "kind 10, in version 1", ten, tenth),
        refused("kind_11", "kind 11, in version 2", raw_2(11, &[0]), DecodeError::UnknownKind(11)),
        malformed(
            "inquiry_twice",
            "an inquiry with the same id twice",
            plain_2(inquiry(vec![entry(), entry()])),
            "digest entries that do not ascend",
        ),
        refused(
            "inquiry_count",
            "an inquiry for 2^60 members without names, and two there",
            raw_2(9, &[&[0, 0][..], &[0x80; 8], &[0x10], &[7; 20]].concat()),
            DecodeError::Truncated,
        ),
        refused(
            "inquiry_nonce",
            "seven of the eight bytes of the nonce that news had",
            raw_2(9, &[&[0, 0, 1][..], &[7; 7]].concat()),
            DecodeError::Truncated,
        ),
        refused(
            "news_count",
            "what changed of 2^60 members, and nothing there",
            raw_2(10, &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]),
            DecodeError::Truncated,
        ),
        refused(
            "news_changed",
            "a hash of six bytes, and five there",
            raw_2(10, &[1, 1, 2, 3, 4, 5]),
            DecodeError::Truncated,
        ),
        malformed(
            "news_version_high",
            "a log of 2^62 + 1 versions",
            raw_2(10, &[&[1, 1, 2, 3, 4, 5, 6], &TOO_HIGH[..], &[0]].concat()),
            HIGH,
        ),
    ]
}

fn question(pieces: &[&[u8]]) -> Vec<u8> {
    // A budget of 0, and the columns.
    raw_2(COLUMN_SYN, &[&[0], &*pieces.concat()].concat())
}

fn questions() -> Vec<Refused> {
    let one = |cell: [u8; 2], rest: &[u8]| question(&[&SET, &[1], &cell, rest]);
    let plain_cell = |rest: &[u8]| one([0, 0], rest);
    let two = |rest: &[u8]| question(&[&SET, &[2], &[0, 0, 0], &[0x34, 0x12], rest]);
    let hashes = |pieces: &[&[u8]]| question(&[&[1], &*pieces.concat()]);
    let cut = DecodeError::Truncated;
    vec![
        malformed("columns_layout", "layout 2", question(&[&[2]]), "a layout that is none"),
        malformed(
            "columns_range",
            "hashes of a range from b to b",
            hashes(&[&[1, b'b', 1, 1, b'b'], &[0, 0]]),
            "a digest over an empty range",
        ),
        refused(
            "columns_hashes",
            "two hashes, and eleven bytes there",
            hashes(&[&[0, 0, 2], &[0; 11]]),
            cut.clone(),
        ),
        refused(
            "columns_count",
            "2^60 members of a set, and no cells there",
            question(&[&SET, &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]]),
            cut.clone(),
        ),
        malformed("columns_cell_age", "an age of 125", one([125, 0], &[0, 0, 0]), CELL),
        malformed(
            "columns_cell_not_live",
            "somebody who is not live, with a heartbeat",
            one([0xFE, 0], &[0, 0, 0, 0, 0, 0, 0]),
            CELL,
        ),
        malformed(
            "columns_cell_listed",
            "a life that is listed, with a heartbeat in the cell",
            one([0x7F, 4], &[0, 0, 0, 0, 0]),
            CELL,
        ),
        malformed(
            "columns_padding",
            "a bit behind the only cell",
            one([0, 8], &[0x34, 0x12, NO_VERSIONS]),
            PADDING,
        ),
        malformed(
            "columns_life_high",
            "a heartbeat of 2^62 + 1 that is listed",
            one(LISTED, &[&TOO_HIGH[..], &[0, 0x34, 0x12, NO_VERSIONS]].concat()),
            HIGH,
        ),
        refused(
            "columns_life",
            "a life that is listed and not there",
            one(LISTED, &[0]),
            cut.clone(),
        ),
        refused(
            "columns_not_live",
            "three of the four bytes for those who are not live",
            one([0x7E, 0], &[1, 2, 3]),
            cut.clone(),
        ),
        refused("columns_bucket", "half a hash of versions", plain_cell(&[0x34]), cut),
        malformed(
            "columns_position",
            "versions of the second of one",
            plain_cell(&[0x34, 0x12, 1, 1, 5, 0]),
            POSITION,
        ),
        malformed(
            "columns_position_wraps",
            "a position that wraps to the one before",
            two(&[2, 0, 5, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 5, 0]),
            POSITION,
        ),
        malformed(
            "columns_flags",
            "flag 16 of versions",
            plain_cell(&[0x34, 0x12, 1, 0, 5, 16]),
            FLAGS,
        ),
        malformed(
            "columns_version_high",
            "a version of 2^62 + 1",
            plain_cell(&[&[0x34, 0x12, 1, 0], &TOO_HIGH[..], &[0]].concat()),
            HIGH,
        ),
    ]
}

fn answers() -> Vec<Refused> {
    // The only part, a budget of 0, then the answer; no entries and no deltas.
    let answer = |said: &[u8]| raw_2(COLUMN_SYN_ACK, &[&[0, 1, 0], said, &[0, 0]].concat());
    let empty = "a list without entries";
    let flagged =
        |message: Vec<u8>, flag| replaced(message, ENVELOPE_LEN..ENVELOPE_LEN + 1, &[flag]);
    let inquiry = plain_2(inquiry(Vec::new()));
    vec![
        malformed(
            "position_flag",
            "a position in place of a name in an inquiry",
            flagged(inquiry, 16),
            FLAGS,
        ),
        malformed(
            "position_flag_next",
            "header flag 32 of an answer",
            flagged(answer(&[2]), 32),
            FLAGS,
        ),
        refused(
            "position_cut",
            "a position that does not end",
            [&flagged(answer(&[2]), 16)[..ENVELOPE_LEN + 3], &[0x80]].concat(),
            DecodeError::Truncated,
        ),
        malformed("answer_standing", "standing 3", answer(&[3]), "a standing that is none"),
        malformed("answer_flags", "flag 32 of an answer", answer(&[0, 1, 32]), FLAGS),
        malformed("answer_newer", "nobody is later", answer(&[0, 1, 1, 0]), empty),
        malformed("answer_lives", "a list of no lives", answer(&[0, 1, 2, 0]), empty),
        malformed("answer_asked", "nobody is asked for", answer(&[0, 1, 4, 0]), empty),
        malformed("answer_unknown", "nobody is unknown", answer(&[0, 1, 8, 0]), empty),
        malformed("answer_versions", "a list of no versions", answer(&[0, 1, 16, 0]), empty),
        malformed(
            "answer_bitmap",
            "a bit for the second of one",
            answer(&[0, 1, 1, 2, 0, 0]),
            PADDING,
        ),
        refused(
            "answer_cells",
            "eight who are later, and cells for six",
            answer(&[&[0, 8, 1, 0xFF], &[0; 7][..]].concat()),
            DecodeError::Truncated,
        ),
        malformed(
            "answer_padding",
            "a bit behind the cells of who is later",
            answer(&[0, 1, 1, 1, 0, 8]),
            PADDING,
        ),
        malformed(
            "answer_cell",
            "a later life that is listed",
            answer(&[&[0, 1, 1, 1], &LISTED[..]].concat()),
            "a later life without a heartbeat",
        ),
        malformed(
            "answer_position",
            "the second of one is asked for",
            answer(&[0, 1, 4, 1, 1]),
            POSITION,
        ),
        malformed(
            "answer_life_position",
            "the life of the second of one",
            answer(&[0, 1, 2, 1, 1, 0, 0]),
            POSITION,
        ),
    ]
}
