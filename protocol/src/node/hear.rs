//! Taking in what peers say of nodes' lives: heartbeats and incarnations.

use std::sync::Arc;
use std::time::Duration;

use crate::compact::MemberSet;
use crate::event::Notice;
use crate::failure::Vitals;
use crate::id::{ChitchatId, Incarnation, NodeId};
use crate::membership::Member;
use crate::message::{Header, SelfReport};
use crate::node::Node;
use crate::node::identity::is_from_the_future;
use crate::node::timers::Timer;
use crate::state::NodeStatus;

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

impl Heard {
    /// Whether a sender that is this is not to be listened to.
    pub(crate) fn is_refused(self) -> bool {
        matches!(self, Heard::Superseded | Heard::Future | Heard::Expired)
    }
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
        let sign = self.aged_sign(sign);
        let index = self.members.index(node_id);
        if index.is_some_and(|index| self.hear_routine(index, sign, reporter)) {
            return Heard::Known;
        }
        self.hear_news(node_id, sign, reporter)
    }

    /// As [`Node::hear`], for the member at a position.
    pub(super) fn hear_at(
        &mut self,
        set: &Arc<MemberSet>,
        position: usize,
        sign: Sign,
        reporter: &str,
    ) {
        let sign = self.aged_sign(sign);
        let index = self.members.index_at(set, position);
        if !index.is_some_and(|index| self.hear_routine(index, sign, reporter))
            && let Some(it) = set.get(position)
        {
            self.hear_news(&it.node_id, sign, reporter);
        }
    }

    fn aged_sign(&self, sign: Sign) -> Sign {
        Sign { age: sign.age.map(|age| self.aged(age)), ..sign }
    }

    /// By far the most frequent cases: nothing new, and a live member that goes on living. False if it is
    /// none of them.
    fn hear_routine(&mut self, index: usize, sign: Sign, reporter: &str) -> bool {
        let Sign { incarnation, heartbeat, age } = sign;
        let acceptance = self.acceptance();
        let (now, health, detector) = (self.now, &self.health, &self.detector);
        let Some(member) = self.members.nth_mut(index) else { return false };
        if member.incarnation != incarnation
            || member.introducer.as_deref().is_some_and(|introducer| introducer != reporter)
        {
            return false;
        }
        if member.vitals.heartbeat() >= heartbeat {
            return true;
        }
        let Some(age) = age.filter(|age| *age <= acceptance && member.is_live()) else {
            return false;
        };
        if member.vitals.observe(heartbeat, age, now, health, detector)
            && member.vitals.deadline_is_after(detector) < self.timers.due(Timer::Liveness)
        {
            let due = member.vitals.deadline(now, health, detector);
            self.timers.lower(Timer::Liveness, due);
        }
        true
    }

    /// What is left of [`Node::hear`] when it was no routine.
    fn hear_news(&mut self, node_id: &str, sign: Sign, reporter: &str) -> Heard {
        let Sign { incarnation, heartbeat, age } = sign;
        let acceptance = self.acceptance();
        if self.config.refuse_future_generations
            && is_from_the_future(incarnation.generation_id, self.wall_clock_ms())
        {
            self.counters.refused_future += 1;
            return Heard::Future;
        }
        let accepted = age.filter(|age| *age <= acceptance);
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
            self.supersede(node_id, incarnation, heartbeat, age);
            return Heard::Known;
        }
        self.members.confirm(node_id, reporter);
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

    /// The public id of a member.
    pub(super) fn member_id(&self, node_id: &str) -> ChitchatId {
        let generation = self.members.get(node_id).map_or(0, |it| it.incarnation.generation_id);
        ChitchatId::new(node_id, generation)
    }
}
