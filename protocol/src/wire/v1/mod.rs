//! Wire version 1. The structs of this module mirror the domain types, but are not them: those may
//! change with any release, these never.
//!
//! The format is in the [module docs](super).

#![deny(clippy::arithmetic_side_effects)]

pub(super) mod body;
pub(super) mod delta;
pub(super) mod digest;
pub(super) mod header;
mod scalar;

pub(super) use scalar::{AgeUnit, interval_ms, ttl_ms};

use crate::error::DecodeError;
use crate::message::Message;
use crate::wire::codec::{Reader, Writer};
use crate::wire::{Envelope, Kind};

/// Appends the body of a message.
pub(super) fn encode(message: &Message<'_>, out: &mut Vec<u8>) {
    let writer = &mut Writer::new(out);
    let unit = header::encode(&message.header, writer);
    body::encode(&message.body, unit, writer);
}

/// Decodes a plain body.
pub(super) fn decode<'a>(
    envelope: &Envelope,
    kind: Kind,
    plain: &'a [u8],
) -> Result<Message<'a>, DecodeError> {
    let mut reader = Reader::new(plain);
    let (header, unit) = header::decode(envelope, &mut reader)?;
    let body = body::decode(kind, unit, &mut reader)?;
    reader.end()?;
    Ok(Message { header, body })
}
