//! The codes with which connections are closed. Part of the wire format: numbers stay.

use std::fmt;

/// As much of a peer's words as gets into a log line.
#[cfg(feature = "tls")]
const MAX_WORDS: usize = 200;

/// Why a connection is closed, told to the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(clippy::exhaustive_enums, reason = "the transports of this workspace know them all")]
pub enum CloseCode {
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
    /// Its number on the wire.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The code with this number, if there is one.
    #[must_use]
    pub fn from_number(number: u64) -> Option<CloseCode> {
        ALL.into_iter().find(|known| u64::from(known.number()) == number)
    }

    /// The code that tells a peer why its identity is refused.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn of(error: &chitchat_tls::IdentityError) -> CloseCode {
        use chitchat_tls::IdentityError;

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

    /// The code with the words that the peer has added, cut and escaped: they are not to be
    /// trusted.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn in_words(self, reason: &[u8]) -> std::sync::Arc<str> {
        if reason.is_empty() {
            return self.to_string().into();
        }
        format!("{self}: {}", chitchat_tls::escape_untrusted(reason, MAX_WORDS)).into()
    }

    /// Whether the peer will not have us, as long as nothing changes.
    #[must_use]
    pub fn is_rejection(self) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_come_back() {
        for (number, code) in ALL.into_iter().enumerate() {
            assert_eq!(usize::from(code.number()), number);
            assert_eq!(CloseCode::from_number(number as u64), Some(code));
        }
        assert_eq!(CloseCode::from_number(99), None);
    }

    #[test]
    fn the_document_of_the_wire_format_lists_every_close_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/wire-format.md");
        let text = std::fs::read_to_string(path).unwrap();
        let table = text.split("<!-- begin: close codes -->").nth(1).unwrap();
        let table = table.split("<!-- end: close codes -->").next().unwrap();
        let rows = table.lines().filter_map(|row| row.strip_prefix("| ")?.split(' ').next());
        let listed: Vec<u8> = rows.filter_map(|number| number.parse().ok()).collect();
        assert_eq!(listed, ALL.map(CloseCode::number));
    }
}
