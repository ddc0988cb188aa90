//! The envelope: the same in all wire versions. The layout is in the [module docs](super).

#![deny(clippy::arithmetic_side_effects)]

use crate::error::DecodeError;
use crate::message::{Body, Header};
use crate::wire::{Version, VersionRange};

/// First bytes of every message. `C8` begins a character of two bytes in UTF-8 and `17` continues
/// none, so that no text is taken for a message.
const MAGIC: [u8; 2] = [0xC8, 0x17];

/// Bytes of the envelope.
pub(crate) const ENVELOPE_LEN: usize = 31;

/// Flag: the body is compressed.
pub(super) const COMPRESSED: u8 = 1;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The sender cannot read the version of a message; its own range is in the envelope. No body.
    Unsupported = 0,
    /// [`Body::Syn`].
    Syn = 1,
    /// [`Body::SynAck`].
    SynAck = 2,
    /// [`Body::Ack`].
    Ack = 3,
    /// [`Body::Push`].
    Push = 4,
    /// [`Body::PushAck`].
    PushAck = 5,
    /// [`Body::Refused`].
    Refused = 6,
    /// [`Body::ColumnSyn`], from version 2 on.
    ColumnSyn = 7,
    /// [`Body::ColumnSynAck`], from version 2 on.
    ColumnSynAck = 8,
    /// [`Body::Inquiry`], from version 2 on.
    Inquiry = 9,
    /// [`Body::News`], from version 2 on.
    News = 10,
}

impl Kind {
    fn from_byte(byte: u8) -> Result<Kind, DecodeError> {
        Ok(match byte {
            0 => Kind::Unsupported,
            1 => Kind::Syn,
            2 => Kind::SynAck,
            3 => Kind::Ack,
            4 => Kind::Push,
            5 => Kind::PushAck,
            6 => Kind::Refused,
            7 => Kind::ColumnSyn,
            8 => Kind::ColumnSynAck,
            9 => Kind::Inquiry,
            10 => Kind::News,
            _ => return Err(DecodeError::UnknownKind(byte)),
        })
    }

    /// The first version that has it. A number that a version has no kind for is unknown in it, whatever
    /// later ones make of it.
    fn since(self) -> Version {
        match self {
            Kind::ColumnSyn | Kind::ColumnSynAck | Kind::Inquiry | Kind::News => Version::V2,
            _ => Version::V1,
        }
    }

    pub(super) fn of(body: &Body<'_>) -> Kind {
        match body {
            Body::Syn { .. } => Kind::Syn,
            Body::SynAck { .. } => Kind::SynAck,
            Body::Ack { .. } => Kind::Ack,
            Body::Push { .. } => Kind::Push,
            Body::PushAck { .. } => Kind::PushAck,
            Body::Refused { .. } => Kind::Refused,
            Body::ColumnSyn { .. } => Kind::ColumnSyn,
            Body::ColumnSynAck { .. } => Kind::ColumnSynAck,
            Body::Inquiry { .. } => Kind::Inquiry,
            Body::News { .. } => Kind::News,
        }
    }
}

/// What can be read of a message in any wire version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Envelope {
    /// Wire version of the body.
    pub version: u8,
    /// [`Kind`] as a number: a later version may have kinds that this one does not know.
    pub kind: u8,
    /// Flags.
    pub flags: u8,
    /// Oldest wire version that the sender reads.
    pub min_version: u8,
    /// Newest wire version that the sender reads.
    pub max_version: u8,
    /// See [`cluster_id_hash`](super::cluster_id_hash).
    pub cluster_id_hash: u64,
    /// See [`Header::nonce`](crate::message::Header::nonce).
    pub nonce: u64,
    /// See [`Header::echo`](crate::message::Header::echo).
    pub echo: u64,
}

impl Envelope {
    /// Reads an envelope. The version, the kind and the body are not looked at, so that a message
    /// in an unknown version can be answered.
    ///
    /// ```
    /// use chitchat_protocol::wire::{Envelope, encode_unsupported};
    ///
    /// let mut message = encode_unsupported(1, 2);
    /// message[2] = 99; // version
    /// message[3] = 1; // a Syn
    /// message[6] = 99; // newest version that the sender reads
    /// let envelope = Envelope::parse(&message)?;
    /// assert_eq!((envelope.version, envelope.max_version), (99, 99));
    /// # Ok::<(), chitchat_protocol::DecodeError>(())
    /// ```
    pub fn parse(bytes: &[u8]) -> Result<Envelope, DecodeError> {
        Envelope::split(bytes).map(|(envelope, _)| envelope)
    }

    /// The envelope and the body.
    pub(super) fn split(bytes: &[u8]) -> Result<(Envelope, &[u8]), DecodeError> {
        let seen = bytes.get(..MAGIC.len()).unwrap_or(bytes);
        if !MAGIC.starts_with(seen) {
            return Err(DecodeError::NotOurs);
        }
        let mut rest = bytes;
        let _magic: [u8; 2] = take(&mut rest)?;
        let [version, kind, flags, min_version, max_version] = take(&mut rest)?;
        let envelope = Envelope {
            version,
            kind,
            flags,
            min_version,
            max_version,
            cluster_id_hash: u64::from_le_bytes(take(&mut rest)?),
            nonce: u64::from_le_bytes(take(&mut rest)?),
            echo: u64::from_le_bytes(take(&mut rest)?),
        };
        Ok((envelope, rest))
    }

    /// The envelope of a message with this header.
    pub(super) fn new(kind: Kind, version: Version, header: &Header<'_>) -> Envelope {
        Envelope {
            version: version as u8,
            kind: kind as u8,
            flags: 0,
            min_version: header.versions.oldest(),
            max_version: header.versions.newest(),
            cluster_id_hash: header.cluster_id_hash,
            nonce: header.nonce,
            echo: header.echo,
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(MAGIC);
        out.extend([self.version, self.kind, self.flags, self.min_version, self.max_version]);
        out.extend(self.cluster_id_hash.to_le_bytes());
        out.extend(self.nonce.to_le_bytes());
        out.extend(self.echo.to_le_bytes());
    }

    /// What the message is, and how to read it: not at all, if it is an answer without a body.
    pub(super) fn check(
        &self,
        reads: VersionRange,
    ) -> Result<(Kind, Option<Version>), DecodeError> {
        // This kind can be read in all versions, and is never answered.
        let unsupported = self.kind == Kind::Unsupported as u8;
        // Before the version: this rule holds in all of them.
        self.versions()?;
        let version = Version::from_byte(self.version).filter(|_| reads.contains(self.version));
        if !unsupported && version.is_none() {
            return Err(DecodeError::UnsupportedVersion {
                version: self.version,
                min: reads.oldest(),
                max: reads.newest(),
            });
        }
        if self.flags & !COMPRESSED != 0 || (unsupported && self.flags != 0) {
            return Err(DecodeError::Malformed("unknown flags in the envelope"));
        }
        let kind = Kind::from_byte(self.kind)?;
        if version.is_some_and(|version| version < kind.since()) {
            return Err(DecodeError::UnknownKind(self.kind));
        }
        Ok((kind, version.filter(|_| !unsupported)))
    }

    /// The wire versions that the sender reads.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Malformed`] if there are none, or the message is in none of them.
    pub fn versions(&self) -> Result<VersionRange, DecodeError> {
        VersionRange::new(self.min_version, self.max_version)
            .filter(|versions| versions.contains(self.version))
            .ok_or(DecodeError::Malformed("the version is outside the sender's own range"))
    }
}

/// The typed answer to a message in a version that this build does not read: its range, and the
/// nonce of that message as `echo`.
///
/// ```
/// use chitchat_protocol::wire::{DecodeLimits, Envelope, Frame, encode_unsupported};
/// use chitchat_protocol::DecodeError;
///
/// // What a node does with a message from the network.
/// fn answer(bytes: &[u8]) -> Option<Vec<u8>> {
///     match Frame::parse(bytes, &DecodeLimits::default()) {
///         Err(DecodeError::UnsupportedVersion { .. }) => {
///             let envelope = Envelope::parse(bytes).ok()?;
///             Some(encode_unsupported(envelope.cluster_id_hash, envelope.nonce))
///         }
///         _ => None,
///     }
/// }
///
/// let mut from_the_future = encode_unsupported(1, 2);
/// assert_eq!(answer(&from_the_future), None);
/// from_the_future[2] = 99; // version
/// from_the_future[3] = 1; // a Syn
/// from_the_future[6] = 99; // newest version that the sender reads
/// assert!(answer(&from_the_future).is_some());
/// ```
pub fn encode_unsupported(cluster_id_hash: u64, echo: u64) -> Vec<u8> {
    unsupported(VersionRange::BUILD, cluster_id_hash, echo)
}

/// The same, from a node that reads these versions.
pub(crate) fn unsupported(versions: VersionRange, cluster_id_hash: u64, echo: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(ENVELOPE_LEN);
    let envelope = Envelope {
        version: versions.oldest(),
        kind: Kind::Unsupported as u8,
        flags: 0,
        min_version: versions.oldest(),
        max_version: versions.newest(),
        cluster_id_hash,
        nonce: 0,
        echo,
    };
    envelope.write(&mut out);
    out
}

/// Takes the first `N` bytes.
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], DecodeError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated)?;
    *rest = tail;
    Ok(*head)
}
