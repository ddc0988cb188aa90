//! Exchanges that wait for answers, and the trains that come in them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use crate::id::NodeId;
use crate::message::TrainPart;
use crate::node::columns::Asked;
use crate::node::versions::Written;
use crate::node::{Path, Target};
use crate::time::Timestamp;

/// The window that a node begins with.
const FIRST_WINDOW: usize = 64 << 10;
/// The window never falls below this.
const LEAST_WINDOW: usize = 16 << 10;
/// Parts of one train that are told apart.
const MAX_PARTS: u32 = 1 << 16;
/// How often an unanswered pull is repeated.
const MAX_ATTEMPTS: u8 = 3;
/// Waiting less than this for the rest of a train would ask again for what is only delayed by
/// scheduling.
const LEAST_PATIENCE: Duration = Duration::from_millis(20);
/// The same, once the last part has come: what is missing then was overtaken, or is lost.
const LEAST_GAP_PATIENCE: Duration = Duration::from_millis(5);
/// The round-trip time that is assumed before the first answer.
const FIRST_ROUND_TRIP: Duration = Duration::from_millis(100);
/// Longest time that counts as a round trip.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(1);

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
    /// Whom it was about, if it was in columns.
    pub(crate) asked: Option<Asked>,
    /// The token that went with the Syn.
    pub(crate) token: u64,
    /// How many bytes of deltas were asked for.
    pub(crate) budget: usize,
    /// Who answered, the way that the answer came, and the token in it.
    pub(crate) answered_by: Option<Peer>,
    last_activity: Timestamp,
    parts: BTreeSet<u32>,
    last_index: Option<u32>,
    more: bool,
    progressed: bool,
    finished: bool,
}

/// A peer that has answered.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) node_id: NodeId,
    pub(crate) path: Path,
    /// Proves to the peer that we can be reached at our address.
    pub(crate) token: u64,
}

/// What to do about an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait for more parts.
    Wait,
    /// It is over.
    Done,
    /// It is over, and there is more to fetch.
    Continue,
}

/// All exchanges that wait for answers.
#[derive(Clone, Debug)]
pub(crate) struct Exchanges {
    pending: BTreeMap<u64, Pending>,
    window: usize,
    max_window: usize,
    /// Smoothed time from question to answer, once there was one.
    round_trip: Option<Duration>,
    /// The peer that serves our backlog, and until when it counts as doing so. Everybody else is
    /// granted one message meanwhile, so that the same bytes do not come twice.
    serving: Option<(NodeId, Timestamp)>,
}

impl Exchanges {
    pub(crate) fn new(max_window: usize) -> Exchanges {
        Exchanges {
            pending: BTreeMap::new(),
            window: FIRST_WINDOW.min(max_window),
            max_window,
            round_trip: None,
            serving: None,
        }
    }

    /// How many bytes of deltas to ask of a peer. What it was asked for by pulls and has not sent
    /// yet counts: all pulls together share one window.
    pub(crate) fn budget(&self, peer: Option<&str>, one_message: usize, now: Timestamp) -> usize {
        match self.serving(now) {
            Some(serving) if peer != Some(serving) => one_message,
            _ => {
                let outstanding: usize = self.open_pulls().map(|pending| pending.budget).sum();
                self.window.saturating_sub(outstanding).max(one_message)
            }
        }
    }

    fn open_pulls(&self) -> impl Iterator<Item = &Pending> {
        let is_open = |pending: &&Pending| {
            !pending.finished && matches!(pending.purpose, Purpose::Pull { .. })
        };
        self.pending.values().filter(is_open)
    }

    /// Whether this range is being fetched from this peer already.
    pub(crate) fn is_pulling(&self, peer: &str, start: &str, end: Option<&str>) -> bool {
        self.open_pulls().any(|pending| {
            pending.target.node_id.as_deref() == Some(peer)
                && *pending.start == *start
                && pending.end.as_deref() == end
        })
    }

    fn serving(&self, now: Timestamp) -> Option<&str> {
        let (peer, until) = self.serving.as_ref()?;
        (now <= *until).then_some(&**peer)
    }

    /// Number of exchanges that wait for an answer.
    pub(crate) fn pending_len(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn open(&mut self, nonce: u64, pending: Pending, limit: usize) {
        while self.pending.len() >= limit {
            // The oldest has waited longest in vain.
            let oldest = self.pending.iter().min_by_key(|(_, pending)| pending.last_activity);
            let Some(nonce) = oldest.map(|(nonce, _)| *nonce) else {
                break;
            };
            self.pending.remove(&nonce);
        }
        self.pending.insert(nonce, pending);
    }

    pub(crate) fn is_pending(&self, nonce: u64) -> bool {
        self.pending.contains_key(&nonce)
    }

    pub(crate) fn get(&self, nonce: u64) -> Option<&Pending> {
        self.pending.get(&nonce)
    }

    /// A question in columns that waits for its answer, and about how many it is.
    #[cfg(test)]
    pub(crate) fn any_in_columns(&self) -> Option<(u64, usize)> {
        let mut open = self.pending.iter().filter(|(_, pending)| pending.is_unanswered());
        open.find_map(|(nonce, pending)| Some((*nonce, pending.asked.as_ref()?.len())))
    }

    /// The addresses that a question went to.
    pub(crate) fn target_addrs(&self, nonce: u64) -> Vec<SocketAddr> {
        self.pending.get(&nonce).map(|it| it.target.addrs.to_vec()).unwrap_or_default()
    }

    pub(crate) fn finish(&mut self, nonce: u64) {
        if let Some(pending) = self.pending.get_mut(&nonce) {
            pending.finished = true;
        }
    }

    /// A part of an answer came.
    pub(crate) fn record(
        &mut self,
        nonce: u64,
        peer: Peer,
        part: TrainPart,
        progressed: bool,
        now: Timestamp,
    ) -> Next {
        let Some(pending) = self.pending.get_mut(&nonce) else {
            return Next::Done;
        };
        let first = pending.parts.is_empty();
        let started = pending.started;
        pending.last_activity = now;
        pending.progressed |= progressed;
        pending.more |= part.more;
        if part.index < MAX_PARTS {
            pending.parts.insert(part.index);
        }
        if part.last {
            pending.last_index = Some(part.index);
        }
        // With parts missing there is a chance that they were only overtaken: see `due`.
        let concludes = pending.is_complete() && !pending.finished;
        let serves = self.serving.as_ref().is_some_and(|(serving, _)| *serving == peer.node_id);
        pending.answered_by = Some(peer);
        if first {
            // An answer that was on its way for longer says more about a stall than about the way.
            let sample = now.since(started).min(MAX_ROUND_TRIP);
            self.round_trip = Some(self.round_trip.map_or(sample, |it| (it * 7 + sample) / 8));
        }
        let renewed = self.serves_until(now);
        if let Some((_, until)) = self.serving.as_mut().filter(|_| serves) {
            *until = renewed;
        }
        if concludes { self.conclude(nonce) } else { Next::Wait }
    }

    /// The train has ended, or has stopped coming: adapts the window and decides what is next.
    fn conclude(&mut self, nonce: u64) -> Next {
        let Some(pending) = self.pending.get_mut(&nonce) else {
            return Next::Done;
        };
        pending.finished = true;
        let complete = pending.is_complete();
        if !complete {
            self.window = (self.window / 2).max(LEAST_WINDOW.min(self.max_window));
        } else if pending.more {
            self.window = (self.window * 2).min(self.max_window);
        }
        if pending.progressed && (pending.more || !complete) { Next::Continue } else { Next::Done }
    }

    /// Whether this peer may serve our backlog: it does already, or nobody does.
    pub(crate) fn begin_serving(&mut self, peer: &NodeId, now: Timestamp) -> bool {
        let free = self.serving(now).is_none_or(|serving| *serving == **peer);
        if free {
            self.serving = Some((peer.clone(), self.serves_until(now)));
        }
        free
    }

    /// Renewed with every part; the repetitions of one pull fit into it.
    fn serves_until(&self, now: Timestamp) -> Timestamp {
        now + self.patience() * 2 * u32::from(MAX_ATTEMPTS + 2)
    }

    pub(crate) fn end_serving(&mut self, peer: &str) {
        if self.serving.as_ref().is_some_and(|(serving, _)| **serving == *peer) {
            self.serving = None;
        }
    }

    fn round_trip(&self) -> Duration {
        self.round_trip.unwrap_or(FIRST_ROUND_TRIP)
    }

    fn patience(&self) -> Duration {
        (self.round_trip() * 2).max(LEAST_PATIENCE)
    }

    /// When a pending exchange next wants a look.
    fn due(&self, pending: &Pending, lifetime: Duration) -> Timestamp {
        if pending.finished {
            return pending.last_activity + lifetime;
        }
        let stalled = pending.last_activity + self.patience();
        match pending.purpose {
            _ if pending.last_index.is_some() => {
                pending.last_activity + self.round_trip().max(LEAST_GAP_PATIENCE)
            }
            _ if !pending.parts.is_empty() => stalled,
            Purpose::Pull { .. } => stalled + self.patience(),
            Purpose::Round => pending.last_activity + lifetime,
        }
    }

    /// When this exchange next wants a look.
    pub(crate) fn due_of(&self, nonce: u64, lifetime: Duration) -> Timestamp {
        self.pending.get(&nonce).map_or(Timestamp::MAX, |pending| self.due(pending, lifetime))
    }

    /// When [`Exchanges::tend`] next has something to do. Looks at all exchanges.
    pub(crate) fn next_due(&self, lifetime: Duration) -> Timestamp {
        let due = |pending: &Pending| self.due(pending, lifetime);
        self.pending.values().map(due).min().unwrap_or(Timestamp::MAX)
    }

    /// Ends what has stopped. Returns the exchanges to go on with, and whether each is the
    /// repetition of an unanswered pull.
    pub(crate) fn tend(&mut self, lifetime: Duration, now: Timestamp) -> Vec<(Pending, bool)> {
        let due: Vec<u64> = self
            .pending
            .iter()
            .filter(|(_, pending)| self.due(pending, lifetime) <= now)
            .map(|(nonce, _)| *nonce)
            .collect();
        let mut again = Vec::new();
        for nonce in due {
            let Some(pending) = self.pending.get(&nonce) else {
                continue;
            };
            if pending.finished {
                self.pending.remove(&nonce);
            } else if !pending.parts.is_empty() {
                // The last part is lost, or late.
                let next = self.conclude(nonce);
                let Some(pending) = self.pending.get(&nonce).cloned() else { continue };
                if next == Next::Continue {
                    again.push((pending, false));
                } else if let Some(peer) = pending.answered_by {
                    self.end_serving(&peer.node_id);
                }
            } else if let Some(pending) = self.pending.remove(&nonce)
                && let Purpose::Pull { attempt } = pending.purpose
            {
                if attempt < MAX_ATTEMPTS {
                    let purpose = Purpose::Pull { attempt: attempt + 1 };
                    again.push((Pending { purpose, ..pending }, true));
                } else {
                    // Somebody else will serve; the next round finds out who.
                    self.serving = None;
                }
            }
        }
        again
    }
}

impl Pending {
    /// Whether nothing has come of it yet.
    pub(crate) fn is_unanswered(&self) -> bool {
        !self.finished && self.answered_by.is_none()
    }

    /// Whether all parts of the train have come.
    fn is_complete(&self) -> bool {
        self.last_index.is_some_and(|last| u64::from(last) + 1 == self.parts.len() as u64)
    }

    pub(crate) fn new(
        target: Target,
        purpose: Purpose,
        written: Written,
        range: (String, Option<String>),
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
            asked: None,
            token,
            budget,
            answered_by: None,
            last_activity: now,
            parts: BTreeSet::new(),
            last_index: None,
            more: false,
            progressed: false,
            finished: false,
        }
    }
}
