//! A second wire version, for tests of how versions are negotiated. Its bodies begin with a field
//! that version 1 does not have, so that neither can be read as the other.

use crate::error::DecodeError;
use crate::message::Message;
use crate::wire::{Envelope, Kind, v1};

/// Version 1 would take it for flags that it does not define.
const FIRST: u8 = 0xA2;

pub(in crate::wire) fn encode(message: &Message<'_>, out: &mut Vec<u8>) {
    out.push(FIRST);
    v1::encode(message, out);
}

pub(in crate::wire) fn decode<'a>(
    envelope: &Envelope,
    kind: Kind,
    plain: &'a [u8],
) -> Result<Message<'a>, DecodeError> {
    match plain.split_first() {
        Some((&FIRST, rest)) => v1::decode(envelope, kind, rest),
        _ => Err(DecodeError::Malformed("not version 2")),
    }
}
