//! Exchanges that wait for answers, and the trains that come in them.

mod pending;
mod table;

use std::net::SocketAddr;
use std::time::Duration;

use crate::id::NodeId;
use crate::message::TrainPart;
use crate::node::columns::Asked;
use crate::time::Timestamp;

use table::Table;

pub(crate) use pending::{Peer, Pending, Purpose};

/// The window that a node begins with.
const FIRST_WINDOW: usize = 64 << 10;
/// The window never falls below this.
const LEAST_WINDOW: usize = 16 << 10;
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
    table: Table,
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
            table: Table::default(),
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
        let is_pull = |pending: &&Pending| matches!(pending.purpose, Purpose::Pull { .. });
        self.table.open().map(|(_, pending)| pending).filter(is_pull)
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

    /// Number of exchanges that are known.
    pub(crate) fn pending_len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn open(&mut self, nonce: u64, pending: Pending, limit: usize) {
        while self.table.len() >= limit.max(1) {
            self.table.forget_one();
        }
        self.table.insert(nonce, pending);
    }

    pub(crate) fn is_pending(&self, nonce: u64) -> bool {
        self.table.get(nonce).is_some()
    }

    pub(crate) fn get(&self, nonce: u64) -> Option<&Pending> {
        self.table.get(nonce)
    }

    /// An exchange that has not been answered, nor given up.
    pub(crate) fn get_unanswered(&self, nonce: u64) -> Option<&Pending> {
        self.table.get_open(nonce).filter(|pending| pending.is_unanswered())
    }

    /// Whom a question in columns was about, for its answer: there is one.
    pub(crate) fn take_asked(&mut self, nonce: u64) -> Option<Asked> {
        self.table.get_mut(nonce)?.asked.take()
    }

    /// A question in columns that waits for its answer, and about how many it is.
    #[cfg(test)]
    pub(crate) fn any_in_columns(&self) -> Option<(u64, usize)> {
        let mut open = self.table.open().filter(|(_, pending)| pending.is_unanswered());
        open.find_map(|(nonce, pending)| Some((nonce, pending.asked.as_ref()?.len())))
    }

    /// The addresses that a question went to.
    pub(crate) fn target_addrs(&self, nonce: u64) -> Vec<SocketAddr> {
        self.table.get(nonce).map(|it| it.target.addrs.to_vec()).unwrap_or_default()
    }

    pub(crate) fn finish(&mut self, nonce: u64, now: Timestamp) {
        self.table.end(nonce, now);
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
        let serves = self.serving.as_ref().is_some_and(|(serving, _)| *serving == peer.node_id);
        // What comes after the end was taken in, and changes nothing more.
        let Some(pending) = self.table.get_open_mut(nonce) else { return Next::Wait };
        if pending.is_unanswered() {
            // An answer that was on its way for longer says more about a stall than about the way.
            let sample = now.since(pending.started).min(MAX_ROUND_TRIP);
            self.round_trip = Some(self.round_trip.map_or(sample, |it| (it * 7 + sample) / 8));
        }
        pending.record(peer, part, progressed, now);
        // With parts missing there is a chance that they were only overtaken: see `due`.
        let concludes = pending.is_complete();
        let renewed = self.serves_until(now);
        if let Some((_, until)) = self.serving.as_mut().filter(|_| serves) {
            *until = renewed;
        }
        if concludes { self.conclude(nonce, now) } else { Next::Wait }
    }

    /// The train has ended, or has stopped coming: adapts the window and decides what is next.
    fn conclude(&mut self, nonce: u64, now: Timestamp) -> Next {
        let Some(pending) = self.table.end(nonce, now) else {
            return Next::Done;
        };
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
        now + self.patience_with(MAX_ATTEMPTS) * 2
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

    /// How long an answer to a pull is waited for: from its second repetition on, twice as long each
    /// time.
    fn patience_with(&self, attempt: u8) -> Duration {
        self.patience() * (2 << attempt.saturating_sub(1))
    }

    /// When an open exchange next wants a look.
    fn due(&self, pending: &Pending, lifetime: Duration) -> Timestamp {
        let stalled = pending.last_activity + self.patience();
        match pending.purpose {
            _ if pending.last_index.is_some() => {
                pending.last_activity + self.round_trip().max(LEAST_GAP_PATIENCE)
            }
            _ if !pending.is_unanswered() => stalled,
            Purpose::Pull { attempt } => pending.last_activity + self.patience_with(attempt),
            Purpose::Round => pending.last_activity + lifetime,
        }
    }

    /// When this exchange next wants a look.
    pub(crate) fn due_of(&self, nonce: u64, lifetime: Duration) -> Timestamp {
        match self.table.get_open(nonce) {
            Some(pending) => self.due(pending, lifetime),
            None => self.first_forgotten(lifetime),
        }
    }

    /// When [`Exchanges::tend`] next has something to do. Looks at all that are open.
    pub(crate) fn next_due(&self, lifetime: Duration) -> Timestamp {
        let due = self.table.open().map(|(_, pending)| self.due(pending, lifetime)).min();
        due.unwrap_or(Timestamp::MAX).min(self.first_forgotten(lifetime))
    }

    fn first_forgotten(&self, lifetime: Duration) -> Timestamp {
        self.table.first_end().map_or(Timestamp::MAX, |at| at + lifetime)
    }

    /// Ends what has stopped. Returns the exchanges to go on with, and whether each is the
    /// repetition of an unanswered pull.
    pub(crate) fn tend(&mut self, lifetime: Duration, now: Timestamp) -> Vec<(Pending, bool)> {
        self.table.forget_until(now - lifetime);
        let is_due = |(_, pending): &(u64, &Pending)| self.due(pending, lifetime) <= now;
        let due: Vec<u64> = self.table.open().filter(is_due).map(|(nonce, _)| nonce).collect();
        let mut again = Vec::new();
        for nonce in due {
            let Some(pending) = self.table.get_open(nonce) else {
                continue;
            };
            if !pending.is_unanswered() {
                // The last part is lost, or late.
                let next = self.conclude(nonce, now);
                let Some(pending) = self.table.get(nonce).cloned() else { continue };
                if next == Next::Continue {
                    again.push((pending, false));
                } else if let Some(peer) = pending.answered_by {
                    self.end_serving(&peer.node_id);
                }
            } else if let Purpose::Pull { attempt } = pending.purpose {
                // What comes late is taken in all the same: where all are busy, to throw away and to
                // repeat what takes long would keep them so.
                let Some(pending) = self.table.end(nonce, now).cloned() else { continue };
                if attempt < MAX_ATTEMPTS {
                    let purpose = Purpose::Pull { attempt: attempt + 1 };
                    again.push((Pending { purpose, ..pending }, true));
                } else {
                    // Somebody else will serve; the next round finds out who.
                    self.serving = None;
                }
            } else {
                self.table.remove_open(nonce);
            }
        }
        again
    }
}

#[cfg(test)]
mod tests;
