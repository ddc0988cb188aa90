//! What changed, as a stream.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::id::{ChitchatId, Incarnation, NodeId};
use crate::message::Refusal;
use crate::state::{ClusterStateSnapshot, Difference, NodeState, NodeStatus};
use crate::wire::VersionRange;

/// A change of the published state.
///
/// The events between two publications are the difference of their snapshots: applying them to the
/// first gives the second. A key that was deleted and set again between two publications is one
/// [`Event::KeySet`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A node appeared, with all its initial key-values (read them from [`Event::Joined::state`]),
    /// or a later generation of it took the place of the former.
    Joined {
        /// The state that it appeared with.
        state: Arc<NodeState>,
    },
    /// A node left on purpose. This is final for its generation.
    Left {
        /// Which node.
        id: ChitchatId,
    },
    /// A node has not been heard of for longer than the failure detector waits.
    Failed {
        /// Which node.
        id: ChitchatId,
    },
    /// A node that had failed was heard again.
    Recovered {
        /// Which node.
        id: ChitchatId,
    },
    /// A dead or left node is no longer gossiped, and will be removed.
    ScheduledForDeletion {
        /// Which node.
        id: ChitchatId,
    },
    /// A node and its key-values are gone from the state.
    Removed {
        /// Which node.
        id: ChitchatId,
    },
    /// A node's advertised addresses changed; its identity did not.
    AddressesChanged {
        /// Which node.
        id: ChitchatId,
        /// The new addresses.
        addrs: Arc<[SocketAddr]>,
    },
    /// A key was set.
    KeySet {
        /// Whose key.
        id: ChitchatId,
        /// The key.
        key: Arc<str>,
        /// The new value.
        value: Arc<str>,
        /// The version of the write.
        version: u64,
    },
    /// A key was deleted, or its time to live ended.
    KeyDeleted {
        /// Whose key.
        id: ChitchatId,
        /// The key.
        key: Arc<str>,
    },
}

/// Something that an operator may want to know; not a change of the published state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// A peer knew a later incarnation of our node id that is not running: we took a higher
    /// generation and announced our live keys anew.
    GenerationBumped {
        /// What we were.
        from: Incarnation,
        /// What we are.
        to: Incarnation,
    },
    /// Another process runs under our node id. We stopped announcing ourselves.
    IdentityConflict {
        /// The other process.
        other: Incarnation,
    },
    /// The other process is silent: we announce ourselves again.
    IdentityConflictOver,
    /// Nothing was heard from anybody for three intervals: the fault may be ours, so nobody is
    /// declared dead for now.
    Deaf,
    /// After [`Notice::Deaf`]: somebody was heard.
    HearingAgain {
        /// How long nothing was heard. The failure detector forgives it to everybody.
        silence: Duration,
    },
    /// Half of the live nodes or more fell silent while others were heard.
    MassFailure {
        /// How many were declared dead within two intervals.
        failed: usize,
        /// How many live on.
        live: usize,
    },
    /// This process did not run for a while (overload, a stop, a suspended machine).
    Paused {
        /// How long.
        pause: Duration,
    },
    /// A peer sent changes of our own state. Only we write it; they were ignored.
    ForeignWrite {
        /// Who sent them.
        peer: NodeId,
    },
    /// A node's state has reached the limits of this node; it is not updated for now.
    OwnerFrozen {
        /// Whose state.
        id: ChitchatId,
    },
    /// A node could not be taken in.
    NodeRefused {
        /// Which node.
        node_id: NodeId,
        /// Why.
        reason: Refusal,
    },
    /// A peer does not accept us.
    RefusedByPeer {
        /// The peer.
        peer: NodeId,
        /// Why.
        reason: Refusal,
    },
    /// A peer has no wire version in common with us, so that we cannot talk to it. Told once for
    /// each peer.
    UnsupportedVersion {
        /// The peer, if it is known who it is.
        peer: Option<NodeId>,
        /// Where it is, if that is known.
        addr: Option<SocketAddr>,
        /// The wire versions that it reads.
        theirs: VersionRange,
        /// The wire versions that we read.
        ours: VersionRange,
    },
    /// A verified peer opened an exchange under another name than its certificate's.
    IdentityMismatch {
        /// The name in the message.
        claimed: NodeId,
        /// The verified name.
        verified: NodeId,
    },
    /// An entry is too large for the transport of this node: it cannot be passed on.
    EntryTooLarge {
        /// Whose entry.
        id: ChitchatId,
        /// Its version.
        version: u64,
    },
}

impl Notice {
    /// Whether any peer can cause this as often as it likes.
    pub(crate) fn is_caused_by_peer(&self) -> bool {
        matches!(
            self,
            Notice::ForeignWrite { .. }
                | Notice::NodeRefused { .. }
                | Notice::RefusedByPeer { .. }
                | Notice::UnsupportedVersion { .. }
                | Notice::IdentityMismatch { .. }
        )
    }
}

/// The changes that lead from one snapshot to the next.
///
/// The cost is that of the change: parts that the snapshots share are not visited.
pub fn diff(before: &ClusterStateSnapshot, after: &ClusterStateSnapshot) -> Vec<Event> {
    diff_with(before, after, true)
}

/// The same without the changes of keys, for those who care only about who is there: with large
/// states it costs less.
pub fn diff_members(before: &ClusterStateSnapshot, after: &ClusterStateSnapshot) -> Vec<Event> {
    diff_with(before, after, false)
}

fn diff_with(
    before: &ClusterStateSnapshot,
    after: &ClusterStateSnapshot,
    with_keys: bool,
) -> Vec<Event> {
    use imbl::ordmap::DiffItem;
    let mut events = Vec::new();
    for item in before.nodes_map().diff(after.nodes_map()) {
        match item {
            DiffItem::Add(_, state) => {
                events.push(Event::Joined { state: state.clone() });
                push_status(&mut events, NodeStatus::Alive, state);
            }
            DiffItem::Remove(_, state) => events.push(Event::Removed { id: state.id().clone() }),
            DiffItem::Update { old: (_, old), new: (_, new) } => {
                diff_node(&mut events, old, new, with_keys);
            }
        }
    }
    events
}

fn diff_node(events: &mut Vec<Event>, old: &Arc<NodeState>, new: &Arc<NodeState>, with_keys: bool) {
    if Arc::ptr_eq(old, new) {
        return;
    }
    if old.incarnation() != new.incarnation() {
        events.push(Event::Removed { id: old.id().clone() });
        events.push(Event::Joined { state: new.clone() });
        push_status(events, NodeStatus::Alive, new);
        return;
    }
    if with_keys {
        diff_keys(events, old, new);
    }
    let id = new.id();
    if old.advertise_addrs() != new.advertise_addrs() {
        let addrs = new.advertise_addrs().clone();
        events.push(Event::AddressesChanged { id: id.clone(), addrs });
    }
    push_status(events, old.status(), new);
}

fn diff_keys(events: &mut Vec<Event>, old: &NodeState, new: &NodeState) {
    let id = new.id();
    for Difference { key, before, after } in old.entries_map().diff(new.entries_map()) {
        if NodeState::is_reserved(key.as_str()) {
            continue;
        }
        let was_readable = before.is_some_and(|entry| entry.is_readable());
        let before_version = before.map(|entry| entry.version());
        match after.and_then(|entry| entry.value_arc().map(|value| (value, entry.version()))) {
            Some((value, version)) if !was_readable || before_version != Some(version) => {
                let (id, key, value) = (id.clone(), key.to_arc(), value.clone());
                events.push(Event::KeySet { id, key, value, version });
            }
            None if was_readable => {
                events.push(Event::KeyDeleted { id: id.clone(), key: key.to_arc() });
            }
            _ => {}
        }
    }
}

fn push_status(events: &mut Vec<Event>, old: NodeStatus, new: &NodeState) {
    if old == new.status() {
        return;
    }
    let id = new.id().clone();
    events.push(match new.status() {
        NodeStatus::Alive => Event::Recovered { id },
        NodeStatus::Dead => Event::Failed { id },
        NodeStatus::Left => Event::Left { id },
        NodeStatus::ScheduledForDeletion => Event::ScheduledForDeletion { id },
    });
}
