//! Wire versions: what a node reads, what two nodes have in common, and the codec of each.

use std::fmt;

use crate::error::DecodeError;
use crate::message::Message;
use crate::wire::{Envelope, Kind, WIRE_VERSION_MAX, WIRE_VERSION_MIN, v1, v2};

/// The wire versions that a node reads and writes: a range that is not empty.
///
/// ```
/// use chitchat_protocol::wire::VersionRange;
///
/// let ours = VersionRange::new(1, 2).unwrap();
/// assert_eq!(ours.newest_common(VersionRange::new(2, 5).unwrap()), Some(2));
/// assert_eq!(ours.newest_common(VersionRange::new(3, 5).unwrap()), None);
/// assert_eq!(VersionRange::new(2, 1), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VersionRange {
    oldest: u8,
    newest: u8,
}

impl VersionRange {
    /// What this build reads and writes.
    pub const BUILD: VersionRange =
        VersionRange { oldest: WIRE_VERSION_MIN, newest: WIRE_VERSION_MAX };

    /// A range; `None` if it is empty.
    pub const fn new(oldest: u8, newest: u8) -> Option<VersionRange> {
        if oldest <= newest { Some(VersionRange { oldest, newest }) } else { None }
    }

    /// The oldest version of the range.
    pub const fn oldest(self) -> u8 {
        self.oldest
    }

    /// The newest version of the range.
    pub const fn newest(self) -> u8 {
        self.newest
    }

    /// Whether the version is one of the range.
    pub const fn contains(self, version: u8) -> bool {
        self.oldest <= version && version <= self.newest
    }

    /// The newest version that is in both ranges: what two nodes write to each other.
    pub fn newest_common(self, other: VersionRange) -> Option<u8> {
        let newest = self.newest.min(other.newest);
        (self.contains(newest) && other.contains(newest)).then_some(newest)
    }

    /// The oldest version alone.
    pub(crate) const fn oldest_only(self) -> VersionRange {
        VersionRange { oldest: self.oldest, newest: self.oldest }
    }

    /// Reads `oldest-newest`, as nodes announce it in their own namespace.
    pub(crate) fn from_text(text: &str) -> Option<VersionRange> {
        let (oldest, newest) = text.split_once('-')?;
        VersionRange::new(oldest.parse().ok()?, newest.parse().ok()?)
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.oldest, self.newest)
    }
}

/// A version that this build has a codec for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    V1 = 1,
    /// With digests in columns.
    V2 = 2,
    /// There is none yet. Tests have one that the others cannot read, to show what happens then.
    #[cfg(test)]
    V3 = 3,
}

impl Version {
    /// What is written to whom nothing is known of.
    pub(crate) const OLDEST: Version = Version::V1;

    pub(crate) fn from_byte(byte: u8) -> Option<Version> {
        match byte {
            1 => Some(Version::V1),
            2 => Some(Version::V2),
            #[cfg(test)]
            3 => Some(Version::V3),
            _ => None,
        }
    }

    /// Appends the body of a message.
    pub(super) fn encode(self, message: &Message<'_>, out: &mut Vec<u8>) {
        match self {
            Version::V1 => v1::encode(message, out),
            Version::V2 => v2::encode(message, out),
            #[cfg(test)]
            Version::V3 => super::tests::v3::encode(message, out),
        }
    }

    /// Decodes a plain body.
    pub(super) fn decode<'a>(
        self,
        envelope: &Envelope,
        kind: Kind,
        plain: &'a [u8],
    ) -> Result<Message<'a>, DecodeError> {
        match self {
            Version::V1 => v1::decode(envelope, kind, plain),
            Version::V2 => v2::decode(envelope, kind, plain),
            #[cfg(test)]
            Version::V3 => super::tests::v3::decode(envelope, kind, plain),
        }
    }
}
