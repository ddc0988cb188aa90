//! The node's timers: one enum, one small table.

use crate::node::Node;
use crate::time::Timestamp;

/// What the node waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The next round of gossip.
    Round,
    /// The next exchange of a round, although the one before it was not answered.
    Row,
    /// While nobody is known to live: ask the seeds again.
    Join,
    /// The watchdog over our own pauses.
    Watchdog,
    /// The earliest death, if nothing more is heard.
    Liveness,
    /// An own key expires, or an own tombstone is old enough.
    Own,
    /// A key of another node expires.
    Expiry,
    /// A train has stopped coming, or an exchange is over.
    Exchange,
    /// A leave wants to be repeated, or is done.
    Leave,
    /// Another process under our id has been silent long enough.
    Yield,
    /// What was heard of is to be told.
    Push,
    /// How far copies go is to be told.
    List,
}

const COUNT: usize = 12;

impl Timer {
    const ALL: [Timer; COUNT] = [
        Timer::Round,
        Timer::Row,
        Timer::Join,
        Timer::Watchdog,
        Timer::Liveness,
        Timer::Own,
        Timer::Expiry,
        Timer::Exchange,
        Timer::Leave,
        Timer::Yield,
        Timer::Push,
        Timer::List,
    ];
}

/// When each timer fires.
#[derive(Clone, Debug)]
pub(crate) struct Timers {
    due: [Timestamp; COUNT],
}

impl Timers {
    pub(crate) fn new() -> Timers {
        Timers { due: [Timestamp::MAX; COUNT] }
    }

    pub(crate) fn set(&mut self, timer: Timer, due: Timestamp) {
        self.due[timer as usize] = due;
    }

    /// Brings the timer forward, if it is later than this.
    pub(crate) fn lower(&mut self, timer: Timer, due: Timestamp) {
        let slot = &mut self.due[timer as usize];
        *slot = due.min(*slot);
    }

    pub(crate) fn due(&self, timer: Timer) -> Timestamp {
        self.due[timer as usize]
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        self.set(timer, Timestamp::MAX);
    }

    /// Takes the timers that are due. One that is set again meanwhile, even to the present, waits
    /// for the next call, so that no call goes on for ever.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> impl Iterator<Item = Timer> + use<> {
        let due = Timer::ALL.map(|timer| {
            let due = self.due[timer as usize] <= now;
            if due {
                self.stop(timer);
            }
            due.then_some(timer)
        });
        due.into_iter().flatten()
    }

    /// The earliest timer.
    pub(crate) fn next(&self) -> Timestamp {
        self.due.iter().copied().min().unwrap_or(Timestamp::MAX)
    }
}

impl Node {
    /// Sets the timer of the next round: an interval after this one was due, so that a node under
    /// load, which is always a little late, does not have fewer rounds than others. After a pause
    /// (rule D6) there is nothing to make up for.
    pub(super) fn set_next_round(&mut self) {
        let interval = self.config.gossip_interval;
        let late = self.now.since(self.round_due);
        let base = if late <= interval / 4 { self.round_due } else { self.now };
        self.round_due = base + interval;
        self.timers.set(Timer::Round, self.round_due);
    }
}
