//! What decoding does with bytes that no correct node sends: an error, at little cost.

mod columns;

use std::borrow::Cow;
use std::time::Duration;

use chitchat_protocol::message::{Body, Header, Message, SenderEntry, TrainPart};
use chitchat_protocol::wire::{
    DecodeLimits, EncodeOptions, Envelope, Frame, Kind, VersionRange, cluster_id_hash,
    encode_unsupported,
};
use chitchat_protocol::{
    DecodeError, DeltaEntry, DeltaOp, Digest, DigestEntry, Incarnation, NodeDelta, PruneSection,
};

const MAX_VERSION: u64 = 1 << 62;

const ENVELOPE_LEN: usize = 31;

const LAST: TrainPart = TrainPart { index: 0, last: true, more: false };

fn message(body: Body<'_>) -> Message<'_> {
    let sender = SenderEntry {
        node_id: "a".into(),
        incarnation: Incarnation { generation_id: 1, boot: 2 },
        position: None,
        heartbeat: 3,
        age: Duration::ZERO,
        max_version: 4,
        last_gc_version: 0,
    };
    let header = Header {
        cluster_id_hash: cluster_id_hash("prod"),
        nonce: 5,
        echo: 6,
        versions: VersionRange::BUILD,
        gossip_interval: Duration::from_millis(1),
        sender,
        observer: false,
        observed: None,
        about_you: None,
    };
    Message { header, body }
}

fn entry(node_id: impl Into<String>) -> DigestEntry<'static> {
    DigestEntry {
        node_id: Cow::Owned(node_id.into()),
        incarnation: Incarnation::default(),
        heartbeat: 0,
        age: None,
        max_version: 0,
        last_gc_version: 0,
        cursor: None,
        parked: None,
        frozen: false,
    }
}

fn delta(entries: Vec<DeltaEntry<'static>>) -> NodeDelta<'static> {
    NodeDelta {
        node_id: "a".into(),
        incarnation: Incarnation::default(),
        heartbeat: 0,
        age: None,
        from: 0,
        to: 0,
        source: 0,
        horizon: 0,
        last_gc_version: 0,
        prune: None,
        entries,
    }
}

fn deleted(key: &'static str, version: u64) -> DeltaEntry<'static> {
    DeltaEntry { key: key.into(), version, op: DeltaOp::Delete }
}

fn plain(body: Body<'_>) -> Vec<u8> {
    message(body).encode_with(&EncodeOptions::plain())
}

fn decode(bytes: &[u8]) -> Result<Message<'static>, DecodeError> {
    Message::decode(bytes, &DecodeLimits::default())
}

fn syn(entries: Vec<DigestEntry<'static>>) -> Body<'static> {
    Body::Syn { budget: 0, digest: Digest { entries, ..Digest::default() } }
}

fn push(deltas: Vec<NodeDelta<'static>>) -> Body<'static> {
    Body::Push { deltas }
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7F).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

/// A message with a compressed body of any kind, which declares this plain length.
fn compressed(declared: u64, block: &[u8]) -> Vec<u8> {
    let mut bytes = plain(Body::PushAck { max_version: 0 });
    bytes.truncate(ENVELOPE_LEN);
    bytes[4] = 1;
    bytes.extend(varint(declared));
    bytes.extend(block);
    bytes
}

#[test]
fn a_decompression_bomb_is_refused() {
    let len = 1 << 24;
    let block = lz4_flex::block::compress(&vec![0; len]);
    let bomb = compressed(len as u64, &block);
    let limit = 16 * bomb.len();
    assert!(limit < len);
    assert_eq!(decode(&bomb), Err(DecodeError::TooLarge { len, limit }));
    // One that lies about its length gets no further.
    let lie = compressed(1_000, &block);
    assert!(matches!(decode(&lie), Err(DecodeError::Malformed(_))));
    let text: Vec<u8> = (0..300u16).flat_map(|i| (i * 211).to_le_bytes()).collect();
    let shorter = compressed(601, &lz4_flex::block::compress(&text));
    assert!(matches!(decode(&shorter), Err(DecodeError::Malformed(_))));
}

#[test]
fn a_declared_length_is_checked_before_anything_is_allocated() {
    for declared in [1 << 40, 1 << 60, u64::MAX] {
        let bytes = compressed(declared, &[0; 64]);
        assert!(matches!(decode(&bytes), Err(DecodeError::TooLarge { .. })), "{declared}");
    }
}

#[test]
fn a_body_above_the_configured_limit_is_refused() {
    let key = "k".repeat(3_000);
    let random = |i: u32| char::from(b'a' + u8::try_from(i * i * 7 % 23).unwrap());
    let value: String = (0..3_000).map(random).collect();
    let op = DeltaOp::Set { value: value.into(), ttl: None };
    let message = message(push(vec![delta(vec![DeltaEntry { key: key.into(), version: 1, op }])]));
    let limits = DecodeLimits::new(5_000);
    for options in [EncodeOptions::plain(), EncodeOptions::default()] {
        let bytes = message.encode_with(&options);
        let error = Frame::parse(&bytes, &limits).unwrap_err();
        assert!(matches!(error, DecodeError::TooLarge { limit: 5_000, .. }), "{error}");
        assert!(decode(&bytes).is_ok());
    }
}

#[test]
fn a_body_that_compresses_too_well_is_sent_plain() {
    let op = DeltaOp::Set { value: "v".repeat(60_000).into(), ttl: None };
    let message = message(push(vec![delta(vec![DeltaEntry { key: "k".into(), version: 1, op }])]));
    let bytes = message.encode();
    assert_eq!(bytes, message.encode_with(&EncodeOptions::plain()));
    assert_eq!(decode(&bytes), Ok(message));
}

#[test]
fn counts_without_elements_are_refused_without_memory_for_them() {
    let no_versions = Some(PruneSection { from: 0, to: 0, versions: Vec::new() });
    let part = LAST;
    // Each message ends in empty lists. One of them, counted from the end, claims to be huge.
    let cases = [
        (syn(Vec::new()), 1),
        (Body::SynAck { part, budget: 0, entries: Vec::new(), deltas: Vec::new() }, 2),
        (Body::SynAck { part, budget: 0, entries: Vec::new(), deltas: Vec::new() }, 1),
        (Body::Ack { part, deltas: Vec::new() }, 1),
        (push(vec![delta(Vec::new())]), 1),
        (push(vec![NodeDelta { prune: no_versions, ..delta(Vec::new()) }]), 2),
    ];
    for (body, from_end) in cases {
        let bytes = plain(body);
        for count in [1 << 16, 1 << 32, 1 << 60, u64::MAX] {
            let mut bytes = bytes.clone();
            let at = bytes.len() - from_end;
            assert_eq!(bytes[at], 0);
            bytes.splice(at..=at, varint(count));
            assert_eq!(decode(&bytes), Err(DecodeError::Truncated), "{count} {bytes:?}");
        }
    }
}

#[test]
fn strings_longer_than_the_message_are_refused() {
    for len in [1 << 16, 1 << 40, u64::MAX] {
        let mut bytes = plain(Body::PushAck { max_version: 0 });
        bytes.truncate(ENVELOPE_LEN + 2); // flags and interval; then comes the node id
        bytes.extend(varint(len));
        assert_eq!(decode(&bytes), Err(DecodeError::Truncated));
    }
}

/// Memory that a decoded message takes beside the bytes that it borrows from.
fn memory(message: &Message<'_>) -> usize {
    let entries_size =
        |entries: &Vec<DigestEntry<'_>>| entries.capacity() * size_of::<DigestEntry<'_>>();
    let (entries, deltas) = match &message.body {
        Body::Syn { digest, .. } => (entries_size(&digest.entries), None),
        Body::Push { deltas } => (0, Some(deltas)),
        other => panic!("no test sends {other:?}"),
    };
    let Some(deltas) = deltas else { return entries };
    let inside = |delta: &NodeDelta<'_>| {
        let prune = delta.prune.as_ref().map_or(0, |prune| prune.versions.capacity());
        delta.entries.capacity() * size_of::<DeltaEntry<'_>>() + prune * size_of::<u64>()
    };
    deltas.capacity() * size_of::<NodeDelta<'_>>() + deltas.iter().map(inside).sum::<usize>()
}

#[test]
fn the_smallest_elements_take_at_most_20_times_their_length_in_memory() {
    let ids = (0..3_000u32).map(|i| entry(format!("{i:04}")));
    let versions: Vec<u64> = (1..=60_000).collect();
    let prune = Some(PruneSection { from: 0, to: 60_000, versions });
    let bodies = [
        syn(ids.collect()),
        push(vec![delta((1..=15_000).map(|version| deleted("k", version)).collect())]),
        push(vec![delta(Vec::new()); 3_000]),
        push(vec![NodeDelta { prune, ..delta(Vec::new()) }]),
    ];
    for body in bodies {
        let bytes = plain(body);
        assert!((50_000..=65_507).contains(&bytes.len()), "{}", bytes.len());
        let frame = Frame::parse(&bytes, &DecodeLimits::default()).unwrap();
        let memory = memory(&frame.message().unwrap());
        assert!(memory <= 20 * bytes.len(), "{} bytes take {memory}", bytes.len());
    }
}

#[test]
fn a_digest_of_100_000_nodes_is_decoded_without_a_copy_of_any_id() {
    let entries: Vec<_> = (0..100_000).map(|i| entry(format!("node-{i:06}"))).collect();
    let bytes = plain(syn(entries));
    let frame = Frame::parse(&bytes, &DecodeLimits::default()).unwrap();
    let decoded = frame.message().unwrap();
    let Body::Syn { digest, .. } = &decoded.body else { panic!("not a syn") };
    assert_eq!(digest.entries.len(), 100_000);
    assert_eq!(digest.entries.capacity(), 100_000);
    let range = bytes.as_ptr_range();
    let is_borrowed = |entry: &DigestEntry<'_>| {
        matches!(entry.node_id, Cow::Borrowed(_)) && range.contains(&entry.node_id.as_ptr())
    };
    assert!(digest.entries.iter().all(is_borrowed));
}

/// Every message here breaks one rule of the format.
#[test]
fn every_rule_of_the_format_is_enforced() {
    let too_high = MAX_VERSION + 1;
    let ranged = |start: &'static str, end: Option<&'static str>, ids: &[&str]| Body::Syn {
        budget: 0,
        digest: Digest {
            start: start.into(),
            end: end.map(Cow::from),
            entries: ids.iter().map(|id| entry(*id)).collect(),
        },
    };
    let unordered = NodeDelta { from: 5, to: 4, source: 6, horizon: 6, ..delta(Vec::new()) };
    let pruned = |versions| NodeDelta {
        prune: Some(PruneSection { from: 3, to: 9, versions }),
        ..delta(Vec::new())
    };
    let incarnation = Incarnation { generation_id: too_high, boot: 0 };
    let bodies = [
        ("empty id", syn(vec![DigestEntry { heartbeat: 1_000, ..entry("") }])),
        ("long id", syn(vec![entry("n".repeat(256))])),
        ("unsorted ids", syn(vec![entry("b"), entry("a")])),
        ("an id twice", syn(vec![entry("a"), entry("a")])),
        ("id below the range", ranged("b", None, &["a", "c"])),
        ("id at the end of the range", ranged("", Some("c"), &["a", "c"])),
        ("empty range", ranged("b", Some("b"), &[])),
        ("range to the empty id", ranged("", Some(""), &[])),
        ("inverted range", ranged("c", Some("b"), &[])),
        ("high generation", syn(vec![DigestEntry { incarnation, ..entry("a") }])),
        ("high heartbeat", syn(vec![DigestEntry { heartbeat: too_high, ..entry("a") }])),
        ("high version", syn(vec![DigestEntry { max_version: too_high, ..entry("a") }])),
        ("high watermark", syn(vec![DigestEntry { last_gc_version: too_high, ..entry("a") }])),
        ("empty parked range", syn(vec![DigestEntry { parked: Some((4, 4)), ..entry("a") }])),
        ("high parked range", syn(vec![DigestEntry { parked: Some((4, too_high)), ..entry("a") }])),
        ("empty key", push(vec![delta(vec![deleted("", 1_000)])])),
        ("a version twice", push(vec![delta(vec![deleted("a", 1), deleted("b", 1)])])),
        ("falling versions", push(vec![delta(vec![deleted("a", 2), deleted("b", 1)])])),
        ("entry version 0", push(vec![delta(vec![deleted("a", 0)])])),
        ("high entry version", push(vec![delta(vec![deleted("a", too_high)])])),
        ("overflowing version", push(vec![delta(vec![deleted("a", 1), deleted("b", u64::MAX)])])),
        ("versions out of order", push(vec![unordered])),
        ("gc above the horizon", push(vec![NodeDelta { last_gc_version: 1, ..delta(vec![]) }])),
        ("a pruned version twice", push(vec![pruned(vec![4, 4])])),
        ("a pruned version below its range", push(vec![pruned(vec![3])])),
        ("high pruned version", push(vec![pruned(vec![too_high])])),
        ("high acknowledged version", Body::PushAck { max_version: too_high }),
    ];
    for (rule, body) in bodies {
        let error = decode(&message(body).encode()).expect_err(rule);
        assert!(matches!(error, DecodeError::Malformed(_)), "{rule}: {error}");
    }
}

/// Bytes at these places, which no message can be made to hold.
#[test]
fn undefined_bits_and_values_are_refused() {
    let ack = plain(Body::Ack { part: LAST, deltas: Vec::new() });
    let train_flags = ack.len() - 2;
    let cases = [
        ("envelope flags", 4, 0x80),
        ("empty range of versions", 6, 0),
        ("header flags", ENVELOPE_LEN, 0x40),
        ("interval 0", ENVELOPE_LEN + 1, 0),
        ("train flags", train_flags, 0x10),
    ];
    for (rule, at, value) in cases {
        let mut bytes = ack.clone();
        bytes[at] = value;
        let error = decode(&bytes).expect_err(rule);
        assert!(matches!(error, DecodeError::Malformed(_)), "{rule}: {error}");
    }
    let mut longer = ack.clone();
    longer.push(0);
    assert_eq!(decode(&longer), Err(DecodeError::Malformed("bytes follow the message")));
    // The first ones are of a later version.
    for kind in [7, 8, 9, 10, u8::MAX] {
        let mut unknown = ack.clone();
        unknown[3] = kind;
        assert_eq!(decode(&unknown), Err(DecodeError::UnknownKind(kind)));
        // Whatever follows.
        unknown.truncate(ENVELOPE_LEN);
        assert_eq!(decode(&unknown), Err(DecodeError::UnknownKind(kind)));
    }
}

#[test]
fn what_is_not_a_message_is_told_from_what_is_cut() {
    for text in ["G", "GET / HTTP/1.1\r\n", "\u{200}", "{}"] {
        assert_eq!(decode(text.as_bytes()), Err(DecodeError::NotOurs), "{text:?}");
    }
    assert_eq!(decode(&[]), Err(DecodeError::Truncated));
    assert_eq!(decode(&[0xC8]), Err(DecodeError::Truncated));
    assert_eq!(decode(&[0xC8, 0x17, 1]), Err(DecodeError::Truncated));
}

#[test]
fn another_cluster_is_seen_without_decoding_the_body() {
    let bytes = plain(Body::PushAck { max_version: 0 });
    let frame = Frame::parse(&bytes, &DecodeLimits::default()).unwrap();
    assert_eq!(frame.cluster_id_hash(), cluster_id_hash("prod"));
    assert_ne!(frame.cluster_id_hash(), cluster_id_hash("staging"));
    assert_eq!(Envelope::parse(&bytes[..ENVELOPE_LEN]).unwrap().nonce, 5);
}

#[test]
fn an_unknown_version_is_named_and_its_envelope_can_be_read() {
    let mut bytes = plain(Body::PushAck { max_version: 0 });
    bytes[2] = 9; // version
    bytes[3] = 200; // a kind of that version
    bytes[4] = 0xFF; // its flags
    bytes[5] = 8;
    bytes[6] = 12;
    let expected = DecodeError::UnsupportedVersion { version: 9, min: 1, max: 2 };
    assert_eq!(Frame::parse(&bytes, &DecodeLimits::default()).unwrap_err(), expected);
    let envelope = Envelope::parse(&bytes).unwrap();
    assert_eq!((envelope.min_version, envelope.max_version), (8, 12));
    assert_eq!((envelope.cluster_id_hash, envelope.nonce), (cluster_id_hash("prod"), 5));
}

#[test]
fn unsupported_is_read_in_any_version_and_carries_no_message() {
    let mut bytes = encode_unsupported(1, 2);
    for version in [0, 1, 9, u8::MAX] {
        bytes[2] = version;
        (bytes[5], bytes[6]) = (version, u8::MAX);
        let frame = Frame::parse(&bytes, &DecodeLimits::default()).unwrap();
        assert_eq!(frame.kind(), Kind::Unsupported);
        assert_eq!(Some(frame.peer_range()), VersionRange::new(version, u8::MAX));
        assert_eq!((frame.cluster_id_hash(), frame.nonce(), frame.echo()), (1, 0, 2));
        assert!(matches!(frame.message(), Err(DecodeError::Malformed(_))));
    }
    bytes.push(0);
    assert!(Frame::parse(&bytes, &DecodeLimits::default()).is_err());
}
