//! What readers get: immutable views of the nodes and their key-values.

use std::net::SocketAddr;
use std::sync::Arc;

use imbl::OrdMap;
use serde::ser::{SerializeMap, SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};

use crate::id::{ChitchatId, Incarnation, NodeId};
use crate::state::entry_map::EntryMap;
use crate::state::reserved::RESERVED_PREFIX;
use crate::state::value::VersionedValue;

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NodeStatus {
    /// Heard of lately enough.
    Alive,
    /// Not heard of for longer than the failure detector waits.
    Dead,
    /// Left on purpose.
    Left,
    /// Dead or left for more than half of the grace period: no longer gossiped, soon removed.
    ScheduledForDeletion,
}

/// The state of one node as of a snapshot. Read-only: there is no way to change a node's state but
/// the node's own writes.
///
/// ```compile_fail,E0616
/// fn forge(state: &mut chitchat_protocol::NodeState) {
///     state.max_version += 1;
/// }
/// ```
///
/// ```compile_fail,E0599
/// fn forge(state: &mut chitchat_protocol::NodeState) {
///     state.set("key", "value");
/// }
/// ```
///
/// ```compile_fail,E0451
/// fn forge(state: chitchat_protocol::NodeState) -> chitchat_protocol::NodeState {
///     chitchat_protocol::NodeState { last_gc_version: 7, ..state }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeState {
    pub(crate) id: ChitchatId,
    pub(crate) incarnation: Incarnation,
    pub(crate) status: NodeStatus,
    pub(crate) addrs: Arc<[SocketAddr]>,
    pub(crate) max_version: u64,
    pub(crate) last_gc_version: u64,
    pub(crate) entries: EntryMap,
}

impl NodeState {
    /// The node's id and generation.
    pub fn id(&self) -> &ChitchatId {
        &self.id
    }

    /// Which run of the node this is the state of.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Whether the node lives, as this node sees it.
    pub fn status(&self) -> NodeStatus {
        self.status
    }

    /// The addresses that the node advertises, 0 to 8.
    pub fn advertise_addrs(&self) -> &Arc<[SocketAddr]> {
        &self.addrs
    }

    /// The node's log is known up to this version.
    pub fn max_version(&self) -> u64 {
        self.max_version
    }

    /// Tombstones up to this version may be gone.
    pub fn last_gc_version(&self) -> u64 {
        self.last_gc_version
    }

    /// The value of a key, unless it is not set, deleted or expired.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.get_versioned(key)?.value()
    }

    /// The value of a key with its version, unless it is not set, deleted or expired.
    pub fn get_versioned(&self, key: &str) -> Option<&VersionedValue> {
        let entry = self.entries.get(key)?;
        (entry.is_readable() && !Self::is_reserved(key)).then_some(entry)
    }

    /// All keys that are set, with their values, in key order.
    pub fn key_values(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter_from("").filter_map(|(key, entry)| Some((key, entry.value()?)))
    }

    /// The keys that begin with `prefix` and are set, in key order.
    pub fn iter_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a VersionedValue)> {
        self.iter_from(prefix).take_while(move |(key, _)| key.starts_with(prefix))
    }

    fn iter_from(&self, start: &str) -> impl Iterator<Item = (&str, &VersionedValue)> + use<'_> {
        self.entries
            .iter_from(start)
            .map(|(key, entry)| (key.as_str(), entry))
            .filter(|(key, entry)| entry.is_readable() && !Self::is_reserved(key))
    }

    /// Number of keys that are set. Counts them.
    pub fn num_key_values(&self) -> usize {
        self.iter_from("").count()
    }

    pub(crate) fn is_reserved(key: &str) -> bool {
        key.starts_with(RESERVED_PREFIX)
    }

    pub(crate) fn entries_map(&self) -> &EntryMap {
        &self.entries
    }
}

/// The whole state as one node sees it: an immutable value that shares its parts with the snapshots
/// before and after it, so that it is cheap to make, to clone and to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterStateSnapshot {
    pub(crate) cluster_id: Arc<str>,
    pub(crate) self_id: ChitchatId,
    pub(crate) seeds: Arc<[String]>,
    pub(crate) nodes: OrdMap<NodeId, Arc<NodeState>>,
}

impl ClusterStateSnapshot {
    /// The cluster.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The node that this is the view of.
    pub fn self_id(&self) -> &ChitchatId {
        &self.self_id
    }

    /// The state of the node that this is the view of.
    pub fn self_state(&self) -> Option<&Arc<NodeState>> {
        self.node(&self.self_id.node_id)
    }

    /// The state of a node. There is at most one generation of it.
    pub fn node(&self, node_id: &str) -> Option<&Arc<NodeState>> {
        self.nodes.get(node_id)
    }

    /// All nodes, in order of their ids.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<NodeState>> {
        self.nodes.values()
    }

    /// Number of nodes, whatever their status.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are no nodes at all. There is at least the own one.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The nodes of one status, in order of their ids.
    pub fn with_status(&self, status: NodeStatus) -> impl Iterator<Item = &Arc<NodeState>> {
        self.nodes().filter(move |node| node.status() == status)
    }

    /// The live nodes, this one included.
    pub fn live_nodes(&self) -> impl Iterator<Item = &Arc<NodeState>> {
        self.with_status(NodeStatus::Alive)
    }

    /// The dead nodes.
    pub fn dead_nodes(&self) -> impl Iterator<Item = &Arc<NodeState>> {
        self.with_status(NodeStatus::Dead)
    }

    /// The dead or left nodes that are no longer gossiped.
    pub fn scheduled_for_deletion(&self) -> impl Iterator<Item = &Arc<NodeState>> {
        self.with_status(NodeStatus::ScheduledForDeletion)
    }

    pub(crate) fn nodes_map(&self) -> &OrdMap<NodeId, Arc<NodeState>> {
        &self.nodes
    }
}

struct KeyValues<'a>(&'a NodeState);
struct NodeStateBody<'a>(&'a NodeState);
struct Nodes<'a>(&'a ClusterStateSnapshot);

impl Serialize for KeyValues<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Value<'a> {
            value: &'a str,
            version: u64,
        }
        let mut map = serializer.serialize_map(None)?;
        for (key, entry) in self.0.iter_from("") {
            if let Some(value) = entry.value() {
                map.serialize_entry(key, &Value { value, version: entry.version() })?;
            }
        }
        map.end()
    }
}

impl Serialize for NodeStateBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_struct("NodeState", 4)?;
        body.serialize_field("status", &self.0.status)?;
        body.serialize_field("key_values", &KeyValues(self.0))?;
        body.serialize_field("max_version", &self.0.max_version)?;
        body.serialize_field("last_gc_version", &self.0.last_gc_version)?;
        body.end()
    }
}

impl Serialize for NodeState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Id<'a> {
            node_id: &'a str,
            generation_id: u64,
            gossip_advertise_addrs: &'a [SocketAddr],
        }
        let id = Id {
            node_id: &self.id.node_id,
            generation_id: self.id.generation_id,
            gossip_advertise_addrs: &self.addrs,
        };
        let mut node = serializer.serialize_struct("NodeStateSnapshot", 2)?;
        node.serialize_field("chitchat_id", &id)?;
        node.serialize_field("node_state", &NodeStateBody(self))?;
        node.end()
    }
}

impl Serialize for Nodes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut nodes = serializer.serialize_seq(Some(self.0.len()))?;
        for node in self.0.nodes() {
            nodes.serialize_element(&**node)?;
        }
        nodes.end()
    }
}

/// The shape that tools around the original read: `cluster_id`, `self_node_id`,
/// `node_state_snapshots` with `chitchat_id` and `node_state` each, and `seed_addrs`.
impl Serialize for ClusterStateSnapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut state = serializer.serialize_struct("ClusterStateSnapshot", 4)?;
        state.serialize_field("cluster_id", &*self.cluster_id)?;
        state.serialize_field("self_node_id", &self.self_id.node_id)?;
        state.serialize_field("node_state_snapshots", &Nodes(self))?;
        state.serialize_field("seed_addrs", &*self.seeds)?;
        state.end()
    }
}
