//! What every reader must refuse. Each breaks one rule, so that the order in which a reader tests them
//! is its own affair.

use std::borrow::Cow;

use chitchat_protocol::message::{Body, Header, SenderEntry};
use chitchat_protocol::wire::{cluster_id_hash, encode_unsupported};
use chitchat_protocol::{
    DecodeError, Digest, DigestEntry, Incarnation, NodeDelta, PruneCursor, PruneSection,
};

use crate::parts::{
    ENVELOPE_LEN, MAX_VERSION, NONCE, deleted, delta, entry, header, part, plain, plain_with,
    prune, push, replaced, set, syn, with_compressed_body,
};
use crate::{Refused, columns};

const TOO_HIGH: u64 = MAX_VERSION + 1;

pub(crate) fn all() -> Vec<Refused> {
    let mut all = envelopes();
    all.extend(compressed());
    all.extend(headers());
    all.extend(digests());
    all.extend(deltas());
    all.extend(bodies());
    all.extend(columns::refused());
    all
}

pub(crate) fn refused(
    name: &str,
    says: &'static str,
    bytes: Vec<u8>,
    error: DecodeError,
) -> Refused {
    Refused { name: format!("refused/{name}"), says, bytes, error }
}

pub(crate) fn malformed(
    name: &str,
    says: &'static str,
    bytes: Vec<u8>,
    reason: &'static str,
) -> Refused {
    refused(name, says, bytes, DecodeError::Malformed(reason))
}

pub(crate) const HIGH: &str = "a version, heartbeat or generation above 2^62";
pub(crate) const FLAGS: &str = "unknown flags";
const NUMBER: &str = "a number is too large";
const UNKNOWN: &str = "not what the format says";
const WATERMARK: &str = "a watermark below 0";
const TWICE: &str = "a version occurs twice";
const ID: &str = "a node id is empty or too long";

fn ack() -> Vec<u8> {
    plain(Body::PushAck { max_version: 12_345 })
}

fn envelopes() -> Vec<Refused> {
    let with = |at: usize, value: u8| replaced(ack(), at..at + 1, &[value]);
    let range = "the version is outside the sender's own range";
    let version = |version| DecodeError::UnsupportedVersion { version, min: 1, max: 2 };
    let unsupported = || replaced(encode_unsupported(cluster_id_hash("golden"), NONCE), 6..7, &[1]);
    vec![
        refused("empty", "nothing at all", Vec::new(), DecodeError::Truncated),
        refused("text", "text", b"GET / HTTP/1.1\r\n\r\n".to_vec(), DecodeError::NotOurs),
        refused("magic", "another second byte", with(1, 0x18), DecodeError::NotOurs),
        refused(
            "cut_envelope",
            "cut within the envelope",
            ack()[..30].to_vec(),
            DecodeError::Truncated,
        ),
        refused("version_3", "in version 3", replaced(ack(), 2..7, &[3, 5, 0, 3, 3]), version(3)),
        refused("version_0", "in version 0", replaced(ack(), 2..7, &[0, 5, 0, 0, 9]), version(0)),
        malformed("range_empty", "reads versions 1 to 0", with(6, 0), range),
        malformed(
            "range_other",
            "in version 1, and reads 2 to 3",
            replaced(ack(), 5..7, &[2, 3]),
            range,
        ),
        refused("kind", "kind 7", with(3, 7), DecodeError::UnknownKind(7)),
        malformed("envelope_flags", "envelope flag 2", with(4, 2), "unknown flags in the envelope"),
        malformed(
            "unsupported_compressed",
            "an unsupported answer with the flag of compression",
            replaced(unsupported(), 4..5, &[1]),
            "unknown flags in the envelope",
        ),
        malformed(
            "unsupported_body",
            "an unsupported answer with a body",
            [unsupported(), vec![0]].concat(),
            "an unsupported answer with a body",
        ),
    ]
}

fn compressed() -> Vec<Refused> {
    let too_large = |len, limit| DecodeError::TooLarge { len, limit };
    let text: Vec<u8> = (0..64).collect();
    let block = lz4_flex::block::compress(&text);
    let sized = |len: u8| with_compressed_body(&[&[len], &*block].concat());
    let long = |len: &[u8]| with_compressed_body(&[len, &[0]].concat());
    vec![
        refused(
            "compressed_length",
            "a plain body of 2^40 bytes is declared",
            long(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x20]),
            too_large(1 << 40, 16 * 38),
        ),
        refused(
            "compressed_ratio",
            "a plain body of 545 bytes is declared, 16 times the message and one more",
            long(&[0xA1, 4]),
            too_large(545, 16 * 34),
        ),
        refused(
            "compressed_nothing",
            "compressed, without a body",
            with_compressed_body(&[]),
            DecodeError::Truncated,
        ),
        malformed(
            "compressed_short",
            "a block of 64 bytes where 65 are declared",
            sized(65),
            "the compressed body is shorter than declared",
        ),
        malformed(
            "compressed_long",
            "a block of 64 bytes where 63 are declared",
            sized(63),
            "the compressed body is not an lz4 block",
        ),
        malformed(
            "compressed_offset",
            "a match that begins before the first byte",
            with_compressed_body(&[20, 0x10, b'a', 2, 0, 0x50, b'a', b'b', b'c', b'd', b'e']),
            "the compressed body is not an lz4 block",
        ),
    ]
}

fn headers() -> Vec<Refused> {
    let at = ENVELOPE_LEN;
    let sent = |sender: SenderEntry<'static>| {
        plain_with(Header { sender, ..header() }, Body::PushAck { max_version: 0 })
    };
    let observed = || {
        let observed = Some(([192, 0, 2, 1], 1).into());
        plain_with(Header { observed, ..header() }, Body::PushAck { max_version: 0 })
    };
    // The last three bytes are the port, and the body.
    let (tag, port) = (observed().len() - 7, observed().len() - 2);
    assert_eq!(observed()[tag..], [0, 192, 0, 2, 1, 1, 0]);
    let sender = || header().sender;
    let later = Incarnation { generation_id: TOO_HIGH, boot: 0 };
    let interval = "a gossip interval below 1 ms or above 1 h";
    // The watermark follows the versions: 300 + zigzag 601, which is -301.
    let below = replaced(ack(), at + 28..at + 28, &[0xD9, 4]);
    vec![
        malformed("header_flags", "header flag 16", replaced(ack(), at..at + 1, &[16]), FLAGS),
        malformed(
            "interval_0",
            "an interval of 0",
            replaced(ack(), at + 1..at + 3, &[0]),
            interval,
        ),
        malformed(
            "interval_long",
            "an interval of 3,600,001 ms",
            replaced(ack(), at + 1..at + 3, &[0x81, 0xDD, 0xDB, 1]),
            interval,
        ),
        malformed(
            "interval_wide",
            "an interval that does not fit 32 bits",
            replaced(ack(), at + 1..at + 3, &[0xFF, 0xFF, 0xFF, 0xFF, 0x10]),
            NUMBER,
        ),
        malformed(
            "sender_empty",
            "a sender without an id",
            sent(SenderEntry { node_id: "".into(), ..sender() }),
            ID,
        ),
        malformed(
            "sender_long",
            "a sender id of 256 bytes",
            sent(SenderEntry { node_id: "n".repeat(256).into(), ..sender() }),
            ID,
        ),
        malformed(
            "sender_not_utf8",
            "a sender id with a byte that is not UTF-8",
            replaced(ack(), at + 4..at + 5, &[0xFF]),
            "a string is not UTF-8",
        ),
        malformed(
            "generation_high",
            "a generation of 2^62 + 1",
            sent(SenderEntry { incarnation: later, ..sender() }),
            HIGH,
        ),
        malformed(
            "heartbeat_high",
            "a heartbeat of 2^62 + 1",
            sent(SenderEntry { heartbeat: TOO_HIGH, ..sender() }),
            HIGH,
        ),
        malformed(
            "version_high",
            "a max_version of 2^62 + 1",
            sent(SenderEntry { max_version: TOO_HIGH, ..sender() }),
            HIGH,
        ),
        malformed(
            "gc_high",
            "a watermark of 2^62 + 1",
            sent(SenderEntry { last_gc_version: TOO_HIGH, ..sender() }),
            HIGH,
        ),
        malformed("gc_below_0", "a watermark of -1", replaced(below, at..at + 1, &[8]), WATERMARK),
        malformed(
            "address_tag",
            "an address that is neither IPv4 nor IPv6",
            replaced(observed(), tag..tag + 1, &[2]),
            UNKNOWN,
        ),
        malformed(
            "address_port",
            "a port of 65,536",
            replaced(observed(), port..port + 1, &[0x80, 0x80, 4]),
            NUMBER,
        ),
    ]
}

fn digests() -> Vec<Refused> {
    let ranged = |start: &'static str, end: Option<&'static str>| {
        let digest =
            Digest { start: start.into(), end: end.map(Cow::from), entries: vec![entry()] };
        plain(Body::Syn { budget: 0, digest })
    };
    let long_start = Digest { start: "n".repeat(256).into(), end: None, entries: Vec::new() };
    let listed = |entry| plain(syn(vec![entry]));
    let cursor = Some(PruneCursor { position: TOO_HIGH, gc_version: 0 });
    let parked = |from, to| listed(DigestEntry { parked: Some((from, to)), ..entry() });
    let empty = || plain(syn(Vec::new()));
    // The last three bytes are the start, the end, and the count.
    let end = empty().len();
    let flags =
        replaced(listed(entry()), listed(entry()).len() - 2..listed(entry()).len() - 1, &[0x18]);
    let (ascend, outside) =
        ("digest entries that do not ascend", "a digest entry outside the range");
    let range = "a digest over an empty range";
    vec![
        malformed(
            "digest_option",
            "an end that is neither there nor not",
            replaced(empty(), end - 2..end - 1, &[2]),
            "an optional value is neither there nor not",
        ),
        malformed(
            "digest_start",
            "a range from an id of 256 bytes",
            plain(Body::Syn { budget: 0, digest: long_start }),
            "the start of a range is too long",
        ),
        malformed("digest_end", "a range to the empty id", ranged("", Some("")), ID),
        malformed(
            "digest_range",
            "a range from node-2 to node-2",
            ranged("node-2", Some("node-2")),
            range,
        ),
        malformed("digest_below", "node-2 in a range from node-3", ranged("node-3", None), outside),
        malformed(
            "digest_above",
            "node-2 in a range to node-2",
            ranged("", Some("node-2")),
            outside,
        ),
        malformed("digest_twice", "the same id twice", plain(syn(vec![entry(), entry()])), ascend),
        malformed(
            "digest_order",
            "node-2 before node-10, which is less",
            plain(syn(vec![entry(), DigestEntry { node_id: "node-10".into(), ..entry() }])),
            ascend,
        ),
        malformed(
            "digest_id_long",
            "an id of 256 bytes",
            listed(DigestEntry { node_id: "n".repeat(256).into(), ..entry() }),
            ID,
        ),
        malformed("digest_flags", "digest flag 16", flags, FLAGS),
        malformed(
            "digest_cursor",
            "a cursor at 2^62 + 1",
            listed(DigestEntry { cursor, ..entry() }),
            HIGH,
        ),
        malformed(
            "digest_parked",
            "parked versions (4, 4]",
            parked(4, 4),
            "an empty range of parked versions",
        ),
        refused(
            "digest_count",
            "a count of 2^60 entries, and none there",
            replaced(
                empty(),
                end - 1..end,
                &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10],
            ),
            DecodeError::Truncated,
        ),
    ]
}

fn deltas() -> Vec<Refused> {
    let with = |entries| plain(push(NodeDelta { entries, ..delta() }));
    let pruned = |versions| {
        let prune_section = Some(PruneSection { from: 5, to: 1_000, versions });
        plain(push(NodeDelta { prune: prune_section, ..prune() }))
    };
    let one = || plain(push(delta()));
    // Counted from the end: green, its length, set, color, its length, the difference, the count, and
    // before them the flags.
    let (op, flags) = (one().len() - 7, one().len() - 16);
    assert_eq!((one()[op], one()[flags], &one()[flags + 1..flags + 3]), (1, 0, &[1, 3][..]));
    let gc = NodeDelta { last_gc_version: 304, ..delta() };
    let falling = NodeDelta { to: 99, ..delta() };
    vec![
        malformed("delta_flags", "delta flag 4", replaced(one(), flags..flags + 1, &[4]), FLAGS),
        malformed("delta_falls", "a `to` below `from`, which wraps", plain(push(falling)), HIGH),
        malformed(
            "delta_gc",
            "a watermark above the horizon, which wraps",
            plain(push(gc)),
            WATERMARK,
        ),
        malformed("entry_key", "an empty key", with(vec![set("", 101, "v")]), "an empty key"),
        malformed(
            "entry_twice",
            "two entries of one version",
            with(vec![deleted("a", 101), deleted("b", 101)]),
            TWICE,
        ),
        malformed("entry_first", "an entry at `from`", with(vec![deleted("a", 100)]), TWICE),
        malformed(
            "entry_order",
            "versions that fall, which wrap",
            with(vec![deleted("a", 102), deleted("b", 101)]),
            HIGH,
        ),
        malformed("entry_high", "an entry at 2^62 + 1", with(vec![deleted("a", TOO_HIGH)]), HIGH),
        malformed("entry_op", "operation 3", replaced(one(), op..op + 1, &[3]), UNKNOWN),
        malformed("prune_twice", "a pruned version twice", pruned(vec![7, 7]), TWICE),
        malformed("prune_high", "a pruned version of 2^62 + 1", pruned(vec![TOO_HIGH]), HIGH),
    ]
}

fn bodies() -> Vec<Refused> {
    let ack_part = plain(Body::Ack { part: part(0), deltas: Vec::new() });
    let flags = ack_part.len() - 2;
    let end = ack().len();
    let mut reason =
        plain(Body::Refused { reason: chitchat_protocol::message::Refusal::TooManyNodes });
    let last = reason.len() - 1;
    reason[last] = 2;
    let eleven = [[0x80; 10].as_slice(), &[0]].concat();
    let wide = [[0xFF; 9].as_slice(), &[2]].concat();
    vec![
        malformed("part_flags", "train flag 4", replaced(ack_part, flags..flags + 1, &[4]), FLAGS),
        malformed("reason", "reason 2", reason, UNKNOWN),
        malformed(
            "acknowledged_high",
            "2^62 + 1 acknowledged",
            plain(Body::PushAck { max_version: TOO_HIGH }),
            HIGH,
        ),
        malformed(
            "number_long",
            "a number of eleven bytes",
            replaced(ack(), end - 2..end, &eleven),
            NUMBER,
        ),
        malformed(
            "number_wide",
            "a number above 2^64",
            replaced(ack(), end - 2..end, &wide),
            NUMBER,
        ),
        refused(
            "cut_number",
            "cut within a number",
            ack()[..end - 1].to_vec(),
            DecodeError::Truncated,
        ),
        refused(
            "cut_string",
            "cut within the sender's id",
            ack()[..ENVELOPE_LEN + 6].to_vec(),
            DecodeError::Truncated,
        ),
        refused(
            "cut_body",
            "an envelope and nothing behind it",
            ack()[..ENVELOPE_LEN].to_vec(),
            DecodeError::Truncated,
        ),
        malformed(
            "longer",
            "a byte too many",
            [ack(), vec![0]].concat(),
            "bytes follow the message",
        ),
    ]
}
