//! The set of members as of now, and where each of them is.

use std::sync::Arc;

use crate::compact::{MemberHash, MemberSet, SetMember};
use crate::id::{Incarnation, NodeId};
use crate::membership::Member;

/// The set of members as of now, and where each of them is.
#[derive(Clone, Debug)]
pub(super) struct Present {
    /// This node's, which is part of the set.
    pub(super) own: Incarnation,
    pub(super) set: Arc<MemberSet>,
    /// For each position of the set, the index among all nodes; [`ME`] for this one.
    indices: Vec<u32>,
}

const ME: u32 = u32::MAX;

impl Present {
    /// Of those of `nodes` that are gossiped, and this node. `nodes` ascend by node id.
    pub(super) fn new(
        nodes: &[(NodeId, Member)],
        hash: &MemberHash,
        own_id: &NodeId,
        own: Incarnation,
    ) -> Present {
        let mut members = Vec::with_capacity(nodes.len() + 1);
        let mut indices = Vec::with_capacity(nodes.len() + 1);
        let mut add = |index, node_id: &NodeId, incarnation, hash| {
            members.push(SetMember { node_id: node_id.clone(), incarnation, hash });
            indices.push(index);
        };
        let mut me = Some(hash.member(own_id, &own));
        for (index, (node_id, member)) in (0..ME).zip(nodes) {
            if !member.is_gossiped() {
                continue;
            }
            if *node_id > *own_id
                && let Some(hash) = me.take()
            {
                add(ME, own_id, own, hash);
            }
            add(index, node_id, member.incarnation, member.hash());
        }
        if let Some(hash) = me {
            add(ME, own_id, own, hash);
        }
        Present { own, set: Arc::new(MemberSet::new(members, hash)), indices }
    }

    /// The index of the node at a position, unless that is this one.
    pub(super) fn index(&self, position: usize) -> Option<usize> {
        let index = *self.indices.get(position)?;
        if index == ME { None } else { usize::try_from(index).ok() }
    }
}
