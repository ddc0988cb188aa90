//! Round trips, and what decoding makes of everything else.

use std::borrow::Cow;

use proptest::prelude::*;

use super::strategies::{as_received, column_message, message};
use crate::error::DecodeError;
use crate::message::{Body, Header, Message};
use crate::state::Replica;
use crate::time::Timestamp;
use crate::wire::envelope::ENVELOPE_LEN;
use crate::wire::{
    DecodeLimits, EncodeOptions, Envelope, Frame, Kind, VersionRange, encode_unsupported,
};

const LIMITS: DecodeLimits = DecodeLimits::new(1 << 24);

/// Decodes, and takes part in everything that a receiver does with a message.
fn use_all(bytes: &[u8]) -> Result<Message<'static>, DecodeError> {
    let _ = Envelope::parse(bytes);
    let message = Message::decode(bytes, &LIMITS)?;
    // What was decoded can be encoded, and has the same meaning then.
    let options = EncodeOptions::default().with_version(bytes[2]).unwrap();
    let again = Message::decode(&message.encode_with(&options), &LIMITS);
    assert_eq!(again.as_ref(), Ok(&message));
    Ok(message)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_encoded_is_decoded(message in message()) {
        let expected = as_received(message.clone());
        for options in [EncodeOptions::default(), EncodeOptions::plain()] {
            let bytes = message.encode_with(&options);
            let decoded = Message::decode(&bytes, &LIMITS);
            prop_assert_eq!(decoded.as_ref(), Ok(&expected));
            // Rounding once is enough, and the bytes do not depend on who encodes.
            prop_assert_eq!(expected.encode_with(&options), bytes);
        }
    }

    #[test]
    fn what_is_encoded_in_version_2_is_decoded(message in prop_oneof![message(), column_message()]) {
        let versions = VersionRange::new(1, message.header.versions.newest().max(2)).unwrap();
        let message = Message { header: Header { versions, ..message.header }, ..message };
        let expected = as_received(message.clone());
        for options in [EncodeOptions::default(), EncodeOptions::plain()] {
            let options = options.with_version(2).unwrap();
            let bytes = message.encode_with(&options);
            let decoded = Message::decode(&bytes, &LIMITS);
            prop_assert_eq!(decoded.as_ref(), Ok(&expected));
            prop_assert_eq!(expected.encode_with(&options), bytes);
        }
    }

    #[test]
    fn version_1_knows_nothing_of_columns(message in column_message()) {
        let bytes = message.encode();
        let kind = Kind::of(&message.body) as u8;
        prop_assert_eq!(Message::decode(&bytes, &LIMITS), Err(DecodeError::UnknownKind(kind)));
    }

    #[test]
    fn the_envelope_says_what_the_header_says(message in message()) {
        let bytes = message.encode();
        let frame = Frame::parse(&bytes, &LIMITS).unwrap();
        prop_assert_eq!(frame.cluster_id_hash(), message.header.cluster_id_hash);
        prop_assert_eq!(frame.nonce(), message.header.nonce);
        prop_assert_eq!(frame.echo(), message.header.echo);
        prop_assert_eq!(frame.kind(), Kind::of(&message.body));
        prop_assert_eq!(frame.version(), 1);
        prop_assert_eq!(frame.peer_range(), message.header.versions);
    }

    #[test]
    fn decoding_a_frame_copies_no_string(message in message()) {
        let bytes = message.encode();
        let frame = Frame::parse(&bytes, &LIMITS).unwrap();
        let decoded = frame.message().unwrap();
        let borrowed = |text: &Cow<'_, str>| matches!(text, Cow::Borrowed(_));
        prop_assert!(borrowed(&decoded.header.sender.node_id));
        if let Body::SynAck { entries, deltas, .. } = &decoded.body {
            prop_assert!(entries.iter().all(|entry| borrowed(&entry.node_id)));
            let mut entries = deltas.iter().flat_map(|delta| &delta.entries);
            prop_assert!(entries.all(|entry| borrowed(&entry.key)));
        }
    }

    #[test]
    fn compression_never_makes_a_message_longer(message in message()) {
        let plain = message.encode_with(&EncodeOptions::plain());
        let compressed = message.encode();
        prop_assert!(compressed.len() <= plain.len());
        prop_assert!(plain.len() - ENVELOPE_LEN <= 16 * compressed.len());
    }

    #[test]
    fn deltas_of_anybody_leave_a_copy_in_order(messages in proptest::collection::vec(message(), 1..6)) {
        let mut copy = Replica::new();
        for message in &messages {
            let bytes = message.encode();
            let Ok(message) = Message::decode(&bytes, &LIMITS) else { continue };
            let (Body::SynAck { deltas, .. } | Body::Ack { deltas, .. } | Body::Push { deltas }) =
                &message.body
            else {
                continue;
            };
            for delta in deltas {
                let before = (copy.versions(), copy.state_hash());
                let refused = copy.apply(delta, Timestamp::ZERO).is_err();
                let once = (copy.versions(), copy.state_hash());
                prop_assert!(copy.check().is_ok(), "{:?} by {:?}", copy.check(), delta);
                prop_assert!(before.0.max_version <= once.0.max_version, "{:?}", delta);
                prop_assert!(before.0.last_gc_version <= once.0.last_gc_version, "{:?}", delta);
                prop_assert!(!refused || before == once, "refused and half taken: {:?}", delta);
                let _ = copy.apply(delta, Timestamp::ZERO);
                prop_assert_eq!((copy.versions(), copy.state_hash()), once, "{:?} again", delta);
            }
        }
    }

    #[test]
    fn random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = use_all(&bytes);
    }

    #[test]
    fn random_bodies_do_no_harm(
        version in 1..3u8,
        kind in 0..11u8,
        flags in 0..3u8,
        body in proptest::collection::vec(prop_oneof![0..4u8, any::<u8>()], 0..300),
    ) {
        let mut bytes = encode_unsupported(1, 3);
        (bytes[2], bytes[3], bytes[4]) = (version, kind, flags);
        bytes.extend(body);
        let _ = use_all(&bytes);
    }

    #[test]
    fn mutated_messages_do_no_harm(
        message in prop_oneof![message(), column_message()],
        version in 1..3u8,
        compress in any::<bool>(),
        mutations in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        inserted in proptest::collection::vec(any::<u8>(), 0..4),
    ) {
        let options = EncodeOptions { compress, ..EncodeOptions::default() };
        let mut bytes = message.encode_with(&options.with_version(version).unwrap());
        for (index, value) in mutations {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        let _ = use_all(&bytes);
        let cut = cut.index(bytes.len());
        bytes.splice(cut..cut, inserted);
        let _ = use_all(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_cut_message_is_an_error(
        message in prop_oneof![message(), column_message()],
        compress in any::<bool>(),
    ) {
        let options = EncodeOptions { compress, ..EncodeOptions::default() };
        let bytes = message.encode_with(&options.with_version(2).unwrap());
        for len in 0..bytes.len() {
            prop_assert!(use_all(&bytes[..len]).is_err(), "cut to {} of {}", len, bytes.len());
        }
        let longer = [&*bytes, &[0]].concat();
        prop_assert!(use_all(&longer).is_err());
    }
}
