//! Messages that every reader takes.

use std::net::SocketAddr;
use std::time::Duration;

use chitchat_protocol::message::{Body, Header, Refusal, SelfReport, SenderEntry, TrainPart};
use chitchat_protocol::wire::{VersionRange, cluster_id_hash, encode_unsupported};
use chitchat_protocol::{
    DeltaEntry, DeltaOp, Digest, DigestEntry, Incarnation, NodeDelta, PruneCursor, PruneSection,
};

use crate::parts::{
    ENVELOPE_LEN, MAX_VERSION, NONCE, compressed, deleted, delta, entry, header, lease, namespace,
    part, plain, plain_with, prune, push, range, replaced, report, set, syn, whole,
    with_compressed_body,
};
use crate::{Accepted, columns};

pub(crate) fn all() -> Vec<Accepted> {
    let mut all = questions();
    all.extend(answers());
    all.extend(pushes());
    all.extend(headers());
    all.extend(compressed_ones());
    all.extend(longer_than_needed());
    all.extend(columns::accepted());
    all
}

pub(crate) fn canonical(name: &'static str, says: &'static str, bytes: Vec<u8>) -> Accepted {
    Accepted { name, says, bytes, canonical: true }
}

fn lenient(name: &'static str, says: &'static str, bytes: Vec<u8>) -> Accepted {
    Accepted { name, says, bytes, canonical: false }
}

fn questions() -> Vec<Accepted> {
    let rest = Digest { start: "node-5".into(), end: None, entries: Vec::new() };
    vec![
        canonical(
            "syn",
            "syn of node-1 in cluster golden: a digest over everything with node-2 in it",
            plain(syn(vec![entry()])),
        ),
        canonical(
            "syn_empty",
            "syn of a node that knows nobody",
            plain(Body::Syn { budget: 1_400, digest: whole() }),
        ),
        canonical(
            "syn_range",
            "syn over [node-2, node-5): cursor and frozen, parked and age unknown, gc above max",
            plain(Body::Syn { budget: 0, digest: range() }),
        ),
        canonical(
            "syn_range_last",
            "syn over the rest, from node-5: nobody there is known",
            plain(Body::Syn { budget: 0, digest: rest }),
        ),
    ]
}

fn answers() -> Vec<Accepted> {
    let operations = vec![
        set("color", 101, "green"),
        lease("lease", 102, 30_000),
        set("empty", 199, ""),
        deleted("gone", 200),
    ];
    let of_train = |index, last, from: u64, to: u64| {
        let entries = (from + 1..=to).map(|version| set(format!("key-{version}"), version, "v"));
        let delta = NodeDelta { from, to, entries: entries.collect(), ..delta() };
        let part = TrainPart { index, last, more: last };
        plain(Body::SynAck { part, budget: 0, entries: Vec::new(), deltas: vec![delta] })
    };
    let moved = NodeDelta { to: 100, last_gc_version: 90, entries: Vec::new(), ..delta() };
    let last = TrainPart { index: 0, last: true, more: false };
    vec![
        canonical(
            "syn_ack",
            "second part of a train: an entry, and a delta that sets a key",
            plain(Body::SynAck {
                part: part(1),
                budget: 1 << 20,
                entries: vec![entry()],
                deltas: vec![delta()],
            }),
        ),
        canonical(
            "syn_ack_empty",
            "syn-ack of somebody who knows nothing that the other does not know",
            plain(Body::SynAck { part: last, budget: 0, entries: vec![], deltas: vec![] }),
        ),
        canonical("train_0", "first of three parts: (100, 102]", of_train(0, false, 100, 102)),
        canonical("train_1", "second of three parts: (102, 103]", of_train(1, false, 102, 103)),
        canonical(
            "train_2",
            "last of three parts, cut by the budget: (103, 106] of 203",
            of_train(2, true, 103, 106),
        ),
        canonical(
            "ack",
            "last part, cut by the budget: set for ever, set for 30 s, set to nothing, deleted",
            plain(Body::Ack {
                part: TrainPart { index: 300, last: true, more: true },
                deltas: vec![NodeDelta { entries: operations, to: 200, ..delta() }],
            }),
        ),
        canonical(
            "ack_prune",
            "a prune section over (5, 1000] with 7, 8 and 900, no entries, watermark 1500",
            plain(Body::Ack { part: part(0), deltas: vec![prune()] }),
        ),
        canonical(
            "ack_watermark",
            "a watermark that moved to 90, and nothing else",
            plain(Body::Ack { part: last, deltas: vec![moved] }),
        ),
        canonical(
            "push_ack",
            "push-ack up to version 12345",
            plain(Body::PushAck { max_version: 12_345 }),
        ),
        canonical(
            "refused_future",
            "refused: generation from the future",
            plain(Body::Refused { reason: Refusal::GenerationFromTheFuture }),
        ),
        canonical(
            "refused_full",
            "refused: too many nodes",
            plain(Body::Refused { reason: Refusal::TooManyNodes }),
        ),
        canonical(
            "unsupported",
            "unsupported: this node reads versions 1 to 1",
            replaced(encode_unsupported(cluster_id_hash("golden"), NONCE), 6..7, &[1]),
        ),
        canonical(
            "unsupported_2",
            "unsupported: this node reads versions 1 to 2",
            encode_unsupported(cluster_id_hash("golden"), NONCE),
        ),
        lenient(
            "unsupported_newer",
            "unsupported: a node that reads versions 2 to 3 says so in version 2",
            replaced(encode_unsupported(cluster_id_hash("golden"), NONCE), 2..7, &[2, 0, 0, 2, 3]),
        ),
    ]
}

fn pushes() -> Vec<Accepted> {
    let unicode = NodeDelta {
        node_id: "Zürich".into(),
        entries: vec![set("größe", 103, "über\u{1F600}")],
        ..delta()
    };
    let everywhere = NodeDelta {
        node_id: "\u{5D0}\u{5D1}-e\u{301}-\u{1F468}\u{200D}\u{1F469}".into(),
        entries: vec![set("\u{7F}\u{FFFF}\u{10FFFF}", 101, "\0"), set("\"\\\n", 103, "\u{FEFF}")],
        ..delta()
    };
    let left = NodeDelta {
        from: 299,
        to: 300,
        source: 300,
        horizon: 300,
        entries: vec![set("\0status", 300, "left")],
        ..delta()
    };
    let twice = vec![set("color", 101, "green"), set("color", 103, "red")];
    let beyond = vec![set("color", 104, "green")];
    let early = Some(PruneSection { from: 5, to: 101, versions: vec![] });
    vec![
        canonical(
            "push",
            "push of two owners, the second with non-ASCII key and value",
            plain(Body::Push { deltas: vec![delta(), unicode] }),
        ),
        canonical("push_empty", "push of nothing", plain(Body::Push { deltas: Vec::new() })),
        canonical(
            "push_unicode",
            "id, keys and values with right-to-left, combining, joined, control and last characters",
            plain(push(everywhere)),
        ),
        canonical(
            "push_namespace",
            "the beginning of a namespace: number of initial versions, wire versions, addresses",
            plain(push(namespace())),
        ),
        canonical("push_left", "the last write of a node: it has left", plain(push(left))),
        canonical(
            "push_invalid",
            "can be read, but no delta of it may be applied: a key twice, an entry above `to`, a prune \
             section that ends above `from`",
            plain(Body::Push {
                deltas: vec![
                    NodeDelta { entries: twice, ..delta() },
                    NodeDelta { entries: beyond, ..delta() },
                    NodeDelta { prune: early, ..delta() },
                ],
            }),
        ),
        canonical(
            "push_long",
            "a key of 1,024 bytes and a value of 3,000, in lengths of two bytes",
            plain(push(NodeDelta {
                entries: vec![set("k".repeat(1_024), 103, "v".repeat(3_000))],
                ..delta()
            })),
        ),
    ]
}

fn headers() -> Vec<Accepted> {
    let v6 =
        SocketAddr::from(([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 7_280));
    let full = Header { observer: true, observed: Some(v6), about_you: Some(report()), ..header() };
    let newer = Header { versions: VersionRange::new(1, 3).unwrap(), ..header() };
    let bounds = Header { observed: Some(([192, 0, 2, 1], u16::MAX).into()), ..at_bounds() };
    let body = |max_version| Body::PushAck { max_version };
    vec![
        canonical(
            "header_full",
            "header with everything: observer, observed over IPv6, a report about the receiver",
            plain_with(full, body(1)),
        ),
        canonical(
            "header_newer",
            "written in version 1 by a node that reads versions 1 to 3",
            plain_with(newer, body(1)),
        ),
        canonical(
            "bounds",
            "all numbers at their bounds, a sender id of 255 bytes, an interval of 1 h",
            plain_with(bounds, body(MAX_VERSION)),
        ),
        canonical(
            "maximal",
            "every field of a syn-ack, and every number as long as it gets",
            maximal(),
        ),
    ]
}

fn at_bounds() -> Header<'static> {
    Header {
        cluster_id_hash: u64::MAX,
        nonce: u64::MAX,
        echo: u64::MAX,
        gossip_interval: Duration::from_secs(3_600),
        sender: SenderEntry {
            node_id: "n".repeat(255).into(),
            incarnation: Incarnation { generation_id: MAX_VERSION, boot: u64::MAX },
            position: None,
            heartbeat: MAX_VERSION,
            age: Duration::from_secs(360 * 1_000_000_000),
            max_version: MAX_VERSION,
            last_gc_version: MAX_VERSION,
        },
        ..header()
    }
}

fn maximal() -> Vec<u8> {
    let incarnation = Incarnation { generation_id: MAX_VERSION, boot: u64::MAX };
    let oldest = Some(Duration::from_micros(u64::MAX));
    let mut header = at_bounds();
    header.gossip_interval = Duration::from_millis(1);
    header.cluster_id_hash = cluster_id_hash("golden");
    header.sender.age = Duration::from_micros(u64::MAX);
    header.sender.last_gc_version = 1;
    header.observer = true;
    header.observed = Some(([0xFF; 16], u16::MAX).into());
    header.about_you = Some(SelfReport {
        incarnation,
        heartbeat: MAX_VERSION,
        age: oldest,
        max_version: MAX_VERSION,
        last_gc_version: 0,
    });
    let entry = DigestEntry {
        node_id: "é".repeat(127).into(),
        incarnation,
        heartbeat: MAX_VERSION,
        age: oldest,
        max_version: MAX_VERSION,
        last_gc_version: 1,
        cursor: Some(PruneCursor { position: MAX_VERSION, gc_version: MAX_VERSION }),
        parked: Some((MAX_VERSION - 1, MAX_VERSION)),
        frozen: true,
    };
    let low = NodeDelta {
        node_id: "n".repeat(255).into(),
        incarnation,
        heartbeat: MAX_VERSION,
        age: oldest,
        from: 0,
        to: MAX_VERSION,
        source: MAX_VERSION,
        horizon: MAX_VERSION,
        last_gc_version: 1,
        prune: None,
        entries: vec![DeltaEntry {
            key: "k".into(),
            version: MAX_VERSION,
            op: DeltaOp::Set { value: "v".into(), ttl: Some(Duration::from_millis(u64::MAX)) },
        }],
    };
    let high = NodeDelta {
        from: MAX_VERSION,
        last_gc_version: MAX_VERSION,
        prune: Some(PruneSection { from: 0, to: MAX_VERSION, versions: vec![1, MAX_VERSION] }),
        entries: Vec::new(),
        ..low.clone()
    };
    let part = TrainPart { index: u32::MAX, last: true, more: true };
    let (entries, deltas) = (vec![entry], vec![low, high]);
    plain_with(header, Body::SynAck { part, budget: u64::MAX, entries, deltas })
}

fn compressed_ones() -> Vec<Accepted> {
    let value = "0123456789".repeat(100);
    let long = NodeDelta { entries: vec![set("long", 101, value)], ..delta() };
    let many = (0..40).map(|index| DigestEntry {
        node_id: format!("node-{index:03}").into(),
        incarnation: Incarnation { generation_id: 1_760_000_000_000 + index, boot: index * index },
        ..entry()
    });
    vec![
        lenient("compressed", "push of a value of 1,000 bytes, compressed", compressed(push(long))),
        lenient(
            "compressed_syn",
            "a digest of 40 nodes, compressed",
            compressed(syn(many.collect())),
        ),
    ]
}

/// What a reader takes although no writer of this project writes it.
fn longer_than_needed() -> Vec<Accepted> {
    let ack = || plain(Body::PushAck { max_version: 12_345 });
    let end = ack().len();
    // Behind flags, interval, node id, incarnation and heartbeat.
    let age = ENVELOPE_LEN + 1 + 2 + 7 + 14 + 1;
    let (id_len, max_version) = (ENVELOPE_LEN + 3, age + 1);
    assert_eq!((ack()[id_len], ack()[age], &ack()[max_version..end - 2]), (6, 3, &[0xAC, 2][..]));

    let numbers = replaced(ack(), end - 2..end, &[0xB9, 0xE0, 0x80, 0]);
    let numbers = replaced(numbers, id_len..id_len + 1, &[0x86, 0]);
    let gc = replaced(ack(), max_version + 2..max_version + 2, &[0xD7, 4]);
    let gc = replaced(gc, ENVELOPE_LEN..ENVELOPE_LEN + 1, &[8]);
    let oldest = [[0xFF; 9].as_slice(), &[1]].concat();
    let old = replaced(ack(), age..age + 1, &oldest);
    // One sequence of literals: 15 and the rest of the length, and the body as it is.
    let body = ack().split_off(ENVELOPE_LEN);
    let len = u8::try_from(body.len()).unwrap();
    let literals = [&[len, 0xF0, len - 15], &*body].concat();
    vec![
        lenient("lenient_numbers", "numbers that end in groups of zeros", numbers),
        lenient("lenient_gc", "a watermark of 0 that is written although it need not be", gc),
        lenient("lenient_age", "an age beyond the greatest, which is read as the greatest", old),
        lenient(
            "lenient_compressed",
            "compressed although that makes it longer",
            with_compressed_body(&literals),
        ),
    ]
}
