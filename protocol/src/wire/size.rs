//! Upper bounds of encoded lengths, for planning messages to a byte budget.
//!
//! They bound plain lengths; compression only ever makes a message shorter. They hold for all
//! messages that decoding accepts.

use std::net::SocketAddr;

use crate::columns::{BUCKET, ColumnAnswer, Life, PositionVersions, SHORT_HASH_LEN};
use crate::delta::DeltaOp;
use crate::digest::DigestEntry;
use crate::id::{Incarnation, NodeId};
use crate::message::Header;
use crate::wire::codec::difference;
use crate::wire::envelope::ENVELOPE_LEN;
use crate::wire::v1::{AgeUnit, interval_ms, ttl_ms};
use crate::wire::v2;

/// Longest varint of 64 bits.
pub(crate) const MAX_VARINT: usize = 10;

/// The bounds and the count of a prune section.
pub(crate) const PRUNE_HEADER: usize = 3 * MAX_VARINT;

/// Longest varint of a version, heartbeat or generation, all of which are at most 2^62; also of a
/// difference between two, in zigzag.
const MAX_VERSION_LEN: usize = 9;

/// Longest varint of a length or count: no message comes near 4 GiB.
const MAX_COUNT_LEN: usize = 5;

/// Longest varint of 32 bits.
const MAX_VARINT_32: usize = 5;

const FLAGS_LEN: usize = 1;

const BOOT_LEN: usize = 8;

const NONCE_LEN: usize = 8;

const MAX_INCARNATION_LEN: usize = MAX_VERSION_LEN + BOOT_LEN;

/// IPv6: its tag, the address and the port.
const MAX_ADDR_LEN: usize = 1 + 16 + 3;

/// Incarnation, heartbeat, age and versions.
const MAX_REPORT_LEN: usize = MAX_INCARNATION_LEN + MAX_VARINT + 3 * MAX_VERSION_LEN;

/// Everything of any header: flags, interval (at most 3,600,000), node id, what a report has,
/// address, report.
const MAX_HEADER_LEN: usize =
    FLAGS_LEN + 4 + 2 + NodeId::MAX_LEN + MAX_REPORT_LEN + MAX_ADDR_LEN + MAX_REPORT_LEN;

/// The fields of any body but a Syn that are not lists, and the counts of the lists: those of a
/// SynAck, which are part, budget and two counts.
const MAX_BODY_LEN: usize = MAX_VARINT_32 + FLAGS_LEN + MAX_VARINT + 2 * MAX_COUNT_LEN;

/// Bytes of a varint.
pub(crate) fn varint(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Bytes of a zigzag varint.
fn zigzag(value: i64) -> usize {
    varint(value.unsigned_abs().saturating_mul(2))
}

/// A string with its length.
pub(crate) fn string(len: usize) -> usize {
    varint(len as u64) + len
}

/// Everything of a [`NodeDelta`](crate::NodeDelta) but the prune section and the entries. The owner's
/// name decides: what the numbers are, the planner does not know yet.
pub(crate) fn delta_header(owner_len: usize) -> usize {
    // Heartbeat, `from`, three differences and the watermark's.
    let versions = 6 * MAX_VERSION_LEN;
    string(owner_len) + MAX_INCARNATION_LEN + MAX_VARINT + versions + FLAGS_LEN + MAX_COUNT_LEN
}

/// One entry of a delta, `step` versions after the one before it.
pub(crate) fn delta_entry(key_len: usize, op: &DeltaOp<'_>, step: u64) -> usize {
    let op_len = match op {
        DeltaOp::Delete => 1,
        DeltaOp::Set { value, ttl } => {
            1 + string(value.len()) + ttl.map_or(0, |ttl| varint(ttl_ms(ttl)))
        }
    };
    varint(step) + string(key_len) + op_len
}

/// One entry of a digest.
pub(crate) fn digest_entry(entry: &DigestEntry<'_>) -> usize {
    // The shortest interval makes the longest ages. The interval that counts is in the header.
    let age = AgeUnit::new(1).encode_known(entry.age);
    let pair = |(first, second)| varint(first) + varint(second);
    string(entry.node_id.len())
        + incarnation(&entry.incarnation)
        + varint(entry.heartbeat)
        + varint(age)
        + FLAGS_LEN
        + versions(entry.max_version, entry.last_gc_version)
        + entry.cursor.map_or(0, |cursor| pair((cursor.position, cursor.gc_version)))
        + entry.parked.map_or(0, pair)
}

/// Most bytes of a position in a list.
pub(crate) const POSITION: usize = MAX_VARINT_32;

/// Everything of a question in columns but what grows with its members. The bounds of its range have
/// these lengths.
pub(crate) fn column_syn_overhead(header: &Header<'_>, start_len: usize, end_len: usize) -> usize {
    // By hashes there is a range, by a set a fingerprint and a position. The hash of those who are not
    // live; how many members and how many versions.
    let layout = (string(start_len) + 1 + string(end_len)).max(8 + MAX_VARINT_32);
    ENVELOPE_LEN + header_len(header) + MAX_VARINT + 1 + layout + 4 + 2 * MAX_COUNT_LEN
}

/// What so many members take in the columns of a question.
pub(crate) fn columns(count: usize, by_hashes: bool) -> usize {
    let hashes = if by_hashes { count * SHORT_HASH_LEN } else { 0 };
    hashes + v2::cells_len(count) + 2 * count.div_ceil(BUCKET)
}

/// A life in a list.
pub(crate) fn life(life: &Life) -> usize {
    let age = AgeUnit::new(1).encode_known(life.age);
    POSITION + varint(life.heartbeat) + varint(age)
}

/// Versions in a list of positions.
pub(crate) fn position_versions(it: &PositionVersions) -> usize {
    let pair = |(first, second)| varint(first) + varint(second);
    POSITION
        + FLAGS_LEN
        + versions(it.max_version, it.last_gc_version)
        + it.cursor.map_or(0, |cursor| pair((cursor.position, cursor.gc_version)))
        + it.parked.map_or(0, pair)
}

/// An answer to a question in columns without its lists: who is known to be how late.
pub(crate) fn newer_cells(answer: &ColumnAnswer) -> usize {
    let count = usize::try_from(answer.count).unwrap_or(usize::MAX);
    let bitmap = if answer.newer.is_empty() { 0 } else { count.div_ceil(8) };
    1 + MAX_VARINT_32 + FLAGS_LEN + bitmap + v2::cells_len(answer.newer.len()) + 4 * MAX_COUNT_LEN
}

/// An answer to a question in columns.
pub(crate) fn column_answer(answer: &ColumnAnswer) -> usize {
    newer_cells(answer)
        + answer.lives.iter().map(life).sum::<usize>()
        + (answer.asked.len() + answer.unknown.len()) * POSITION
        + answer.versions.iter().map(position_versions).sum::<usize>()
}

/// Everything of an [`Inquiry`](crate::message::Body::Inquiry) but its entries and hashes.
pub(crate) fn inquiry_overhead(header: &Header<'_>) -> usize {
    ENVELOPE_LEN + header_len(header) + MAX_VARINT + 2 * MAX_COUNT_LEN + NONCE_LEN
}

/// So many members that are known by a hash only.
pub(crate) fn unnamed(count: usize) -> usize {
    count * SHORT_HASH_LEN
}

/// Everything of [`News`](crate::message::Body::News) but what changed and the deltas.
pub(crate) fn news_overhead(header: &Header<'_>) -> usize {
    ENVELOPE_LEN + header_len(header) + 2 * MAX_COUNT_LEN
}

/// How far one copy goes.
pub(crate) fn changed(max_version: u64) -> usize {
    SHORT_HASH_LEN + varint(max_version)
}

/// Envelope and header of a message, with the fields of the body that are not lists, and the counts
/// of the lists. For a Syn see [`syn_overhead`].
pub(crate) fn message_overhead(header: &Header<'_>) -> usize {
    ENVELOPE_LEN + header_len(header) + MAX_BODY_LEN
}

/// Everything of a Syn but the entries of its digest. The bounds of its range have these lengths;
/// an open end has none, and 0 will do.
pub(crate) fn syn_overhead(header: &Header<'_>, start_len: usize, end_len: usize) -> usize {
    let range = string(start_len) + 1 + string(end_len);
    ENVELOPE_LEN + header_len(header) + MAX_VARINT + range + MAX_COUNT_LEN
}

/// Everything that a message with one entry of this owner takes beside key and value, whoever sends
/// it to whom.
pub(crate) fn single_entry_overhead(owner_len: usize) -> usize {
    // Its difference, the lengths of key and value, which operation it is, its time to live.
    let entry = MAX_VERSION_LEN + 2 * MAX_COUNT_LEN + 1 + MAX_VARINT;
    ENVELOPE_LEN + MAX_HEADER_LEN + MAX_BODY_LEN + delta_header(owner_len) + entry
}

fn header_len(header: &Header<'_>) -> usize {
    let interval = interval_ms(header.gossip_interval);
    let unit = AgeUnit::new(interval);
    let sender = &header.sender;
    let about_you = header.about_you.as_ref().map_or(0, |report| {
        incarnation(&report.incarnation)
            + varint(report.heartbeat)
            + varint(unit.encode_known(report.age))
            + varint(report.max_version)
            + zigzag(difference(report.max_version, report.last_gc_version))
    });
    let observed = match header.observed {
        None => 0,
        Some(SocketAddr::V4(_)) => 1 + 4 + 3,
        Some(SocketAddr::V6(_)) => MAX_ADDR_LEN,
    };
    let name = match sender.position {
        Some(position) => varint(u64::from(position)),
        None => string(sender.node_id.len()) + incarnation(&sender.incarnation),
    };
    FLAGS_LEN
        + varint(u64::from(interval))
        + name
        + varint(sender.heartbeat)
        + varint(unit.encode(sender.age))
        + versions(sender.max_version, sender.last_gc_version)
        + observed
        + about_you
}

fn incarnation(incarnation: &Incarnation) -> usize {
    varint(incarnation.generation_id) + BOOT_LEN
}

/// A `max_version`, and the watermark beside it where there is one.
fn versions(max_version: u64, gc: u64) -> usize {
    let gc_len = if gc == 0 { 0 } else { zigzag(difference(max_version, gc)) };
    varint(max_version) + gc_len
}
