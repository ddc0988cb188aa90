//! The nodes of the cluster as this node knows them, and the record of those that it removed.

mod contact;
mod member;
mod parked;
mod present;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use crate::compact::{MemberHash, MemberSet};
use crate::id::{Incarnation, NodeId};
use crate::state::NodeStatus;
use crate::time::Timestamp;

pub(crate) use member::{FreshCopy, Member};
use present::Present;

/// What is remembered of a node that was removed (rule L7): heartbeats that are not above this are
/// an echo.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Removed {
    pub(crate) incarnation: Incarnation,
    pub(crate) heartbeat: u64,
    pub(crate) removed_at: Timestamp,
}

/// Where a node was found last: while a message is dealt with, its sender is looked for again and again.
/// No more than a guess.
#[derive(Debug, Default)]
struct LastFound(AtomicUsize);

impl LastFound {
    fn get(&self) -> usize {
        self.0.load(Relaxed)
    }

    fn set(&self, index: usize) {
        self.0.store(index, Relaxed);
    }
}

impl Clone for LastFound {
    fn clone(&self) -> LastFound {
        LastFound(AtomicUsize::new(self.get()))
    }
}

/// All nodes but this one.
#[derive(Clone, Debug)]
pub(crate) struct Members {
    hash: MemberHash,
    /// In the order of their ids.
    nodes: Vec<(NodeId, Member)>,
    last_found: LastFound,
    /// Those that are gossiped, unless that has changed.
    present: Option<Present>,
    removed: BTreeMap<NodeId, Removed>,
    /// Oldest first, for the bound. May hold entries that are outdated.
    removal_order: std::collections::VecDeque<(Timestamp, NodeId)>,
    /// How many unconfirmed nodes each peer has introduced.
    introduced: HashMap<NodeId, usize>,
    live: usize,
    parked_bytes: usize,
}

impl Members {
    pub(crate) fn new(hash: MemberHash) -> Members {
        Members {
            hash,
            nodes: Vec::new(),
            last_found: LastFound::default(),
            present: None,
            removed: BTreeMap::new(),
            removal_order: std::collections::VecDeque::new(),
            introduced: HashMap::new(),
            live: 0,
            parked_bytes: 0,
        }
    }

    /// The members that are gossiped, and this node.
    pub(crate) fn set(&mut self, own_id: &NodeId, own: Incarnation) -> Arc<MemberSet> {
        if let Some(present) = &self.present
            && present.own == own
        {
            return present.set.clone();
        }
        let present = Present::new(&self.nodes, &self.hash, own_id, own);
        let set = present.set.clone();
        self.present = Some(present);
        set
    }

    /// The member at a position of a set, unless that is this node, or one that is gone.
    pub(crate) fn at(&self, set: &Arc<MemberSet>, position: usize) -> Option<&Member> {
        let index = self.index_at(set, position)?;
        self.nodes.get(index).map(|(_, member)| member)
    }

    /// The index of the member at a position of a set, as of now.
    pub(crate) fn index_at(&self, set: &Arc<MemberSet>, position: usize) -> Option<usize> {
        if let Some(present) = &self.present
            && Arc::ptr_eq(&present.set, set)
        {
            // No names need to be compared.
            return present.index(position);
        }
        let it = set.get(position)?;
        let index = self.find(&it.node_id).ok()?;
        let (_, member) = self.nodes.get(index)?;
        (member.incarnation == it.incarnation).then_some(index)
    }

    /// The members that are gossiped, in order.
    pub(crate) fn gossiped(&self) -> impl Iterator<Item = (&NodeId, &Member)> {
        self.iter().filter(|(_, member)| member.is_gossiped())
    }

    /// What hashes members.
    pub(crate) fn hash(&self) -> MemberHash {
        self.hash
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Number of removed nodes that are remembered.
    pub(crate) fn removed_len(&self) -> usize {
        self.removed.len()
    }

    /// Number of live nodes.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// Bytes that are kept aside for all nodes.
    pub(crate) fn parked_bytes(&self) -> usize {
        self.parked_bytes
    }

    pub(crate) fn adjust_parked(&mut self, before: usize, after: usize) {
        self.parked_bytes = self.parked_bytes.saturating_sub(before).saturating_add(after);
    }

    /// Where a node is, or would be.
    fn find(&self, node_id: &str) -> Result<usize, usize> {
        let last = self.last_found.get();
        if self.nodes.get(last).is_some_and(|(it, _)| **it == *node_id) {
            return Ok(last);
        }
        let found = self.nodes.binary_search_by(|(it, _)| (**it).cmp(node_id));
        if let Ok(index) = found {
            self.last_found.set(index);
        }
        found
    }

    /// The index of a node, as of now.
    pub(crate) fn index(&self, node_id: &str) -> Option<usize> {
        self.find(node_id).ok()
    }

    pub(crate) fn nth(&self, index: usize) -> Option<(&NodeId, &Member)> {
        self.nodes.get(index).map(|(node_id, member)| (node_id, member))
    }

    /// For changes of anything but the status.
    pub(crate) fn nth_mut(&mut self, index: usize) -> Option<&mut Member> {
        self.nodes.get_mut(index).map(|(_, member)| member)
    }

    pub(crate) fn get(&self, node_id: &str) -> Option<&Member> {
        self.get_key_value(node_id).map(|(_, member)| member)
    }

    pub(crate) fn get_key_value(&self, node_id: &str) -> Option<(&NodeId, &Member)> {
        let (node_id, member) = self.nodes.get(self.find(node_id).ok()?)?;
        Some((node_id, member))
    }

    /// For changes of anything but the status.
    pub(crate) fn get_mut(&mut self, node_id: &str) -> Option<&mut Member> {
        self.nth_mut(self.index(node_id)?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&NodeId, &Member)> {
        self.nodes.iter().map(|(node_id, member)| (node_id, member))
    }

    /// Nodes of the range, ascending.
    pub(crate) fn range<'a>(
        &'a self,
        start: &str,
        end: Option<&str>,
    ) -> impl Iterator<Item = (&'a NodeId, &'a Member)> {
        let below = |bound: &str| self.nodes.partition_point(|(it, _)| **it < *bound);
        let first = below(start);
        let end = end.map_or(self.nodes.len(), below);
        let range = self.nodes.get(first..end).unwrap_or_default();
        range.iter().map(|(node_id, member)| (node_id, member))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&NodeId, &mut Member)> {
        self.nodes.iter_mut().map(|(node_id, member)| (&*node_id, member))
    }

    /// Changes a node's status. True if it was another.
    pub(crate) fn set_status(&mut self, node_id: &str, status: NodeStatus) -> bool {
        let Some(member) = self.get_mut(node_id) else {
            return false;
        };
        if member.status == status {
            return false;
        }
        let before = (member.is_gossiped(), member.is_live());
        member.status = status;
        let (is_gossiped, is_live) = (member.is_gossiped(), member.is_live());
        self.live -= usize::from(before.1);
        self.live += usize::from(is_live);
        if before.0 != is_gossiped {
            self.present = None;
        }
        true
    }

    /// Adds a node, or puts a new incarnation in the place of an old one.
    pub(crate) fn insert(&mut self, node_id: NodeId, mut member: Member) {
        member.hash = self.hash.member(&node_id, &member.incarnation);
        self.present = None;
        if let Some(introducer) = &member.introducer {
            *self.introduced.entry(introducer.clone()).or_default() += 1;
        }
        self.removed.remove(&node_id);
        self.live += usize::from(member.is_live());
        match self.find(&node_id) {
            Ok(index) => {
                if let Some((_, place)) = self.nodes.get_mut(index) {
                    let old = std::mem::replace(place, member);
                    self.forget(&old);
                }
            }
            Err(index) => {
                if self.nodes.len() == self.nodes.capacity() {
                    // Not doubled: most clusters stop growing.
                    self.nodes.reserve_exact(self.nodes.len() / 8 + 4);
                }
                self.nodes.insert(index, (node_id, member));
            }
        }
    }

    fn forget(&mut self, old: &Member) {
        self.live -= usize::from(old.is_live());
        self.adjust_parked(old.parked_bytes(), 0);
        if let Some(introducer) = &old.introducer {
            self.confirm_introduced(introducer.clone());
        }
    }

    fn confirm_introduced(&mut self, introducer: NodeId) {
        if let std::collections::hash_map::Entry::Occupied(mut entry) =
            self.introduced.entry(introducer)
        {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }

    /// How many nodes are known only from this peer.
    pub(crate) fn introduced_by(&self, peer: &str) -> usize {
        self.introduced.get(peer).copied().unwrap_or(0)
    }

    /// A second peer names the node, or the node itself does.
    pub(crate) fn confirm(&mut self, node_id: &str, peer: &str) {
        let Some(member) = self.get_mut(node_id) else {
            return;
        };
        if member.introducer.as_deref().is_some_and(|introducer| introducer != peer)
            && let Some(introducer) = member.introducer.take()
        {
            self.confirm_introduced(introducer);
        }
    }

    /// Removes a node and remembers that it was there.
    pub(crate) fn remove(&mut self, node_id: &str, now: Timestamp) {
        let Ok(index) = self.find(node_id) else {
            return;
        };
        let (node_id, member) = self.nodes.remove(index);
        self.present = None;
        self.forget(&member);
        let removed = Removed {
            incarnation: member.incarnation,
            heartbeat: member.vitals.heartbeat(),
            removed_at: now,
        };
        self.removal_order.push_back((now, node_id.clone()));
        self.removed.insert(node_id, removed);
        if self.removal_order.len() > 2 * self.removed.len() + 64 {
            // Nodes that come and go again and again leave outdated entries behind.
            let removed = &self.removed;
            self.removal_order.retain(|(removed_at, node_id)| {
                removed.get(node_id).is_some_and(|record| record.removed_at == *removed_at)
            });
        }
    }

    /// The record of a removed node.
    pub(crate) fn removed(&self, node_id: &str) -> Option<&Removed> {
        self.removed.get(node_id)
    }

    /// Forgets the oldest records beyond `limit`, and those that are older than `expired`. Returns
    /// how many of the former were still young.
    pub(crate) fn trim_removed(&mut self, limit: usize, expired: Timestamp) -> u64 {
        let mut forgotten = 0;
        while let Some((removed_at, node_id)) = self.removal_order.front() {
            let current =
                self.removed.get(node_id).is_some_and(|record| record.removed_at == *removed_at);
            if current {
                if self.removed.len() > limit {
                    forgotten += u64::from(*removed_at >= expired);
                } else if *removed_at >= expired || self.removed.len() * 2 <= limit {
                    // Beyond the grace period a record costs little and may still help.
                    break;
                }
                self.removed.remove(node_id);
            }
            self.removal_order.pop_front();
        }
        forgotten
    }

    /// Whom to remove so that another node finds a place (rule L8): scheduled before left before
    /// dead before known from hearsay only, the longest silent first.
    pub(crate) fn eviction_candidate(&self) -> Option<NodeId> {
        let rank = |member: &Member| match member.status {
            NodeStatus::ScheduledForDeletion => Some(0),
            NodeStatus::Left => Some(1),
            NodeStatus::Dead => Some(2),
            NodeStatus::Alive => member.introducer.is_some().then_some(3),
        };
        self.iter()
            .filter_map(|(node_id, member)| {
                Some((rank(member)?, member.vitals.last_sign_of_life(), node_id))
            })
            .min()
            .map(|(_, _, node_id)| node_id.clone())
    }
}
