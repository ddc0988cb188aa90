//! Wire version 2: version 1, digests in columns, and news. The structs of this module mirror the domain types,
//! but are not them: those may change with any release, these never.
//!
//! The format is in the [module docs](super).

#![deny(clippy::arithmetic_side_effects)]

mod answer;
mod bits;
mod columns;
mod lists;
mod news;
mod short_hash;

pub(super) use bits::cells_len;

use crate::error::DecodeError;
use crate::message::{Body, Message};
use crate::wire::codec::{Reader, Writer};
use crate::wire::{Envelope, Kind, v1};

/// Appends the body of a message.
pub(super) fn encode(message: &Message<'_>, out: &mut Vec<u8>) {
    let writer = &mut Writer::new(out);
    let unit = v1::header::encode(&message.header, writer);
    match &message.body {
        Body::ColumnSyn { budget, columns } => {
            writer.put(budget);
            columns::encode(columns, unit, writer);
        }
        Body::ColumnSynAck { part, budget, answer, entries, deltas } => {
            v1::body::encode_part(*part, writer);
            writer.put(budget);
            answer::encode(answer, unit, writer);
            v1::digest::encode_entries(entries, unit, writer);
            v1::delta::encode_list(deltas, unit, writer);
        }
        Body::Inquiry { budget, entries, unnamed } => {
            writer.put(budget);
            v1::digest::encode_entries(entries, unit, writer);
            news::encode_unnamed(unnamed, writer);
        }
        Body::News { changed, deltas } => {
            news::encode_changed(changed, writer);
            v1::delta::encode_list(deltas, unit, writer);
        }
        body => v1::body::encode(body, unit, writer),
    }
}

/// Decodes a plain body.
pub(super) fn decode<'a>(
    envelope: &Envelope,
    kind: Kind,
    plain: &'a [u8],
) -> Result<Message<'a>, DecodeError> {
    let reader = &mut Reader::new(plain);
    let (header, unit) = match kind {
        Kind::ColumnSynAck => v1::header::decode_positioned(envelope, reader)?,
        _ => v1::header::decode(envelope, reader)?,
    };
    // The fields of a struct expression are evaluated in the order in which they are written.
    let body = match kind {
        Kind::ColumnSyn => {
            Body::ColumnSyn { budget: reader.take()?, columns: columns::decode(unit, reader)? }
        }
        Kind::ColumnSynAck => Body::ColumnSynAck {
            part: v1::body::decode_part(reader)?,
            budget: reader.take()?,
            answer: answer::decode(unit, reader)?,
            entries: v1::digest::decode_entries(unit, reader)?,
            deltas: v1::delta::decode_list(unit, reader)?,
        },
        Kind::Inquiry => Body::Inquiry {
            budget: reader.take()?,
            entries: v1::digest::decode_entries(unit, reader)?,
            unnamed: news::decode_unnamed(reader)?,
        },
        Kind::News => Body::News {
            changed: news::decode_changed(reader)?,
            deltas: v1::delta::decode_list(unit, reader)?,
        },
        kind => v1::body::decode(kind, unit, reader)?,
    };
    reader.end()?;
    Ok(Message { header, body })
}
