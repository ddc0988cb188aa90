//! The bounds that the planner relies on.

use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::strategies::{column_message, delta, digest_entry, header, message};
use crate::columns::Layout;
use crate::delta::{DeltaEntry, DeltaOp, NodeDelta};
use crate::digest::DigestEntry;
use crate::id::Incarnation;
use crate::message::{Body, Header, Message, SelfReport, SenderEntry, TrainPart};
use crate::state::MAX_VERSION;
use crate::wire::{EncodeOptions, VersionRange, single_entry_overhead, size};

fn plain_len(header: &Header<'static>, body: Body<'static>) -> usize {
    let options = EncodeOptions::plain().with_version(2).unwrap();
    Message { header: header.clone(), body }.encode_with(&options).len()
}

fn digest_len(entries: &[DigestEntry<'_>]) -> usize {
    entries.iter().map(size::digest_entry).sum()
}

fn delta_len(delta: &NodeDelta<'_>) -> usize {
    let mut len = size::delta_header(delta.node_id.len());
    let mut previous = delta.from;
    for entry in &delta.entries {
        len += size::delta_entry(entry.key.len(), &entry.op, entry.version - previous);
        previous = entry.version;
    }
    if let Some(prune) = &delta.prune {
        len += size::PRUNE_HEADER;
        let mut previous = prune.from;
        for version in &prune.versions {
            len += size::varint(version - previous);
            previous = *version;
        }
    }
    len
}

/// What the planner reckons with.
fn bound(header: &Header<'_>, body: &Body<'_>) -> usize {
    let deltas_len = |deltas: &[NodeDelta<'_>]| deltas.iter().map(delta_len).sum::<usize>();
    match body {
        Body::Syn { digest, .. } => {
            let end_len = digest.end.as_ref().map_or(0, |end| end.len());
            size::syn_overhead(header, digest.start.len(), end_len) + digest_len(&digest.entries)
        }
        Body::SynAck { entries, deltas, .. } => {
            size::message_overhead(header) + digest_len(entries) + deltas_len(deltas)
        }
        Body::Ack { deltas, .. } | Body::Push { deltas } => {
            size::message_overhead(header) + deltas_len(deltas)
        }
        Body::PushAck { .. } | Body::Refused { .. } => size::message_overhead(header),
        Body::ColumnSyn { columns, .. } => {
            let (start, end, by_hashes) = match &columns.layout {
                Layout::Set { .. } => (0, 0, false),
                Layout::Hashes { start, end, .. } => {
                    (start.len(), end.as_ref().map_or(0, |end| end.len()), true)
                }
            };
            size::column_syn_overhead(header, start, end)
                + size::columns(columns.cells.len(), by_hashes)
                + columns.lives.iter().map(size::life).sum::<usize>()
                + columns.versions.iter().map(size::position_versions).sum::<usize>()
        }
        Body::ColumnSynAck { answer, entries, deltas, .. } => {
            size::message_overhead(header)
                + size::column_answer(answer)
                + digest_len(entries)
                + deltas_len(deltas)
        }
        Body::Inquiry { entries, unnamed, .. } => {
            let unnamed = size::unnamed(unnamed.hashes.len());
            size::inquiry_overhead(header) + digest_len(entries) + unnamed
        }
        Body::News { changed, deltas } => {
            let changed = changed.iter().map(|it| size::changed(it.max_version)).sum::<usize>();
            size::news_overhead(header) + changed + deltas_len(deltas)
        }
    }
}

/// How far the bound may be off: fixed fields at their longest, and the numbers of each delta.
fn slack(body: &Body<'_>) -> usize {
    match body {
        Body::Syn { digest, .. } => 20 + 3 * digest.entries.len(),
        Body::SynAck { entries, deltas, .. } => 25 + 3 * entries.len() + 110 * deltas.len(),
        Body::Ack { deltas, .. } | Body::Push { deltas } => 30 + 110 * deltas.len(),
        Body::PushAck { .. } | Body::Refused { .. } => 30,
        Body::ColumnSyn { columns, .. } => 60 + 10 * (columns.lives.len() + columns.versions.len()),
        Body::ColumnSynAck { answer, entries, deltas, .. } => {
            let listed = answer.lives.len() + answer.versions.len();
            let named = answer.asked.len() + answer.unknown.len();
            60 + 10 * listed + 5 * named + 3 * entries.len() + 110 * deltas.len()
        }
        Body::Inquiry { entries, .. } => 30 + 3 * entries.len(),
        Body::News { deltas, .. } => 10 + 110 * deltas.len(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn no_message_exceeds_its_bound(message in prop_oneof![message(), column_message()]) {
        let Message { header, body } = message;
        let (bound, slack) = (bound(&header, &body), slack(&body));
        let len = plain_len(&header, body);
        prop_assert!(len <= bound, "{} bytes, bound {}", len, bound);
        prop_assert!(len + slack >= bound, "{} bytes, bound {}, slack {}", len, bound, slack);
    }

    #[test]
    fn a_digest_entry_keeps_to_its_bound(header in header(), entry in digest_entry()) {
        let part = TrainPart { index: 0, last: true, more: false };
        let syn_ack = |entries| {
            let body = Body::SynAck { part, budget: 0, entries, deltas: Vec::new() };
            plain_len(&header, body)
        };
        let bound = size::digest_entry(&entry);
        let len = syn_ack(vec![entry]) - syn_ack(Vec::new());
        prop_assert!((len..=len + 5).contains(&bound), "{} bytes, bound {}", len, bound);
    }

    #[test]
    fn one_entry_fits_whoever_sends_it(header in header(), delta in delta()) {
        let Some(entry) = delta.entries.first().cloned() else { return Ok(()) };
        let payload = entry.key.len() + entry.op.payload_len();
        let owner_len = delta.node_id.len();
        let delta = NodeDelta { prune: None, entries: vec![entry], ..delta };
        let planned = size::message_overhead(&header) + delta_len(&delta);
        // The planner, which knows the header, must not need more than the writer was promised.
        prop_assert!(planned <= single_entry_overhead(owner_len) + payload);
        let len = plain_len(&header, Body::Push { deltas: vec![delta] });
        prop_assert!(len <= planned);
    }

    #[test]
    fn a_varint_has_the_length_that_is_foretold(value in any::<u64>(), shift in 0..64u32) {
        let value = value >> shift;
        prop_assert_eq!(size::varint(value), postcard::to_stdvec(&value).unwrap().len());
    }
}

/// The header and the delta with which everything takes its longest form.
fn longest() -> (Header<'static>, NodeDelta<'static>) {
    let node_id = "n".repeat(255);
    let incarnation = Incarnation { generation_id: MAX_VERSION, boot: u64::MAX };
    let header = Header {
        cluster_id_hash: u64::MAX,
        nonce: u64::MAX,
        echo: u64::MAX,
        versions: VersionRange::BUILD,
        gossip_interval: Duration::from_secs(3_600),
        sender: SenderEntry {
            node_id: node_id.clone().into(),
            incarnation,
            position: None,
            heartbeat: MAX_VERSION,
            age: Duration::MAX,
            max_version: MAX_VERSION,
            last_gc_version: 1,
        },
        observer: true,
        observed: Some(SocketAddr::from(([0xFF; 16], u16::MAX))),
        about_you: Some(SelfReport {
            incarnation,
            heartbeat: MAX_VERSION,
            age: Some(Duration::MAX),
            max_version: MAX_VERSION,
            last_gc_version: 0,
        }),
    };
    let value = "v".repeat(60_000);
    let delta = NodeDelta {
        node_id: node_id.into(),
        incarnation,
        heartbeat: MAX_VERSION,
        age: Some(Duration::MAX),
        from: 0,
        to: MAX_VERSION,
        source: MAX_VERSION,
        horizon: MAX_VERSION,
        last_gc_version: 1,
        prune: None,
        entries: vec![DeltaEntry {
            key: "k".repeat(1_024).into(),
            version: MAX_VERSION,
            op: DeltaOp::Set { value: value.into(), ttl: Some(Duration::MAX) },
        }],
    };
    (header, delta)
}

#[test]
fn the_longest_entry_fits() {
    let (header, delta) = longest();
    let bound = single_entry_overhead(delta.node_id.len()) + 61_024;
    assert!(size::message_overhead(&header) + delta_len(&delta) <= bound);
    let part = TrainPart { index: u32::MAX, last: true, more: true };
    let deltas = vec![delta];
    let body = Body::SynAck { part, budget: u64::MAX, entries: Vec::new(), deltas };
    let len = plain_len(&header, body);
    assert!(len <= bound && bound <= len + 64, "{len} bytes, bound {bound}");
}
