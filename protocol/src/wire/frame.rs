//! A message whose envelope has been read and whose body is plain.

#![deny(clippy::arithmetic_side_effects)]

use std::borrow::Cow;

use crate::error::DecodeError;
use crate::message::Message;
use crate::wire::envelope::COMPRESSED;
use crate::wire::{DecodeLimits, Envelope, Kind, Version, VersionRange, compress};

/// A message with its envelope read and its body decompressed.
///
/// The message that [`Frame::message`] returns borrows its strings from the frame: keep the frame
/// as long as the message, and decode as many node ids as there are without one allocation each.
///
/// ```
/// # use chitchat_protocol::message::Message;
/// use chitchat_protocol::DecodeError;
/// use chitchat_protocol::wire::{DecodeLimits, Frame};
///
/// fn receive(cluster_id_hash: u64, bytes: &[u8]) -> Result<(), DecodeError> {
///     let frame = Frame::parse(bytes, &DecodeLimits::default())?;
///     if frame.cluster_id_hash() != cluster_id_hash {
///         return Err(DecodeError::OtherCluster); // without a look at the body
///     }
///     let message = frame.message()?;
///     println!("{} from {}", message.body.kind(), message.header.sender.node_id);
///     Ok(())
/// }
/// # assert_eq!(receive(0, b"GET / HTTP/1.1"), Err(DecodeError::NotOurs));
/// ```
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    envelope: Envelope,
    kind: Kind,
    /// How the body is written; `None` if there is none.
    codec: Option<Version>,
    versions: VersionRange,
    body: Cow<'a, [u8]>,
}

impl<'a> Frame<'a> {
    /// Reads the envelope, and decompresses the body if it is compressed. The body is not decoded.
    ///
    /// # Errors
    ///
    /// All but [`DecodeError::OtherCluster`], which is for the caller to find.
    pub fn parse(bytes: &'a [u8], limits: &DecodeLimits) -> Result<Frame<'a>, DecodeError> {
        let (envelope, body) = Envelope::split(bytes)?;
        let (kind, codec) = envelope.check(limits.versions)?;
        let versions = envelope.versions()?;
        if kind == Kind::Unsupported && !body.is_empty() {
            return Err(DecodeError::Malformed("an unsupported answer with a body"));
        }
        let limit = limits.max_decompressed_len;
        let body = if envelope.flags & COMPRESSED != 0 {
            Cow::Owned(compress::expand(body, bytes.len(), limit)?)
        } else if body.len() > limit {
            return Err(DecodeError::TooLarge { len: body.len(), limit });
        } else {
            Cow::Borrowed(body)
        };
        Ok(Frame { envelope, kind, codec, versions, body })
    }

    /// Decodes the body.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] and [`DecodeError::Malformed`]; the latter also for
    /// [`Kind::Unsupported`], which carries no message.
    pub fn message(&self) -> Result<Message<'_>, DecodeError> {
        let codec =
            self.codec.ok_or(DecodeError::Malformed("an unsupported answer carries no message"))?;
        codec.decode(&self.envelope, self.kind, &self.body)
    }

    /// What the message is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The wire version that the message is written in.
    pub fn version(&self) -> u8 {
        self.envelope.version
    }

    /// The wire versions that the sender reads.
    pub fn peer_range(&self) -> VersionRange {
        self.versions
    }

    /// Hash of the sender's cluster id.
    pub fn cluster_id_hash(&self) -> u64 {
        self.envelope.cluster_id_hash
    }

    /// The sender's nonce.
    pub fn nonce(&self) -> u64 {
        self.envelope.nonce
    }

    /// The receiver's nonce, as the sender repeats it.
    pub fn echo(&self) -> u64 {
        self.envelope.echo
    }

    /// Bytes of the body after decompression.
    pub fn plain_body_len(&self) -> usize {
        self.body.len()
    }
}
