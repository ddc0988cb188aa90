//! Plain counters of what a node did and refused.

use serde::Serialize;

use crate::state::ApplyOutcome;

/// What a node did and refused since its start. All fields only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counters {
    /// Rounds of gossip initiated.
    pub rounds: u64,
    /// Messages taken in, refused ones included.
    pub messages_received: u64,
    /// Bytes of them.
    pub bytes_received: u64,
    /// Messages handed to the transport.
    pub messages_sent: u64,
    /// Bytes of them.
    pub bytes_sent: u64,
    /// Deltas that advanced a replica.
    pub deltas_applied: u64,
    /// Entries refuted by prune sections.
    pub entries_pruned: u64,
    /// Exchanges continued because a train had more, or had gaps.
    pub pulls: u64,
    /// News told, each to some peers.
    pub pushes: u64,
    /// News left to the rounds, because they would have cost more than they may.
    pub pushes_withheld: u64,
    /// Refused: not a message, or malformed.
    pub refused_malformed: u64,
    /// Refused: written in a wire version that is not read here. Where both have another version in
    /// common, the sender goes on in that.
    pub refused_version: u64,
    /// Questions asked again in another wire version, because the peer could not read the first.
    pub renegotiated: u64,
    /// Refused: messages, and nodes known through others, that have no wire version in common with
    /// us.
    pub no_common_version: u64,
    /// Refused: of another cluster.
    pub refused_cluster: u64,
    /// Refused: an answer to no question of ours, or a token that is not ours.
    pub refused_unsolicited: u64,
    /// Refused: the verified identity is not the one in the message.
    pub refused_identity: u64,
    /// Refused: our own messages, come back.
    pub refused_own: u64,
    /// Refused: an incarnation that a later one has superseded.
    pub refused_superseded: u64,
    /// Refused: a generation more than a day ahead.
    pub refused_future: u64,
    /// Refused: a node that has been silent, removed or left for too long.
    pub refused_expired: u64,
    /// Refused: nodes beyond the limits.
    pub refused_nodes: u64,
    /// Refused: changes of our own state.
    pub refused_foreign_writes: u64,
    /// Refused: a push from a node that is not known to live.
    pub refused_pushes: u64,
    /// Deltas that said nothing new.
    pub deltas_stale: u64,
    /// Deltas that are invalid.
    pub deltas_invalid: u64,
    /// Deltas from a source that had not reached our watermark.
    pub deltas_behind_floor: u64,
    /// Deltas kept aside until the gap before them closes.
    pub deltas_parked: u64,
    /// Deltas dropped because too much is kept aside.
    pub deltas_park_full: u64,
    /// Deltas refused because the owner's state is at its limit.
    pub deltas_frozen: u64,
    /// Deltas refused because an entry is longer than the limits allow.
    pub entries_over_limit: u64,
    /// Entries that no message of the transport can carry.
    pub entries_too_large: u64,
    /// Removed nodes forgotten early, because too many are remembered.
    pub removed_forgotten: u64,
    /// Nodes evicted to make room for others.
    pub nodes_evicted: u64,
    /// Notices dropped because nobody fetched them.
    pub notices_dropped: u64,
}

impl Counters {
    pub(crate) fn applied(&mut self, outcome: &ApplyOutcome) {
        self.deltas_applied += 1;
        self.entries_pruned += outcome.doomed as u64;
    }

    /// The refusals of what no correct member of the cluster sends, by name: worth a line in a log
    /// when they grow.
    pub fn suspicious(&self) -> [(&'static str, u64); 5] {
        [
            ("malformed", self.refused_malformed),
            ("no common wire version", self.no_common_version),
            ("another cluster", self.refused_cluster),
            ("answers to nothing asked", self.refused_unsolicited),
            ("invalid deltas", self.deltas_invalid),
        ]
    }
}
