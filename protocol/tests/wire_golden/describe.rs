//! What a message says, as JSON that does not depend on any programming language: the same as the
//! decoder beside the documentation of the format prints.

use std::net::SocketAddr;
use std::time::Duration;

use chitchat_protocol::message::{Body, Header, Message, Refusal, SelfReport, TrainPart};
use chitchat_protocol::wire::{Frame, Kind};
use chitchat_protocol::{
    DecodeError, DeltaEntry, DeltaOp, Digest, DigestEntry, Incarnation, NodeDelta, PruneCursor,
    PruneSection,
};
use serde_json::{Value, json};

use crate::columns::describe as columns;

/// The name of a kind.
pub(crate) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Unsupported => "unsupported",
        Kind::Syn => "syn",
        Kind::SynAck => "syn_ack",
        Kind::Ack => "ack",
        Kind::Push => "push",
        Kind::PushAck => "push_ack",
        Kind::Refused => "refused",
        Kind::ColumnSyn => "column_syn",
        Kind::ColumnSynAck => "column_syn_ack",
        Kind::Inquiry => "inquiry",
        Kind::News => "news",
        other => panic!("give the kind {other:?} a name and a vector"),
    }
}

/// What kind of error it is; the text differs between decoders.
pub(crate) fn error(error: &DecodeError) -> &'static str {
    match error {
        DecodeError::NotOurs => "not_ours",
        DecodeError::Truncated => "truncated",
        DecodeError::UnsupportedVersion { .. } => "unsupported_version",
        DecodeError::UnknownKind(_) => "unknown_kind",
        DecodeError::TooLarge { .. } => "too_large",
        DecodeError::Malformed(_) => "malformed",
        other => panic!("give the error {other:?} a name"),
    }
}

/// The envelope of a frame, and its message if it carries one.
pub(crate) fn frame(bytes: &[u8], frame: &Frame<'_>, message: Option<&Message<'_>>) -> Value {
    let reads = frame.peer_range();
    json!({
        "envelope": {
            "version": frame.version(),
            "kind": kind(frame.kind()),
            "compressed": bytes[4] & 1 != 0,
            "reads": [reads.oldest(), reads.newest()],
            "cluster_id_hash": hex(frame.cluster_id_hash()),
            "nonce": hex(frame.nonce()),
            "echo": hex(frame.echo()),
        },
        "plain_body_len": frame.plain_body_len(),
        "header": message.map(|message| header(&message.header)),
        "body": message.map(|message| body(&message.body, &message.header)),
    })
}

pub(crate) fn hex(value: u64) -> String {
    format!("{value:016x}")
}

/// In tenths of the sender's gossip interval, as on the wire.
pub(crate) fn tenths(age: Duration, header: &Header<'_>) -> u64 {
    u64::try_from(age.as_micros() / (header.gossip_interval.as_micros() / 10)).unwrap()
}

fn header(header: &Header<'_>) -> Value {
    let entry = &header.sender;
    let mut sender = json!({
        "heartbeat": entry.heartbeat,
        "age": tenths(entry.age, header),
        "max_version": entry.max_version,
        "last_gc_version": entry.last_gc_version,
    });
    match entry.position {
        Some(position) => sender["position"] = position.into(),
        None => {
            sender["node_id"] = json!(entry.node_id);
            sender["incarnation"] = incarnation(&entry.incarnation);
        }
    }
    json!({
        "observer": header.observer,
        "interval_ms": u64::try_from(header.gossip_interval.as_millis()).unwrap(),
        "sender": sender,
        "observed": header.observed.map(addr),
        "about_you": header.about_you.map(|report| self_report(&report, header)),
    })
}

fn incarnation(incarnation: &Incarnation) -> Value {
    json!({ "generation": incarnation.generation_id, "boot": hex(incarnation.boot) })
}

fn self_report(report: &SelfReport, header: &Header<'_>) -> Value {
    json!({
        "incarnation": incarnation(&report.incarnation),
        "heartbeat": report.heartbeat,
        "age": report.age.map(|age| tenths(age, header)),
        "max_version": report.max_version,
        "last_gc_version": report.last_gc_version,
    })
}

fn addr(addr: SocketAddr) -> Value {
    let octets = match addr {
        SocketAddr::V4(addr) => addr.ip().octets().to_vec(),
        SocketAddr::V6(addr) => addr.ip().octets().to_vec(),
    };
    let ip: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    json!({ "ip": ip, "port": addr.port() })
}

fn body(body: &Body<'_>, header: &Header<'_>) -> Value {
    let entries = |list: &[DigestEntry<'_>]| -> Value {
        list.iter().map(|entry| digest_entry(entry, header)).collect()
    };
    let deltas = |list: &[NodeDelta<'_>]| -> Value {
        list.iter().map(|entry| delta(entry, header)).collect()
    };
    match body {
        Body::Syn { budget, digest: Digest { start, end, entries: listed } } => json!({
            "budget": budget, "start": start, "end": end, "entries": entries(listed),
        }),
        Body::SynAck { part, budget, entries: listed, deltas: sent } => json!({
            "part": train_part(part), "budget": budget,
            "entries": entries(listed), "deltas": deltas(sent),
        }),
        Body::Ack { part, deltas: sent } => {
            json!({ "part": train_part(part), "deltas": deltas(sent) })
        }
        Body::Push { deltas: sent } => json!({ "deltas": deltas(sent) }),
        Body::PushAck { max_version } => json!({ "max_version": max_version }),
        Body::Refused { reason } => json!({ "reason": match reason {
            Refusal::GenerationFromTheFuture => "generation_from_the_future",
            Refusal::TooManyNodes => "too_many_nodes",
            other => panic!("give the reason {other:?} a name and a vector"),
        } }),
        Body::ColumnSyn { budget, columns } => {
            let mut said = columns::question(columns, header);
            said["budget"] = json!(budget);
            said
        }
        Body::ColumnSynAck { part, budget, answer, entries: listed, deltas: sent } => json!({
            "part": train_part(part), "budget": budget,
            "answer": columns::answer(answer, header),
            "entries": entries(listed), "deltas": deltas(sent),
        }),
        Body::Inquiry { budget, entries: listed, unnamed } => json!({
            "budget": budget, "entries": entries(listed),
            "unnamed": unnamed.hashes.iter().map(|it| format!("{it:012x}")).collect::<Vec<_>>(),
            "nonce_of_news": (!unnamed.hashes.is_empty()).then(|| hex(unnamed.nonce)),
        }),
        Body::News { changed, deltas: sent } => {
            let changed: Vec<Value> = changed
                .iter()
                .map(|it| json!({ "hash": format!("{:012x}", it.hash), "max_version": it.max_version }))
                .collect();
            json!({ "changed": changed, "deltas": deltas(sent) })
        }
    }
}

fn train_part(part: &TrainPart) -> Value {
    json!({ "index": part.index, "last": part.last, "more": part.more })
}

fn digest_entry(entry: &DigestEntry<'_>, header: &Header<'_>) -> Value {
    json!({
        "node_id": entry.node_id,
        "incarnation": incarnation(&entry.incarnation),
        "heartbeat": entry.heartbeat,
        "age": entry.age.map(|age| tenths(age, header)),
        "max_version": entry.max_version,
        "last_gc_version": entry.last_gc_version,
        "cursor": cursor(entry.cursor),
        "parked": parked(entry.parked),
        "frozen": entry.frozen,
    })
}

pub(crate) fn cursor(cursor: Option<PruneCursor>) -> Value {
    json!(cursor.map(|it| json!({ "position": it.position, "gc_version": it.gc_version })))
}

pub(crate) fn parked(parked: Option<(u64, u64)>) -> Value {
    json!(parked.map(|(from, to)| json!({ "from": from, "to": to })))
}

fn delta(delta: &NodeDelta<'_>, header: &Header<'_>) -> Value {
    let prune = |prune: &PruneSection| {
        json!({
            "from": prune.from, "to": prune.to, "versions": prune.versions,
        })
    };
    let entries: Value = delta.entries.iter().map(delta_entry).collect();
    json!({
        "node_id": delta.node_id,
        "incarnation": incarnation(&delta.incarnation),
        "heartbeat": delta.heartbeat,
        "age": delta.age.map(|age| tenths(age, header)),
        "from": delta.from,
        "to": delta.to,
        "source": delta.source,
        "horizon": delta.horizon,
        "last_gc_version": delta.last_gc_version,
        "prune": delta.prune.as_ref().map(prune),
        "entries": entries,
        "valid": delta.is_valid(),
    })
}

fn delta_entry(entry: &DeltaEntry<'_>) -> Value {
    let (op, value, ttl) = match &entry.op {
        DeltaOp::Delete => ("delete", None, None),
        DeltaOp::Set { value, ttl } => ("set", Some(value), ttl.as_ref()),
    };
    let ttl_ms = ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap());
    json!({
        "version": entry.version, "key": entry.key, "op": op, "value": value, "ttl_ms": ttl_ms,
    })
}
