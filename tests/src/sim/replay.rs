//! The state that a stream of events describes.

use std::collections::BTreeMap;

use chitchat_protocol::{ClusterStateSnapshot, Event, Incarnation, NodeId, NodeState, NodeStatus};

/// A node as the events describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ReplayedNode {
    incarnation: Incarnation,
    status: NodeStatus,
    addrs: Vec<std::net::SocketAddr>,
    keys: BTreeMap<String, (String, u64)>,
}

/// What a watcher knows who has read the first snapshot and all events since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed(BTreeMap<NodeId, ReplayedNode>);

fn node_of(state: &NodeState) -> ReplayedNode {
    let pair = |entry: &chitchat_protocol::VersionedValue| {
        (entry.value().unwrap_or_default().to_owned(), entry.version())
    };
    ReplayedNode {
        incarnation: state.incarnation(),
        status: state.status(),
        addrs: state.advertise_addrs().to_vec(),
        keys: state.iter_prefix("").map(|(key, entry)| (key.to_owned(), pair(entry))).collect(),
    }
}

impl Replayed {
    /// What a snapshot says.
    pub fn of(snapshot: &ClusterStateSnapshot) -> Replayed {
        let pair = |state: &std::sync::Arc<NodeState>| (state.id().node_id.clone(), node_of(state));
        Replayed(snapshot.nodes().map(pair).collect())
    }

    /// Applies an event. An event about a node that is not there is an error.
    pub fn apply(&mut self, event: &Event) -> Result<(), String> {
        let missing = || format!("{event:?} of a node that is not there");
        let nodes = &mut self.0;
        match event {
            Event::Joined { state } => {
                let joined = ReplayedNode { status: NodeStatus::Alive, ..node_of(state) };
                if nodes.insert(state.id().node_id.clone(), joined).is_some() {
                    return Err(format!("{} joined, and was there", state.id()));
                }
            }
            Event::Left { id } => {
                nodes.get_mut(&id.node_id).ok_or_else(missing)?.status = NodeStatus::Left
            }
            Event::Failed { id } => {
                nodes.get_mut(&id.node_id).ok_or_else(missing)?.status = NodeStatus::Dead
            }
            Event::Recovered { id } => {
                nodes.get_mut(&id.node_id).ok_or_else(missing)?.status = NodeStatus::Alive
            }
            Event::ScheduledForDeletion { id } => {
                nodes.get_mut(&id.node_id).ok_or_else(missing)?.status =
                    NodeStatus::ScheduledForDeletion;
            }
            Event::Removed { id } => {
                nodes.remove(&id.node_id).ok_or_else(missing)?;
            }
            Event::AddressesChanged { id, addrs } => {
                nodes.get_mut(&id.node_id).ok_or_else(missing)?.addrs = addrs.to_vec()
            }
            Event::KeySet { id, key, value, version } => {
                let pair = (value.to_string(), *version);
                nodes.get_mut(&id.node_id).ok_or_else(missing)?.keys.insert(key.to_string(), pair);
            }
            Event::KeyDeleted { id, key } => {
                nodes
                    .get_mut(&id.node_id)
                    .ok_or_else(missing)?
                    .keys
                    .remove(&**key)
                    .ok_or_else(missing)?;
            }
            _ => return Err(format!("an event that is new here: {event:?}")),
        }
        Ok(())
    }
}
