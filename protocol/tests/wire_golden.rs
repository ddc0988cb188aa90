//! Messages byte by byte: what `golden/*.hex` holds must be read the same for ever, and written the
//! same as long as the wire version is 1.
//!
//! A file that is missing or differs is a failure and never written. After a change that adds a
//! message or a wire version, write the files with
//!
//! ```sh
//! WIRE_GOLDEN=write cargo test -p chitchat-protocol --test wire_golden
//! ```
//!
//! and look at the difference: a changed line of an old file breaks every cluster in operation.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chitchat_protocol::message::{
    Body, Header, Message, Refusal, SelfReport, SenderEntry, TrainPart,
};
use chitchat_protocol::wire::{
    DecodeLimits, EncodeOptions, Frame, Kind, VersionRange, cluster_id_hash, encode_unsupported,
};
use chitchat_protocol::{
    DeltaEntry, DeltaOp, Digest, DigestEntry, Incarnation, NodeDelta, PruneCursor, PruneSection,
};

const MAX_VERSION: u64 = 1 << 62;

struct Golden {
    name: &'static str,
    says: &'static str,
    message: Message<'static>,
    /// Which matches lz4 finds is no part of the format, so that only decoding is compared.
    compressed: bool,
}

fn golden(name: &'static str, says: &'static str, body: Body<'static>) -> Golden {
    Golden { name, says, message: Message { header: header(), body }, compressed: false }
}

fn goldens() -> Vec<Golden> {
    let part = |index| TrainPart { index, last: false, more: false };
    let mut all = vec![
        golden(
            "syn",
            "syn of node-1 in cluster golden: a digest over everything with node-2 in it",
            Body::Syn { budget: 65_536, digest: Digest { entries: vec![entry()], ..whole() } },
        ),
        golden(
            "syn_empty",
            "syn of a node that knows nobody",
            Body::Syn { budget: 1_400, digest: whole() },
        ),
        golden(
            "syn_range",
            "syn over [node-2, node-5): cursor and frozen, parked and age unknown, gc above max",
            Body::Syn { budget: 0, digest: range() },
        ),
        golden(
            "syn_ack",
            "second part of a train: an entry, and a delta that sets a key",
            Body::SynAck {
                part: part(1),
                budget: 1 << 20,
                entries: vec![entry()],
                deltas: vec![delta()],
            },
        ),
        golden(
            "ack",
            "last part, cut by the budget: set for ever, set for 30 s, set to nothing, deleted",
            Body::Ack {
                part: TrainPart { index: 300, last: true, more: true },
                deltas: vec![NodeDelta { entries: operations(), to: 200, ..delta() }],
            },
        ),
        golden(
            "ack_prune",
            "a prune section over (5, 1000] with 7, 8 and 900, no entries, watermark 1500",
            Body::Ack { part: part(0), deltas: vec![prune()] },
        ),
        golden(
            "push",
            "push of two owners, the second with non-ASCII key and value",
            Body::Push { deltas: vec![delta(), unicode()] },
        ),
        golden("push_ack", "push-ack up to version 12345", Body::PushAck { max_version: 12_345 }),
        golden(
            "refused_future",
            "refused: generation from the future",
            Body::Refused { reason: Refusal::GenerationFromTheFuture },
        ),
        golden(
            "refused_full",
            "refused: too many nodes",
            Body::Refused { reason: Refusal::TooManyNodes },
        ),
    ];
    let mut observed = golden(
        "header_full",
        "header with everything: observer, observed over IPv6, a report about the receiver",
        Body::PushAck { max_version: 1 },
    );
    observed.message.header.observer = true;
    observed.message.header.observed = Some(SocketAddr::from((
        [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        7_280,
    )));
    observed.message.header.about_you = Some(SelfReport {
        incarnation: Incarnation { generation_id: 1_750_000_000_000, boot: 0xAB },
        heartbeat: 77,
        age: None,
        max_version: 1_000,
        last_gc_version: 900,
    });
    let mut bounds = golden(
        "bounds",
        "all numbers at their bounds, a sender id of 255 bytes, an interval of 1 h",
        Body::PushAck { max_version: MAX_VERSION },
    );
    bounds.message.header = Header {
        cluster_id_hash: u64::MAX,
        nonce: u64::MAX,
        echo: u64::MAX,
        gossip_interval: Duration::from_secs(3_600),
        sender: SenderEntry {
            node_id: "n".repeat(255).into(),
            incarnation: Incarnation { generation_id: MAX_VERSION, boot: u64::MAX },
            heartbeat: MAX_VERSION,
            age: Duration::from_secs(360 * 1_000_000_000),
            max_version: MAX_VERSION,
            last_gc_version: MAX_VERSION,
        },
        observed: Some(SocketAddr::from(([192, 0, 2, 1], u16::MAX))),
        ..header()
    };
    let mut compressed = golden(
        "compressed",
        "push of a value of 1,000 bytes, compressed",
        Body::Push { deltas: vec![repetitive()] },
    );
    compressed.compressed = true;
    all.extend([observed, bounds, compressed]);
    all
}

fn header() -> Header<'static> {
    Header {
        cluster_id_hash: cluster_id_hash("golden"),
        nonce: 0x1122_3344_5566_7788,
        echo: 0,
        versions: VersionRange::BUILD,
        gossip_interval: Duration::from_millis(500),
        sender: SenderEntry {
            node_id: "node-1".into(),
            incarnation: Incarnation {
                generation_id: 1_760_000_000_000,
                boot: 0x0123_4567_89AB_CDEF,
            },
            heartbeat: 42,
            age: Duration::from_millis(150),
            max_version: 300,
            last_gc_version: 0,
        },
        observer: false,
        observed: None,
        about_you: None,
    }
}

fn whole() -> Digest<'static> {
    Digest { start: "".into(), end: None, entries: Vec::new() }
}

fn entry() -> DigestEntry<'static> {
    DigestEntry {
        node_id: "node-2".into(),
        incarnation: Incarnation { generation_id: 1_760_000_000_001, boot: 2 },
        heartbeat: 1_000,
        age: Some(Duration::from_millis(600)),
        max_version: 128,
        last_gc_version: 100,
        cursor: None,
        parked: None,
        frozen: false,
    }
}

fn range() -> Digest<'static> {
    let cursor = Some(PruneCursor { position: 64, gc_version: 130 });
    Digest {
        start: "node-2".into(),
        end: Some("node-5".into()),
        entries: vec![
            DigestEntry { cursor, frozen: true, ..entry() },
            DigestEntry {
                node_id: "node-3".into(),
                age: None,
                parked: Some((200, 400)),
                last_gc_version: 0,
                ..entry()
            },
            DigestEntry { node_id: "node-4".into(), last_gc_version: 1_128, ..entry() },
        ],
    }
}

fn delta() -> NodeDelta<'static> {
    NodeDelta {
        node_id: "node-3".into(),
        incarnation: Incarnation { generation_id: 1_760_000_000_002, boot: 3 },
        heartbeat: 9,
        age: Some(Duration::ZERO),
        from: 100,
        to: 103,
        source: 203,
        horizon: 303,
        last_gc_version: 0,
        prune: None,
        entries: vec![set("color", 103, "green")],
    }
}

fn set(key: &'static str, version: u64, value: &'static str) -> DeltaEntry<'static> {
    DeltaEntry { key: key.into(), version, op: DeltaOp::Set { value: value.into(), ttl: None } }
}

fn operations() -> Vec<DeltaEntry<'static>> {
    let ttl = Some(Duration::from_secs(30));
    vec![
        set("color", 101, "green"),
        DeltaEntry {
            key: "lease".into(),
            version: 102,
            op: DeltaOp::Set { value: "mine".into(), ttl },
        },
        set("empty", 199, ""),
        DeltaEntry { key: "gone".into(), version: 200, op: DeltaOp::Delete },
    ]
}

fn prune() -> NodeDelta<'static> {
    NodeDelta {
        from: 1_000,
        to: 1_000,
        source: 2_000,
        horizon: 2_000,
        last_gc_version: 1_500,
        prune: Some(PruneSection { from: 5, to: 1_000, versions: vec![7, 8, 900] }),
        entries: Vec::new(),
        age: None,
        ..delta()
    }
}

fn unicode() -> NodeDelta<'static> {
    NodeDelta {
        node_id: "Zürich".into(),
        entries: vec![set("größe", 103, "über\u{1F600}")],
        ..delta()
    }
}

fn repetitive() -> NodeDelta<'static> {
    let value = "0123456789".repeat(100).into();
    let op = DeltaOp::Set { value, ttl: None };
    NodeDelta { entries: vec![DeltaEntry { key: "long".into(), version: 101, op }], ..delta() }
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.hex"))
}

fn is_writing() -> bool {
    std::env::var("WIRE_GOLDEN").is_ok_and(|value| value == "write")
}

/// The bytes of a file: hexadecimal, in any number of lines; `#` begins a comment line.
fn read(name: &str) -> Vec<u8> {
    let path = path(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; the top of this file says how to write it", path.display())
    });
    let digits: String = text.lines().filter(|line| !line.starts_with('#')).collect();
    let digits: Vec<u32> = digits.chars().map(|digit| digit.to_digit(16).unwrap()).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

fn write(name: &str, says: &str, bytes: &[u8]) {
    let mut text = format!("# {says}\n");
    for line in bytes.chunks(32) {
        text.extend(line.iter().map(|byte| format!("{byte:02x}")));
        text.push('\n');
    }
    fs::write(path(name), text).unwrap();
}

#[test]
fn golden_messages_are_read_and_written_as_ever() {
    for golden in goldens() {
        let Golden { name, says, message, compressed } = golden;
        let options = if compressed { EncodeOptions::default() } else { EncodeOptions::plain() };
        let encoded = message.encode_with(&options);
        if is_writing() {
            write(name, says, &encoded);
        }
        let bytes = read(name);
        let decoded = Message::decode(&bytes, &DecodeLimits::default());
        assert_eq!(decoded.as_ref(), Ok(&message), "{name}: {says}");
        if compressed {
            assert_eq!(bytes[4], 1, "{name} is not compressed");
        } else {
            assert_eq!(encoded, bytes, "{name}: {says}");
        }
    }
}

#[test]
fn the_golden_unsupported_answer_is_read_and_written_as_ever() {
    let encoded = encode_unsupported(cluster_id_hash("golden"), 0x1122_3344_5566_7788);
    if is_writing() {
        write("unsupported", "unsupported: this node reads versions 1 to 1", &encoded);
    }
    let bytes = read("unsupported");
    assert_eq!(encoded, bytes);
    let frame = Frame::parse(&bytes, &DecodeLimits::default()).unwrap();
    assert_eq!(frame.kind(), Kind::Unsupported);
    assert_eq!(frame.peer_range(), VersionRange::BUILD);
    assert_eq!(frame.echo(), 0x1122_3344_5566_7788);
}

#[test]
fn every_golden_file_is_tested() {
    let mut expected: BTreeSet<String> =
        goldens().iter().map(|golden| format!("{}.hex", golden.name)).collect();
    expected.insert("unsupported.hex".into());
    let found = fs::read_dir(path("syn").parent().unwrap()).unwrap();
    let found: BTreeSet<String> =
        found.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    // While files are being written by the other tests, some may be missing.
    assert!(is_writing() || found == expected, "found {found:?}, expected {expected:?}");
}

#[test]
fn the_cluster_hash_is_the_same_for_ever() {
    assert_eq!(cluster_id_hash("golden"), 0x660E_93DB_1535_A1C4);
    assert_eq!(cluster_id_hash(""), 0xEF2A_0E84_A03D_D705);
}
