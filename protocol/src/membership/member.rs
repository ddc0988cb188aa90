//! A node as this node knows it.

use crate::delta::NodeDelta;
use crate::failure::Vitals;
use crate::id::{Incarnation, NodeId};
use crate::membership::contact::Contact;
use crate::membership::parked::Parked;
use crate::state::{
    KEY_ADDRS, KEY_INITIAL, KEY_PROTOCOL, KEY_STATUS, NodeStatus, Replica, STATUS_LEFT,
    decode_addrs,
};
use crate::time::Timestamp;
use crate::wire::VersionRange;

/// One node: its newest incarnation, and nothing of the ones before it.
///
/// Every message visits every member: what it looks at stands here, side by side with the next member,
/// and all else behind a pointer.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) incarnation: Incarnation,
    pub(crate) vitals: Vitals,
    pub(crate) status: NodeStatus,
    pub(crate) replica: Replica,
    /// A second copy that is fetched from the start, for a replica that its owner can no longer
    /// complete (ALGORITHM.md, rule F1).
    pub(crate) fresh: Option<Box<FreshCopy>>,
    pub(crate) contact: Box<Contact>,
    /// Number of versions that the node started with, once known.
    initial: Option<u64>,
    /// Not updated until then, because it is at its size limit.
    pub(crate) frozen_until: Option<Timestamp>,
    /// Who named the node first, until somebody else has named it too.
    pub(crate) introducer: Option<NodeId>,
    /// What has come too early, if anything.
    parked: Option<Box<Parked>>,
    /// The node has said so. Final.
    left: bool,
    /// When readers were last shown the node as it was then.
    pub(crate) published_at: Timestamp,
    /// When the copy last changed.
    pub(crate) changed_at: Timestamp,
    /// Of name and incarnation, once it is a member.
    pub(super) hash: u64,
}

impl Member {
    pub(crate) fn new(incarnation: Incarnation, vitals: Vitals, status: NodeStatus) -> Member {
        Member {
            incarnation,
            vitals,
            status,
            replica: Replica::new(),
            fresh: None,
            contact: Box::default(),
            initial: None,
            frozen_until: None,
            introducer: None,
            parked: None,
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

    /// The copy that a digest tells of: the second one, while that is fetched by asking for what it lacks.
    pub(crate) fn told_copy(&self) -> &Replica {
        self.fresh.as_ref().map_or(&self.replica, |fresh| &fresh.replica)
    }

    /// Whether there is more to say of the copy than two numbers, or it is known to lack something that
    /// others have.
    pub(crate) fn is_unsettled(&self, now: Timestamp) -> bool {
        let versions = self.replica.versions();
        versions.cursor.is_some()
            || versions.max_version < versions.horizon && self.is_live()
            || self.parked.is_some()
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
        let contact = &mut self.contact;
        if contact.versions.is_none() {
            let versions = self.replica.get(KEY_PROTOCOL).and_then(|entry| entry.value());
            contact.versions = versions.and_then(VersionRange::from_text);
        }
        let addrs = self.replica.get(KEY_ADDRS).and_then(|entry| entry.value());
        contact.set_addrs(addrs.map(decode_addrs).unwrap_or_default());
    }

    /// Bytes that are kept aside.
    pub(crate) fn parked_bytes(&self) -> usize {
        self.parked.as_ref().map_or(0, |parked| parked.bytes())
    }

    /// Number of deltas that are kept aside.
    pub(crate) fn parked_len(&self) -> usize {
        self.parked.as_ref().map_or(0, |parked| parked.len())
    }

    /// Whether what is kept aside has all of this delta.
    pub(crate) fn has_parked(&self, delta: &NodeDelta<'_>) -> bool {
        self.parked.as_ref().is_some_and(|parked| parked.covers(delta))
    }

    /// When something was last put aside, if anything is.
    pub(crate) fn parked_since(&self) -> Option<Timestamp> {
        self.parked.as_ref().map(|parked| parked.since())
    }

    /// Keeps a delta aside.
    pub(crate) fn park(&mut self, delta: NodeDelta<'static>, now: Timestamp) {
        self.parked.get_or_insert_default().add(delta, now);
    }

    /// Takes out a delta that begins within what the replica has.
    pub(crate) fn unpark(&mut self) -> Option<NodeDelta<'static>> {
        let parked = self.parked.as_mut()?;
        let delta = parked.take(self.replica.versions().max_version);
        if parked.len() == 0 {
            self.parked = None;
        }
        delta
    }

    /// Drops what is kept aside.
    pub(crate) fn clear_parked(&mut self) {
        self.parked = None;
    }

    /// The first run of versions that is kept aside, for the digest.
    pub(crate) fn parked_range(&self) -> Option<(u64, u64)> {
        self.parked.as_ref()?.range()
    }
}

/// A second copy of a node's state, on its way.
#[derive(Clone, Debug, Default)]
pub(crate) struct FreshCopy {
    pub(crate) replica: Replica,
    /// The watermark of the peer that it is fetched from: what lies above is not taken, since it
    /// comes from peers that are stuck too.
    pub(crate) gc_version: u64,
}
