//! Upper bounds of encoded lengths, for planning messages to a byte budget.

use crate::delta::DeltaOp;
use crate::digest::DigestEntry;
use crate::message::Header;

/// Longest varint of 64 bits.
pub(crate) const MAX_VARINT: usize = 10;

/// The bounds and the count of a prune section.
pub(crate) const PRUNE_HEADER: usize = 3 * MAX_VARINT;

/// Bytes of a varint.
pub(crate) fn varint(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// A string with its length.
pub(crate) fn string(len: usize) -> usize {
    varint(len as u64) + len
}

/// Everything of a [`NodeDelta`](crate::NodeDelta) but the prune section and the entries.
pub(crate) fn delta_header(owner_len: usize) -> usize {
    todo!()
}

/// One entry of a delta, `step` versions after the one before it.
pub(crate) fn delta_entry(key_len: usize, op: &DeltaOp<'_>, step: u64) -> usize {
    todo!()
}

/// One entry of a digest.
pub(crate) fn digest_entry(entry: &DigestEntry<'_>) -> usize {
    todo!()
}

/// Envelope and header of a message, with the fields of the body that are not lists.
pub(crate) fn message_overhead(header: &Header<'_>) -> usize {
    todo!()
}
