//! Bytes from the network as messages.

use chitchat_protocol::message::{Body, Message};
use chitchat_protocol::wire::{DecodeLimits, EncodeOptions, Envelope, Frame, Kind};
use chitchat_protocol::{DecodeError, NodeDelta, Replica, Timestamp};

use crate::memory;

/// Beside what the bounds below allow.
const SLACK: usize = 1_024;

/// Any bytes: decoding returns, takes bounded memory, and what it takes is encoded to something that
/// means the same. Deltas can be applied to a copy, whatever they say.
pub fn wire_decode(data: &[u8]) {
    wire_decode_with(data, |bytes| Message::decode(bytes, &DecodeLimits::default()));
}

/// The same, with another decoder for what was encoded again.
pub fn wire_decode_with(
    data: &[u8],
    decode: impl Fn(&[u8]) -> Result<Message<'static>, DecodeError>,
) {
    let envelope = Envelope::parse(data);
    let bound = 16 * data.len() + SLACK;
    let (frame, growth) = memory::growth_of(bound, || Frame::parse(data, &DecodeLimits::default()));
    assert!(growth <= bound, "{} bytes took {growth} to expand", data.len());
    let Ok(frame) = frame else { return };
    let envelope = envelope.expect("a message has an envelope");
    assert_eq!(envelope.kind, frame.kind() as u8);
    assert!(frame.plain_body_len() <= 16 * data.len());
    let bound = 24 * frame.plain_body_len() + SLACK;
    let (message, growth) = memory::growth_of(bound, || frame.message());
    assert!(growth <= bound, "a body of {} took {growth}", frame.plain_body_len());
    let Ok(message) = message else { return };
    assert_ne!(frame.kind(), Kind::Unsupported, "it carries no message");
    assert_eq!(message.header.nonce, envelope.nonce);
    // Later versions have kinds that earlier ones have not.
    let in_version =
        |options: EncodeOptions| options.with_version(frame.version()).expect("it was read");
    let plain = message.encode_with(&in_version(EncodeOptions::plain()));
    for options in [EncodeOptions::default(), EncodeOptions::plain()] {
        let options = in_version(options);
        let bytes = message.encode_with(&options);
        assert!(bytes.len() <= plain.len(), "compressed for nothing");
        let again = decode(&bytes).expect("what was encoded can be decoded");
        assert_eq!(again, message);
        assert_eq!(again.encode_with(&options), bytes);
    }
    match &message.body {
        Body::SynAck { deltas, .. }
        | Body::ColumnSynAck { deltas, .. }
        | Body::Ack { deltas, .. }
        | Body::News { deltas, .. }
        | Body::Push { deltas } => apply(deltas),
        Body::Syn { .. }
        | Body::ColumnSyn { .. }
        | Body::Inquiry { .. }
        | Body::PushAck { .. }
        | Body::Refused { .. } => {}
    }
}

/// Applies deltas to one copy, as if they were all of one owner: what anybody could send.
fn apply(deltas: &[NodeDelta<'_>]) {
    let mut replica = Replica::new();
    let mut now = Timestamp::ZERO;
    for delta in deltas {
        for repeated in [false, true] {
            let before = replica.versions();
            let hash = replica.state_hash();
            let outcome = replica.apply(delta, now);
            let after = replica.versions();
            replica.check().expect("the indexes agree");
            assert!(
                before.max_version <= after.max_version
                    && before.last_gc_version <= after.last_gc_version
                    && before.horizon <= after.horizon,
                "{before:?} became {after:?} by {delta:?}"
            );
            if outcome.is_err() || repeated {
                let unchanged = before == after && replica.state_hash() == hash;
                assert!(unchanged, "{outcome:?}: {before:?} became {after:?} by {delta:?}");
            }
        }
        now = now + std::time::Duration::from_millis(100);
        replica.expire(now);
        replica.check().expect("the indexes agree");
    }
}
