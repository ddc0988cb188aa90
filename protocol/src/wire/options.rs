//! Options of encoding and bounds of decoding.

use crate::limits::Limits;
use crate::wire::{Version, VersionRange};

/// How to encode a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncodeOptions {
    /// Compress the body where that makes the message shorter. Default: true.
    pub compress: bool,
    /// The oldest version of this build, unless the receiver is known to read a later one.
    pub(crate) version: Version,
}

impl EncodeOptions {
    /// No compression: for networks that are faster than lz4, and for tools that compare bytes.
    pub const fn plain() -> EncodeOptions {
        EncodeOptions { compress: false, version: Version::OLDEST }
    }

    /// The same, in another wire version: all that read it can read the message. `None`: this build does
    /// not write that version.
    ///
    /// ```
    /// use chitchat_protocol::wire::{EncodeOptions, WIRE_VERSION_MAX};
    ///
    /// assert!(EncodeOptions::default().with_version(2).is_some());
    /// assert_eq!(EncodeOptions::default().with_version(WIRE_VERSION_MAX + 1), None);
    /// ```
    pub fn with_version(self, version: u8) -> Option<EncodeOptions> {
        let version = VersionRange::BUILD.contains(version).then_some(version)?;
        Some(EncodeOptions { version: Version::from_byte(version)?, ..self })
    }

    /// The defaults, for a receiver that reads this version.
    pub(crate) const fn in_version(version: Version) -> EncodeOptions {
        EncodeOptions { compress: true, version }
    }
}

impl Default for EncodeOptions {
    fn default() -> Self {
        EncodeOptions::in_version(Version::OLDEST)
    }
}

/// What a decoder takes.
///
/// ```
/// use chitchat_protocol::Limits;
/// use chitchat_protocol::wire::DecodeLimits;
/// assert_eq!(DecodeLimits::default(), DecodeLimits::from(&Limits::default()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeLimits {
    /// Most bytes of a plain body. The bound of 16 times the message holds besides. Default:
    /// [`Limits::max_decompressed_len`].
    ///
    /// A sender plans its messages by their plain length, so that nothing is lost where this is as
    /// low as the transport's longest message.
    pub max_decompressed_len: usize,
    /// Wire versions to read: all that this build can, except in tests of negotiation.
    pub(crate) versions: VersionRange,
}

impl DecodeLimits {
    /// Limits with this bound on the plain body.
    pub const fn new(max_decompressed_len: usize) -> DecodeLimits {
        DecodeLimits { max_decompressed_len, versions: VersionRange::BUILD }
    }
}

impl From<&Limits> for DecodeLimits {
    fn from(limits: &Limits) -> Self {
        DecodeLimits::new(limits.max_decompressed_len)
    }
}

impl Default for DecodeLimits {
    fn default() -> Self {
        DecodeLimits::from(&Limits::default())
    }
}
