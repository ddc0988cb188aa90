//! Applying deltas to the members: admission, limits, gaps.

use std::time::Duration;

use crate::delta::NodeDelta;
use crate::digest::DigestEntry;
use crate::event::Notice;
use crate::id::NodeId;
use crate::limits::Limits;
use crate::membership::{FreshCopy, Member};
use crate::message::Refusal;
use crate::node::Node;
use crate::node::hear::{Heard, Sign};
use crate::node::timers::Timer;
use crate::state::{DropReason, NodeStatus, Replica};
use crate::time::Timestamp;

/// Deltas of one owner that are kept aside.
const MAX_PARKED_PER_NODE: usize = 1_024;

/// How many intervals an owner at its size limit is left alone before it is tried again.
const FREEZE_INTERVALS: u32 = 60;

impl Node {
    /// Applies the deltas of one message. True if any of them made progress.
    pub(super) fn apply_all(&mut self, deltas: &[NodeDelta<'_>], reporter: &str) -> bool {
        let mut progress = false;
        for delta in deltas {
            progress |= self.apply(delta, reporter);
        }
        progress
    }

    pub(super) fn apply(&mut self, delta: &NodeDelta<'_>, reporter: &str) -> bool {
        if *delta.node_id == *self.config.node_id {
            // Rule L1: only the owner writes its own namespace.
            self.counters.refused_foreign_writes += 1;
            let peer = NodeId::from(reporter);
            self.notify(Notice::ForeignWrite { peer });
            return false;
        }
        if !delta.is_valid() {
            self.counters.deltas_invalid += 1;
            return false;
        }
        let sign =
            Sign { incarnation: delta.incarnation, heartbeat: delta.heartbeat, age: delta.age };
        let mut progress = false;
        match self.hear(&delta.node_id, sign, reporter) {
            Heard::Known => {}
            Heard::Unknown => {
                let Some(age) = delta.age.map(|age| self.aged(age)) else {
                    return false;
                };
                if !self.admit(delta, age, reporter) {
                    return false;
                }
                self.learn_of_newcomer();
                if *delta.node_id == *reporter {
                    self.tell_newcomer(delta.owner(), delta.incarnation);
                }
                progress = true;
            }
            Heard::Superseded | Heard::Future => return false,
            Heard::Expired => {
                self.counters.refused_expired += 1;
                return false;
            }
        }
        let Some(member) = self.members.get(&delta.node_id) else {
            return progress;
        };
        if member.status == NodeStatus::ScheduledForDeletion {
            self.counters.refused_expired += 1;
            return progress;
        }
        if self.has_entry_over_limit(delta) {
            // Whoever passes this on, or forges it: it is not taken, and that is all.
            self.counters.entries_over_limit += 1;
            return progress;
        }
        if is_over_limit(&self.config.limits, &member.replica, delta) {
            self.freeze(&delta.node_id);
            return progress;
        }
        progress | self.apply_to_member(delta)
    }

    /// Takes in a node that was not known, if there is a place for it.
    fn admit(&mut self, delta: &NodeDelta<'_>, age: Duration, reporter: &str) -> bool {
        let introducer = (*delta.node_id != *reporter).then_some(reporter);
        let mut member = self.new_member(delta.incarnation, delta.heartbeat, age);
        if !self.make_room(introducer, member.is_live()) {
            self.counters.refused_nodes += 1;
            let (node_id, reason) = (delta.owner(), Refusal::TooManyNodes);
            if introducer.is_none() {
                self.notify(Notice::NodeRefused { node_id, reason });
            }
            return false;
        }
        member.introducer = introducer.map(NodeId::from);
        self.members.insert(delta.owner(), member);
        true
    }

    /// Whether an entry is longer than an own one may be, with room for the keys of the protocol.
    fn has_entry_over_limit(&self, delta: &NodeDelta<'_>) -> bool {
        let limits = &self.config.limits;
        let (max_key, max_value) = (limits.max_key_len.max(64), limits.max_value_len.max(1_024));
        delta
            .entries
            .iter()
            .any(|entry| entry.key.len() > max_key || entry.op.payload_len() > max_value)
    }

    fn freeze(&mut self, node_id: &str) {
        self.counters.deltas_frozen += 1;
        let until = self.now + self.config.gossip_interval * FREEZE_INTERVALS;
        let Some(member) = self.members.get_mut(node_id) else {
            return;
        };
        let news = member.frozen_until.is_none();
        member.frozen_until = Some(until);
        let before = member.parked_bytes();
        member.clear_parked();
        self.members.adjust_parked(before, 0);
        if news {
            let id = self.member_id(node_id);
            self.notify(Notice::OwnerFrozen { id });
        }
    }

    fn apply_to_member(&mut self, delta: &NodeDelta<'_>) -> bool {
        let now = self.now;
        let fresh = self.members.get(&delta.node_id).and_then(|member| member.fresh.as_ref());
        let feeds_fresh =
            fresh.is_some_and(|fresh| !is_over_limit(&self.config.limits, &fresh.replica, delta));
        let Some(member) = self.members.get_mut(&delta.node_id) else { return false };
        let mut changed = feeds_fresh && apply_to_fresh(member, delta, now);
        match member.replica.apply_valid(delta, now) {
            Ok(outcome) => {
                self.counters.applied(&outcome);
                changed |= outcome.advanced || outcome.visible;
            }
            // A second copy that is being fetched needs what comes before, and gets it.
            Err(DropReason::Gap) if member.fresh.is_some() => {}
            Err(DropReason::Gap) => return self.park(delta),
            Err(DropReason::SourceBehindFloor) => self.counters.deltas_behind_floor += 1,
            Err(DropReason::Invalid) => self.counters.deltas_invalid += 1,
            Err(DropReason::Stale | DropReason::Empty) => self.counters.deltas_stale += 1,
        }
        if changed {
            self.unpark(&delta.node_id);
            self.after_apply(&delta.node_id);
        }
        // Even what says nothing new may tell that a lease ends sooner (rule b).
        let member = self.members.get(&delta.node_id);
        if let Some(due) = member.and_then(|member| member.replica.entries.next_deadline()) {
            self.timers.lower(Timer::Expiry, due);
        }
        changed
    }

    /// Keeps a delta aside whose predecessor is missing. True if it is kept.
    fn park(&mut self, delta: &NodeDelta<'_>) -> bool {
        let room = self.config.limits.max_parked_bytes.saturating_sub(self.members.parked_bytes());
        let len = delta.payload_len();
        let Some(member) = self.members.get_mut(&delta.node_id) else {
            return false;
        };
        if member.has_parked(delta) {
            return false;
        }
        if len > room || member.parked_len() >= MAX_PARKED_PER_NODE {
            self.counters.deltas_park_full += 1;
            return false;
        }
        let before = member.parked_bytes();
        member.park(delta.clone().into_owned(), self.now);
        let after = member.parked_bytes();
        self.members.adjust_parked(before, after);
        self.counters.deltas_parked += 1;
        true
    }

    /// Applies what was kept aside and now follows on what is there.
    fn unpark(&mut self, node_id: &str) {
        let limits = self.config.limits;
        let Some(member) = self.members.get_mut(node_id) else {
            return;
        };
        let before = member.parked_bytes();
        let mut over_limit = false;
        while let Some(delta) = member.unpark() {
            if is_over_limit(&limits, &member.replica, &delta) {
                over_limit = true;
                break;
            }
            // What is kept aside was found valid.
            if let Ok(outcome) = member.replica.apply_valid(&delta, self.now) {
                self.counters.applied(&outcome);
            }
        }
        let after = member.parked_bytes();
        self.members.adjust_parked(before, after);
        if over_limit {
            self.freeze(node_id);
        }
    }

    /// What a change of a replica entails.
    fn after_apply(&mut self, node_id: &str) {
        let now = self.now;
        let Some(member) = self.members.get_mut(node_id) else {
            return;
        };
        let before = std::mem::replace(&mut member.changed_at, now);
        member.read_reserved();
        let left = member.has_left();
        if left && member.status != NodeStatus::ScheduledForDeletion {
            self.members.set_status(node_id, NodeStatus::Left);
        }
        self.tell_of_member(node_id);
        let node_id = NodeId::from(node_id);
        self.learn_of_growth(&node_id, before);
        self.dirty.insert(node_id);
    }

    /// Rule F1: our copy lies below a watermark that its silent owner can no longer help it over,
    /// and a peer has a longer copy below that watermark. Fetch that one from the start.
    pub(super) fn consider_fresh_copy(&mut self, entry: &DigestEntry<'_>) {
        let Some(member) = self.members.get_mut(&entry.node_id) else {
            return;
        };
        let ours = member.replica.versions();
        if member.incarnation != entry.incarnation || entry.max_version <= ours.max_version {
            return;
        }
        if entry.max_version.max(entry.last_gc_version) >= ours.last_gc_version {
            // This peer can help the copy that we have.
            member.fresh = None;
            return;
        }
        let gc_version = entry.last_gc_version;
        let newer = member.fresh.as_ref().is_none_or(|fresh| gc_version > fresh.gc_version);
        if ours.max_version < ours.last_gc_version && !member.is_live() && newer {
            let replica = Replica::new();
            member.fresh = Some(Box::new(FreshCopy { replica, gc_version }));
        }
    }
}

/// Whether taking this delta would make a copy outgrow its bounds: twice those of an owner, since on
/// the way to a state that is within them a copy can hold old and new entries together.
fn is_over_limit(limits: &Limits, copy: &Replica, delta: &NodeDelta<'_>) -> bool {
    if !copy.versions().step(&delta.versions()).is_ok_and(|step| step.takes_entries) {
        return false;
    }
    let max_len = limits.max_keys_per_node.saturating_mul(2);
    copy.outgrows(delta, max_len, limits.max_bytes_per_node.saturating_mul(2))
}

/// Feeds the second copy, and swaps it in when it has caught up with its source.
fn apply_to_fresh(member: &mut Member, delta: &NodeDelta<'_>, now: Timestamp) -> bool {
    let Some(fresh) = member.fresh.as_mut().filter(|it| delta.last_gc_version <= it.gc_version)
    else {
        return false;
    };
    let advanced = fresh.replica.apply(delta, now).is_ok_and(|outcome| outcome.advanced);
    let versions = fresh.replica.versions();
    let complete = versions.max_version >= delta.source
        && versions.max_version > member.replica.versions().max_version;
    if complete && let Some(fresh) = member.fresh.take() {
        member.replica.replace_with(fresh.replica);
    }
    let ours: &Replica = &member.replica;
    if ours.versions().max_version >= ours.versions().last_gc_version {
        member.fresh = None;
    }
    advanced
}
