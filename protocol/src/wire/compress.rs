//! Compression of bodies.
//!
//! lz4. With zstd a delta in a datagram would be 18 to 34 % shorter, for four times the time to compress
//! and nine times that to decompress, or more, and columns no shorter ("Why LZ4" in `docs/wire-format.md`).

#![deny(clippy::arithmetic_side_effects)]

use lz4_flex::block;

use crate::error::DecodeError;
use crate::wire::Envelope;
use crate::wire::codec::{Reader, Writer};
use crate::wire::envelope::{COMPRESSED, ENVELOPE_LEN};

/// Shorter bodies are sent plain: the gain is a few bytes.
const MIN_BODY_LEN: usize = 256;

/// How many times its own length a message may expand to. lz4 reaches 255, which would let a small
/// message claim a lot of memory.
const MAX_RATIO: usize = 16;

/// A body that is longer than this is tried with as much of its middle first.
const SAMPLE_LEN: usize = 4 << 10;

/// Whether a long body is worth the time: keys alone, which lz4 finds to be alike, gain a few
/// percent, while the values are random, encrypted or compressed already. Short bodies are cheap.
fn seems_compressible(body: &[u8]) -> bool {
    let start = body.len().saturating_sub(SAMPLE_LEN) / 2;
    let sample = match body.get(start..start.saturating_add(SAMPLE_LEN)) {
        Some(sample) if body.len() > SAMPLE_LEN.saturating_mul(2) => sample,
        _ => return true,
    };
    let worth = SAMPLE_LEN - SAMPLE_LEN / 8;
    block::compress(sample).len() < worth
}

/// The message with its body compressed, if that makes it shorter and keeps to the ratio.
pub(super) fn shorten(envelope: Envelope, plain: &[u8]) -> Option<Vec<u8>> {
    let body = plain.get(ENVELOPE_LEN..)?;
    if body.len() < MIN_BODY_LEN || !seems_compressible(body) {
        return None;
    }
    let room = block::get_maximum_output_size(body.len());
    let mut out = Vec::with_capacity(ENVELOPE_LEN.saturating_add(room).saturating_add(10));
    Envelope { flags: envelope.flags | COMPRESSED, ..envelope }.write(&mut out);
    Writer::new(&mut out).put(&u64::try_from(body.len()).ok()?);
    let start = out.len();
    out.resize(start.checked_add(room)?, 0);
    let written = block::compress_into(body, out.get_mut(start..)?).ok()?;
    out.truncate(start.checked_add(written)?);
    (out.len() < plain.len() && body.len() <= max_plain_len(out.len())).then_some(out)
}

/// The plain body of a compressed one. Nothing is allocated before the length is checked, and the
/// decompressor writes to memory of that length only.
pub(super) fn expand(
    body: &[u8],
    message_len: usize,
    limit: usize,
) -> Result<Vec<u8>, DecodeError> {
    let mut reader = Reader::new(body);
    let declared: u64 = reader.take()?;
    let len = usize::try_from(declared).unwrap_or(usize::MAX);
    let limit = limit.min(max_plain_len(message_len));
    if len > limit {
        return Err(DecodeError::TooLarge { len, limit });
    }
    let mut plain = vec![0; len];
    match block::decompress_into(reader.rest(), &mut plain) {
        Ok(written) if written == len => Ok(plain),
        Ok(_) => Err(DecodeError::Malformed("the compressed body is shorter than declared")),
        Err(_) => Err(DecodeError::Malformed("the compressed body is not an lz4 block")),
    }
}

fn max_plain_len(message_len: usize) -> usize {
    message_len.saturating_mul(MAX_RATIO)
}
