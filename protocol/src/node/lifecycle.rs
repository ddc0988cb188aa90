//! Who is dead, who is forgotten, and who finds a place (rules D5, D7, L6 to L8).

use std::time::Duration;

use crate::event::Notice;
use crate::node::Node;
use crate::node::timers::Timer;
use crate::state::NodeStatus;
use crate::time::Timestamp;

impl Node {
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
}
