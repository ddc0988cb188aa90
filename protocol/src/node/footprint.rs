//! What a node holds.

use serde::Serialize;

use crate::node::Node;

/// What a node holds at present. Each part has a bound in [`Limits`](crate::Limits), but for what is
/// about to be sent, which follows from them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Footprint {
    /// Nodes, this one included.
    pub nodes: usize,
    /// Removed nodes that are remembered.
    pub removed: usize,
    /// Entries of the node that has the most, tombstones included.
    pub most_entries: usize,
    /// Bytes of the entries of the node that has the most.
    pub most_bytes: usize,
    /// Bytes of train parts that wait for the parts before them.
    pub parked_bytes: usize,
    /// Exchanges that wait for an answer.
    pub pending: usize,
    /// Messages, and answers of which more is to be made, that nobody has taken yet.
    pub unsent: usize,
    /// Notices that nobody has fetched yet.
    pub notices: usize,
}

impl Node {
    /// What the node holds now. Visits every member.
    pub fn footprint(&self) -> Footprint {
        let own = self.own.replica();
        let replicas = || {
            let copies = |(_, member): (_, &'_ crate::membership::Member)| {
                let fresh = member.fresh.as_ref().map(|it| &it.replica);
                (
                    member.replica.len() + fresh.map_or(0, |copy| copy.len()),
                    member.replica.bytes() + fresh.map_or(0, |copy| copy.bytes()),
                )
            };
            self.members.iter().map(copies).chain([(own.len(), own.bytes())])
        };
        Footprint {
            nodes: self.members.len() + 1,
            removed: self.members.removed_len(),
            most_entries: replicas().map(|(entries, _)| entries).max().unwrap_or_default(),
            most_bytes: replicas().map(|(_, bytes)| bytes).max().unwrap_or_default(),
            parked_bytes: self.members.parked_bytes(),
            pending: self.exchanges.pending_len(),
            unsent: self.outbox.len() + self.services.len(),
            notices: self.notices.len(),
        }
    }
}
