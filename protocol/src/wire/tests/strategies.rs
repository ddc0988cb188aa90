//! Random messages that a correct node may send.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::columns::{
    BUCKET, Cell, ColumnAnswer, Columns, HEARTBEAT_WRAP, Layout, Life, MAX_CELL_AGE,
    PositionVersions, Standing,
};
use crate::delta::{DeltaEntry, DeltaOp, NodeDelta, PruneSection};
use crate::digest::{Digest, DigestEntry};
use crate::id::Incarnation;
use crate::message::{
    Body, Changed, Header, Message, Refusal, SelfReport, SenderEntry, TrainPart, Unnamed,
};
use crate::state::{MAX_VERSION, PruneCursor};
use crate::wire::VersionRange;

/// Mostly as in practice, sometimes at the bounds.
pub(super) fn version() -> impl Strategy<Value = u64> {
    prop_oneof![
        2 => Just(0),
        6 => 1..300u64,
        6 => 1..10_000_000u64,
        1 => 0..=MAX_VERSION,
        1 => Just(MAX_VERSION),
    ]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![version(), any::<u64>()]
}

pub(super) fn node_id() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[a-z0-9-]{1,24}",
        1 => "\\PC{1,60}",
        1 => Just("x".repeat(255)),
        1 => Just("é".repeat(127)),
    ]
}

fn incarnation() -> impl Strategy<Value = Incarnation> {
    let generation = prop_oneof![1_700_000_000_000..1_900_000_000_000u64, version()];
    (generation, any::<u64>()).prop_map(|(generation_id, boot)| Incarnation { generation_id, boot })
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => (0..5_000_000u64).prop_map(Duration::from_micros),
        1 => (0..1_000_000_000u64).prop_map(Duration::from_millis),
        1 => (any::<u64>(), 0..1_000_000_000u32).prop_map(|(s, n)| Duration::new(s, n)),
    ]
}

fn interval() -> impl Strategy<Value = Duration> {
    let ms = prop_oneof![Just(500), Just(1), Just(3_600_000), 1..=3_600_000u64];
    ms.prop_map(Duration::from_millis)
}

/// Without flow label and scope, which the format leaves out.
fn addr() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (any::<[u8; 4]>(), any::<u16>()).prop_map(SocketAddr::from),
        (any::<[u8; 16]>(), any::<u16>()).prop_map(SocketAddr::from),
    ]
}

prop_compose! {
    fn report()(
        incarnation in incarnation(),
        heartbeat in version(),
        age in option::of(duration()),
        max_version in version(),
        last_gc_version in version(),
    ) -> SelfReport {
        SelfReport { incarnation, heartbeat, age, max_version, last_gc_version }
    }
}

prop_compose! {
    fn sender()(
        node_id in node_id(),
        incarnation in incarnation(),
        heartbeat in version(),
        age in duration(),
        max_version in version(),
        last_gc_version in version(),
    ) -> SenderEntry<'static> {
        SenderEntry {
            node_id: node_id.into(),
            incarnation,
            position: None,
            heartbeat,
            age,
            max_version,
            last_gc_version,
        }
    }
}

/// Ranges that have the version that the message is written in.
fn versions() -> impl Strategy<Value = VersionRange> {
    (0..=1u8, 1..=u8::MAX).prop_map(|(oldest, newest)| VersionRange::new(oldest, newest).unwrap())
}

prop_compose! {
    pub(super) fn header()(
        cluster_id_hash in any::<u64>(),
        nonce in any::<u64>(),
        echo in any::<u64>(),
        versions in versions(),
        gossip_interval in interval(),
        sender in sender(),
        observer in any::<bool>(),
        observed in option::of(addr()),
        about_you in option::of(report()),
    ) -> Header<'static> {
        Header {
            cluster_id_hash, nonce, echo, versions, gossip_interval, sender, observer, observed, about_you,
        }
    }
}

prop_compose! {
    pub(super) fn digest_entry()(
        node_id in node_id(),
        incarnation in incarnation(),
        heartbeat in version(),
        age in option::of(duration()),
        max_version in version(),
        last_gc_version in version(),
        cursor in option::weighted(0.1, (version(), version())),
        parked in option::weighted(0.1, (0..1_000u64, version())),
        frozen in any::<bool>(),
    ) -> DigestEntry<'static> {
        DigestEntry {
            node_id: node_id.into(),
            incarnation,
            heartbeat,
            age,
            max_version,
            last_gc_version,
            cursor: cursor.map(|(position, gc_version)| PruneCursor { position, gc_version }),
            parked: parked.map(|(from, to)| (from, to.max(from + 1))),
            frozen,
        }
    }
}

pub(super) fn digest_entries() -> impl Strategy<Value = Vec<DigestEntry<'static>>> {
    vec(digest_entry(), 0..20).prop_map(|mut entries| {
        entries.sort_by(|a, b| a.node_id.cmp(&b.node_id));
        entries.dedup_by(|a, b| a.node_id == b.node_id);
        entries
    })
}

pub(super) fn digest() -> impl Strategy<Value = Digest<'static>> {
    (digest_entries(), any::<bool>(), any::<bool>()).prop_map(|(entries, low, high)| {
        let first = entries.first().map(|entry| entry.node_id.clone());
        let last = Cow::Borrowed("\u{10FFFF}");
        Digest {
            start: first.filter(|_| low).unwrap_or_default(),
            end: high.then_some(last),
            entries,
        }
    })
}

fn op() -> impl Strategy<Value = DeltaOp<'static>> {
    let set = |(value, ttl): (String, _)| DeltaOp::Set { value: value.into(), ttl };
    let value = prop_oneof!["[a-z]{0,12}", Just("v".repeat(700)), "\\PC{0,30}"];
    prop_oneof![
        1 => Just(DeltaOp::Delete),
        4 => (value, option::weighted(0.2, duration())).prop_map(set),
    ]
}

fn ascending(from: u64, steps: Vec<u64>) -> Vec<u64> {
    let mut previous = from;
    steps
        .into_iter()
        .map(|step| {
            previous += step;
            previous
        })
        .collect()
}

fn steps(count: usize) -> impl Strategy<Value = Vec<u64>> {
    vec(prop_oneof![4 => Just(1u64), 1 => 1..100_000u64], 0..count)
}

/// Half the bound, so that lists can ascend from there.
fn low_version() -> impl Strategy<Value = u64> {
    version().prop_map(|version| version / 2)
}

prop_compose! {
    fn prune()(from in low_version(), length in low_version(), steps in steps(40)) -> PruneSection {
        PruneSection { from, to: from + length, versions: ascending(from, steps) }
    }
}

prop_compose! {
    pub(super) fn delta()(
        node_id in node_id(),
        incarnation in incarnation(),
        heartbeat in version(),
        age in option::of(duration()),
        versions in vec(low_version(), 5),
        prune in option::weighted(0.2, prune()),
        steps in steps(12),
        entries in vec((prop_oneof!["[a-z:/]{1,12}", "\\PC{1,9}"], op()), 12),
    ) -> NodeDelta<'static> {
        let mut versions = versions;
        versions[..4].sort();
        let entries = ascending(versions[0], steps).into_iter().zip(entries);
        let entry = |(version, (key, op)): (u64, (String, _))| {
            DeltaEntry { key: key.into(), version, op }
        };
        NodeDelta {
            node_id: node_id.into(),
            incarnation,
            heartbeat,
            age,
            from: versions[0],
            to: versions[1],
            source: versions[2],
            horizon: versions[3],
            last_gc_version: versions[4].min(versions[3]),
            prune,
            entries: entries.map(entry).collect(),
        }
    }
}

pub(super) fn deltas() -> impl Strategy<Value = Vec<NodeDelta<'static>>> {
    vec(delta(), 0..4)
}

prop_compose! {
    fn part()(index in any::<u32>(), last in any::<bool>(), more in any::<bool>()) -> TrainPart {
        TrainPart { index, last, more }
    }
}

pub(super) fn body() -> impl Strategy<Value = Body<'static>> {
    let syn_ack = (part(), number(), digest_entries(), deltas());
    let refusals = [Refusal::GenerationFromTheFuture, Refusal::TooManyNodes];
    prop_oneof![
        3 => (number(), digest()).prop_map(|(budget, digest)| Body::Syn { budget, digest }),
        3 => syn_ack.prop_map(|(part, budget, entries, deltas)| {
            Body::SynAck { part, budget, entries, deltas }
        }),
        2 => (part(), deltas()).prop_map(|(part, deltas)| Body::Ack { part, deltas }),
        2 => deltas().prop_map(|deltas| Body::Push { deltas }),
        1 => version().prop_map(|max_version| Body::PushAck { max_version }),
        1 => prop::sample::select(refusals.to_vec()).prop_map(|reason| Body::Refused { reason }),
    ]
}

/// Ascending positions below `count`.
fn positions(count: u32) -> impl Strategy<Value = Vec<u32>> {
    prop::collection::btree_set(0..count.max(1), 0..6)
        .prop_map(move |it| it.into_iter().filter(|position| *position < count).collect())
}

fn young() -> impl Strategy<Value = Cell> {
    (0..HEARTBEAT_WRAP, 0..=MAX_CELL_AGE)
        .prop_map(|(heartbeat, age)| Cell::Young { heartbeat, age })
}

fn life(position: u32) -> impl Strategy<Value = Life> {
    (version(), option::of(duration())).prop_map(move |(heartbeat, age)| Life {
        position,
        heartbeat,
        age,
    })
}

fn lives(positions: Vec<u32>) -> impl Strategy<Value = Vec<Life>> {
    positions.into_iter().map(life).collect::<Vec<_>>()
}

fn versions_at(positions: Vec<u32>) -> impl Strategy<Value = Vec<PositionVersions>> {
    let at = |position| digest_entry().prop_map(move |it| PositionVersions::of(position, &it));
    positions.into_iter().map(at).collect::<Vec<_>>()
}

fn layout(count: usize) -> impl Strategy<Value = Layout<'static>> {
    let hashes = vec(0..1_u64 << 48, count);
    let range = (node_id(), any::<bool>());
    prop_oneof![
        (any::<u64>(), any::<u32>())
            .prop_map(|(fingerprint, first)| Layout::Set { fingerprint, first }),
        (hashes, range).prop_map(|(hashes, (start, open))| {
            let end = (!open).then_some(Cow::Borrowed("\u{10FFFF}"));
            Layout::Hashes { start: start.into(), end, hashes }
        }),
    ]
}

fn columns() -> impl Strategy<Value = Columns<'static>> {
    let cell = prop_oneof![8 => young(), 1 => Just(Cell::NotLive), 1 => Just(Cell::Listed)];
    let sized = |cells: Vec<Cell>| {
        let count = u32::try_from(cells.len()).unwrap();
        let listed = (0..).zip(&cells).filter(|(_, cell)| matches!(cell, Cell::Listed));
        let listed = listed.map(|(position, _)| position).collect();
        let not_live = if cells.contains(&Cell::NotLive) { 0..=u32::MAX } else { 0..=0 };
        let buckets = vec(any::<u16>(), cells.len().div_ceil(BUCKET));
        let versions = positions(count).prop_flat_map(versions_at);
        (layout(cells.len()), Just(cells), lives(listed), not_live, buckets, versions)
    };
    let build = |(layout, cells, lives, not_live, buckets, versions)| Columns {
        layout,
        cells,
        lives,
        not_live,
        buckets,
        versions,
    };
    vec(cell, 0..80).prop_flat_map(sized).prop_map(build)
}

fn column_answer() -> impl Strategy<Value = ColumnAnswer> {
    let unknown = ColumnAnswer { standing: Standing::Unknown, ..ColumnAnswer::default() };
    let standing = prop::sample::select(vec![Standing::Same, Standing::Other]);
    let sized = |(standing, count): (Standing, u32)| {
        let newer = positions(count).prop_flat_map(|positions| {
            positions.into_iter().map(|it| (Just(it), young())).collect::<Vec<_>>()
        });
        let lives = positions(count).prop_flat_map(lives);
        let versions = positions(count).prop_flat_map(versions_at);
        let lists = (newer, lives, positions(count), positions(count), versions);
        lists.prop_map(move |(newer, lives, asked, unknown, versions)| ColumnAnswer {
            standing,
            count,
            newer,
            lives,
            asked,
            unknown,
            versions,
        })
    };
    prop_oneof![
        1 => Just(unknown),
        9 => (standing, 0..300_u32).prop_flat_map(sized),
    ]
}

fn changed() -> impl Strategy<Value = Changed> {
    let hash = any::<u64>().prop_map(|it| it >> 16);
    (hash, version()).prop_map(|(hash, max_version)| Changed { hash, max_version })
}

fn unnamed() -> impl Strategy<Value = Unnamed> {
    (any::<u64>(), vec(0..1_u64 << 48, 0..40)).prop_map(|(nonce, hashes)| match &hashes[..] {
        [] => Unnamed::default(),
        _ => Unnamed { nonce, hashes },
    })
}

/// What version 1 does not have.
pub(crate) fn column_body() -> impl Strategy<Value = Body<'static>> {
    let answer = (part(), number(), column_answer(), digest_entries(), deltas());
    prop_oneof![
        3 => (number(), columns()).prop_map(|(budget, columns)| Body::ColumnSyn { budget, columns }),
        3 => answer.prop_map(|(part, budget, answer, entries, deltas)| {
            Body::ColumnSynAck { part, budget, answer, entries, deltas }
        }),
        2 => (number(), digest_entries(), unnamed())
            .prop_map(|(budget, entries, unnamed)| Body::Inquiry { budget, entries, unnamed }),
        2 => (vec(changed(), 0..40), deltas())
            .prop_map(|(changed, deltas)| Body::News { changed, deltas }),
    ]
}

/// Known by a position, and not by its name.
fn positioned(sender: SenderEntry<'static>, position: Option<u32>) -> SenderEntry<'static> {
    let (node_id, incarnation) = ("".into(), Incarnation::default());
    SenderEntry { node_id, incarnation, position, ..sender }
}

/// Of version 2.
pub(super) fn column_message() -> impl Strategy<Value = Message<'static>> {
    (header(), column_body(), option::of(any::<u32>())).prop_map(|(header, body, position)| {
        let versions = VersionRange::new(1, header.versions.newest().max(2)).unwrap();
        let sender = match body {
            Body::ColumnSynAck { .. } if position.is_some() => positioned(header.sender, position),
            _ => header.sender,
        };
        Message { header: Header { versions, sender, ..header }, body }
    })
}

pub(super) fn message() -> impl Strategy<Value = Message<'static>> {
    (header(), body()).prop_map(|(header, body)| Message { header, body })
}

/// The message as it arrives: ages in tenths of the interval, times to live in milliseconds.
/// Written apart from the encoder, with other arithmetic.
pub(super) fn as_received(mut message: Message<'static>) -> Message<'static> {
    let interval = message.header.gossip_interval;
    let round = |age: &mut Duration| *age = round_age(*age, interval);
    let round_known = |age: &mut Option<Duration>| *age = age.map(|age| round_age(age, interval));
    round(&mut message.header.sender.age);
    if let Some(report) = &mut message.header.about_you {
        round_known(&mut report.age);
    }
    let (entries, deltas) = match &mut message.body {
        Body::Syn { digest, .. } => (Some(&mut digest.entries), None),
        Body::SynAck { entries, deltas, .. } => (Some(entries), Some(deltas)),
        Body::Ack { deltas, .. } | Body::News { deltas, .. } | Body::Push { deltas } => {
            (None, Some(deltas))
        }
        Body::PushAck { .. } | Body::Refused { .. } => (None, None),
        Body::ColumnSyn { columns, .. } => {
            columns.lives.iter_mut().for_each(|life| round_known(&mut life.age));
            (None, None)
        }
        Body::ColumnSynAck { answer, entries, deltas, .. } => {
            answer.lives.iter_mut().for_each(|life| round_known(&mut life.age));
            (Some(entries), Some(deltas))
        }
        Body::Inquiry { entries, .. } => (Some(entries), None),
    };
    for entry in entries.into_iter().flatten() {
        round_known(&mut entry.age);
    }
    for delta in deltas.into_iter().flatten() {
        round_known(&mut delta.age);
        for entry in &mut delta.entries {
            if let DeltaOp::Set { ttl: Some(ttl), .. } = &mut entry.op {
                *ttl = round_ttl(*ttl);
            }
        }
    }
    message
}

fn round_age(age: Duration, interval: Duration) -> Duration {
    let tenth = interval.as_nanos() / 10;
    let (whole, rest) = (age.as_nanos() / tenth, age.as_nanos() % tenth);
    let tenths = if 2 * rest >= tenth { whole + 1 } else { whole };
    // Ages of half a million years do not get any older.
    let micros = tenth / 1_000;
    let most = u128::from(u64::MAX) / micros;
    Duration::from_micros(u64::try_from(tenths.min(most) * micros).unwrap())
}

fn round_ttl(ttl: Duration) -> Duration {
    let ms = ttl.as_millis() + u128::from(!ttl.subsec_nanos().is_multiple_of(1_000_000));
    Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX))
}
