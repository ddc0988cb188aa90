//! Taking in what peers say of nodes' lives: heartbeats, incarnations, and of ourselves.

use std::time::Duration;

use rand::Rng;

use crate::event::Notice;
use crate::failure::Vitals;
use crate::id::{ChitchatId, Incarnation, NodeId};
use crate::membership::Member;
use crate::message::{Header, Refusal, SelfReport};
use crate::node::identity::{Verdict, is_from_the_future};
use crate::node::timers::Timer;
use crate::node::{Node, publish};
use crate::state::{NodeStatus, OwnState};
use crate::time::Timestamp;

/// What a node id and incarnation in a message are to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The incarnation that we have.
    Known,
    /// Nothing that we have; it would be taken in.
    Unknown,
    /// A later one has superseded it, or we removed it and this is an echo.
    Superseded,
    /// Its generation is too far ahead.
    Future,
    /// It has been silent for so long that it is about to be removed everywhere.
    Expired,
}

/// What a message says of a node's life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sign {
    pub(crate) incarnation: Incarnation,
    pub(crate) heartbeat: u64,
    /// `None`: not known.
    pub(crate) age: Option<Duration>,
}

impl Node {
    /// What is true for any message: its sender was heard, and knows things of itself.
    ///
    /// Returns what its sender is to us. What it says of ourselves counts only if it has `proven` that
    /// it can be reached where it says: a forged address must not decide who we are.
    pub(super) fn hear_sender(&mut self, header: &Header<'_>, proven: bool) -> Heard {
        if let Some(silence) = self.health.heard(self.now) {
            self.notify(Notice::HearingAgain { silence });
            self.timers.lower(Timer::Liveness, self.now);
        }
        let sender = &header.sender;
        if *sender.node_id == *self.config.node_id {
            // Another process under our id speaks for itself.
            if proven && !header.observer {
                self.check_self(&SelfReport {
                    incarnation: sender.incarnation,
                    heartbeat: sender.heartbeat,
                    age: Some(sender.age),
                    max_version: sender.max_version,
                    last_gc_version: sender.last_gc_version,
                });
            }
            return Heard::Superseded;
        }
        let sign = Sign {
            incarnation: sender.incarnation,
            heartbeat: if header.observer { 0 } else { sender.heartbeat },
            age: Some(sender.age),
        };
        // Hearing from the node itself confirms that it is there.
        self.hear(&sender.node_id, sign, &sender.node_id)
    }

    /// Takes in a sign of life, from the node itself or through others (rules D2, L2, L7).
    pub(super) fn hear(&mut self, node_id: &str, sign: Sign, reporter: &str) -> Heard {
        let Sign { incarnation, heartbeat, age } = sign;
        let confirms = |member: &Member| {
            member.introducer.as_deref().is_some_and(|introducer| introducer != reporter)
        };
        if let Some(member) = self.members.get(node_id)
            && member.incarnation == incarnation
            && member.vitals.heartbeat() >= heartbeat
            && !confirms(member)
        {
            // By far the most frequent case: nothing new.
            return Heard::Known;
        }
        if self.config.refuse_future_generations
            && is_from_the_future(incarnation.generation_id, self.wall_clock_ms())
        {
            self.counters.refused_future += 1;
            return Heard::Future;
        }
        let accepted = age.filter(|age| *age <= self.acceptance());
        let Some(member) = self.members.get(node_id) else {
            if let Some(removed) = self.members.removed(node_id) {
                let floor = (removed.incarnation, removed.heartbeat);
                if (incarnation, heartbeat) <= floor {
                    return Heard::Superseded;
                }
            }
            return if accepted.is_some() { Heard::Unknown } else { Heard::Expired };
        };
        if incarnation < member.incarnation {
            self.counters.refused_superseded += 1;
            return Heard::Superseded;
        }
        let Some(age) = accepted else {
            return if incarnation == member.incarnation { Heard::Known } else { Heard::Expired };
        };
        if incarnation > member.incarnation {
            if self.is_gated() {
                return Heard::Expired;
            }
            self.supersede(node_id, incarnation, heartbeat, age);
            return Heard::Known;
        }
        self.members.confirm(node_id, reporter);
        if self.is_gated() {
            return Heard::Known;
        }
        let (now, health, detector) = (self.now, &self.health, &self.detector);
        let Some(member) = self.members.get_mut(node_id) else {
            return Heard::Unknown;
        };
        if member.vitals.observe(heartbeat, age, now, health, detector) {
            if member.has_left() {
                self.unschedule(node_id, NodeStatus::Left);
            } else {
                self.unschedule(node_id, NodeStatus::Dead);
                self.revive(node_id);
            }
        }
        Heard::Known
    }

    /// A later sign of life may be young enough for a node to be gossiped again (rule L6).
    fn unschedule(&mut self, node_id: &str, status: NodeStatus) {
        let scheduled = self
            .members
            .get(node_id)
            .is_some_and(|member| member.status == NodeStatus::ScheduledForDeletion);
        if scheduled && self.members.set_status(node_id, status) {
            self.dirty.insert(NodeId::from(node_id));
        }
    }

    /// After a newer heartbeat: live on receipt (rule D5), if it is young enough for that.
    fn revive(&mut self, node_id: &str) {
        let Some(member) = self.members.get(node_id) else {
            return;
        };
        if !member.is_live() && !member.vitals.revives(self.now, &self.detector) {
            return;
        }
        let due = member.vitals.deadline(self.now, &self.health, &self.detector);
        self.timers.lower(Timer::Liveness, due);
        if self.members.set_status(node_id, NodeStatus::Alive) {
            if let Some(member) = self.members.get_mut(node_id) {
                member.fresh = None;
            }
            self.dirty.insert(NodeId::from(node_id));
        }
    }

    /// A member that begins with this sign of life.
    pub(super) fn new_member(
        &mut self,
        incarnation: Incarnation,
        heartbeat: u64,
        age: Duration,
    ) -> Member {
        let vitals = Vitals::new(heartbeat, self.now - age, &self.detector);
        let live = vitals.revives(self.now, &self.detector);
        if live {
            let due = vitals.deadline(self.now, &self.health, &self.detector);
            self.timers.lower(Timer::Liveness, due);
        }
        let status = if live { NodeStatus::Alive } else { NodeStatus::Dead };
        Member::new(incarnation, vitals, status)
    }

    /// The highest incarnation wins at once; nothing of the one before it stays (rule L2).
    pub(super) fn supersede(
        &mut self,
        node_id: &str,
        incarnation: Incarnation,
        heartbeat: u64,
        age: Duration,
    ) {
        let old = self.members.get(node_id);
        let introducer = old.and_then(|member| member.introducer.clone());
        let mut member = self.new_member(incarnation, heartbeat, age);
        member.introducer = introducer;
        let node_id = NodeId::from(node_id);
        self.members.insert(node_id.clone(), member);
        self.dirty.insert(node_id);
    }

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
            publish::reserved_entries(&self.addresses),
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
    pub(super) fn report_on(&self, sender: &crate::message::SenderEntry<'_>) -> Option<SelfReport> {
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
        if !self.exchanges.is_pending(header.echo) {
            self.counters.refused_unsolicited += 1;
            return;
        }
        self.exchanges.finish(header.echo);
        let peer = NodeId::from(&*header.sender.node_id);
        self.notify(Notice::RefusedByPeer { peer, reason });
    }

    /// Declares dead who has been silent for too long (rules D5, D7).
    pub(super) fn judge_lives(&mut self) {
        let (deaf, news) = self.health.is_deaf(self.now, self.members.live());
        if news {
            self.notify(Notice::Deaf);
        }
        if deaf {
            // Whoever seems dead now may only be unheard, like everybody else.
            self.timers.set(Timer::Liveness, self.health.doubt_ends(self.now));
            return;
        }
        let mut next = Timestamp::MAX;
        let mut dead = Vec::new();
        for (node_id, member) in self.members.iter().filter(|(_, member)| member.is_live()) {
            let due = member.vitals.deadline(self.now, &self.health, &self.detector);
            if due < self.now {
                dead.push(node_id.clone());
            } else {
                // Dead is who exceeds the threshold, so one tick behind the deadline.
                next = next.min(due + Duration::from_micros(1));
            }
        }
        for node_id in &dead {
            self.members.set_status(node_id, NodeStatus::Dead);
            self.dirty.insert(node_id.clone());
        }
        let live = self.members.live();
        if !dead.is_empty()
            && let Some(failed) = self.health.died(dead.len(), live, self.now)
        {
            self.notify(Notice::MassFailure { failed, live });
        }
        self.timers.set(Timer::Liveness, next);
        if self.members.live() == 0 && !dead.is_empty() {
            self.timers.lower(Timer::Join, self.now);
        }
    }

    /// Moves the silent along (rules L6, L7): half the grace period after the last sign of life a
    /// node is scheduled for deletion, after the whole of it removed. Every clock starts at the
    /// sign of life itself, so that a dead node ends everywhere at one time.
    pub(super) fn tend_members(&mut self) {
        self.drop_old_parked();
        let grace = self.config.dead_node_grace_period;
        let mut scheduled = Vec::new();
        let mut removed = Vec::new();
        for (node_id, member) in self.members.iter().filter(|(_, member)| !member.is_live()) {
            let silent = self.now.since(member.vitals.last_sign_of_life());
            if silent > grace {
                removed.push(node_id.clone());
            } else if silent > self.acceptance() {
                scheduled.push(node_id.clone());
            }
        }
        for node_id in scheduled {
            if self.members.set_status(&node_id, NodeStatus::ScheduledForDeletion) {
                self.dirty.insert(node_id);
            }
        }
        for node_id in removed {
            self.members.remove(&node_id, self.now);
            self.dirty.insert(node_id);
        }
        let limit = self.config.limits.max_removed_nodes;
        self.counters.removed_forgotten += self.members.trim_removed(limit, self.now - grace);
    }

    /// What was put aside and is still waiting after four intervals, waits for nothing.
    fn drop_old_parked(&mut self) {
        if self.members.parked_bytes() == 0 {
            return;
        }
        let oldest = self.now - self.config.gossip_interval * 4;
        let mut dropped = 0;
        for (_, member) in self.members.iter_mut() {
            if member.parked_since().is_some_and(|since| since < oldest) {
                dropped += member.parked_bytes();
                member.clear_parked();
            }
        }
        self.members.adjust_parked(dropped, 0);
    }

    /// Whether one peer may name yet another node that nobody else has named (rule L8).
    pub(super) fn may_introduce(&self, peer: &str) -> bool {
        let max = self.config.limits.max_nodes;
        self.members.introduced_by(peer) < (max / 8).max(1) && self.members.len() + 1 < max
    }

    /// A place for a new node, by eviction if it must be and may be. `introducer` is `None` for a
    /// node that speaks for itself; only a live one of these evicts.
    pub(super) fn make_room(&mut self, introducer: Option<&str>, live: bool) -> bool {
        if let Some(peer) = introducer {
            return self.may_introduce(peer);
        }
        if self.members.len() + 1 < self.config.limits.max_nodes {
            return true;
        }
        if !live {
            return false;
        }
        let Some(candidate) = self.members.eviction_candidate() else {
            return false;
        };
        self.members.remove(&candidate, self.now);
        self.dirty.insert(candidate);
        self.counters.nodes_evicted += 1;
        true
    }

    /// The wall clock, told at the start and moved by the driver's clock.
    pub(super) fn wall_clock_ms(&self) -> u64 {
        if self.config.wall_clock_ms == 0 {
            return 0;
        }
        let elapsed = u64::try_from(self.now.since(self.started).as_millis()).unwrap_or(u64::MAX);
        self.config.wall_clock_ms.saturating_add(elapsed)
    }

    /// The public id of a member.
    pub(super) fn member_id(&self, node_id: &str) -> ChitchatId {
        let generation = self.members.get(node_id).map_or(0, |it| it.incarnation.generation_id);
        ChitchatId::new(node_id, generation)
    }
}
