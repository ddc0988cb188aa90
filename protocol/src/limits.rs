//! Bounds on everything that a peer could make grow.

use serde::{Deserialize, Serialize};

/// Bounds of a node. What exceeds one is refused and counted; nothing else is affected.
///
/// The limits on keys and values also bind the own writes: a write that peers would have to refuse
/// is an error at the call. Use the same ones on all nodes. A copy of another node's entries may hold
/// twice the number and the bytes, because on the way to a state within the limits it can hold old and
/// new entries together; one that would grow beyond that is frozen, and tried again 60 intervals later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Limits {
    /// Most nodes in the state, this one included. Default: 16,384.
    pub max_nodes: usize,
    /// Longest key, in bytes. Default: 1,024.
    pub max_key_len: usize,
    /// Longest value, in bytes. Default: 1 MiB; what the transport carries may be less.
    pub max_value_len: usize,
    /// Most entries of one node, tombstones included. Default: 2,097,152.
    pub max_keys_per_node: usize,
    /// Most bytes of one node's entries: keys, values and 64 bytes for each. Default: 1 GiB.
    pub max_bytes_per_node: usize,
    /// Most exchanges that wait for an answer. Default: 4,096.
    pub max_pending_exchanges: usize,
    /// Most bytes of train parts that are kept until the parts before them have come.
    /// Default: 16 MiB, over all owners.
    pub max_parked_bytes: usize,
    /// Most bytes that are asked of one peer in one exchange. The window starts at 64 KiB and
    /// adapts below this bound. Default: 1 MiB.
    pub max_train_bytes: usize,
    /// Most bytes of a message after decompression. Default: 16 MiB.
    pub max_decompressed_len: usize,
    /// Most removed nodes that are remembered beyond the grace period. Default: 65,536.
    pub max_removed_nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_nodes: 16_384,
            max_key_len: 1_024,
            max_value_len: 1 << 20,
            max_keys_per_node: 1 << 21,
            max_bytes_per_node: 1 << 30,
            max_pending_exchanges: 4_096,
            max_parked_bytes: 16 << 20,
            max_train_bytes: 1 << 20,
            max_decompressed_len: 16 << 20,
            max_removed_nodes: 65_536,
        }
    }
}

/// What the transport carries, after its own overhead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLimits {
    /// Messages are packed up to this length, in bytes. Only a message with a single entry is
    /// longer.
    pub preferred_message_len: usize,
    /// No message is longer than this.
    pub max_message_len: usize,
    /// How many peers the transport can hold connections with at once; `None`: no limit. With more
    /// live peers than this, a node gossips with a slowly changing set of half as many, since
    /// others open exchanges with it too (ALGORITHM.md, rule P8).
    pub max_peers: Option<usize>,
}

impl LinkLimits {
    /// The smallest `preferred_message_len` that the protocol works with: the longest node ids
    /// twice, with all the fields beside them.
    pub const MIN_PREFERRED: usize = 1_024;

    /// Limits from the lengths that a transport declares, for any number of peers.
    pub const fn new(preferred_message_len: usize, max_message_len: usize) -> LinkLimits {
        LinkLimits { preferred_message_len, max_message_len, max_peers: None }
    }

    /// The same, over a transport that holds connections with so many peers at most.
    #[must_use]
    pub const fn with_max_peers(self, max_peers: Option<usize>) -> LinkLimits {
        LinkLimits { max_peers, ..self }
    }
}

impl Default for LinkLimits {
    /// UDP without fragments, with the longest datagram for single large entries.
    fn default() -> Self {
        LinkLimits::new(1_400, 65_507)
    }
}
