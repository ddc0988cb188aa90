//! How to reach a member (rule P7): its addresses of the families that we have, and the way that its
//! last message came.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::id::NodeId;
use crate::membership::Member;
use crate::node::{Node, Origin, Path, Target};

/// A message that came this many intervals ago says where its sender is, whatever addresses it is
/// known to have. Most gateways keep a mapping for longer.
const PATH_INTERVALS: u32 = 20;

/// An address at which a question of ours came back this many intervals ago is asked again: one message
/// in so many intervals is what it costs to gossip with oneself.
const LOOP_INTERVALS: u32 = 20;

impl Node {
    /// How to reach a member. `None` if there is no way: no address of a family that we have, and no
    /// message of it from elsewhere; or no wire version in common (rule W4).
    pub(super) fn target(&self, node_id: &str) -> Option<Target> {
        let (node_id, member) = self.members.get_key_value(node_id)?;
        if !self.may_share_version(member) {
            return None;
        }
        let reply = self.path_beside(member);
        let addrs = self.usable(member.contact.addrs());
        let reachable = reply.is_some() || !addrs.is_empty();
        reachable.then(|| Target { node_id: Some(node_id.clone()), addrs, reply })
    }

    /// Whether [`Node::target`] would find a way.
    pub(super) fn is_within_reach(&self, member: &Member) -> bool {
        let has_way = member.contact.addrs().iter().any(|addr| self.addresses.can_use(addr))
            || self.path_beside(member).is_some();
        has_way && self.may_share_version(member)
    }

    /// The live members within reach, in ascending order.
    pub(super) fn live_within_reach(&self) -> impl Iterator<Item = &NodeId> {
        self.members
            .iter()
            .filter(|(_, member)| member.is_live() && self.is_within_reach(member))
            .map(|(node_id, _)| node_id)
    }

    /// The way that a member's last message came, if that tells more than its addresses: it has none,
    /// or was elsewhere a moment ago, after it told them. It has moved and could not say so yet, or is
    /// behind a gateway.
    fn path_beside(&self, member: &Member) -> Option<Path> {
        let path = if member.contact.addrs().is_empty() {
            member.contact.path
        } else {
            let since = self.now - self.config.gossip_interval * PATH_INTERVALS;
            member
                .contact
                .path_since(since)
                .filter(|path| !member.contact.addrs().contains(&path.remote))
        };
        path.filter(|path| self.addresses.can_reach(&path.remote))
    }

    /// Those addresses that lead to somebody else, and of families that we have.
    fn usable(&self, addrs: &Arc<[SocketAddr]>) -> Arc<[SocketAddr]> {
        if addrs.iter().all(|addr| self.addresses.can_use(addr)) {
            return addrs.clone();
        }
        addrs.iter().filter(|addr| self.addresses.can_use(addr)).copied().collect()
    }

    /// The usable addresses of a node; none if it is not known.
    pub(super) fn usable_addrs(&self, node_id: &str) -> Arc<[SocketAddr]> {
        self.members
            .get(node_id)
            .map_or_else(|| Arc::from([]), |member| self.usable(member.contact.addrs()))
    }

    /// Back to where a message came from. To a verified peer it may go another way, if the transport
    /// finds that one gone: whoever is there will have to prove that it is the same. An unverified one
    /// gets its answer there or not at all, since anybody can use any name.
    pub(super) fn reply_to(&self, origin: &Origin) -> Target {
        let addrs = origin.peer.as_deref().map(|peer| self.usable_addrs(peer));
        Target {
            node_id: origin.peer.clone(),
            addrs: addrs.unwrap_or_else(|| Arc::from([])),
            reply: Some(origin.path),
        }
    }

    /// A question of ours came back: if it went to one address only, that one leads here.
    pub(super) fn learn_loop(&mut self, nonce: u64) {
        let by_path = self.exchanges.get(nonce).is_some_and(|it| it.target.reply.is_some());
        if !by_path {
            self.addresses.learn_loop(&self.exchanges.target_addrs(nonce), self.now);
        }
    }

    /// Asks again where questions came back from a while ago.
    pub(super) fn forget_loops(&mut self) {
        self.addresses.forget_loops(self.config.gossip_interval * LOOP_INTERVALS, self.now);
    }
}
