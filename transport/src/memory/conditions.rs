//! What the network does to messages, and what it counts.

use std::ops::RangeInclusive;
use std::time::Duration;

/// What happens to messages on their way. The default is a perfect network.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Conditions {
    /// Each message takes a random time in this range. A range of some width reorders messages.
    /// Default: 0.
    pub latency: RangeInclusive<Duration>,
    /// The share of messages that vanish, 0.0 to 1.0. Default: 0.0.
    pub loss: f64,
    /// The share of messages that arrive twice, each copy with a latency of its own. Default: 0.0.
    pub duplication: f64,
    /// The share of messages that are held back by a second latency and a millisecond, so that
    /// later ones overtake them even where the latency is constant. Default: 0.0.
    pub reordering: f64,
    /// Longer messages vanish without an error, as on a path with a black hole for large packets.
    /// (For a limit that the sender knows of, see
    /// [`MemoryTransport::with_message_lens`](super::MemoryTransport::with_message_lens).)
    /// Default: none.
    pub mtu: Option<usize>,
    /// Whether sending to an address where nobody listens gives a
    /// [`Report::Unreachable`](crate::Report::Unreachable). Default: true.
    pub report_unreachable: bool,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            latency: Duration::ZERO..=Duration::ZERO,
            loss: 0.0,
            duplication: 0.0,
            reordering: 0.0,
            mtu: None,
            report_unreachable: true,
        }
    }
}

impl Conditions {
    /// With this [latency](Self::latency).
    #[must_use]
    pub fn with_latency(self, latency: RangeInclusive<Duration>) -> Self {
        Self { latency, ..self }
    }

    /// With this share of [loss](Self::loss).
    #[must_use]
    pub fn with_loss(self, loss: f64) -> Self {
        Self { loss, ..self }
    }

    /// With this share of [duplication](Self::duplication).
    #[must_use]
    pub fn with_duplication(self, duplication: f64) -> Self {
        Self { duplication, ..self }
    }

    /// With this share of [reordering](Self::reordering).
    #[must_use]
    pub fn with_reordering(self, reordering: f64) -> Self {
        Self { reordering, ..self }
    }

    /// With this [MTU](Self::mtu).
    #[must_use]
    pub fn with_mtu(self, mtu: usize) -> Self {
        Self { mtu: Some(mtu), ..self }
    }
}

/// Counters of a [`MemoryNetwork`](super::MemoryNetwork).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetworkStats {
    /// Messages that nodes sent.
    pub messages_sent: u64,
    /// Bytes of those messages.
    pub bytes_sent: u64,
    /// The longest message that was sent.
    pub longest_message: usize,
    /// Copies queued for a receiver, duplicates included.
    pub messages_delivered: u64,
    /// Additional copies.
    pub duplicated: u64,
    /// Messages held back so that later ones overtake them.
    pub reordered: u64,
    /// Dropped by [`Conditions::loss`].
    pub dropped_loss: u64,
    /// Dropped by a block or partition.
    pub dropped_partition: u64,
    /// Dropped by [`Conditions::mtu`].
    pub dropped_mtu: u64,
    /// Dropped because nobody listens at the address.
    pub dropped_nobody_listens: u64,
    /// Dropped because the receiver's queue was full, or nobody reads it any more.
    pub dropped_queue_full: u64,
}
