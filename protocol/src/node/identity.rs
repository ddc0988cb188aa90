//! Which incarnation this node is, and what it does when others say otherwise (rules C1 to C4).

use std::time::Duration;

use crate::id::Incarnation;
use crate::message::SelfReport;
use crate::state::MAX_VERSION;
use crate::time::Timestamp;

/// A day, in milliseconds: how far ahead of our wall clock a generation may be.
const FUTURE_MS: u64 = 24 * 3600 * 1000;

/// Heartbeats of ours above this are no use of ours: at one per millisecond it takes 70 million
/// years to get here. Far below the bound beyond which peers refuse them.
const MAX_OWN_HEARTBEAT: u64 = MAX_VERSION / 2;

/// This node's incarnation and heartbeat.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) incarnation: Incarnation,
    pub(crate) heartbeat: u64,
    /// When the heartbeat was last raised.
    pub(crate) emitted_at: Timestamp,
    started: Timestamp,
    interval: Duration,
    yielding: Option<Yielding>,
    bumped_at: Option<Timestamp>,
}

/// Another process runs under our id: what it last was.
#[derive(Clone, Copy, Debug)]
struct Yielding {
    other: Incarnation,
    heartbeat: u64,
    advanced_at: Timestamp,
}

/// What a report about ourselves means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It says no more than we know.
    Agrees,
    /// The peer knew a later heartbeat of ours (before a restart with the same incarnation, or by
    /// forgery); ours is above it now.
    HeartbeatRaised,
    /// We must be a later incarnation: one above this generation.
    Bump(u64),
    /// Another process runs under our id.
    Yield,
    /// There is nothing to do about it now: we wait for the other process to fall silent, or have
    /// just become another incarnation.
    Wait,
}

impl Identity {
    pub(crate) fn new(incarnation: Incarnation, interval: Duration, now: Timestamp) -> Identity {
        Identity {
            incarnation,
            heartbeat: 0,
            emitted_at: now,
            started: now,
            interval,
            yielding: None,
            bumped_at: None,
        }
    }

    /// We do not announce ourselves.
    pub(crate) fn is_yielding(&self) -> bool {
        self.yielding.is_some()
    }

    /// The process that we yield to.
    pub(crate) fn yields_to(&self) -> Option<Incarnation> {
        self.yielding.map(|yielding| yielding.other)
    }

    /// One round was initiated (rule D1).
    pub(crate) fn beat(&mut self, now: Timestamp) {
        if self.yielding.is_none() {
            self.heartbeat += 1;
            self.emitted_at = now;
        }
    }

    /// Judges what a peer knows of our node id. Nobody's message ever writes own state: this only
    /// decides who we must be.
    pub(crate) fn judge(
        &mut self,
        report: &SelfReport,
        own_max_version: u64,
        own_gc_version: u64,
        now: Timestamp,
    ) -> Verdict {
        if report.incarnation < self.incarnation {
            return Verdict::Agrees;
        }
        if report.incarnation == self.incarnation {
            let foreign = report.max_version > own_max_version
                || report.last_gc_version > own_gc_version
                || report.heartbeat >= MAX_OWN_HEARTBEAT;
            if foreign {
                return self.bump_above(report.incarnation, now);
            }
            if report.heartbeat > self.heartbeat {
                self.heartbeat = report.heartbeat + 1;
                self.emitted_at = now;
                return Verdict::HeartbeatRaised;
            }
            return Verdict::Agrees;
        }
        let emitted = report.age.map(|age| now - age);
        if let Some(yielding) = &mut self.yielding {
            let seen = (yielding.other, yielding.heartbeat);
            if (report.incarnation, report.heartbeat) > seen {
                yielding.other = report.incarnation;
                yielding.heartbeat = report.heartbeat;
                yielding.advanced_at = yielding.advanced_at.max(emitted.unwrap_or(Timestamp::MIN));
            }
            return Verdict::Wait;
        }
        match emitted {
            Some(emitted) if emitted >= self.started + self.interval * 2 => {
                self.yielding = Some(Yielding {
                    other: report.incarnation,
                    heartbeat: report.heartbeat,
                    advanced_at: emitted,
                });
                Verdict::Yield
            }
            // A predecessor of ours, or nothing that is running now.
            _ => self.bump_above(report.incarnation, now),
        }
    }

    /// One bump in two intervals is enough for any honest cause, and each makes everybody fetch our
    /// state anew. Above the last generation there is nothing: no honest process has that one.
    fn bump_above(&self, other: Incarnation, now: Timestamp) -> Verdict {
        if other.generation_id >= MAX_VERSION {
            return Verdict::Agrees;
        }
        match self.bumped_at {
            Some(last) if now.since(last) < self.interval * 2 => Verdict::Wait,
            _ => Verdict::Bump(other.generation_id),
        }
    }

    /// When the process that we yield to counts as gone.
    pub(crate) fn yield_ends(&self) -> Option<Timestamp> {
        self.yielding.map(|yielding| yielding.advanced_at + self.interval * 10)
    }

    /// Becomes the first incarnation above `generation_id`.
    pub(crate) fn bump(&mut self, generation_id: u64, boot: u64, now: Timestamp) {
        let above = generation_id.max(self.incarnation.generation_id).saturating_add(1);
        self.incarnation = Incarnation { generation_id: above.min(MAX_VERSION), boot };
        self.heartbeat = 1;
        self.emitted_at = now;
        self.yielding = None;
        self.bumped_at = Some(now);
    }
}

/// Whether a generation is so far ahead of the wall clock that no later start could supersede it.
/// A wall clock of 0 is not known, and says nothing.
pub(crate) fn is_from_the_future(generation_id: u64, wall_clock_ms: u64) -> bool {
    wall_clock_ms > 0 && generation_id > wall_clock_ms.saturating_add(FUTURE_MS)
}
