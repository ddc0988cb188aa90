//! Digests in columns: what a node has of all members, a few bits for each (ALGORITHM.md, rules P10 to P13).
//!
//! A [`Digest`](crate::Digest) names everybody, which takes some fifty bytes for each. Here members are
//! named by their position: in the set of all members, where both have the same one, or in a list of
//! short hashes, where they have not. What most often changes, the heartbeats, has a [`Cell`] for each
//! member; of the versions there are hashes of 32 members together, and those that changed lately are
//! listed.

use std::borrow::Cow;
use std::time::Duration;

use crate::digest::DigestEntry;
use crate::id::Incarnation;
use crate::state::PruneCursor;

/// How many members have one hash of versions.
pub const BUCKET: usize = 32;

/// Ages up to this, in tenths of the sender's interval, are told to a tenth in a [`Cell`]: seven intervals.
pub const MAX_YOUNG_AGE: u8 = 70;

/// What a [`Cell`] says of an age is at most this: 34 intervals. Above [`MAX_YOUNG_AGE`] each step is half an
/// interval.
pub const MAX_CELL_AGE: u8 = 124;

/// So many values has what a [`Cell`] has of a heartbeat.
pub const HEARTBEAT_WRAP: u8 = 16;

/// Bytes of a member's short hash.
pub const SHORT_HASH_LEN: usize = 6;

/// A question in columns: what its sender has of some or all members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns<'a> {
    /// Whom the positions mean.
    pub layout: Layout<'a>,
    /// The life of each member, in the order of the layout.
    pub cells: Vec<Cell>,
    /// The lives of those whose cell is [`Cell::Listed`], ascending by position.
    pub lives: Vec<Life>,
    /// Hash of the lives of those whose cell is [`Cell::NotLive`]; 0 if there are none.
    pub not_live: u32,
    /// Hash of the versions of each [`BUCKET`] of members.
    pub buckets: Vec<u16>,
    /// Versions that changed lately or need more words, ascending by position.
    pub versions: Vec<PositionVersions>,
}

/// Whom the positions of a question mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout<'a> {
    /// Members of the set of all members that has this fingerprint, from `first` on.
    Set {
        /// Hash of the names and incarnations of the whole set, in order.
        fingerprint: u64,
        /// Position of the first member in the set.
        first: u32,
    },
    /// Those members of a range of node ids that have these hashes. It is complete there.
    Hashes {
        /// First node id of the range; empty: from the first.
        start: Cow<'a, str>,
        /// First node id behind the range; `None`: to the last.
        end: Option<Cow<'a, str>>,
        /// Of name and incarnation, [`SHORT_HASH_LEN`] bytes each, mixed with the nonce. In the order of
        /// node ids.
        hashes: Vec<u64>,
    },
}

/// What a question tells of a member's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// A heartbeat of the last 34 intervals.
    Young {
        /// The heartbeat modulo [`HEARTBEAT_WRAP`].
        heartbeat: u8,
        /// Its age, in tenths of the sender's interval up to [`MAX_YOUNG_AGE`], and from there in halves of
        /// it; at most [`MAX_CELL_AGE`].
        age: u8,
    },
    /// The member is not live as the sender sees it.
    NotLive,
    /// Among the lives that are listed.
    Listed,
}

/// A member's life in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Position in the layout.
    pub position: u32,
    /// The newest heartbeat heard.
    pub heartbeat: u64,
    /// How long ago the owner emitted it; `None`: not known.
    pub age: Option<Duration>,
}

/// What the sender has of a member's log. See [`DigestEntry`] for the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PositionVersions {
    /// Position in the layout.
    pub position: u32,
    /// Complete up to here.
    pub max_version: u64,
    /// Tombstones up to here may be gone.
    pub last_gc_version: u64,
    /// A prune under way.
    pub cursor: Option<PruneCursor>,
    /// Versions that are kept aside, `from < to`.
    pub parked: Option<(u64, u64)>,
    /// At its size limit.
    pub frozen: bool,
}

impl PositionVersions {
    /// What a digest entry says of versions.
    pub(crate) fn of(position: u32, entry: &DigestEntry<'_>) -> PositionVersions {
        PositionVersions {
            position,
            max_version: entry.max_version,
            last_gc_version: entry.last_gc_version,
            cursor: entry.cursor,
            parked: entry.parked,
            frozen: entry.frozen,
        }
    }

    /// As an entry of a digest. It says nothing of the member's life.
    pub(crate) fn entry<'a>(&self, node_id: &'a str, incarnation: Incarnation) -> DigestEntry<'a> {
        DigestEntry {
            node_id: Cow::Borrowed(node_id),
            incarnation,
            heartbeat: 0,
            age: None,
            max_version: self.max_version,
            last_gc_version: self.last_gc_version,
            cursor: self.cursor,
            parked: self.parked,
            frozen: self.frozen,
        }
    }
}

/// The answer to a question in columns. Positions are those of the question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnAnswer {
    /// What the responder can make of the layout.
    pub standing: Standing,
    /// How many members the question was about. 0 with [`Standing::Unknown`].
    pub count: u32,
    /// Members whose life the responder knows later, ascending by position; [`Cell::Young`] all of
    /// them.
    pub newer: Vec<(u32, Cell)>,
    /// Other lives, ascending by position.
    pub lives: Vec<Life>,
    /// Members of whose life the cell said too little for the responder. Ascending.
    pub asked: Vec<u32>,
    /// Members that the responder does not know. Ascending.
    pub unknown: Vec<u32>,
    /// What the responder has of members where it may differ, ascending by position.
    pub versions: Vec<PositionVersions>,
}

/// What a responder can make of a layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It has the same set of members.
    Same,
    /// It has another set, and could read the question all the same.
    #[default]
    Other,
    /// It does not know the set: ask with hashes. Nothing else is said.
    Unknown,
}
