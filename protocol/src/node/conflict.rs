//! What peers know of ourselves, and what we tell them of themselves (rules C1 to C4, L3, L4).

use rand::Rng;

use crate::event::Notice;
use crate::id::NodeId;
use crate::message::{Header, Refusal, SelfReport, SenderEntry};
use crate::node::identity::{Verdict, is_from_the_future};
use crate::node::timers::Timer;
use crate::node::{Node, publish};
use crate::state::OwnState;
use crate::time::Timestamp;

impl Node {
    /// Judges what a peer knows of us. True on a conflict: then nothing of our namespace is sent in
    /// this exchange.
    pub(super) fn check_self(&mut self, report: &SelfReport) -> bool {
        if self.config.refuse_future_generations
            && is_from_the_future(report.incarnation.generation_id, self.wall_clock_ms())
        {
            self.counters.refused_future += 1;
            return false;
        }
        let versions = self.own.replica().versions();
        let (max_version, gc_version) = (versions.max_version, versions.last_gc_version);
        match self.identity.judge(report, max_version, gc_version, self.now) {
            Verdict::Agrees | Verdict::HeartbeatRaised => false,
            Verdict::Bump(generation_id) => {
                self.bump(generation_id);
                true
            }
            Verdict::Yield => {
                self.notify(Notice::IdentityConflict { other: report.incarnation });
                self.update_yield_timer();
                true
            }
            Verdict::Wait => {
                self.update_yield_timer();
                true
            }
        }
    }

    fn update_yield_timer(&mut self) {
        let ends = self.identity.yield_ends().unwrap_or(Timestamp::MAX);
        self.timers.set(Timer::Yield, ends);
    }

    /// The process that we yielded to may have fallen silent.
    pub(super) fn tend_yield(&mut self) {
        let Some(ends) = self.identity.yield_ends() else {
            return;
        };
        if self.now < ends {
            self.timers.set(Timer::Yield, ends);
            return;
        }
        if let Some(other) = self.identity.yields_to() {
            self.bump(other.generation_id);
            self.notify(Notice::IdentityConflictOver);
        }
    }

    /// Becomes a later incarnation, which announces the live keys of the one before it anew.
    fn bump(&mut self, generation_id: u64) {
        let from = self.identity.incarnation;
        let boot = self.rng.random();
        self.identity.bump(generation_id, boot, self.now);
        self.own = OwnState::new(
            self.config.limits,
            crate::config::max_entry_len(self.link, &self.config.node_id),
            publish::reserved_entries(&self.addresses, self.config.wire_versions),
            self.own.live_entries(self.now),
            self.now,
        );
        self.update_own_timer();
        self.timers.stop(Timer::Yield);
        self.dirty.insert(self.config.node_id.clone());
        if self.leaving.is_some() {
            self.announce_leave();
        }
        self.notify(Notice::GenerationBumped { from, to: self.identity.incarnation });
    }

    /// What a node must be told of its own id: what we know that is more than it says itself
    /// (rule L4). Without this a restart with a lower generation is invisible for ever.
    pub(super) fn report_on(&self, sender: &SenderEntry<'_>) -> Option<SelfReport> {
        let report = if *sender.node_id == *self.config.node_id {
            let versions = self.own.replica().versions();
            SelfReport {
                incarnation: self.identity.incarnation,
                heartbeat: self.identity.heartbeat,
                age: Some(self.now.since(self.identity.emitted_at)),
                max_version: versions.max_version,
                last_gc_version: versions.last_gc_version,
            }
        } else if let Some(member) = self.members.get(&sender.node_id) {
            let versions = member.replica.versions();
            SelfReport {
                incarnation: member.incarnation,
                heartbeat: member.vitals.heartbeat(),
                age: Some(self.now.since(member.vitals.last_sign_of_life())),
                max_version: versions.max_version,
                last_gc_version: versions.last_gc_version,
            }
        } else {
            let removed = self.members.removed(&sender.node_id)?;
            SelfReport {
                incarnation: removed.incarnation,
                heartbeat: removed.heartbeat,
                age: None,
                max_version: 0,
                last_gc_version: 0,
            }
        };
        let more = report.incarnation > sender.incarnation
            || report.incarnation == sender.incarnation
                && (report.heartbeat > sender.heartbeat
                    || report.max_version > sender.max_version
                    || report.last_gc_version > sender.last_gc_version);
        more.then_some(report)
    }

    /// A peer does not accept us.
    pub(super) fn handle_refused(&mut self, header: &Header<'_>, reason: Refusal) {
        // It must be whom we asked, if we know whom we asked (rule P1).
        let pending = self.exchanges.get(header.echo);
        let asked = pending.and_then(|pending| pending.target.node_id.as_deref());
        let other = asked.is_some_and(|asked| *asked != *header.sender.node_id);
        if other || !self.exchanges.is_pending(header.echo) {
            self.counters.refused_unsolicited += 1;
            return;
        }
        self.exchanges.finish(header.echo, self.now);
        let peer = NodeId::from(&*header.sender.node_id);
        self.notify(Notice::RefusedByPeer { peer, reason });
    }

    /// The wall clock, told at the start and moved by the driver's clock.
    pub(super) fn wall_clock_ms(&self) -> u64 {
        if self.config.wall_clock_ms == 0 {
            return 0;
        }
        let elapsed = u64::try_from(self.now.since(self.started).as_millis()).unwrap_or(u64::MAX);
        self.config.wall_clock_ms.saturating_add(elapsed)
    }
}
