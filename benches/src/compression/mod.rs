//! What compression makes of the bodies of messages: lz4, which they are compressed with, and others.

mod method;

use std::hint::black_box;
use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use chitchat_protocol::columns::Standing;
use chitchat_protocol::message::Message;
use chitchat_protocol::reconcile::PeerView;
use chitchat_protocol::wire::{DecodeLimits, EncodeOptions, Frame, WIRE_VERSION_MAX};
use chitchat_protocol::{DeltaEntry, DeltaOp, NodeDelta};
use rand::SeedableRng;
use rand::rngs::StdRng;

use method::{METHODS, Method, Step, Steps, room};

use crate::args::Compression;
use crate::machine::thread_time;
use crate::report::{self, Line};
use crate::samples::crowd::Crowd;
use crate::samples::log::{self, Values};

/// Bodies of each kind, so that none of them alone decides.
const BODIES: usize = 16;

/// How long a run takes at least, of which the shortest counts.
const RUN: Duration = Duration::from_millis(10);
const RUNS: usize = 15;

/// Measures each way of compression with bodies of each kind.
pub(crate) fn compression(args: &Compression) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let mut lines = Vec::new();
    for (case, bodies) in cases(args)? {
        for method in METHODS {
            let line = measure(method, &case, &bodies)?;
            if args.json {
                line.print(&mut out)?;
                out.flush()?;
            }
            lines.push(line);
        }
    }
    if !args.json {
        report::table(&lines, &mut out)?;
    }
    Ok(())
}

/// Plain bodies, by what is printed of them.
fn cases(args: &Compression) -> anyhow::Result<Vec<(String, Vec<Vec<u8>>)>> {
    let mut cases = Vec::new();
    for members in &args.members {
        let mut crowd = Crowd::new(*members as usize, 1, args.seed)?;
        cases.push((format!("columns, {members} members"), questions(&mut crowd)?));
        crowd.standing = Standing::Other;
        // Asked before it was known that the sets are not the same.
        crowd.question(0)?;
        cases.push((format!("columns by hashes, {members} members"), questions(&mut crowd)?));
        let mut names = Vec::new();
        for _ in 0..BODIES {
            crowd.pass()?;
            names.push(plain_body(&crowd.names())?);
        }
        cases.push((format!("names, {members} members"), names));
    }
    for values in Values::ALL {
        for length in &args.lengths {
            let mut rng = StdRng::seed_from_u64(args.seed);
            let bodies = (0..BODIES).map(|_| delta(values, *length as usize, &mut rng));
            cases.push((
                format!("{}, {length} bytes", values.name()),
                bodies.collect::<Result<_, _>>()?,
            ));
        }
    }
    Ok(cases)
}

fn questions(crowd: &mut Crowd) -> anyhow::Result<Vec<Vec<u8>>> {
    let question = |_| {
        let bytes = crowd.question(0)?;
        plain_body(&Message::decode(&bytes, &DecodeLimits::default())?)
    };
    (0..BODIES).map(question).collect()
}

/// A body of so many bytes that brings as much of a log as there is room for. The last value is cut.
fn delta(values: Values, length: usize, rng: &mut StdRng) -> anyhow::Result<Vec<u8>> {
    // No entry is as short as that.
    let replica = log::replica(values, length / 32, rng);
    let whole = log::planned(&replica, PeerView::nothing(), usize::MAX).context("no entries")?;
    let body = |part: &NodeDelta<'_>| plain_body(&log::ack(whole.source, vec![part.clone()]));
    let first = |entries: usize| {
        let mut part = whole.clone();
        part.entries.truncate(entries);
        part.to = part.entries.last().map_or(0, |entry| entry.version);
        part
    };
    let (mut fits, mut too_long) = (0, whole.entries.len());
    while too_long - fits > 1 {
        let entries = fits.midpoint(too_long);
        *(if body(&first(entries))?.len() <= length { &mut fits } else { &mut too_long }) = entries;
    }
    let mut part = first(too_long);
    let excess = body(&part)?.len().saturating_sub(length);
    if let Some(DeltaEntry { op: DeltaOp::Set { value, .. }, .. }) = part.entries.last_mut() {
        let keep = value.len().saturating_sub(excess);
        value.to_mut().truncate(keep);
    }
    let body = body(&part)?;
    // Too little room for the key of the last entry.
    if body.len() <= length {
        Ok(body)
    } else {
        plain_body(&log::ack(whole.source, vec![first(fits)]))
    }
}

/// The body of a message as it is before it is compressed.
fn plain_body(message: &Message<'_>) -> anyhow::Result<Vec<u8>> {
    let plain = EncodeOptions::plain().with_version(WIRE_VERSION_MAX).context("no such version")?;
    let mut bytes = message.encode_with(&plain);
    let body = Frame::parse(&bytes, &DecodeLimits::default())?.plain_body_len();
    Ok(bytes.split_off(bytes.len() - body))
}

/// What a method makes of bodies that are alike.
fn measure(method: Method, case: &str, bodies: &[Vec<u8>]) -> anyhow::Result<Line> {
    let plain: usize = bodies.iter().map(Vec::len).sum();
    let (mut bytes, mut compress_ns, mut decompress_ns) = (plain, 0.0, 0.0);
    if let Some(Steps { mut compress, mut decompress }) = method.steps()? {
        let longest = bodies.iter().map(Vec::len).max().unwrap_or(0);
        let mut out = vec![0; room(longest)];
        let mut short = Vec::new();
        bytes = 0;
        for body in bodies {
            let len = compress(body, &mut out)?;
            bytes += method.sent_len(body.len(), len);
            let compressed = out[..len].to_vec();
            let mut back = vec![0; body.len()];
            let len = decompress(&compressed, &mut back)?;
            anyhow::ensure!(back[..len] == **body, "{case}: {method:?} gives something else back");
            short.push(compressed);
        }
        compress_ns = least_time(bodies, &mut out, &mut compress)?;
        decompress_ns = least_time(&short, &mut out, &mut decompress)?;
    }
    let kib = plain as f64 / 1_024.0;
    let mut line = Line::new("compression", &method.name(), case.to_owned());
    line.figure("plain_bytes", plain as f64 / bodies.len() as f64);
    line.figure("bytes", bytes as f64 / bodies.len() as f64);
    line.figure("share_of_plain", bytes as f64 / plain as f64);
    line.figure("compress_ns_per_kib", compress_ns / kib);
    line.figure("decompress_ns_per_kib", decompress_ns / kib);
    Ok(line)
}

/// Processor time for all of them, in ns.
fn least_time(inputs: &[Vec<u8>], out: &mut [u8], step: &mut Step) -> anyhow::Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..RUNS {
        let begin = thread_time();
        let mut times = 0_u32;
        let length = loop {
            for input in inputs {
                black_box(step(black_box(input), out)?);
            }
            times += 1;
            let length = thread_time() - begin;
            if length >= RUN {
                break length;
            }
        };
        least = least.min(length.as_nanos() as f64 / f64::from(times));
    }
    Ok(least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chitchat_protocol::columns::{ColumnAnswer, Layout};
    use chitchat_protocol::message::Body;

    fn body_of(bytes: &[u8]) -> Body<'static> {
        Message::decode(bytes, &DecodeLimits::default()).unwrap().body
    }

    #[test]
    fn nodes_of_a_crowd_agree_and_ask_by_hashes_where_they_do_not() {
        let mut crowd = Crowd::new(50, 2, 1).unwrap();
        let by_hashes = |bytes: &[u8]| {
            let Body::ColumnSyn { columns, .. } = body_of(bytes) else { panic!("no question") };
            assert_eq!(columns.cells.len(), 50);
            matches!(columns.layout, Layout::Hashes { .. })
        };
        let question = crowd.question(0).unwrap();
        assert!(!by_hashes(&question));
        crowd.deliver(1, 1, &question);
        let answer = crowd.drain(1).remove(0).bytes;
        let Body::ColumnSynAck { answer, deltas, .. } = body_of(&answer) else { panic!("none") };
        let nothing_new =
            ColumnAnswer { standing: Standing::Same, count: 50, ..ColumnAnswer::default() };
        assert_eq!((answer, deltas), (nothing_new, Vec::new()));
        crowd.standing = Standing::Other;
        crowd.question(0).unwrap();
        assert!(by_hashes(&crowd.question(0).unwrap()));
    }

    #[test]
    fn bodies_are_nearly_as_long_as_asked_for_and_never_longer() {
        for values in Values::ALL {
            for length in [256, 1_400, 16_384] {
                let body = delta(values, length, &mut StdRng::seed_from_u64(1)).unwrap();
                assert!(body.len() <= length && body.len() > length - 20, "{values:?} {length}");
            }
        }
    }

    #[test]
    fn whatever_is_compressed_comes_back_and_is_counted_as_it_is_sent() {
        let replica = log::replica(Values::Urls, 100, &mut StdRng::seed_from_u64(1));
        let delta = log::planned(&replica, PeerView::nothing(), 4_000).unwrap();
        let message = log::ack(100, vec![delta]);
        let body = plain_body(&message).unwrap();
        let bytes = |method| {
            let line = measure(method, "100 keys", std::slice::from_ref(&body)).unwrap();
            line.0["bytes"].as_f64().unwrap() as usize
        };
        // As the writer of messages does it, behind an envelope of 31 bytes.
        assert_eq!(bytes(Method::Lz4) + 31, message.encode().len());
        assert!(bytes(Method::Zstd(3)) < bytes(Method::Lz4));
        assert_eq!(bytes(Method::None), body.len());
    }
}
