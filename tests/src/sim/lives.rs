//! Judges who is listed as live, and what nodes hold.
//!
//! A process that ended long ago is live for nobody, whatever is still under way of it. A node that
//! left stays so.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chitchat_protocol::{
    ClusterStateSnapshot, Footprint, Incarnation, Limits, NodeId, NodeState, NodeStatus, Timestamp,
};

/// Knows which processes have ended.
#[derive(Clone, Debug)]
pub struct Lives {
    ended: HashMap<(NodeId, Incarnation), Timestamp>,
    transit: Duration,
}

impl Lives {
    /// `transit` is how much younger than it is a heartbeat may look: the time that messages are
    /// under way or wait for a process, over all that pass it on.
    pub fn new(transit: Duration) -> Lives {
        Lives { ended: HashMap::new(), transit }
    }

    /// The process that spoke as this incarnation has ended.
    pub fn ended(&mut self, at: Timestamp, node_id: NodeId, incarnation: Incarnation) {
        self.ended.insert((node_id, incarnation), at);
    }

    /// Judges the step from one snapshot of a node to the next. `timeout` is how long it waits for a
    /// peer at present.
    pub fn publication(
        &self,
        at: Timestamp,
        before: Option<&ClusterStateSnapshot>,
        after: &ClusterStateSnapshot,
        timeout: impl Fn(&str) -> Option<Duration>,
    ) -> Result<(), String> {
        for state in after.nodes() {
            let node_id = &state.id().node_id;
            let old = before.and_then(|before| before.node(node_id));
            if old.is_some_and(|old| Arc::ptr_eq(old, state)) {
                continue;
            }
            let same = |old: &&Arc<NodeState>| old.incarnation() == state.incarnation();
            let old = old.filter(same).map(|old| old.status());
            let wait = timeout(node_id).unwrap_or_default();
            self.turn(at, node_id, state.incarnation(), old, state.status(), wait)?;
        }
        Ok(())
    }

    /// Judges a change of the status that an incarnation is shown with.
    pub fn turn(
        &self,
        at: Timestamp,
        node_id: &NodeId,
        incarnation: Incarnation,
        old: Option<NodeStatus>,
        new: NodeStatus,
        wait: Duration,
    ) -> Result<(), String> {
        if old == Some(NodeStatus::Left)
            && !matches!(new, NodeStatus::Left | NodeStatus::ScheduledForDeletion)
        {
            return Err(format!("{node_id}: {incarnation} is {new:?} after it left"));
        }
        if new != NodeStatus::Alive || old == Some(NodeStatus::Alive) {
            return Ok(());
        }
        match self.ended.get(&(node_id.clone(), incarnation)) {
            Some(ended) if at.since(*ended) > wait + self.transit => {
                let ago = at.since(*ended);
                Err(format!("{node_id}: {incarnation} turns live {ago:?} after its end"))
            }
            _ => Ok(()),
        }
    }
}

/// Which bound a node exceeds, if any. `node_ids` is how many there ever were.
pub fn exceeded(held: &Footprint, limits: &Limits, node_ids: usize) -> Option<String> {
    // On the way from one state within the limits to another both can be there, and twice that
    // while a fresh copy is fetched.
    let parts = [
        ("nodes", held.nodes, limits.max_nodes.min(node_ids)),
        ("removed nodes", held.removed, node_ids),
        ("entries of one node", held.most_entries, 4 * limits.max_keys_per_node),
        ("bytes of one node", held.most_bytes, 4 * limits.max_bytes_per_node),
        ("parked bytes", held.parked_bytes, limits.max_parked_bytes),
        ("pending exchanges", held.pending, limits.max_pending_exchanges),
        ("unsent messages", held.unsent, 0),
        ("notices", held.notices, 0),
    ];
    let (what, has, bound) = parts.into_iter().find(|(_, has, bound)| has > bound)?;
    Some(format!("it holds {has} {what}, and {bound} is the bound"))
}
