//! The node's doubts about itself: own pauses and deafness (rules D6 and D7).

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Timestamp;

/// How many intervals of own absence are remembered.
const REMEMBERED: usize = 8;
/// Intervals of silence from everybody after which the fault is rather here.
const DEAF_AFTER: u32 = 3;
/// Intervals of silence from everybody after which that is no longer believed.
const DOUBT: u32 = 13;
/// Fewer deaths than this at a time are no mass failure.
const LEAST_MASS: usize = 3;

/// When this process did not run or did not hear, so that silence then says nothing of others.
#[derive(Clone, Debug)]
pub(crate) struct SelfHealth {
    interval: Duration,
    last_tick: Timestamp,
    last_heard: Timestamp,
    deaf: bool,
    /// Disjoint, ascending.
    absences: VecDeque<(Timestamp, Timestamp)>,
    /// When how many peers were declared dead, in the last two intervals.
    deaths: Vec<(Timestamp, usize)>,
}

impl SelfHealth {
    pub(crate) fn new(interval: Duration, now: Timestamp) -> SelfHealth {
        SelfHealth {
            interval,
            last_tick: now,
            last_heard: now,
            deaf: false,
            absences: VecDeque::new(),
            deaths: Vec::new(),
        }
    }

    /// How often [`SelfHealth::tick`] wants to be called.
    pub(crate) fn tick_interval(&self) -> Duration {
        self.interval / 10
    }

    /// When it next wants to be called.
    pub(crate) fn next_tick(&self) -> Timestamp {
        self.last_tick + self.tick_interval()
    }

    /// Called on every input. Returns how long this process did not run, if that was longer than a
    /// quarter of the interval.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Option<Duration> {
        let gap = now.since(self.last_tick);
        let from = self.last_tick;
        self.last_tick = now;
        if gap <= self.interval / 4 + self.tick_interval() {
            return None;
        }
        self.record(from, now);
        Some(gap)
    }

    /// Remembers an absence, merged with the last one where they overlap: time is forgiven once.
    fn record(&mut self, from: Timestamp, to: Timestamp) {
        let mut from = from;
        let mut to = to;
        while let Some((last_from, last_to)) = self.absences.back().copied() {
            if last_to < from {
                break;
            }
            from = from.min(last_from);
            to = to.max(last_to);
            self.absences.pop_back();
        }
        self.absences.push_back((from, to));
        if self.absences.len() > REMEMBERED {
            self.absences.pop_front();
        }
    }

    /// How much of the time between two points this process was absent.
    pub(crate) fn forgiven(&self, from: Timestamp, to: Timestamp) -> Duration {
        let overlap =
            |(start, end): &(Timestamp, Timestamp)| (*end).min(to).since((*start).max(from));
        self.absences.iter().map(overlap).sum()
    }

    /// Somebody was heard. Returns the length of the deafness that this ends.
    pub(crate) fn heard(&mut self, now: Timestamp) -> Option<Duration> {
        let ended = self.deaf.then(|| now.since(self.last_heard));
        if ended.is_some() {
            self.deaf = false;
            // Once the doubt is over the dead are dead. Forgiving them the time after all would make
            // the next stale heartbeat of one look like a sign of life.
            if self.silence(now) < self.interval * DOUBT {
                self.record(self.last_heard, now);
            }
        }
        self.last_heard = now;
        ended
    }

    /// So many peers were declared dead, and so many live on. Returns how many died lately, if that
    /// is half of those that lived, or more.
    pub(crate) fn died(&mut self, count: usize, live: usize, now: Timestamp) -> Option<usize> {
        let begin = now - self.interval * 2;
        self.deaths.retain(|(at, _)| *at >= begin);
        self.deaths.push((now, count));
        let lately: usize = self.deaths.iter().map(|(_, count)| count).sum();
        let mass = lately >= LEAST_MASS && lately >= live;
        if mass {
            // Told once.
            self.deaths.clear();
        }
        mass.then_some(lately)
    }

    /// Time since somebody was heard, less own pauses.
    fn silence(&self, now: Timestamp) -> Duration {
        now.since(self.last_heard).saturating_sub(self.forgiven(self.last_heard, now))
    }

    /// Whether verdicts must wait: with at least two live peers, hearing from nobody at all for
    /// three intervals rather means that the fault is here. The doubt lasts ten intervals more.
    /// Returns the answer, and whether it is news.
    pub(crate) fn is_deaf(&mut self, now: Timestamp, live_peers: usize) -> (bool, bool) {
        let silence = self.silence(now);
        let within = silence > self.interval * DEAF_AFTER && silence < self.interval * DOUBT;
        let deaf = within && (self.deaf || live_peers >= 2);
        let news = deaf && !self.deaf;
        if deaf {
            self.deaf = true;
        }
        (deaf, news)
    }

    /// When the doubt ends if nothing is heard until then.
    pub(crate) fn doubt_ends(&self, now: Timestamp) -> Timestamp {
        let forgiven = self.forgiven(self.last_heard, now);
        self.last_heard + forgiven + self.interval * DOUBT
    }
}
