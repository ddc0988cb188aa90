//! The codes with which connections and streams are closed. Part of the wire format: numbers stay.

use std::fmt;

use chitchat_tls::IdentityError;
use quinn::VarInt;

/// Why a connection is closed, told to the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseCode {
    /// No reason. Also what a dial gets that lost the race against another address.
    None = 0,
    /// Nothing is wrong; for example the certificate was renewed, and a new connection follows.
    Normal = 1,
    /// Another connection between the two nodes serves.
    Duplicate = 2,
    /// It was not used, and the room was needed.
    Idle = 3,
    /// The certificate names another cluster.
    WrongCluster = 4,
    /// The certificate names another node than the one that was dialled.
    WrongNode = 5,
    /// The certificate names no node, or its name cannot be read.
    BadSan = 6,
    /// The certificate is revoked.
    Revoked = 7,
    /// The certificate is out of its time.
    Expired = 8,
    /// The certificate is not trusted, for any other reason.
    Untrusted = 9,
    /// Too much is going on.
    Overloaded = 10,
    /// The node stops.
    ShuttingDown = 11,
    /// Nothing came back for too long.
    Unanswered = 12,
}

const ALL: [CloseCode; 13] = [
    CloseCode::None,
    CloseCode::Normal,
    CloseCode::Duplicate,
    CloseCode::Idle,
    CloseCode::WrongCluster,
    CloseCode::WrongNode,
    CloseCode::BadSan,
    CloseCode::Revoked,
    CloseCode::Expired,
    CloseCode::Untrusted,
    CloseCode::Overloaded,
    CloseCode::ShuttingDown,
    CloseCode::Unanswered,
];

impl CloseCode {
    pub(crate) fn varint(self) -> VarInt {
        VarInt::from_u32(self as u32)
    }

    pub(crate) fn from_varint(code: VarInt) -> Option<CloseCode> {
        ALL.into_iter().find(|known| known.varint() == code)
    }

    /// The code that tells a peer why its identity is refused.
    pub(crate) fn of(error: &IdentityError) -> CloseCode {
        match error {
            IdentityError::WrongCluster { .. } => CloseCode::WrongCluster,
            IdentityError::WrongNode { .. } => CloseCode::WrongNode,
            IdentityError::BadSan { .. }
            | IdentityError::NoSan { .. }
            | IdentityError::SeveralSans { .. } => CloseCode::BadSan,
            IdentityError::Revoked { .. } => CloseCode::Revoked,
            IdentityError::Expired { .. } | IdentityError::NotYetValid { .. } => CloseCode::Expired,
            _ => CloseCode::Untrusted,
        }
    }

    /// Whether the peer will not have us, as long as nothing changes.
    pub(crate) fn is_rejection(self) -> bool {
        matches!(
            self,
            CloseCode::WrongCluster
                | CloseCode::WrongNode
                | CloseCode::BadSan
                | CloseCode::Revoked
                | CloseCode::Expired
                | CloseCode::Untrusted
                | CloseCode::Overloaded
        )
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CloseCode::None => "no reason",
            CloseCode::Normal => "nothing is wrong",
            CloseCode::Duplicate => "another connection serves",
            CloseCode::Idle => "idle",
            CloseCode::WrongCluster => "wrong cluster",
            CloseCode::WrongNode => "wrong node",
            CloseCode::BadSan => "certificate names no node",
            CloseCode::Revoked => "certificate revoked",
            CloseCode::Expired => "certificate out of its time",
            CloseCode::Untrusted => "certificate not trusted",
            CloseCode::Overloaded => "overloaded",
            CloseCode::ShuttingDown => "shutting down",
            CloseCode::Unanswered => "nothing came back",
        })
    }
}

/// A message stream is given up by its sender.
pub(crate) const STREAM_CUT: VarInt = VarInt::from_u32(1);
/// A message stream is not wanted: too long, too slow, or not a message.
pub(crate) const STREAM_REFUSED: VarInt = VarInt::from_u32(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_come_back() {
        for (number, code) in ALL.into_iter().enumerate() {
            assert_eq!(code.varint(), VarInt::from_u32(u32::try_from(number).unwrap()));
            assert_eq!(CloseCode::from_varint(code.varint()), Some(code));
        }
        assert_eq!(CloseCode::from_varint(VarInt::from_u32(99)), None);
    }
}
