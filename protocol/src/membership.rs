//! The nodes of the cluster as this node knows them, and the record of those that it removed.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::compact::{MemberHash, MemberSet, SetMember};
use crate::delta::NodeDelta;
use crate::failure::Vitals;
use crate::id::{Incarnation, NodeId};
use crate::node::Path;
use crate::state::{
    KEY_ADDRS, KEY_INITIAL, KEY_PROTOCOL, KEY_STATUS, NodeStatus, Replica, STATUS_LEFT,
    decode_addrs,
};
use crate::time::Timestamp;
use crate::wire::VersionRange;

/// One node: its newest incarnation, and nothing of the ones before it.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) incarnation: Incarnation,
    pub(crate) vitals: Vitals,
    pub(crate) status: NodeStatus,
    pub(crate) replica: Replica,
    /// A second copy that is fetched from the start, for a replica that its owner can no longer
    /// complete (ALGORITHM.md, rule F1).
    pub(crate) fresh: Option<Box<Replica>>,
    /// The watermark of the peer that it is fetched from: what lies above is not taken, since it
    /// comes from peers that are stuck too.
    pub(crate) fresh_gc: u64,
    pub(crate) addrs: Arc<[SocketAddr]>,
    /// The way that its last message came.
    pub(crate) path: Option<Path>,
    /// When that was; long ago, once it has announced other addresses since.
    path_at: Timestamp,
    /// Proves to the node that we can be reached at our address.
    pub(crate) token: u64,
    /// The wire versions that the node reads: as its last message said, or before there was one, as
    /// its namespace says (rule W1).
    pub(crate) versions: Option<VersionRange>,
    /// That we have none of them has been told.
    pub(crate) told_of_versions: bool,
    /// Number of versions that the node started with, once known.
    initial: Option<u64>,
    /// Not updated until then, because it is at its size limit.
    pub(crate) frozen_until: Option<Timestamp>,
    /// Who named the node first, until somebody else has named it too.
    pub(crate) introducer: Option<NodeId>,
    /// Deltas that start above what the replica has, by where they start.
    parked: BTreeMap<u64, NodeDelta<'static>>,
    parked_bytes: usize,
    /// When something was last put aside.
    parked_at: Timestamp,
    /// The node has said so. Final.
    left: bool,
    /// When readers were last shown the node as it was then.
    pub(crate) published_at: Timestamp,
    /// When the copy last changed.
    pub(crate) changed_at: Timestamp,
    /// Of name and incarnation, once it is a member.
    hash: u64,
}

impl Member {
    pub(crate) fn new(incarnation: Incarnation, vitals: Vitals, status: NodeStatus) -> Member {
        Member {
            incarnation,
            vitals,
            status,
            replica: Replica::new(),
            fresh: None,
            fresh_gc: 0,
            addrs: Arc::from([]),
            path: None,
            path_at: Timestamp::MIN,
            token: 0,
            versions: None,
            told_of_versions: false,
            initial: None,
            frozen_until: None,
            introducer: None,
            parked: BTreeMap::new(),
            parked_bytes: 0,
            parked_at: Timestamp::MIN,
            left: false,
            published_at: Timestamp::MIN,
            changed_at: Timestamp::MIN,
            hash: 0,
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.status == NodeStatus::Alive
    }

    /// Whether the node stands in digests and deltas.
    pub(crate) fn is_gossiped(&self) -> bool {
        self.status != NodeStatus::ScheduledForDeletion
    }

    /// Whether readers see the node: only with all that it started with (rule L5).
    pub(crate) fn is_shown(&self) -> bool {
        self.initial.is_some_and(|initial| self.replica.versions().max_version >= initial)
    }

    /// Of name and incarnation.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn has_left(&self) -> bool {
        self.left
    }

    /// Whether there is more to say of the copy than two numbers, or it is known to lack something that
    /// others have.
    pub(crate) fn is_unsettled(&self, now: Timestamp) -> bool {
        let versions = self.replica.versions();
        versions.cursor.is_some()
            || versions.max_version < versions.horizon && self.is_live()
            || !self.parked.is_empty()
            || self.fresh.is_some()
            || self.frozen_until.is_some_and(|until| now < until)
    }

    /// Reads what the protocol keeps in the node's own namespace, after a change of it.
    pub(crate) fn read_reserved(&mut self) {
        if self.initial.is_none() {
            let initial = self.replica.get(KEY_INITIAL).and_then(|entry| entry.value());
            self.initial = initial.and_then(|text| text.parse().ok());
        }
        let status = self.replica.get(KEY_STATUS).and_then(|entry| entry.value());
        self.left |= status == Some(STATUS_LEFT);
        if self.versions.is_none() {
            let versions = self.replica.get(KEY_PROTOCOL).and_then(|entry| entry.value());
            self.versions = versions.and_then(VersionRange::from_text);
        }
        let addrs = self.replica.get(KEY_ADDRS).and_then(|entry| entry.value());
        let addrs = addrs.map(decode_addrs).unwrap_or_default();
        if *addrs != *self.addrs {
            self.addrs = addrs.into();
            // It may have moved: what it says counts for more than where it was last.
            self.path_at = Timestamp::MIN;
        }
    }

    /// A message came this way, from a node that has proven that it is there.
    pub(crate) fn set_path(&mut self, path: Path, now: Timestamp) {
        self.path = Some(path);
        self.path_at = now;
    }

    /// The way that its last message came, if that was after `since`.
    pub(crate) fn path_since(&self, since: Timestamp) -> Option<Path> {
        self.path.filter(|_| self.path_at >= since)
    }

    /// Bytes that are kept aside.
    pub(crate) fn parked_bytes(&self) -> usize {
        self.parked_bytes
    }

    /// Number of deltas that are kept aside.
    pub(crate) fn parked_len(&self) -> usize {
        self.parked.len()
    }

    /// Whether what is kept aside has all of this delta.
    pub(crate) fn has_parked(&self, delta: &NodeDelta<'_>) -> bool {
        let before = self.parked.range(..=delta.from).next_back();
        before.is_some_and(|(_, parked)| parked.to >= delta.to)
    }

    /// When something was last put aside, if anything is.
    pub(crate) fn parked_since(&self) -> Option<Timestamp> {
        (!self.parked.is_empty()).then_some(self.parked_at)
    }

    /// Keeps a delta aside.
    pub(crate) fn park(&mut self, delta: NodeDelta<'static>, now: Timestamp) {
        self.parked_at = now;
        self.parked_bytes += delta.payload_len();
        if let Some(old) = self.parked.insert(delta.from, delta) {
            self.parked_bytes -= old.payload_len();
        }
    }

    /// Takes out a delta that begins within what the replica has.
    pub(crate) fn unpark(&mut self) -> Option<NodeDelta<'static>> {
        let (from, _) = self.parked.first_key_value()?;
        if *from > self.replica.versions().max_version {
            return None;
        }
        let (_, delta) = self.parked.pop_first()?;
        self.parked_bytes -= delta.payload_len();
        Some(delta)
    }

    /// Drops what is kept aside.
    pub(crate) fn clear_parked(&mut self) {
        self.parked.clear();
        self.parked_bytes = 0;
    }

    /// The first run of versions that is kept aside, for the digest.
    pub(crate) fn parked_range(&self) -> Option<(u64, u64)> {
        let mut run: Option<(u64, u64)> = None;
        for delta in self.parked.values() {
            match &mut run {
                None => run = Some((delta.from, delta.to)),
                Some((_, to)) if delta.from <= *to => *to = delta.to.max(*to),
                Some(_) => break,
            }
        }
        run.filter(|(from, to)| from < to)
    }
}

/// What is remembered of a node that was removed (rule L7): heartbeats that are not above this are
/// an echo.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Removed {
    pub(crate) incarnation: Incarnation,
    pub(crate) heartbeat: u64,
    pub(crate) removed_at: Timestamp,
}

/// All nodes but this one.
#[derive(Clone, Debug)]
pub(crate) struct Members {
    hash: MemberHash,
    nodes: BTreeMap<NodeId, Member>,
    /// Those that are gossiped, and this node in this incarnation, unless that has changed.
    set: Option<(Incarnation, Arc<MemberSet>)>,
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
            nodes: BTreeMap::new(),
            set: None,
            removed: BTreeMap::new(),
            removal_order: std::collections::VecDeque::new(),
            introduced: HashMap::new(),
            live: 0,
            parked_bytes: 0,
        }
    }

    /// The members that are gossiped, and this node.
    pub(crate) fn set(&mut self, own_id: &NodeId, own: Incarnation) -> Arc<MemberSet> {
        if let Some((of, set)) = &self.set
            && *of == own
        {
            return set.clone();
        }
        let hash = self.hash.member(own_id, &own);
        let mut own_member = Some(SetMember { node_id: own_id.clone(), incarnation: own, hash });
        let mut members = Vec::with_capacity(self.nodes.len() + 1);
        for (node_id, member) in self.gossiped() {
            if *node_id > *own_id {
                members.extend(own_member.take());
            }
            members.push(SetMember {
                node_id: node_id.clone(),
                incarnation: member.incarnation,
                hash: member.hash,
            });
        }
        members.extend(own_member);
        let set = Arc::new(MemberSet::new(members, &self.hash));
        self.set = Some((own, set.clone()));
        set
    }

    /// Whether the set is as of now.
    pub(crate) fn is_present(&self, set: &Arc<MemberSet>) -> bool {
        self.set.as_ref().is_some_and(|(_, present)| Arc::ptr_eq(present, set))
    }

    /// The members that are gossiped, in order.
    pub(crate) fn gossiped(&self) -> impl Iterator<Item = (&NodeId, &Member)> {
        self.nodes.iter().filter(|(_, member)| member.is_gossiped())
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

    pub(crate) fn get(&self, node_id: &str) -> Option<&Member> {
        self.nodes.get(node_id)
    }

    pub(crate) fn get_key_value(&self, node_id: &str) -> Option<(&NodeId, &Member)> {
        self.nodes.get_key_value(node_id)
    }

    /// For changes of anything but the status.
    pub(crate) fn get_mut(&mut self, node_id: &str) -> Option<&mut Member> {
        self.nodes.get_mut(node_id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&NodeId, &Member)> {
        self.nodes.iter()
    }

    /// Nodes of the range, ascending.
    pub(crate) fn range<'a>(
        &'a self,
        start: &str,
        end: Option<&str>,
    ) -> impl Iterator<Item = (&'a NodeId, &'a Member)> {
        use std::ops::Bound;
        let valid = end.is_none_or(|end| start < end);
        let upper = end.map_or(Bound::Unbounded, Bound::Excluded);
        let range = valid.then(|| self.nodes.range::<str, _>((Bound::Included(start), upper)));
        range.into_iter().flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&NodeId, &mut Member)> {
        self.nodes.iter_mut()
    }

    /// Changes a node's status. True if it was another.
    pub(crate) fn set_status(&mut self, node_id: &str, status: NodeStatus) -> bool {
        let Some(member) = self.nodes.get_mut(node_id) else {
            return false;
        };
        if member.status == status {
            return false;
        }
        let gossiped = member.is_gossiped();
        self.live -= usize::from(member.is_live());
        member.status = status;
        self.live += usize::from(member.is_live());
        if gossiped != member.is_gossiped() {
            self.set = None;
        }
        true
    }

    /// Adds a node, or puts a new incarnation in the place of an old one.
    pub(crate) fn insert(&mut self, node_id: NodeId, mut member: Member) {
        member.hash = self.hash.member(&node_id, &member.incarnation);
        self.set = None;
        if let Some(introducer) = &member.introducer {
            *self.introduced.entry(introducer.clone()).or_default() += 1;
        }
        self.removed.remove(&node_id);
        self.live += usize::from(member.is_live());
        if let Some(old) = self.nodes.insert(node_id, member) {
            self.forget(&old);
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
        let Some(member) = self.nodes.get_mut(node_id) else {
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
        let Some((node_id, member)) = self.nodes.remove_entry(node_id) else {
            return;
        };
        self.set = None;
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
        self.nodes
            .iter()
            .filter_map(|(node_id, member)| {
                Some((rank(member)?, member.vitals.last_sign_of_life(), node_id))
            })
            .min()
            .map(|(_, _, node_id)| node_id.clone())
    }
}
