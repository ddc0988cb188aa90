//! How far the copies of what changed lately go.

#![deny(clippy::arithmetic_side_effects)]

use super::short_hash;
use crate::columns::SHORT_HASH_LEN;
use crate::error::DecodeError;
use crate::message::Changed;
use crate::wire::codec::{Reader, Writer, bounded};

/// Bytes of the shortest element: a hash, and a version.
const MIN_CHANGED_LEN: usize = SHORT_HASH_LEN + 1;

pub(super) fn encode_changed(changed: &[Changed], writer: &mut Writer<'_>) {
    writer.put_len(changed.len());
    for it in changed {
        short_hash::encode(it.hash, writer);
        writer.put(&it.max_version);
    }
}

pub(super) fn decode_changed(reader: &mut Reader<'_>) -> Result<Vec<Changed>, DecodeError> {
    reader.list(MIN_CHANGED_LEN, |reader| {
        let hash = short_hash::decode(reader)?;
        Ok(Changed { hash, max_version: bounded(reader.take()?)? })
    })
}
