//! The codes with which connections and streams are closed, as quinn takes them. Part of the wire
//! format: numbers stay.

use chitchat_transport_links::CloseCode;
use quinn::VarInt;

pub(crate) fn varint(code: CloseCode) -> VarInt {
    VarInt::from_u32(u32::from(code.number()))
}

pub(crate) fn from_varint(code: VarInt) -> Option<CloseCode> {
    CloseCode::from_number(code.into_inner())
}

/// A message stream is given up by its sender.
pub(crate) const STREAM_CUT: VarInt = VarInt::from_u32(1);
/// A message stream is not wanted: too long, too slow, or not a message.
pub(crate) const STREAM_REFUSED: VarInt = VarInt::from_u32(2);
