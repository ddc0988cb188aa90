//! One exchange that waits for answers, and the train that comes in it.

use std::collections::BTreeSet;

use crate::id::NodeId;
use crate::message::TrainPart;
use crate::node::columns::Asked;
use crate::node::versions::Written;
use crate::node::{Path, Target};
use crate::time::Timestamp;

/// Parts of one train that are told apart.
const MAX_PARTS: u32 = 1 << 16;

/// Why an exchange was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A round of gossip.
    Round,
    /// To fetch what a train did not bring. Repeated when it is not answered.
    Pull {
        /// How often it was repeated.
        attempt: u8,
    },
}

/// An exchange that was opened and may still be answered.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) target: Target,
    pub(crate) purpose: Purpose,
    pub(crate) started: Timestamp,
    pub(crate) written: Written,
    /// The range of node ids that the Syn was about.
    pub(crate) start: String,
    pub(crate) end: Option<String>,
    /// Whom it was about, if it was in columns, until it is answered.
    pub(crate) asked: Option<Asked>,
    /// Whether it was in columns.
    pub(crate) in_columns: bool,
    /// The token that went with the Syn.
    pub(crate) token: u64,
    /// How many bytes of deltas were asked for.
    pub(crate) budget: usize,
    /// Who answered, the way that the answer came, and the token in it.
    pub(crate) answered_by: Option<Peer>,
    pub(super) last_activity: Timestamp,
    pub(super) parts: BTreeSet<u32>,
    pub(super) last_index: Option<u32>,
    pub(super) more: bool,
    pub(super) progressed: bool,
}

/// A peer that has answered.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) node_id: NodeId,
    pub(crate) path: Path,
    /// Proves to the peer that we can be reached at our address.
    pub(crate) token: u64,
}

impl Pending {
    /// Whether nothing has come of it yet.
    pub(super) fn is_unanswered(&self) -> bool {
        self.answered_by.is_none()
    }

    /// A part of the answer came.
    pub(super) fn record(&mut self, peer: Peer, part: TrainPart, progressed: bool, now: Timestamp) {
        self.last_activity = now;
        self.progressed |= progressed;
        self.more |= part.more;
        if part.index < MAX_PARTS {
            self.parts.insert(part.index);
        }
        if part.last {
            self.last_index = Some(part.index);
        }
        self.answered_by = Some(peer);
    }

    /// Whether all parts of the train have come.
    pub(super) fn is_complete(&self) -> bool {
        self.last_index.is_some_and(|last| u64::from(last) + 1 == self.parts.len() as u64)
    }

    pub(crate) fn new(
        target: Target,
        purpose: Purpose,
        written: Written,
        (range, asked): ((String, Option<String>), Option<Asked>),
        token: u64,
        budget: usize,
        now: Timestamp,
    ) -> Pending {
        let (start, end) = range;
        Pending {
            target,
            purpose,
            started: now,
            written,
            start,
            end,
            in_columns: asked.is_some(),
            asked,
            token,
            budget,
            answered_by: None,
            last_activity: now,
            parts: BTreeSet::new(),
            last_index: None,
            more: false,
            progressed: false,
        }
    }
}
