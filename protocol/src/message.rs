//! The messages that nodes exchange, as the state machine sees them. Their encoding is in
//! [`wire`](crate::wire).
//!
//! An exchange is Syn (a digest) → SynAck (what the responder lacks, and deltas) → Ack (only if there
//! are deltas, or for a responder that is not listened to, to say why). SynAck and Ack may be trains
//! of self-contained messages.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use crate::columns::{ColumnAnswer, Columns};
use crate::delta::NodeDelta;
use crate::digest::{Digest, DigestEntry};
use crate::id::Incarnation;
use crate::wire::VersionRange;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What every message carries.
    pub header: Header<'a>,
    /// What this one is about.
    pub body: Body<'a>,
}

/// What every message carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Hash of the cluster id, see [`cluster_id_hash`](crate::wire::cluster_id_hash).
    pub cluster_id_hash: u64,
    /// Random in a Syn. In an answer to one: a token that proves, when it comes back, that its
    /// receiver can be reached at the address it claims.
    pub nonce: u64,
    /// The peer's nonce: the one answered, or in a Syn the last token that the peer gave us.
    pub echo: u64,
    /// The wire versions that the sender reads.
    pub versions: VersionRange,
    /// The sender's gossip interval, 1 ms to 1 h. Ages are counted in tenths of it.
    pub gossip_interval: Duration,
    /// The sender's own entry, in full.
    pub sender: SenderEntry<'a>,
    /// The sender does not announce itself: another process has its node id (rule C3).
    pub observer: bool,
    /// The receiver's address, as the sender sees it.
    pub observed: Option<SocketAddr>,
    /// What the sender knows of the receiver's own node id, where that is more than the receiver
    /// said itself (rule L4).
    pub about_you: Option<SelfReport>,
}

/// The sender's own entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderEntry<'a> {
    /// Who sends. Empty where `position` says it.
    pub node_id: Cow<'a, str>,
    /// Which run of it. Zeros where `position` says it.
    pub incarnation: Incarnation,
    /// In a [`Body::ColumnSynAck`] of [`Standing::Same`](crate::columns::Standing::Same): the position
    /// of the sender among the members that the question was laid out by. The node that asked knows who
    /// that is; nobody else does.
    pub position: Option<u32>,
    /// Grows by one in each round that the sender initiates.
    pub heartbeat: u64,
    /// How long ago it did so.
    pub age: Duration,
    /// Length of its log.
    pub max_version: u64,
    /// Its watermark.
    pub last_gc_version: u64,
}

/// What a peer knows of the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelfReport {
    /// The highest incarnation seen under the receiver's node id.
    pub incarnation: Incarnation,
    /// Its newest heartbeat.
    pub heartbeat: u64,
    /// How long ago it was emitted; `None`: not known, only the record of a removal is left.
    pub age: Option<Duration>,
    /// Its `max_version`.
    pub max_version: u64,
    /// Its `last_gc_version`.
    pub last_gc_version: u64,
}

/// What a message is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// Opens an exchange.
    Syn {
        /// How many bytes of deltas the sender takes in answer; at least one message is granted.
        budget: u64,
        /// What the sender has.
        digest: Digest<'a>,
    },
    /// Answers a Syn.
    SynAck {
        /// Where this message stands in its train.
        part: TrainPart,
        /// How many bytes of deltas the sender takes in answer.
        budget: u64,
        /// What the sender knows later than the initiator, and what it lacks. Ascending by node id.
        entries: Vec<DigestEntry<'a>>,
        /// What the initiator lacks.
        deltas: Vec<NodeDelta<'a>>,
    },
    /// Closes an exchange.
    Ack {
        /// Where this message stands in its train.
        part: TrainPart,
        /// What the responder lacks.
        deltas: Vec<NodeDelta<'a>>,
    },
    /// Opens an exchange with a digest in columns. From wire version 2 on.
    ColumnSyn {
        /// As in [`Body::Syn`].
        budget: u64,
        /// What the sender has.
        columns: Columns<'a>,
    },
    /// Answers a [`Body::ColumnSyn`]: the first part of the answer; those that follow are
    /// [`Body::SynAck`]. From wire version 2 on.
    ColumnSynAck {
        /// Where this message stands in its train.
        part: TrainPart,
        /// As in [`Body::SynAck`].
        budget: u64,
        /// What there is to say of the members that the question was about.
        answer: ColumnAnswer,
        /// Members that the initiator does not know, and its own. Ascending by node id.
        entries: Vec<DigestEntry<'a>>,
        /// What the initiator lacks.
        deltas: Vec<NodeDelta<'a>>,
    },
    /// Tells of some members in full, and asks for what the sender lacks of them, and for all of others,
    /// whose names it does not know; of the rest it says nothing. Answered by a [`Body::SynAck`]. From
    /// wire version 2 on.
    Inquiry {
        /// As in [`Body::Syn`].
        budget: u64,
        /// What the sender has of these members. Ascending by node id.
        entries: Vec<DigestEntry<'a>>,
        /// Members that the sender does not know.
        unnamed: Unnamed,
    },
    /// What has changed a moment ago, to whom nobody asked for it. From wire version 2 on.
    News {
        /// How far the sender's copies of what changed lately go, those in the deltas among them: who has
        /// less, asks for it.
        changed: Vec<Changed>,
        /// The changes that the sender has just heard of.
        deltas: Vec<NodeDelta<'a>>,
    },
    /// That the sender leaves.
    Push {
        /// The news.
        deltas: Vec<NodeDelta<'a>>,
    },
    /// Tells the sender of a push how much of its own log the receiver has now.
    PushAck {
        /// The receiver's copy is complete up to this version of the pusher's log.
        max_version: u64,
    },
    /// The sender of a Syn is not accepted.
    Refused {
        /// Why.
        reason: Refusal,
    },
}

impl Body<'_> {
    /// Whether it opens an exchange.
    pub(crate) fn is_question(&self) -> bool {
        matches!(self, Body::Syn { .. } | Body::ColumnSyn { .. } | Body::Inquiry { .. })
    }

    /// Name of the kind, for logs and counters.
    pub fn kind(&self) -> &'static str {
        match self {
            Body::Syn { .. } => "syn",
            Body::SynAck { .. } => "syn-ack",
            Body::Ack { .. } => "ack",
            Body::ColumnSyn { .. } => "column-syn",
            Body::ColumnSynAck { .. } => "column-syn-ack",
            Body::Inquiry { .. } => "inquiry",
            Body::News { .. } => "news",
            Body::Push { .. } => "push",
            Body::PushAck { .. } => "push-ack",
            Body::Refused { .. } => "refused",
        }
    }
}

/// How far the sender of [news](Body::News) has a member's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The lower 48 bits are the short hash of the member's name and incarnation under the nonce of the
    /// message; the others are not written.
    pub hash: u64,
    /// The sender's copy is complete up to here.
    pub max_version: u64,
}

/// Members of which their reader knows no more than that [news](Body::News) were about them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unnamed {
    /// The nonce of the news; not written if there are no hashes.
    pub nonce: u64,
    /// The hashes in the news, see [`Changed::hash`].
    pub hashes: Vec<u64>,
}

/// Where a message stands in its train. Every part can be used alone and in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainPart {
    /// From 0.
    pub index: u32,
    /// No part follows.
    pub last: bool,
    /// The budget ended the train, not the lack of news.
    pub more: bool,
}

/// Why a node is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// Its generation is more than a day ahead of the receiver's wall clock, so that no later start
    /// could ever supersede it.
    GenerationFromTheFuture,
    /// The receiver knows as many nodes as it may.
    TooManyNodes,
}
