//! Encoding and decoding whole messages.

use crate::delta::NodeDelta;
use crate::error::DecodeError;
use crate::message::{Body, Message};
use crate::wire::{DecodeLimits, EncodeOptions, Envelope, Frame, Kind, compress};

/// Bytes reserved for a message beside its deltas: most take less.
const INITIAL_CAPACITY: usize = 512;

impl Message<'_> {
    /// Encodes the message, with its body compressed where that makes it shorter.
    ///
    /// Encoding never fails and never panics. A message that breaks a rule of the
    /// [format](crate::wire), such as a version above 2^62 or a digest that does not ascend, gives
    /// bytes that decoding refuses.
    ///
    /// ```
    /// use std::time::Duration;
    /// use chitchat_protocol::Incarnation;
    /// use chitchat_protocol::message::{Body, Header, Message, SenderEntry};
    /// use chitchat_protocol::wire::{DecodeLimits, VersionRange, cluster_id_hash};
    ///
    /// let message = Message {
    ///     header: Header {
    ///         cluster_id_hash: cluster_id_hash("prod"),
    ///         nonce: 1,
    ///         echo: 2,
    ///         versions: VersionRange::BUILD,
    ///         gossip_interval: Duration::from_millis(500),
    ///         sender: SenderEntry {
    ///             node_id: "node-1".into(),
    ///             incarnation: Incarnation { generation_id: 3, boot: 4 },
    ///             position: None,
    ///             heartbeat: 5,
    ///             age: Duration::from_millis(150),
    ///             max_version: 6,
    ///             last_gc_version: 0,
    ///         },
    ///         observer: false,
    ///         observed: None,
    ///         about_you: None,
    ///     },
    ///     body: Body::PushAck { max_version: 7 },
    /// };
    /// let bytes = message.encode();
    /// assert_eq!(Message::decode(&bytes, &DecodeLimits::default())?, message);
    /// # Ok::<(), chitchat_protocol::DecodeError>(())
    /// ```
    pub fn encode(&self) -> Vec<u8> {
        self.encode_with(&EncodeOptions::default())
    }

    /// Encodes the message. See [`Message::encode`].
    pub fn encode_with(&self, options: &EncodeOptions) -> Vec<u8> {
        let envelope = Envelope::new(Kind::of(&self.body), options.version, &self.header);
        let mut out = Vec::with_capacity(INITIAL_CAPACITY + self.deltas_len());
        envelope.write(&mut out);
        options.version.encode(self, &mut out);
        if options.compress
            && let Some(shorter) = compress::shorten(envelope, &out)
        {
            return shorter;
        }
        out
    }

    /// About as much as the deltas take: a long message that grows by doubling is copied over and
    /// over.
    fn deltas_len(&self) -> usize {
        match &self.body {
            Body::SynAck { deltas, .. }
            | Body::ColumnSynAck { deltas, .. }
            | Body::Ack { deltas, .. }
            | Body::News { deltas, .. }
            | Body::Push { deltas } => deltas.iter().map(NodeDelta::wire_len).sum(),
            _ => 0,
        }
    }

    /// Decodes a message into one that borrows from nothing. [`Frame`] does it without the copies.
    ///
    /// Ages come back in tenths of the sender's gossip interval, times to live in milliseconds
    /// rounded up, and an IPv6 address without flow label and scope, which mean nothing elsewhere.
    ///
    /// # Errors
    ///
    /// All but [`DecodeError::OtherCluster`], which is for the caller to find. No bytes panic.
    pub fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Message<'static>, DecodeError> {
        let frame = Frame::parse(bytes, limits)?;
        let message = frame.message()?;
        Ok(message.into_owned())
    }
}
