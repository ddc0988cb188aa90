//! What the golden messages are made of.

use std::time::Duration;

use chitchat_protocol::message::{Body, Header, Message, SelfReport, SenderEntry, TrainPart};
use chitchat_protocol::wire::{EncodeOptions, VersionRange, cluster_id_hash};
use chitchat_protocol::{
    DeltaEntry, DeltaOp, Digest, DigestEntry, Incarnation, NodeDelta, PruneCursor, PruneSection,
};

/// The bound on versions, heartbeats and generations.
pub(crate) const MAX_VERSION: u64 = 1 << 62;

pub(crate) const NONCE: u64 = 0x1122_3344_5566_7788;

/// Bytes of the envelope.
pub(crate) const ENVELOPE_LEN: usize = 31;

/// Hashes of cluster ids.
pub(crate) const CLUSTER_HASHES: [(&str, u64); 4] = [
    ("golden", 0x660E_93DB_1535_A1C4),
    ("", 0xEF2A_0E84_A03D_D705),
    ("prod-cluster", 0x246B_2B6E_00F3_785F),
    ("größe/Zürich-0123456789", 0xE298_544E_8B92_719E),
];

pub(crate) fn header() -> Header<'static> {
    Header {
        cluster_id_hash: cluster_id_hash("golden"),
        nonce: NONCE,
        echo: 0,
        // Of a node that reads nothing newer: these bytes are the same for ever.
        versions: VersionRange::new(1, 1).unwrap(),
        gossip_interval: Duration::from_millis(500),
        sender: SenderEntry {
            node_id: "node-1".into(),
            incarnation: Incarnation {
                generation_id: 1_760_000_000_000,
                boot: 0x0123_4567_89AB_CDEF,
            },
            position: None,
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

/// Without compression.
pub(crate) fn plain(body: Body<'_>) -> Vec<u8> {
    plain_with(header(), body)
}

pub(crate) fn plain_with(header: Header<'_>, body: Body<'_>) -> Vec<u8> {
    Message { header, body }.encode_with(&EncodeOptions::plain())
}

/// In version 2.
pub(crate) fn plain_2(body: Body<'_>) -> Vec<u8> {
    plain_2_with(header(), body)
}

pub(crate) fn plain_2_with(header: Header<'_>, body: Body<'_>) -> Vec<u8> {
    let header = Header { versions: VersionRange::new(1, 2).unwrap(), ..header };
    let options = EncodeOptions::plain().with_version(2).unwrap();
    Message { header, body }.encode_with(&options)
}

/// A message of version 2 with this behind the header.
pub(crate) fn raw_2(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = plain_2(Body::PushAck { max_version: 0 });
    bytes.pop();
    bytes[3] = kind;
    bytes.extend_from_slice(body);
    bytes
}

/// With compression, which must make it shorter.
pub(crate) fn compressed(body: Body<'_>) -> Vec<u8> {
    let bytes = Message { header: header(), body }.encode();
    assert_eq!(bytes[4], 1, "not compressed");
    bytes
}

pub(crate) fn part(index: u32) -> TrainPart {
    TrainPart { index, last: false, more: false }
}

pub(crate) fn whole() -> Digest<'static> {
    Digest { start: "".into(), end: None, entries: Vec::new() }
}

pub(crate) fn syn(entries: Vec<DigestEntry<'static>>) -> Body<'static> {
    Body::Syn { budget: 65_536, digest: Digest { entries, ..whole() } }
}

pub(crate) fn push(delta: NodeDelta<'static>) -> Body<'static> {
    Body::Push { deltas: vec![delta] }
}

pub(crate) fn entry() -> DigestEntry<'static> {
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

pub(crate) fn range() -> Digest<'static> {
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

pub(crate) fn delta() -> NodeDelta<'static> {
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

pub(crate) fn set(
    key: impl Into<String>,
    version: u64,
    value: impl Into<String>,
) -> DeltaEntry<'static> {
    let op = DeltaOp::Set { value: value.into().into(), ttl: None };
    DeltaEntry { key: key.into().into(), version, op }
}

pub(crate) fn lease(key: &'static str, version: u64, ttl_ms: u64) -> DeltaEntry<'static> {
    let ttl = Some(Duration::from_millis(ttl_ms));
    DeltaEntry { key: key.into(), version, op: DeltaOp::Set { value: "mine".into(), ttl } }
}

pub(crate) fn deleted(key: &'static str, version: u64) -> DeltaEntry<'static> {
    DeltaEntry { key: key.into(), version, op: DeltaOp::Delete }
}

pub(crate) fn prune() -> NodeDelta<'static> {
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

/// What a namespace begins with: the protocol's own keys, and then the user's.
pub(crate) fn namespace() -> NodeDelta<'static> {
    NodeDelta {
        from: 0,
        to: 4,
        source: 4,
        horizon: 4,
        entries: vec![
            set("\0initial", 1, "4"),
            set("\0wire", 2, "1-1"),
            set("\0addrs", 3, "192.0.2.7:7280,[2001:db8::7]:7280"),
            set("role", 4, "indexer"),
        ],
        ..delta()
    }
}

pub(crate) fn report() -> SelfReport {
    SelfReport {
        incarnation: Incarnation { generation_id: 1_750_000_000_000, boot: 0xAB },
        heartbeat: 77,
        age: None,
        max_version: 1_000,
        last_gc_version: 900,
    }
}

/// `at` replaced by `with`, which may be of another length.
pub(crate) fn replaced(mut bytes: Vec<u8>, at: std::ops::Range<usize>, with: &[u8]) -> Vec<u8> {
    bytes.splice(at, with.iter().copied());
    bytes
}

/// The envelope of a message, marked as compressed, and another body behind it.
pub(crate) fn with_compressed_body(body: &[u8]) -> Vec<u8> {
    let mut bytes = plain(Body::PushAck { max_version: 0 });
    bytes.truncate(ENVELOPE_LEN);
    bytes[4] = 1;
    bytes.extend_from_slice(body);
    bytes
}
