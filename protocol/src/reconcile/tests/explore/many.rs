//! Any number of replicas, and any number of messages under way, each as late and as often as it likes.
//!
//! Replicas act on one another only by messages, and what was sent can always be delivered once more. So
//! a copy that some replica can have beside an owner's log stays possible, whatever else happens and
//! however far the log grows: its replica may just be cut off from then on. The set of all copies that
//! are possible with a log, and that of all digests and deltas, therefore only grow, and they are found
//! without looking at replicas together: every delta is delivered to every copy until nothing new comes of
//! it. Nothing is left out, and everything that is found can happen, with enough replicas.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::reconcile::tests::check::Violation;
use crate::state::Breakage;

use super::real::{Bounds, EMPTY, Id, Real, Server, Write};

/// Where a copy comes from: a delta that some copy took.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub(super) copy: Id,
    pub(super) delta: Id,
    /// The owner's state then.
    pub(super) owner: Id,
}

/// Where a delta comes from.
#[derive(Clone, Copy)]
pub(super) struct Sending {
    pub(super) server: Server,
    /// A copy with the digest that it answers.
    pub(super) asker: Id,
    pub(super) owner: Id,
}

/// Everything that is possible with one owner's log, in the order in which it was found.
#[derive(Clone, Default)]
pub(super) struct Crowd {
    copies: Vec<Id>,
    views: Vec<Id>,
    deltas: Vec<Id>,
    /// Of all copies but the empty one, whence they come; of all deltas, who sent them; and the first copy
    /// with each digest.
    pub(super) origins: HashMap<Id, Origin>,
    pub(super) sendings: HashMap<Id, Sending>,
    askers: HashMap<Id, Id>,
}

pub(super) struct Many {
    pub(super) real: Real,
    pub(super) report: Counts,
    writes: Vec<Write>,
}

/// What was explored. Copies and deltas are counted anew for each log.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Logs, each with the times at which its watermark moved.
    pub(super) logs: u64,
    pub(super) copies: u64,
    pub(super) deltas: u64,
    pub(super) deliveries: u64,
}

/// What is broken: by a delta that a copy takes, or by what the owner wrote last.
pub(super) struct Found {
    pub(super) violation: Violation,
    pub(super) writes: Vec<Write>,
    pub(super) crowd: Crowd,
    pub(super) origin: Option<Origin>,
}

type Checked = Result<(), (Violation, Option<Origin>)>;

impl Many {
    pub(super) fn new(bounds: Bounds, breakage: Breakage) -> Many {
        assert_eq!(bounds.hours, 0, "what time hides does not stay possible");
        let real = Real::new(bounds, breakage);
        Many { real, report: Counts::default(), writes: Vec::new() }
    }

    /// Explores all logs within the bounds.
    pub(super) fn explore(&mut self) -> Result<(), Box<Found>> {
        let start = Crowd { copies: vec![EMPTY], ..Crowd::default() };
        self.go_on(0, start, 0)
    }

    /// Finds what is possible with this state of the owner, and then with everything that the owner may do
    /// next. The first `done` copies are known from before.
    fn go_on(&mut self, owner: Id, mut crowd: Crowd, done: usize) -> Result<(), Box<Found>> {
        if let Err((violation, origin)) = self.close(owner, &mut crowd, done) {
            let writes = self.writes.clone();
            return Err(Box::new(Found { violation, writes, crowd, origin }));
        }
        self.report.logs += 1;
        self.report.copies += crowd.copies.len() as u64;
        self.report.deltas += crowd.deltas.len() as u64;
        for (write, after) in self.real.writes(owner).iter().copied() {
            self.writes.push(write);
            self.go_on(after, crowd.clone(), crowd.copies.len())?;
            self.writes.pop();
        }
        Ok(())
    }

    fn close(&mut self, owner: Id, crowd: &mut Crowd, done: usize) -> Checked {
        for copy in crowd.copies[..done].iter().copied() {
            let known = |violation| (violation, crowd.origins.get(&copy).copied());
            self.real.meet(owner, copy).map_err(known)?;
        }
        let (mut met, mut delivered) = (done, crowd.deltas.len());
        for view in crowd.views.clone() {
            self.answer(owner, Server::Owner, view, crowd)?;
        }
        // Copies before `met` have met all deltas before `delivered`, and have answered all digests.
        loop {
            if let Some(copy) = crowd.copies.get(met).copied() {
                met += 1;
                let known = |violation| (violation, crowd.origins.get(&copy).copied());
                self.real.meet(owner, copy).map_err(known)?;
                self.join(owner, copy, met, crowd)?;
                for index in 0..delivered {
                    self.deliver(owner, copy, crowd.deltas[index], crowd)?;
                }
            } else if let Some(delta) = crowd.deltas.get(delivered).copied() {
                delivered += 1;
                for index in 0..met {
                    self.deliver(owner, crowd.copies[index], delta, crowd)?;
                }
            } else {
                return Ok(());
            }
        }
    }

    /// A new copy answers all digests, and everybody answers its digest.
    fn join(&mut self, owner: Id, copy: Id, met: usize, crowd: &mut Crowd) -> Checked {
        for index in 0..crowd.views.len() {
            self.answer(owner, Server::Copy(copy), crowd.views[index], crowd)?;
        }
        let view = self.real.digest(copy);
        if crowd.askers.contains_key(&view) {
            return Ok(());
        }
        crowd.askers.insert(view, copy);
        crowd.views.push(view);
        self.answer(owner, Server::Owner, view, crowd)?;
        for index in 0..met {
            self.answer(owner, Server::Copy(crowd.copies[index]), view, crowd)?;
        }
        Ok(())
    }

    fn answer(&mut self, owner: Id, server: Server, view: Id, crowd: &mut Crowd) -> Checked {
        let parts = self.real.parts(owner, server, view).map_err(|violation| (violation, None))?;
        for delta in parts.iter().copied() {
            if let Entry::Vacant(place) = crowd.sendings.entry(delta) {
                place.insert(Sending { server, asker: crowd.askers[&view], owner });
                crowd.deltas.push(delta);
            }
        }
        Ok(())
    }

    fn deliver(&mut self, owner: Id, copy: Id, delta: Id, crowd: &mut Crowd) -> Checked {
        self.report.deliveries += 1;
        let origin = Origin { copy, delta, owner };
        let result = self.real.take(owner, copy, delta);
        let after = result.map_err(|violation| (violation, Some(origin)))?;
        if after != EMPTY && !crowd.origins.contains_key(&after) {
            crowd.origins.insert(after, origin);
            crowd.copies.push(after);
        }
        Ok(())
    }
}
