//! The 48 bits that mean a member in one message.

use crate::columns::SHORT_HASH_LEN;
use crate::error::DecodeError;
use crate::wire::codec::{Reader, Writer};

pub(super) fn encode(hash: u64, writer: &mut Writer<'_>) {
    let bytes = hash.to_le_bytes();
    writer.put_bytes(bytes.get(..SHORT_HASH_LEN).unwrap_or(&bytes));
}

pub(super) fn decode(reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
    let [a, b, c, d, e, f] = *reader.array()?;
    Ok(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
}
