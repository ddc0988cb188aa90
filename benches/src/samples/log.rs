//! The log of an owner, and what of it goes into one message.

use std::borrow::Cow;
use std::time::Duration;

use chitchat_protocol::message::{Body, Header, Message, SenderEntry, TrainPart};
use chitchat_protocol::reconcile::{PeerView, plan_part};
use chitchat_protocol::wire::{VersionRange, cluster_id_hash};
use chitchat_protocol::{DeltaEntry, DeltaOp, Incarnation, NodeDelta, Replica, Timestamp};
use rand::Rng;
use rand::rngs::StdRng;

/// Whose log it is, and who sends it.
pub(crate) const OWNER: &str = "indexer-7d9c5b8f64-x2k4q";

/// One run of the owner.
pub(crate) const INCARNATION: Incarnation =
    Incarnation { generation_id: 1_760_000_000_000, boot: 0x5EED };

/// What stands in the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    /// Where something is to be found.
    Urls,
    /// How something is doing.
    Json,
    /// Base64 of random bytes, as what is encrypted or a hash looks in a string.
    Random,
}

impl Values {
    pub(crate) const ALL: [Values; 3] = [Values::Urls, Values::Json, Values::Random];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Values::Urls => "urls",
            Values::Json => "json",
            Values::Random => "random",
        }
    }

    /// The key and the value of the entry with this index.
    fn entry(self, index: usize, rng: &mut StdRng) -> (String, String) {
        match self {
            Values::Urls => {
                let (shard, split): (u16, u64) = (rng.random_range(0..512), rng.random());
                let host = rng.random_range(1..255);
                let value = format!(
                    "https://10.42.{}.{host}:7280/api/v1/index-{shard:03}/splits/{split:016x}",
                    shard % 256
                );
                (format!("split:{index:06}"), value)
            }
            Values::Json => {
                const STATES: [&str; 4] = ["running", "idle", "backfilling", "throttled"];
                let state = STATES[rng.random_range(0..STATES.len())];
                let (docs, lag): (u32, u16) = (rng.random(), rng.random_range(0..5_000));
                let (cpu, at) = (rng.random_range(0..1_000), rng.random_range(0..86_400_000));
                let value = format!(
                    "{{\"state\":\"{state}\",\"docs\":{docs},\"lag_ms\":{lag},\
                     \"cpu\":0.{cpu:03},\"at\":{}}}",
                    1_760_000_000_000_u64 + at
                );
                (format!("status:{index:06}"), value)
            }
            Values::Random => {
                const DIGITS: &[u8] =
                    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
                let digit = |_| char::from(DIGITS[rng.random_range(0..DIGITS.len())]);
                (format!("secret:{index:06}"), (0..64).map(digit).collect())
            }
        }
    }
}

/// A copy of the whole log of an owner that has written so many keys, one after the other.
pub(crate) fn replica(values: Values, keys: usize, rng: &mut StdRng) -> Replica {
    let entries = (0..keys).map(|index| {
        let (key, value) = values.entry(index, rng);
        let op = DeltaOp::Set { value: Cow::Owned(value), ttl: None };
        DeltaEntry { key: Cow::Owned(key), version: index as u64 + 1, op }
    });
    let delta = NodeDelta { entries: entries.collect(), ..delta(keys as u64) };
    let mut replica = Replica::new();
    replica.apply(&delta, Timestamp::ZERO).expect("a log from its beginning is taken");
    replica
}

/// A delta from nothing up to this version, without entries.
pub(crate) fn delta(to: u64) -> NodeDelta<'static> {
    NodeDelta {
        node_id: Cow::Borrowed(OWNER),
        incarnation: INCARNATION,
        heartbeat: 1_000,
        age: Some(Duration::from_millis(300)),
        from: 0,
        to,
        source: to,
        horizon: to,
        last_gc_version: 0,
        prune: None,
        entries: Vec::new(),
    }
}

/// What `peer` is sent of the log, in a body of at most `room` bytes.
pub(crate) fn planned<'a>(
    replica: &'a Replica,
    mut peer: PeerView,
    room: usize,
) -> Option<NodeDelta<'a>> {
    plan_part(OWNER, INCARNATION, replica, &mut peer, room, Timestamp::ZERO)
}

/// The message that brings deltas, as the last of an exchange, from an owner that has written so much.
pub(crate) fn ack(max_version: u64, deltas: Vec<NodeDelta<'_>>) -> Message<'_> {
    let part = TrainPart { index: 0, last: true, more: false };
    Message { header: header(max_version), body: Body::Ack { part, deltas } }
}

/// The header of the owner's messages.
fn header(max_version: u64) -> Header<'static> {
    Header {
        cluster_id_hash: cluster_id_hash("bench"),
        nonce: 0x0123_4567_89AB_CDEF,
        echo: 0xFEDC_BA98_7654_3210,
        versions: VersionRange::BUILD,
        gossip_interval: Duration::from_millis(500),
        sender: SenderEntry {
            node_id: Cow::Borrowed(OWNER),
            incarnation: INCARNATION,
            position: None,
            heartbeat: 1_000,
            age: Duration::from_millis(100),
            max_version,
            last_gc_version: 0,
        },
        observer: false,
        observed: None,
        about_you: None,
    }
}
