//! Messages of version 2 that every reader takes.

use std::time::Duration;

use chitchat_protocol::columns::{
    Cell, ColumnAnswer, Columns, Layout, Life, PositionVersions, Standing,
};
use chitchat_protocol::message::{Body, Changed, Header, SenderEntry, TrainPart, Unnamed};
use chitchat_protocol::{DigestEntry, Incarnation, PruneCursor};

use crate::Accepted;
use crate::accepted::canonical;
use crate::parts::{MAX_VERSION, delta, entry, header, part, plain_2, plain_2_with, report, syn};

pub(crate) fn all() -> Vec<Accepted> {
    let mut all = questions();
    all.extend(answers());
    all.extend(news());
    all
}

fn news() -> Vec<Accepted> {
    let changed = |hash, max_version| Changed { hash, max_version };
    let list = vec![changed(0x1122_3344_5566, 300), changed((1 << 48) - 1, MAX_VERSION)];
    vec![
        canonical(
            "news",
            "how far two logs go, and a delta",
            plain_2(Body::News { changed: list, deltas: vec![delta()] }),
        ),
        canonical(
            "news_list",
            "how far a log goes, and nothing else",
            plain_2(Body::News { changed: vec![changed(0, 0)], deltas: Vec::new() }),
        ),
    ]
}

fn young(heartbeat: u8, age: u8) -> Cell {
    Cell::Young { heartbeat, age }
}

fn life(position: u32, heartbeat: u64, age_ms: Option<u64>) -> Life {
    Life { position, heartbeat, age: age_ms.map(Duration::from_millis) }
}

fn versions(position: u32, max_version: u64) -> PositionVersions {
    PositionVersions {
        position,
        max_version,
        last_gc_version: 0,
        cursor: None,
        parked: None,
        frozen: false,
    }
}

fn set(first: u32) -> Layout<'static> {
    Layout::Set { fingerprint: 0x0102_0304_0506_0708, first }
}

fn hashes(hashes: Vec<u64>) -> Layout<'static> {
    Layout::Hashes { start: "node-2".into(), end: Some("node-5".into()), hashes }
}

fn nobody(layout: Layout<'static>) -> Columns<'static> {
    let (cells, lives, buckets, versions) = (vec![], vec![], vec![], vec![]);
    Columns { layout, cells, lives, not_live: 0, buckets, versions }
}

fn question(columns: Columns<'static>) -> Vec<u8> {
    plain_2(Body::ColumnSyn { budget: 65_536, columns })
}

fn questions() -> Vec<Accepted> {
    let four = Columns {
        cells: vec![young(5, 12), Cell::NotLive, Cell::Listed, young(15, 70)],
        lives: vec![life(2, 1_000, Some(60_000))],
        not_live: 0xA1B2_C3D4,
        buckets: vec![0x1234],
        versions: vec![versions(1, 128)],
        ..nobody(set(300))
    };
    let everything = PositionVersions {
        last_gc_version: 100,
        cursor: Some(PruneCursor { position: 64, gc_version: 130 }),
        parked: Some((200, 400)),
        frozen: true,
        ..versions(0, 128)
    };
    let two = Columns {
        cells: vec![young(0, 71), Cell::Listed],
        lives: vec![life(1, 0, None)],
        buckets: vec![0xFFFE],
        versions: vec![everything, PositionVersions { last_gc_version: 9, ..versions(1, 0) }],
        ..nobody(hashes(vec![0x0000_0000_0001, 0xFFFF_FFFF_FFFF]))
    };
    let number = |index: u32| u8::try_from(index % 16).unwrap();
    let many = Columns {
        cells: (0..33).map(|index| young(number(index), number(index) + 40)).collect(),
        buckets: vec![1, 0x8000],
        versions: [0, 1, 31, 32].map(|position| versions(position, 5)).to_vec(),
        ..nobody(set(0))
    };
    let dead = Columns {
        cells: vec![Cell::NotLive; 8],
        not_live: 0,
        buckets: vec![0],
        ..nobody(set(u32::MAX - 8))
    };
    let rest = Layout::Hashes { start: "node-5".into(), end: None, hashes: Vec::new() };
    vec![
        canonical("syn_2", "the same question in version 2", plain_2(syn(vec![entry()]))),
        canonical(
            "column_syn",
            "from position 300 of a set: young, not live, listed, at the bounds of what is young",
            question(four),
        ),
        canonical(
            "column_syn_hashes",
            "two members of [node-2, node-5) by their hashes; versions with everything",
            question(two),
        ),
        canonical(
            "column_syn_many",
            "33 members, one more than have one hash of their versions",
            question(many),
        ),
        canonical(
            "column_syn_dead",
            "eight members at the end of the longest set, none of them live: no padding, and a hash of 0",
            question(dead),
        ),
        canonical("column_syn_nobody", "nobody of a set", question(nobody(set(0)))),
        canonical("column_syn_rest", "nobody from node-5 on", question(nobody(rest))),
        canonical(
            "inquiry",
            "tells of node-2 and node-3, and asks for them",
            plain_2(Body::Inquiry {
                budget: 0,
                entries: vec![entry(), DigestEntry { node_id: "node-3".into(), ..entry() }],
                unnamed: Unnamed::default(),
            }),
        ),
        canonical(
            "inquiry_unnamed",
            "asks for two members of which it knows no more than their hashes in news",
            plain_2(Body::Inquiry {
                budget: 1 << 20,
                entries: Vec::new(),
                unnamed: Unnamed {
                    nonce: 0x0102_0304_0506_0708,
                    hashes: vec![0x1122_3344_5566, (1 << 48) - 1],
                },
            }),
        ),
    ]
}

/// An answer whose sender is known by its position.
fn at_position(position: u32, answer: ColumnAnswer) -> Vec<u8> {
    let (entries, deltas) = (Vec::new(), Vec::new());
    let part = TrainPart { index: 0, last: true, more: false };
    let sender = SenderEntry {
        node_id: "".into(),
        incarnation: Incarnation::default(),
        position: Some(position),
        last_gc_version: 1,
        ..header().sender
    };
    let header = Header {
        sender,
        observer: true,
        observed: Some(([192, 0, 2, 1], 7280).into()),
        about_you: Some(report()),
        ..header()
    };
    plain_2_with(header, Body::ColumnSynAck { part, budget: 0, answer, entries, deltas })
}

fn answers() -> Vec<Accepted> {
    let last = TrainPart { index: 0, last: true, more: false };
    let alone = |answer| {
        let (entries, deltas) = (Vec::new(), Vec::new());
        plain_2(Body::ColumnSynAck { part: last, budget: 0, answer, entries, deltas })
    };
    let everything = ColumnAnswer {
        standing: Standing::Same,
        count: 20,
        newer: vec![(0, young(1, 2)), (7, young(15, 124)), (8, young(0, 71)), (19, young(8, 64))],
        lives: vec![life(1, 5_000, Some(0)), life(18, 300, None)],
        asked: vec![2, 3, 17],
        unknown: vec![4],
        versions: vec![versions(0, 7), PositionVersions { frozen: true, ..versions(19, 300) }],
    };
    let other = ColumnAnswer {
        standing: Standing::Other,
        count: u32::MAX,
        asked: vec![0, u32::MAX - 1],
        ..ColumnAnswer::default()
    };
    let bounds = PositionVersions {
        last_gc_version: 1,
        cursor: Some(PruneCursor { position: MAX_VERSION, gc_version: MAX_VERSION }),
        parked: Some((MAX_VERSION - 1, MAX_VERSION)),
        frozen: true,
        ..versions(u32::MAX - 1, MAX_VERSION)
    };
    let highest = ColumnAnswer {
        lives: vec![Life { age: Some(Duration::MAX), ..life(u32::MAX - 1, MAX_VERSION, None) }],
        asked: Vec::new(),
        versions: vec![bounds],
        ..other.clone()
    };
    let same = ColumnAnswer { standing: Standing::Same, count: 1_000, ..ColumnAnswer::default() };
    let unknown = ColumnAnswer { standing: Standing::Unknown, ..ColumnAnswer::default() };
    vec![
        canonical(
            "column_syn_ack",
            "first part of a train: all that an answer can say, an entry, and a delta",
            plain_2(Body::ColumnSynAck {
                part: part(0),
                budget: 1 << 20,
                answer: everything,
                entries: vec![entry()],
                deltas: vec![delta()],
            }),
        ),
        canonical(
            "column_syn_ack_same",
            "the same set of 1,000, and nothing to add",
            alone(same.clone()),
        ),
        canonical(
            "column_syn_ack_position",
            "the same from the one at position 300, which is known by that; with all flags of a header",
            at_position(300, same.clone()),
        ),
        canonical(
            "column_syn_ack_position_last",
            "the same from the last of as many as there may be",
            at_position(u32::MAX, same),
        ),
        canonical(
            "column_syn_ack_other",
            "another set; asks for the lives of the first and the last of as many as there may be",
            alone(other),
        ),
        canonical(
            "column_syn_ack_bounds",
            "life and versions of the last of as many as there may be, at their bounds",
            alone(highest),
        ),
        canonical("column_syn_ack_unknown", "the set is not known", alone(unknown)),
    ]
}
