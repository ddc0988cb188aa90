//! What single steps of the protocol take.
//!
//! ```text
//! cargo bench -p chitchat-benches --bench micro
//! cargo bench -p chitchat-benches --bench micro -- plan
//! cargo test -p chitchat-benches --benches        # each once, to see that it works
//! ```

#[path = "../src/samples/mod.rs"]
mod samples;

use std::hint::black_box;
use std::time::{Duration, Instant};

use chitchat_protocol::message::Message;
use chitchat_protocol::reconcile::PeerView;
use chitchat_protocol::wire::{DecodeLimits, EncodeOptions, Frame, WIRE_VERSION_MAX};
use chitchat_protocol::{NodeDelta, Replica, Timestamp, Transmit, Versions};
use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use samples::crowd::Crowd;
use samples::log::{self, Values};

/// Members that a node knows, itself among them.
const MEMBERS: [usize; 2] = [100, 1_000];

/// Keys of an owner.
const KEYS: usize = 10_000;

/// Longest bodies: a datagram, and a long message.
const ROOMS: [usize; 2] = [1_400, 65_507];

/// Two nodes that know each other and so many others.
fn crowd(members: usize) -> Crowd {
    Crowd::new(members, 2, 1).expect("a crowd agrees")
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

/// A message in the newest version, compressed or not.
fn options(compress: bool) -> EncodeOptions {
    let mut options = EncodeOptions::default().with_version(WIRE_VERSION_MAX).unwrap_or_default();
    options.compress = compress;
    options
}

/// A peer of a copy that has all of it but the last entries.
fn lacks(replica: &Replica, entries: usize) -> PeerView {
    let have = replica.versions().max_version - entries as u64;
    PeerView::from_versions(Versions { max_version: have, horizon: have, ..Versions::default() })
}

/// The same entries, written again after so many others.
fn later(delta: NodeDelta<'_>, before: u64) -> NodeDelta<'_> {
    let mut later = delta;
    later.from += before;
    later.to += before;
    later.source += before;
    later.horizon += before;
    later.entries.iter_mut().for_each(|entry| entry.version += before);
    later
}

/// How long it takes to do something so many times with what was prepared for it.
fn each<T>(
    times: u64,
    crowd: &mut Crowd,
    index: usize,
    mut prepare: impl FnMut(&mut Crowd) -> anyhow::Result<T>,
    mut step: impl FnMut(&mut Crowd, T) -> Vec<Transmit>,
) -> Duration {
    let mut length = Duration::ZERO;
    for _ in 0..times {
        let prepared = prepare(crowd).expect("it can be prepared");
        let begin = Instant::now();
        let sent = black_box(step(crowd, prepared));
        length += begin.elapsed();
        assert!(!sent.is_empty(), "nothing was said");
        crowd.settle(index, sent).expect("a node's messages are read");
    }
    length
}

/// A node asks what is new of all that it knows, and another one answers.
fn digest(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("digest");
    for members in MEMBERS {
        group.throughput(Throughput::Elements(members as u64));
        // The beginning of a round: who is live, whom to ask, and the question, encoded.
        group.bench_function(BenchmarkId::new("ask", members), |bencher| {
            let mut crowd = crowd(members);
            bencher.iter_custom(|times| {
                each(times, &mut crowd, 0, Crowd::pass, |crowd, ()| crowd.open(0))
            });
        });
        // From the bytes of the question to those of the answer, where nothing is new.
        group.bench_function(BenchmarkId::new("answer", members), |bencher| {
            let mut crowd = crowd(members);
            bencher.iter_custom(|times| {
                let ask = |crowd: &mut Crowd| crowd.question(0);
                each(times, &mut crowd, 1, ask, |crowd, asked| {
                    crowd.deliver(1, 1, &asked);
                    crowd.drain(1)
                })
            });
        });
    }
    group.finish();
}

/// Columns, written to bytes and read from them.
fn columns(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("columns");
    for members in MEMBERS {
        group.throughput(Throughput::Elements(members as u64));
        let question = crowd(members).question(0).expect("a node asks");
        let message = Message::decode(&question, &DecodeLimits::default());
        let message = message.expect("a node's question is read");
        group.bench_function(BenchmarkId::new("write", members), |bencher| {
            bencher.iter(|| black_box(&message).encode_with(&options(true)));
        });
        group.bench_function(BenchmarkId::new("read", members), |bencher| {
            bencher.iter(|| read(black_box(&question)));
        });
    }
    group.finish();
}

/// What a peer is sent that lacks so many keys, up to the length of a message.
fn plan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan");
    let replica = log::replica(Values::Json, KEYS, &mut rng());
    for (lacking, room) in [(1, ROOMS[0]), (100, ROOMS[0]), (100, ROOMS[1]), (KEYS, ROOMS[1])] {
        let peer = lacks(&replica, lacking);
        let Some(part) = log::planned(&replica, peer, room) else { continue };
        group.throughput(Throughput::Elements(part.entries.len() as u64));
        group.bench_function(format!("{lacking} keys in {room} bytes"), |bencher| {
            bencher.iter(|| log::planned(black_box(&replica), peer, room));
        });
    }
    // The most frequent case by far.
    let peer = lacks(&replica, 0);
    group.throughput(Throughput::Elements(1));
    group.bench_function("nothing", |bencher| {
        bencher.iter(|| log::planned(black_box(&replica), peer, ROOMS[0]));
    });
    group.finish();
}

/// Entries that a copy gets: all of them new, or in place of others.
fn apply(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apply");
    let whole = log::replica(Values::Json, KEYS, &mut rng());
    for entries in [1, 100, KEYS] {
        group.throughput(Throughput::Elements(entries as u64));
        let delta = log::replica(Values::Json, entries, &mut rng());
        let Some(delta) = log::planned(&delta, PeerView::nothing(), usize::MAX) else { continue };
        group.bench_function(BenchmarkId::new("new", entries), |bencher| {
            bencher.iter_batched_ref(
                Replica::new,
                |replica| replica.apply(black_box(&delta), Timestamp::ZERO),
                BatchSize::SmallInput,
            );
        });
        let overwrites = later(delta, KEYS as u64);
        group.bench_function(BenchmarkId::new("overwrite", entries), |bencher| {
            bencher.iter_batched_ref(
                || whole.clone(),
                |replica| replica.apply(black_box(&overwrites), Timestamp::ZERO),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// Whole messages, to bytes and back.
fn message(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("message");
    for members in MEMBERS {
        let crowd = crowd(members);
        encode_and_decode(&mut group, &format!("names of {members}"), &crowd.names());
    }
    for values in Values::ALL {
        let replica = log::replica(values, KEYS, &mut rng());
        for room in ROOMS {
            let Some(delta) = log::planned(&replica, PeerView::nothing(), room) else { continue };
            let name = format!("delta of {} in {room} bytes", values.name());
            encode_and_decode(&mut group, &name, &log::ack(KEYS as u64, vec![delta]));
        }
    }
    group.finish();
}

/// The figures count bytes of the plain message.
fn encode_and_decode(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, message: &Message<'_>) {
    let plain = message.encode_with(&options(false));
    group.throughput(Throughput::Bytes(plain.len() as u64));
    for (how, compress) in [("plain", false), ("compressed", true)] {
        let options = options(compress);
        let bytes = message.encode_with(&options);
        group.bench_function(format!("encode {how}, {name}"), |bencher| {
            bencher.iter(|| black_box(message).encode_with(&options));
        });
        group.bench_function(format!("decode {how}, {name}"), |bencher| {
            bencher.iter(|| read(black_box(&bytes)));
        });
    }
}

/// Decodes as a node does, which keeps nothing of the message.
fn read(bytes: &[u8]) -> bool {
    let frame = Frame::parse(bytes, &DecodeLimits::default());
    frame.is_ok_and(|frame| black_box(frame.message()).is_ok())
}

criterion_group!(benches, digest, columns, plan, apply, message);
criterion_main!(benches);
