//! The set of members that positions refer to.

use std::ops::Range;

use crate::compact::hash::MemberHash;
use crate::id::{Incarnation, NodeId};

/// All members that are gossiped, and the node itself, in the order of their ids. Immutable, and shared by
/// all questions that were asked while it was the present one.
#[derive(Debug)]
pub(crate) struct MemberSet {
    fingerprint: u64,
    members: Vec<SetMember>,
}

/// A member of the set.
#[derive(Debug)]
pub(crate) struct SetMember {
    pub(crate) node_id: NodeId,
    pub(crate) incarnation: Incarnation,
    /// See [`MemberHash::member`].
    pub(crate) hash: u64,
}

impl MemberSet {
    /// `members` ascend by node id.
    pub(crate) fn new(members: Vec<SetMember>, hash: &MemberHash) -> MemberSet {
        let fingerprint = hash.set(members.iter().map(|member| member.hash));
        MemberSet { fingerprint, members }
    }

    /// Says which members it has, and in which order.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn get(&self, position: usize) -> Option<&SetMember> {
        self.members.get(position)
    }

    /// Members at these positions; none if there are not all of them.
    pub(crate) fn slice(&self, positions: Range<usize>) -> &[SetMember] {
        self.members.get(positions).unwrap_or_default()
    }

    /// The position of a node id.
    pub(crate) fn position(&self, node_id: &str) -> Option<usize> {
        self.members.binary_search_by(|member| (*member.node_id).cmp(node_id)).ok()
    }

    /// The positions of a range of node ids.
    pub(crate) fn range(&self, start: &str, end: Option<&str>) -> Range<usize> {
        let below = |bound: &str| self.members.partition_point(|it| *it.node_id < *bound);
        let first = below(start);
        first..end.map_or(self.members.len(), below).max(first)
    }
}
