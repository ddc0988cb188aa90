//! Snapshots: what readers see of the state.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::id::{ChitchatId, NodeId};
use crate::membership::Member;
use crate::node::addresses::OwnAddresses;
use crate::node::{Node, NodeHealth};
use crate::state::{
    ClusterStateSnapshot, KEY_ADDRS, KEY_PROTOCOL, NodeState, NodeStatus, Seedling, encode_addrs,
};
use crate::time::Timestamp;
use crate::wire::VersionRange;

/// How long readers may wait for what has come of a backlog that is still being fetched. After a
/// publication every part of the map is copied when it is next written to, and keys that come in no
/// order write to all parts: publishing with every message would copy the state over and over.
const BACKLOG_PAUSE: Duration = Duration::from_millis(500);

/// What the protocol keeps in the own namespace from the start.
pub(crate) fn reserved_entries(addresses: &OwnAddresses, versions: VersionRange) -> Vec<Seedling> {
    let versions = versions.to_string();
    let addrs = encode_addrs(addresses.advertised());
    vec![(KEY_PROTOCOL.into(), versions.into(), None), (KEY_ADDRS.into(), addrs.into(), None)]
}

/// The configured key-values; of several with one key the last.
pub(crate) fn initial_entries(config: &Config) -> Vec<Seedling> {
    let unique: std::collections::BTreeMap<&str, &str> =
        config.initial_key_values.iter().map(|(key, value)| (&**key, &**value)).collect();
    unique.into_iter().map(|(key, value)| (key.into(), value.into(), None)).collect()
}

impl Node {
    /// The state as of the last [`Node::publish`].
    pub fn snapshot(&self) -> &ClusterStateSnapshot {
        &self.published
    }

    /// Whether [`Node::publish`] may change the snapshot.
    pub fn has_news(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Brings the snapshot up to date and returns it if it changed. The cost is that of the change.
    ///
    /// While a large backlog of another node is being fetched, what has come of it is shown when it
    /// has doubled, half a second after the last time, and when it is complete.
    ///
    /// What happened between two publications is the [`diff`](crate::diff) of their snapshots.
    pub fn publish(&mut self) -> Option<&ClusterStateSnapshot> {
        let dirty = std::mem::take(&mut self.dirty);
        self.publish_these(dirty)
    }

    /// Like [`Node::publish`], but of the own state only, for after a write: what has come from
    /// others can be much, and is not for the writer to deal with.
    pub fn publish_own(&mut self) -> Option<&ClusterStateSnapshot> {
        let own = self.dirty.take(&self.config.node_id);
        self.publish_these(own.into_iter().collect())
    }

    fn publish_these(&mut self, nodes: BTreeSet<NodeId>) -> Option<&ClusterStateSnapshot> {
        let mut changed = false;
        for node_id in nodes {
            if self.is_put_off(&node_id) {
                self.dirty.insert(node_id);
                continue;
            }
            if let Some(member) = self.members.get_mut(&node_id) {
                member.published_at = self.now;
            }
            let state = if node_id == self.config.node_id {
                Some(self.own_node_state())
            } else {
                self.members
                    .get(&node_id)
                    .filter(|member| member.is_shown())
                    .map(|member| node_state(&node_id, member))
            };
            let published = &mut self.published.nodes;
            match state {
                Some(state) => {
                    let same = published.get(&node_id).is_some_and(|old| is_same(old, &state));
                    if !same {
                        published.insert(node_id, Arc::new(state));
                        changed = true;
                    }
                }
                None => changed |= published.remove(&node_id).is_some(),
            }
        }
        let id = self.id();
        if self.published.self_id != id {
            self.published.self_id = id;
            changed = true;
        }
        changed.then_some(&self.published)
    }

    /// Whether this change waits for more of its kind: see [`BACKLOG_PAUSE`].
    fn is_put_off(&self, node_id: &NodeId) -> bool {
        let (Some(member), Some(shown)) =
            (self.members.get(node_id), self.published.nodes.get(node_id))
        else {
            return false;
        };
        let versions = member.replica.versions();
        versions.max_version < versions.horizon
            && shown.status == member.status
            && shown.incarnation == member.incarnation
            && shown.addrs == *member.contact.addrs()
            && member.replica.len() < 2 * shown.entries.len()
            && self.now < member.published_at + BACKLOG_PAUSE
    }

    fn own_node_state(&self) -> NodeState {
        let replica = self.own.replica();
        let versions = replica.versions();
        NodeState {
            id: self.id(),
            incarnation: self.identity.incarnation,
            status: if self.has_left() { NodeStatus::Left } else { NodeStatus::Alive },
            addrs: self.addresses.advertised().into(),
            max_version: versions.max_version,
            last_gc_version: versions.last_gc_version,
            entries: replica.entries.by_key().clone(),
        }
    }

    /// How the failure detector sees a node now; `None`: the node is not known.
    pub fn node_health(&self, node_id: &str, now: Timestamp) -> Option<NodeHealth> {
        let vitals = &self.members.get(node_id)?.vitals;
        Some(NodeHealth {
            phi: vitals.phi(now, &self.health, &self.detector),
            since_last_sign_of_life: now.since(vitals.last_sign_of_life()),
            timeout: vitals.timeout(&self.detector),
            heartbeat: vitals.heartbeat(),
        })
    }
}

fn node_state(node_id: &NodeId, member: &Member) -> NodeState {
    let versions = member.replica.versions();
    NodeState {
        id: ChitchatId::new(node_id.clone(), member.incarnation.generation_id),
        incarnation: member.incarnation,
        status: member.status,
        addrs: member.contact.addrs().clone(),
        max_version: versions.max_version,
        last_gc_version: versions.last_gc_version,
        entries: member.replica.entries.by_key().clone(),
    }
}

/// Equality at the cost of the difference: maps that share their root are not compared.
fn is_same(old: &NodeState, new: &NodeState) -> bool {
    old.incarnation == new.incarnation
        && old.status == new.status
        && old.addrs == new.addrs
        && old.max_version == new.max_version
        && old.last_gc_version == new.last_gc_version
        && (old.entries.ptr_eq(&new.entries) || old.entries.diff(&new.entries).next().is_none())
}
