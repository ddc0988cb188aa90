//! What follows the header, by kind.

use serde::{Deserialize, Serialize};

use super::scalar::AgeUnit;
use super::{delta, digest};
use crate::error::DecodeError;
use crate::message::{self, Refusal};
use crate::wire::Kind;
use crate::wire::codec::{Reader, Writer, bounded, flags, known_flags};

const LAST: u8 = 1;
const MORE: u8 = 2;

/// See [`TrainPart`](message::TrainPart).
#[derive(Serialize, Deserialize)]
struct TrainPart {
    index: u32,
    flags: u8,
}

/// See [`Refusal`].
#[derive(Serialize, Deserialize)]
enum Reason {
    GenerationFromTheFuture,
    TooManyNodes,
}

pub(in crate::wire) fn encode(body: &message::Body<'_>, unit: AgeUnit, writer: &mut Writer<'_>) {
    match body {
        message::Body::Syn { budget, digest } => {
            writer.put(budget);
            digest::encode(digest, unit, writer);
        }
        message::Body::SynAck { part, budget, entries, deltas } => {
            encode_part(*part, writer);
            writer.put(budget);
            digest::encode_entries(entries, unit, writer);
            delta::encode_list(deltas, unit, writer);
        }
        message::Body::Ack { part, deltas } => {
            encode_part(*part, writer);
            delta::encode_list(deltas, unit, writer);
        }
        message::Body::Push { deltas } => delta::encode_list(deltas, unit, writer),
        message::Body::PushAck { max_version } => writer.put(max_version),
        message::Body::Refused { reason } => writer.put(&match reason {
            Refusal::GenerationFromTheFuture => Reason::GenerationFromTheFuture,
            Refusal::TooManyNodes => Reason::TooManyNodes,
        }),
        // Of later versions. Without a body no reader takes them for something else.
        message::Body::ColumnSyn { .. }
        | message::Body::ColumnSynAck { .. }
        | message::Body::Inquiry { .. }
        | message::Body::News { .. } => {}
    }
}

pub(in crate::wire) fn decode<'a>(
    kind: Kind,
    unit: AgeUnit,
    reader: &mut Reader<'a>,
) -> Result<message::Body<'a>, DecodeError> {
    // The fields of a struct expression are evaluated in the order in which they are written.
    Ok(match kind {
        Kind::Unsupported | Kind::ColumnSyn | Kind::ColumnSynAck | Kind::Inquiry | Kind::News => {
            return Err(DecodeError::UnknownKind(kind as u8));
        }
        Kind::Syn => {
            message::Body::Syn { budget: reader.take()?, digest: digest::decode(unit, reader)? }
        }
        Kind::SynAck => message::Body::SynAck {
            part: decode_part(reader)?,
            budget: reader.take()?,
            entries: digest::decode_entries(unit, reader)?,
            deltas: delta::decode_list(unit, reader)?,
        },
        Kind::Ack => message::Body::Ack {
            part: decode_part(reader)?,
            deltas: delta::decode_list(unit, reader)?,
        },
        Kind::Push => message::Body::Push { deltas: delta::decode_list(unit, reader)? },
        Kind::PushAck => message::Body::PushAck { max_version: bounded(reader.take()?)? },
        Kind::Refused => message::Body::Refused {
            reason: match reader.take()? {
                Reason::GenerationFromTheFuture => Refusal::GenerationFromTheFuture,
                Reason::TooManyNodes => Refusal::TooManyNodes,
            },
        },
    })
}

pub(in crate::wire) fn encode_part(part: message::TrainPart, writer: &mut Writer<'_>) {
    writer.put(&TrainPart::from(part));
}

pub(in crate::wire) fn decode_part(
    reader: &mut Reader<'_>,
) -> Result<message::TrainPart, DecodeError> {
    reader.take::<TrainPart>()?.decode()
}

impl From<message::TrainPart> for TrainPart {
    fn from(part: message::TrainPart) -> Self {
        TrainPart { index: part.index, flags: flags(&[(LAST, part.last), (MORE, part.more)]) }
    }
}

impl TrainPart {
    fn decode(self) -> Result<message::TrainPart, DecodeError> {
        known_flags(self.flags, LAST | MORE)?;
        Ok(message::TrainPart {
            index: self.index,
            last: self.flags & LAST != 0,
            more: self.flags & MORE != 0,
        })
    }
}
