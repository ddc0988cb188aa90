//! Eager push (rules N1 to N4): what changes is told at once, instead of waiting for a round.
//!
//! It only makes things faster: whatever it does not bring, because it was lost, or would have cost more
//! than it may, comes with a round.

mod allowance;
mod hear;
mod recent;
mod tell;

use std::collections::BTreeMap;

use crate::config::Config;
use crate::id::{Incarnation, NodeId};
use crate::time::Timestamp;

use allowance::Allowance;
use recent::Recent;

/// What changed within so many times the delay of a push is listed in it.
const LISTED_DELAYS: u32 = 15;
/// After so many, the list is told once more.
const LIST_DELAYS: u32 = 3;
/// To so many peers.
const LIST_FANOUT: usize = 6;

/// What there is to tell, and what was asked for.
#[derive(Clone, Debug)]
pub(crate) struct News {
    /// Owners whose changes are to be told.
    untold: BTreeMap<NodeId, Untold>,
    /// When the own log last grew.
    own_changed_at: Timestamp,
    /// Others whose copies have grown lately.
    recent: Recent,
    /// Owners that were asked for lately, and when.
    asked: BTreeMap<NodeId, Timestamp>,
    /// When members were asked for of which no more was known than a hash.
    asked_unnamed_at: Timestamp,
    /// Nobody has come since then who was not known.
    asked_in_vain: bool,
    /// What pushes and questions that come of them may take.
    allowance: Allowance,
}

/// What is to be told of one log.
#[derive(Clone, Copy, Debug)]
struct Untold {
    incarnation: Incarnation,
    /// What lies behind this version.
    since: u64,
    /// When the first of it was heard of.
    heard_at: Timestamp,
}

impl News {
    pub(crate) fn new(config: &Config, now: Timestamp) -> News {
        News {
            untold: BTreeMap::new(),
            own_changed_at: Timestamp::MIN,
            recent: Recent::new(now),
            asked: BTreeMap::new(),
            asked_unnamed_at: Timestamp::MIN,
            asked_in_vain: false,
            allowance: Allowance::new(config.push_bytes_per_second, now),
        }
    }

    /// Notes that this has to be told, beside what there is to tell of the same log.
    fn note(&mut self, node_id: NodeId, news: Untold) {
        let untold = self.untold.entry(node_id).or_insert(news);
        if untold.incarnation == news.incarnation {
            untold.since = untold.since.min(news.since);
            untold.heard_at = untold.heard_at.min(news.heard_at);
        } else {
            *untold = news;
        }
    }

    /// Whether this owner was asked for since then.
    fn has_asked_since(&self, node_id: &str, since: Timestamp) -> bool {
        self.asked.get(node_id).is_some_and(|at| *at > since)
    }
}
