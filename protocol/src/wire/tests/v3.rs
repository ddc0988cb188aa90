//! A third wire version, for tests of how versions are negotiated. Its bodies begin with a field
//! that the others do not have, so that neither can be read as the other.

use crate::error::DecodeError;
use crate::message::Message;
use crate::wire::{Envelope, Kind, v2};

/// The others would take it for flags that it does not define.
const FIRST: u8 = 0xA3;

pub(in crate::wire) fn encode(message: &Message<'_>, out: &mut Vec<u8>) {
    out.push(FIRST);
    v2::encode(message, out);
}

pub(in crate::wire) fn decode<'a>(
    envelope: &Envelope,
    kind: Kind,
    plain: &'a [u8],
) -> Result<Message<'a>, DecodeError> {
    match plain.split_first() {
        Some((&FIRST, rest)) => v2::decode(envelope, kind, rest),
        _ => Err(DecodeError::Malformed("not version 3")),
    }
}
