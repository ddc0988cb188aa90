//! What decoding does with digests in columns that no correct node sends.

use chitchat_protocol::DecodeError;
use chitchat_protocol::columns::{
    BUCKET, Cell, ColumnAnswer, Columns, Layout, Life, PositionVersions, Standing,
};
use chitchat_protocol::message::{Body, Message};
use chitchat_protocol::wire::{DecodeLimits, EncodeOptions, Frame};

use crate::{LAST, decode, message, varint};

const COLUMN_SYN: u8 = 7;
const COLUMN_SYN_ACK: u8 = 8;

const YOUNG: Cell = Cell::Young { heartbeat: 15, age: 124 };

fn encode(body: Body<'_>) -> Vec<u8> {
    message(body).encode_with(&EncodeOptions::plain().with_version(2).unwrap())
}

/// A message with this behind the header.
fn raw(kind: u8, body: &[&[u8]]) -> Vec<u8> {
    let mut bytes = encode(Body::PushAck { max_version: 0 });
    bytes.pop();
    bytes[3] = kind;
    bytes.extend(body.concat());
    bytes
}

fn question(columns: Columns<'_>) -> Vec<u8> {
    encode(Body::ColumnSyn { budget: 0, columns })
}

fn answer(answer: ColumnAnswer) -> Vec<u8> {
    encode(Body::ColumnSynAck {
        part: LAST,
        budget: 0,
        answer,
        entries: Vec::new(),
        deltas: Vec::new(),
    })
}

fn of(cells: Vec<Cell>) -> Columns<'static> {
    let listed = (0..).zip(&cells).filter(|(_, cell)| matches!(cell, Cell::Listed));
    let lives = listed.map(|(position, _)| life(position)).collect();
    let layout = Layout::Set { fingerprint: 0, first: 0 };
    let buckets = vec![0; cells.len().div_ceil(BUCKET)];
    Columns { layout, cells, lives, not_live: 0, buckets, versions: Vec::new() }
}

fn hashes(hashes: Vec<u64>) -> Layout<'static> {
    Layout::Hashes { start: "".into(), end: None, hashes }
}

fn life(position: u32) -> Life {
    Life { position, heartbeat: 0, age: None }
}

fn versions(position: u32) -> PositionVersions {
    PositionVersions {
        position,
        max_version: 0,
        last_gc_version: 0,
        cursor: None,
        parked: None,
        frozen: false,
    }
}

/// Memory that the columns of a message take.
fn memory(message: &Message<'_>) -> usize {
    let lives = |lives: &Vec<Life>| lives.capacity() * size_of::<Life>();
    let versions =
        |versions: &Vec<PositionVersions>| versions.capacity() * size_of::<PositionVersions>();
    match &message.body {
        Body::ColumnSyn { columns, .. } => {
            let hashes = match &columns.layout {
                Layout::Hashes { hashes, .. } => hashes.capacity() * size_of::<u64>(),
                Layout::Set { .. } => 0,
            };
            hashes
                + columns.cells.capacity() * size_of::<Cell>()
                + lives(&columns.lives)
                + columns.buckets.capacity() * size_of::<u16>()
                + versions(&columns.versions)
        }
        Body::ColumnSynAck { answer, .. } => {
            answer.newer.capacity() * size_of::<(u32, Cell)>()
                + lives(&answer.lives)
                + (answer.asked.capacity() + answer.unknown.capacity()) * size_of::<u32>()
                + versions(&answer.versions)
        }
        other => panic!("no test sends {other:?}"),
    }
}

#[test]
fn the_smallest_elements_take_at_most_24_times_their_length_in_memory() {
    let all = |count: u32| (0..count).map(versions).collect::<Vec<_>>();
    let long = ColumnAnswer { count: 20_000, ..ColumnAnswer::default() };
    let messages = [
        question(of(vec![YOUNG; 40_000])),
        question(Columns { layout: hashes(vec![0; 8_000]), ..of(vec![YOUNG; 8_000]) }),
        // One more than a vector that grows by doubling has room for.
        question(of(vec![Cell::Listed; 16_385])),
        question(Columns { versions: all(12_000), ..of(vec![YOUNG; 12_000]) }),
        answer(ColumnAnswer { newer: (0..20_000).map(|at| (at, YOUNG)).collect(), ..long.clone() }),
        answer(ColumnAnswer { lives: (0..18_000).map(life).collect(), ..long.clone() }),
        answer(ColumnAnswer { versions: all(18_000), ..long.clone() }),
        answer(ColumnAnswer { asked: (0..20_000).collect(), ..long }),
    ];
    for bytes in messages {
        assert!((20_000..=65_507).contains(&bytes.len()), "{}", bytes.len());
        let frame = Frame::parse(&bytes, &DecodeLimits::default()).unwrap();
        let memory = memory(&frame.message().unwrap());
        assert!(memory <= 24 * bytes.len(), "{} bytes take {memory}", bytes.len());
    }
}

#[test]
fn counts_without_elements_are_refused_without_memory_for_them() {
    let set = [0; 11];
    for count in [1 << 16, 1 << 32, 1 << 60, u64::MAX] {
        let count = &*varint(count);
        let messages = [
            raw(COLUMN_SYN, &[&set, count]),
            raw(COLUMN_SYN, &[&[0, 1, 0, 0], count]),
            // Versions behind the columns of nobody.
            raw(COLUMN_SYN, &[&set, &[0], count]),
            // Lives, those who are asked for, the unknown, and versions in an answer.
            raw(COLUMN_SYN_ACK, &[&[0, 1, 0, 0, 9, 2], count]),
            raw(COLUMN_SYN_ACK, &[&[0, 1, 0, 0, 9, 4], count]),
            raw(COLUMN_SYN_ACK, &[&[0, 1, 0, 0, 9, 8], count]),
            raw(COLUMN_SYN_ACK, &[&[0, 1, 0, 0, 9, 16], count]),
        ];
        for bytes in messages {
            assert_eq!(decode(&bytes), Err(DecodeError::Truncated), "{bytes:02x?}");
        }
    }
    for count in [1 << 16, u64::from(u32::MAX)] {
        let bytes = raw(COLUMN_SYN_ACK, &[&[0, 1, 0, 0], &varint(count), &[1]]);
        assert_eq!(decode(&bytes), Err(DecodeError::Truncated), "{count}");
    }
}

/// Every message here breaks one rule of the format. What the bytes cannot hold must not be read as
/// something else.
#[test]
fn every_rule_of_columns_is_enforced() {
    let cells = vec![YOUNG, Cell::Listed, YOUNG];
    let sound = || of(cells.clone());
    let one = |heartbeat, age| question(of(vec![Cell::Young { heartbeat, age }]));
    let high = Life { heartbeat: (1 << 62) + 1, ..life(1) };
    let listed = |versions| question(Columns { versions, ..sound() });
    let known = ColumnAnswer { count: 3, ..ColumnAnswer::default() };
    let unknown = ColumnAnswer { standing: Standing::Unknown, ..ColumnAnswer::default() };
    assert!(decode(&question(sound())).is_ok());
    assert!(decode(&answer(unknown.clone())).is_ok());
    let later = |newer| answer(ColumnAnswer { newer, ..known.clone() });
    let asked = |asked| answer(ColumnAnswer { asked, ..known.clone() });
    let broken = [
        ("an age that is none", one(0, 125)),
        ("an age that says not live", one(0, 126)),
        ("an age that says listed", one(0, 127)),
        ("an age of eight bits", one(0, 128)),
        ("a heartbeat of five bits", one(16, 0)),
        ("a life too few", question(Columns { lives: Vec::new(), ..sound() })),
        ("a life too many", question(Columns { lives: vec![life(1), life(2)], ..sound() })),
        ("the life of another", question(Columns { lives: vec![life(0)], ..sound() })),
        ("a high heartbeat", question(Columns { lives: vec![high], ..sound() })),
        ("a hash of nobody", question(Columns { not_live: 1, ..sound() })),
        ("no hash of versions", question(Columns { buckets: Vec::new(), ..sound() })),
        ("two hashes of versions", question(Columns { buckets: vec![0; 2], ..sound() })),
        ("two for three", question(Columns { layout: hashes(vec![0; 2]), ..sound() })),
        ("a long hash", question(Columns { layout: hashes(vec![0, 1 << 48, 0]), ..sound() })),
        ("versions of nobody", listed(vec![versions(3)])),
        ("versions of the last there may be", listed(vec![versions(u32::MAX)])),
        ("versions twice", listed(vec![versions(2), versions(2)])),
        ("versions that fall", listed(vec![versions(2), versions(1)])),
        ("versions from the last to the first", listed(vec![versions(u32::MAX), versions(0)])),
        ("later, not live", later(vec![(0, Cell::NotLive)])),
        ("later, listed", later(vec![(0, Cell::Listed)])),
        ("later, and nobody", later(vec![(3, YOUNG)])),
        ("later twice", later(vec![(1, YOUNG), (1, YOUNG)])),
        ("later and falling", later(vec![(1, YOUNG), (0, YOUNG)])),
        ("asked twice", asked(vec![1, 1])),
        ("asked and nobody", asked(vec![3])),
        ("an unknown set of some", answer(ColumnAnswer { count: 1, ..unknown.clone() })),
        ("an unknown set with lives", answer(ColumnAnswer { lives: vec![life(0)], ..unknown })),
    ];
    for (rule, bytes) in broken {
        let error = decode(&bytes).expect_err(rule);
        assert!(matches!(error, DecodeError::Malformed(_)), "{rule}: {error}");
    }
}
