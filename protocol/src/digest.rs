//! What a node says it has.

use std::borrow::Cow;
use std::time::Duration;

use crate::id::Incarnation;
use crate::state::{PruneCursor, Versions};

/// What a node has of one owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestEntry<'a> {
    /// The owner.
    pub node_id: Cow<'a, str>,
    /// Which run of it.
    pub incarnation: Incarnation,
    /// The newest heartbeat heard.
    pub heartbeat: u64,
    /// How long ago the owner emitted it; `None`: not known.
    pub age: Option<Duration>,
    /// The copy is complete up to this version (`m`).
    pub max_version: u64,
    /// Tombstones up to this version may be gone (`g`).
    pub last_gc_version: u64,
    /// A prune under way.
    pub cursor: Option<PruneCursor>,
    /// Versions `(from, to]`, `from < to`, that are kept aside because what comes before them is missing, so that
    /// the sender need not repeat them.
    pub parked: Option<(u64, u64)>,
    /// The copy is at its size limit: send no entries.
    pub frozen: bool,
}

impl<'a> DigestEntry<'a> {
    /// Nothing is known of this node: asks for all of it. Nothing is stored for that.
    pub(crate) fn nothing(node_id: &'a str, incarnation: Incarnation) -> DigestEntry<'a> {
        DigestEntry {
            node_id: Cow::Borrowed(node_id),
            incarnation,
            heartbeat: 0,
            age: None,
            max_version: 0,
            last_gc_version: 0,
            cursor: None,
            parked: None,
            frozen: false,
        }
    }

    /// The copy's versions, for the planner.
    pub(crate) fn versions(&self) -> Versions {
        Versions {
            max_version: self.max_version,
            last_gc_version: self.last_gc_version,
            horizon: self.max_version,
            cursor: self.cursor,
        }
    }
}

/// A digest over a range of node ids. It is complete there: a node id of the range that is not
/// listed is not known to the sender, except for the sender's own, which stands in the header.
///
/// A digest that does not fit one message is a train of ranges, each answered on its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digest<'a> {
    /// First node id of the range; empty: from the first.
    pub start: Cow<'a, str>,
    /// First node id behind the range; `None`: to the last.
    pub end: Option<Cow<'a, str>>,
    /// Ascending by node id.
    pub entries: Vec<DigestEntry<'a>>,
}

impl Digest<'_> {
    /// Whether the range speaks for this node id.
    pub fn covers(&self, node_id: &str) -> bool {
        *self.start <= *node_id && self.end.as_ref().is_none_or(|end| *node_id < **end)
    }
}
