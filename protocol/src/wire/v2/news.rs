//! How far the copies of what changed lately go, and whom a reader of that does not know.

#![deny(clippy::arithmetic_side_effects)]

use super::short_hash;
use crate::columns::SHORT_HASH_LEN;
use crate::error::DecodeError;
use crate::message::{Changed, Unnamed};
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

pub(super) fn encode_unnamed(unnamed: &Unnamed, writer: &mut Writer<'_>) {
    writer.put_len(unnamed.hashes.len());
    if unnamed.hashes.is_empty() {
        return;
    }
    writer.put_bytes(&unnamed.nonce.to_le_bytes());
    for hash in &unnamed.hashes {
        short_hash::encode(*hash, writer);
    }
}

pub(super) fn decode_unnamed(reader: &mut Reader<'_>) -> Result<Unnamed, DecodeError> {
    let count: u64 = reader.take()?;
    if count == 0 {
        return Ok(Unnamed::default());
    }
    let nonce = u64::from_le_bytes(*reader.array()?);
    let hashes = reader.items(count, SHORT_HASH_LEN, short_hash::decode)?;
    Ok(Unnamed { nonce, hashes })
}
