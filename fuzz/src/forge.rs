//! Messages that an input makes up: well-formed, and true or false in every field.

use std::time::Duration;

use chitchat_protocol::message::{Body, Message, Refusal, SelfReport, TrainPart};
use chitchat_protocol::wire::cluster_id_hash;
use chitchat_protocol::{
    DeltaEntry, DeltaOp, Digest, DigestEntry, Incarnation, NodeDelta, PruneCursor, PruneSection,
};

use crate::input::Input;
use crate::sim::Puppet;

/// What the author of a message may know.
pub(crate) struct Facts {
    /// Incarnation of the receiver.
    pub(crate) own: Incarnation,
    /// Incarnation of its honest peer.
    pub(crate) peer: Incarnation,
    /// Length of the receiver's log.
    pub(crate) own_version: u64,
    /// Nonces of what the receiver sent to the author last, newest first.
    pub(crate) nonces: Vec<u64>,
}

/// Reserved keys of the protocol, and others.
const KEYS: [&str; 8] = ["\0initial", "\0status", "\0addrs", "\0protocol", "a", "b", "k", "z"];
const VALUES: [&str; 6] = ["1", "3", "left", "10.0.0.9:7280", "1-2", "some other value"];
const NAMES: [&str; 6] = ["node-0", "node-1", "other", "p", "q", "r"];

/// A message of any kind. The puppet keeps what it has said of itself, so that it can go on.
pub(crate) fn message(
    input: &mut Input<'_>,
    puppet: &mut Puppet,
    facts: &Facts,
) -> Message<'static> {
    let flags = input.byte();
    if flags & 1 != 0 {
        puppet.heartbeat = puppet.heartbeat.saturating_add(input.number()).min(1 << 62);
    } else {
        puppet.heartbeat += 1;
    }
    if flags & 2 != 0 {
        puppet.incarnation = incarnation(input, facts);
    }
    if flags & 4 != 0 {
        puppet.max_version = input.number();
    }
    puppet.about_you = (flags & 8 != 0).then(|| SelfReport {
        incarnation: incarnation(input, facts),
        heartbeat: input.number(),
        age: age(input),
        max_version: input.number(),
        last_gc_version: input.number(),
    });
    puppet.age = Duration::from_millis(if flags & 16 != 0 { input.number() } else { 0 });
    let nonce = |index: usize| facts.nonces.get(index).copied().unwrap_or_default();
    // A Syn is answered to, or a token given back: both are the last nonce that was heard.
    let echo = match flags >> 5 {
        0..5 => nonce(0),
        5 => nonce(1),
        6 => nonce(2),
        _ => input.number(),
    };
    let body = match input.below(8) {
        0 | 1 => {
            let budget = input.number().saturating_mul(64);
            Body::Syn { budget, digest: digest(input, facts) }
        }
        2 | 3 => {
            let (part, budget) = (part(input), input.number().saturating_mul(64));
            let entries = entries(input, facts);
            Body::SynAck { part, budget, entries, deltas: deltas(input, puppet, facts) }
        }
        4 => Body::Ack { part: part(input), deltas: deltas(input, puppet, facts) },
        5 => Body::Push { deltas: deltas(input, puppet, facts) },
        6 => Body::PushAck { max_version: facts.own_version.wrapping_sub(input.number()) >> 2 },
        _ => deltas_or_refusal(input, puppet, facts),
    };
    puppet.nonce += 1;
    let mut message = puppet.message(puppet.nonce, echo, body);
    message.header.observer = flags == 0xff;
    message.header.observed = (flags & 0x11 == 0x11).then_some(puppet.addr);
    message
}

fn deltas_or_refusal(input: &mut Input<'_>, puppet: &Puppet, facts: &Facts) -> Body<'static> {
    match input.byte() {
        0..32 => Body::Refused { reason: Refusal::GenerationFromTheFuture },
        32..64 => Body::Refused { reason: Refusal::TooManyNodes },
        _ => Body::Ack { part: part(input), deltas: deltas(input, puppet, facts) },
    }
}

fn incarnation(input: &mut Input<'_>, facts: &Facts) -> Incarnation {
    let of = |base: Incarnation, more: u64| Incarnation {
        generation_id: base.generation_id.saturating_add(more),
        boot: base.boot,
    };
    match input.below(8) {
        0 => facts.own,
        1 => facts.peer,
        2 => of(facts.own, 1),
        3 => of(facts.peer, 1),
        4 => Incarnation { generation_id: facts.peer.generation_id, boot: input.number() },
        5 => Incarnation { generation_id: input.number(), boot: 1 },
        _ => Incarnation { generation_id: 1_800_000_000_000, boot: 77 },
    }
}

fn age(input: &mut Input<'_>) -> Option<Duration> {
    match input.byte() {
        0..32 => None,
        32..64 => Some(Duration::from_millis(input.number())),
        _ => Some(Duration::ZERO),
    }
}

fn part(input: &mut Input<'_>) -> TrainPart {
    let byte = input.byte();
    TrainPart { index: u32::from(byte >> 2) % 8, last: byte & 1 == 0, more: byte & 2 != 0 }
}

fn name(input: &mut Input<'_>) -> &'static str {
    NAMES[input.below(NAMES.len())]
}

fn digest(input: &mut Input<'_>, facts: &Facts) -> Digest<'static> {
    let entries = entries(input, facts);
    let (start, end) = match input.byte() {
        0..16 => (name(input), Some(name(input).into())),
        16..32 => (name(input), None),
        _ => ("", None),
    };
    Digest { start: start.into(), end, entries }
}

fn entries(input: &mut Input<'_>, facts: &Facts) -> Vec<DigestEntry<'static>> {
    let mut entries: Vec<DigestEntry<'static>> = (0..input.below(5))
        .map(|_| {
            let flags = input.byte();
            let (position, gc_version) = (input.number(), input.number());
            DigestEntry {
                node_id: name(input).into(),
                incarnation: incarnation(input, facts),
                heartbeat: input.number(),
                age: age(input),
                max_version: input.number(),
                last_gc_version: if flags & 1 == 0 { 0 } else { input.number() },
                cursor: (flags & 2 != 0).then_some(PruneCursor { position, gc_version }),
                parked: (flags & 4 != 0).then_some((position, gc_version)),
                frozen: flags & 24 == 24,
            }
        })
        .collect();
    // Else it is not decoded.
    entries.sort_by(|a, b| a.node_id.cmp(&b.node_id));
    entries.dedup_by(|a, b| a.node_id == b.node_id);
    entries
}

fn deltas(input: &mut Input<'_>, puppet: &Puppet, facts: &Facts) -> Vec<NodeDelta<'static>> {
    (0..input.below(4)).map(|_| delta(input, puppet, facts)).collect()
}

/// Mostly in order, so that it is looked at.
fn delta(input: &mut Input<'_>, puppet: &Puppet, facts: &Facts) -> NodeDelta<'static> {
    let flags = input.byte();
    let (node_id, incarnation) = match flags & 3 {
        0 => (name(input).to_owned(), incarnation(input, facts)),
        1 => ("node-1".to_owned(), facts.peer),
        _ => (puppet.node_id.clone(), puppet.incarnation),
    };
    let from = if flags & 4 == 0 { 0 } else { input.number() };
    let mut version = from;
    let entries: Vec<DeltaEntry<'static>> = (0..input.below(8))
        .map(|_| {
            let byte = input.byte();
            version = version.wrapping_add(1 + u64::from(byte >> 6));
            let value = VALUES[input.below(VALUES.len())];
            let value = if byte & 8 == 0 { value.into() } else { value.repeat(20).into() };
            let op = match byte & 0x30 {
                0x10 => DeltaOp::Delete,
                0x30 => {
                    let ttl = Some(Duration::from_millis(input.number()));
                    DeltaOp::Set { value, ttl }
                }
                _ => DeltaOp::Set { value, ttl: None },
            };
            DeltaEntry { key: KEYS[usize::from(byte & 7)].into(), version, op }
        })
        .collect();
    let more = |input: &mut Input<'_>, bit: u8, above: u64| match flags & bit {
        0 => above,
        _ => above.saturating_add(input.number()),
    };
    let to = more(input, 8, version);
    let source = more(input, 16, to);
    let horizon = more(input, 32, source);
    let last_gc_version = if flags & 64 == 0 { 0 } else { input.number() };
    let prune = (flags & 128 != 0).then(|| {
        let start = input.number();
        let mut version = start;
        let versions = (0..input.below(6)).map(|_| {
            version = version.wrapping_add(1 + u64::from(input.byte() >> 5));
            version
        });
        let versions: Vec<u64> = versions.collect();
        PruneSection { from: start, to: version.saturating_add(input.number()), versions }
    });
    NodeDelta {
        node_id: node_id.into(),
        incarnation,
        heartbeat: puppet.heartbeat,
        age: age(input),
        from,
        to,
        source,
        horizon,
        last_gc_version,
        prune,
        entries,
    }
}

/// A body of any bytes behind an envelope that is looked at.
pub(crate) fn envelope(input: &mut Input<'_>, body: &[u8]) -> Vec<u8> {
    let cluster = cluster_id_hash("sim");
    let (kind, flags) = (input.byte() % 8, input.byte() % 4);
    let version = if input.byte() < 240 { 1 } else { 2 };
    let mut bytes = vec![0xc8, 0x17, version, kind, flags & 1, 1, version];
    bytes.extend(cluster.to_le_bytes());
    bytes.extend(input.number().to_le_bytes());
    bytes.extend(input.number().to_le_bytes());
    bytes.extend(body);
    bytes
}
