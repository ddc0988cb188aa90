//! The wire format: public, versioned, and the same for every transport.
//!
//! A message is an envelope, whose layout no wire version changes, and a body, which the wire
//! version in the envelope describes. [`Message::encode`](crate::message::Message::encode) and
//! [`Message::decode`](crate::message::Message::decode) are all that most users need;
//! [`Frame`] decodes without copying strings, and [`Envelope`] reads what can be read of a message
//! in an unknown version. `docs/wire-format.md` in the repository has all of it for other languages.
//!
//! ```
//! use chitchat_protocol::wire::{DecodeLimits, Envelope, Frame, Kind, VersionRange};
//! use chitchat_protocol::wire::encode_unsupported;
//!
//! let answer = encode_unsupported(chitchat_protocol::wire::cluster_id_hash("prod"), 7);
//! let frame = Frame::parse(&answer, &DecodeLimits::default())?;
//! assert_eq!(frame.kind(), Kind::Unsupported);
//! assert_eq!(frame.peer_range(), VersionRange::BUILD);
//! assert_eq!(Envelope::parse(&answer)?.echo, 7);
//! # Ok::<(), chitchat_protocol::DecodeError>(())
//! ```
//!
//! # Envelope
//!
//! 31 bytes; integers are little endian.
//!
//! | Offset | Length | Field |
//! |-------:|-------:|-------|
//! | 0  | 2 | magic, `C8 17`; not the start of any UTF-8 text |
//! | 2  | 1 | wire version of the body |
//! | 3  | 1 | [`Kind`] |
//! | 4  | 1 | flags: bit 0, the body is compressed; the others are 0 |
//! | 5  | 1 | oldest wire version that the sender reads |
//! | 6  | 1 | newest wire version that the sender reads |
//! | 7  | 8 | [`cluster_id_hash`] |
//! | 15 | 8 | nonce |
//! | 23 | 8 | echo of the peer's nonce |
//! | 31 |   | body |
//!
//! A compressed body is the length of the plain body as a varint, then one
//! [lz4 block](https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md). No message expands to
//! more than 16 times its own length; what would is sent plain.
//!
//! # Versions
//!
//! A node says in every envelope which versions it reads. It is written to in the newest version
//! that both have, and in the oldest by somebody who knows nothing of it (ALGORITHM.md, rules W1 to
//! W4). A message in a version that its receiver does not read is answered with
//! [`Kind::Unsupported`], which is an envelope without a body that carries the range of its sender
//! and can be read in all versions.
//! [`Frame::parse`] takes it in any version and returns
//! [`DecodeError::UnsupportedVersion`](crate::DecodeError::UnsupportedVersion) for nothing but
//! other kinds: who answers that error only, never answers `Unsupported` with `Unsupported`.
//!
//! A new field is a new version. Bits and bytes that a version does not define are refused.
//!
//! # Body, version 1
//!
//! A sequence of [postcard](https://postcard.jamesmunns.com/wire-format) values. `u64` is a varint,
//! `i64` a zigzag varint, `str` a length and its bytes, `list` a count and its elements, and
//! `x if f` is there only if flag `f` is set. Versions, heartbeats and generations are at most 2^62.
//!
//! ```text
//! incarnation = generation: u64, boot: 8 bytes, little endian
//! header      = flags: u8 (1 observer, 2 observed, 4 about you, 8 gc), interval in ms: u32,
//!               node id: str, incarnation, heartbeat: u64, age: u64, max version: u64,
//!               gc - max version: i64 if gc, observed: address if observed, report if about you
//! report      = incarnation, heartbeat: u64, age: u64, max version: u64, gc - max version: i64
//! address     = 0: u8, 4 bytes, port: u16  |  1: u8, 16 bytes, port: u16
//!
//! syn         = header, budget: u64, start: str, end: optional str, list of digest
//! syn-ack     = header, part, budget: u64, list of digest, list of delta
//! ack         = header, part, list of delta
//! push        = header, list of delta
//! push-ack    = header, max version: u64
//! refused     = header, reason: u8 (0 generation from the future, 1 too many nodes)
//! part        = index: u32, flags: u8 (1 last, 2 more)
//!
//! digest      = node id: str, incarnation, heartbeat: u64, age: u64, max version: u64,
//!               flags: u8 (1 frozen, 2 cursor, 4 parked, 8 gc), gc - max version: i64 if gc,
//!               position: u64 and gc version: u64 if cursor, from: u64 and to: u64 if parked
//! delta       = node id: str, incarnation, heartbeat: u64, age: u64, from: u64, to - from: u64,
//!               source - to: u64, horizon - source: u64, flags: u8 (1 prune, 2 gc),
//!               horizon - gc: u64 if gc, prune if prune, list of entry
//! prune       = from: u64, to - from: u64, list of version - previous version: u64
//! entry       = version - previous version: u64, key: str, op
//! op          = 0: u8  |  1: u8, value: str  |  2: u8, value: str, ms left: u64
//! ```
//!
//! - Without flag `gc` the last gc version is 0.
//! - Ages count tenths of the sender's interval, to the nearest; except for the sender's own they
//!   are one more than that, and 0 is "not known". They are ages and not times, since nodes share
//!   no clock.
//! - The first version of a list is counted from the `from` of the list; no difference is 0.
//! - What is left of a time to live is rounded up.
//! - Lists of digest entries ascend strictly by node id, within the range if there is one.
//! - Node ids have 1 to 255 bytes, and keys at least 1.
//! - Nothing follows the body.
//!
//! # Body, version 2
//!
//! Version 1, byte for byte, and four more kinds. In the header of a column-syn-ack, with flag 16, a
//! position: u32 is in the place of node id and incarnation. Bits are packed, the first one lowest, with
//! zeros up to a whole byte; `n` is the number of members.
//!
//! ```text
//! column-syn     = header, budget: u64, columns
//! column-syn-ack = header, part, budget: u64, answer, list of digest, list of delta
//! inquiry        = header, budget: u64, list of digest, unnamed
//! news           = header, list of (6 bytes, little endian: hash, max version: u64), list of delta
//!
//! unnamed  = 0: u64  |  n: u64, nonce of the news: 8 bytes, little endian, n * 6 bytes, little endian: hash
//! columns  = layout, n * cell, life for each cell that is listed,
//!            4 bytes, little endian, if a cell is not live: hash of the lives of those,
//!            ceil(n / 32) * 2 bytes, little endian: hashes of versions,
//!            list of (position, versions)
//! layout   = 0: u8, fingerprint: 8 bytes, little endian, first: u32, n: u64
//!          | 1: u8, start: str, end: optional str, list of 6 bytes, little endian: n hashes
//! cell     = age: 7 bits (0 to 70 tenths, or 71 to 124: 7.5 to 34 intervals in halves, or 126 not live,
//!            or 127 listed),
//!            heartbeat modulo 16: 4 bits (0 unless there is an age)
//! life     = heartbeat: u64, age: u64
//! versions = of a digest: from max version on
//! position = position - previous position - 1: u32; the first as it is
//!
//! answer   = 2: u8, the set is unknown
//!          | standing: u8 (0 same, 1 other), n: u32,
//!            flags: u8 (1 newer, 2 lives, 4 asked, 8 unknown, 16 versions),
//!            n * 1 bit and a cell for each that is set, if newer,
//!            list of (position, life) if lives, list of position if asked,
//!            list of position if unknown, list of (position, versions) if versions
//! ```
//!
//! - Positions are below `n`.
//! - The cells of an answer are young.
//! - What is flagged in an answer is not empty.
//!
//! # Bounds
//!
//! Decoding is total: for any bytes it returns a message or an error, with no recursion and no
//! panic. Every length and count is checked against the bytes that are there before anything is
//! allocated, so that a body takes at most 24 times its plain length in memory, and the plain
//! length is bounded by [`DecodeLimits`] and by 16 times the message.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::indexing_slicing
)]

mod codec;
mod compress;
mod envelope;
mod frame;
mod message;
mod options;
mod owned;
pub(crate) mod size;
mod v1;
mod v2;
mod version;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
pub(crate) mod tests;

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

pub(crate) use envelope::unsupported;
pub use envelope::{Envelope, Kind, encode_unsupported};
pub use frame::Frame;
pub use options::{DecodeLimits, EncodeOptions};
pub(crate) use size::single_entry_overhead;
pub(crate) use version::Version;
pub use version::VersionRange;

/// Oldest wire version that this build reads.
pub const WIRE_VERSION_MIN: u8 = 1;

/// Newest wire version that this build reads.
pub const WIRE_VERSION_MAX: u8 = 2;

/// Key of the cluster id's hash: part of the format, not a secret.
const CLUSTER_HASH_KEY: &[u8; 16] = b"chitchat cluster";

/// Hash of a cluster id, as messages carry it: SipHash-1-3 under a fixed key, so that it is the
/// same on every machine and in every release.
///
/// It keeps clusters apart that share a network by mistake. It is no protection against an
/// adversary.
///
/// ```
/// use chitchat_protocol::wire::cluster_id_hash;
/// assert_ne!(cluster_id_hash("staging"), cluster_id_hash("prod"));
/// ```
pub fn cluster_id_hash(cluster_id: &str) -> u64 {
    let mut hasher = SipHasher13::new_with_key(CLUSTER_HASH_KEY);
    // Not `Hash for str`, whose bytes are the standard library's own affair.
    hasher.write(cluster_id.as_bytes());
    hasher.finish()
}
