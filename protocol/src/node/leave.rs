//! Leaving on purpose: told to a few peers at once and confirmed by them.

use std::collections::BTreeSet;

use rand::Rng;
use rand::seq::IteratorRandom;

use crate::delta::NodeDelta;
use crate::id::NodeId;
use crate::message::{Body, Header, Message};
use crate::node::exchange::Peer;
use crate::node::hear::Heard;
use crate::node::timers::Timer;
use crate::node::{Node, Origin, Target};
use crate::reconcile::{PeerView, StaleOwner, Train, TrainBudget};
use crate::state::{KEY_STATUS, NodeStatus, STATUS_LEFT};
use crate::time::Timestamp;
use crate::wire::{EncodeOptions, size};

/// Confirmations that are enough, if so many peers live.
const ENOUGH: usize = 3;
/// Peers that are told at once.
const TOLD_AT_ONCE: usize = 6;

/// A leave under way.
#[derive(Clone, Debug)]
pub(crate) struct Leaving {
    /// The version that says so.
    version: u64,
    nonce: u64,
    confirmed: BTreeSet<NodeId>,
    needed: usize,
    ends: Timestamp,
}

impl Leaving {
    /// What confirmations echo.
    pub(crate) fn nonce(&self) -> u64 {
        self.nonce
    }
}

/// How a leave ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaveOutcome {
    /// Peers that confirmed that they know.
    pub confirmed: usize,
    /// How many were waited for: 3, or as many as lived and could be reached. With fewer confirmed, the others may see
    /// a failure instead.
    pub needed: usize,
}

impl Node {
    /// Announces that this node leaves. It no longer gossips on its own, but answers, so keep
    /// driving it until [`Node::leave_outcome`] is there: at most two intervals. Final for this
    /// incarnation.
    pub fn leave(&mut self, now: Timestamp) {
        self.advance(now);
        if self.leaving.is_some() {
            return;
        }
        let needed = self.live_within_reach().take(ENOUGH).count();
        self.leaving = Some(Leaving {
            version: 0,
            nonce: self.rng.random(),
            confirmed: BTreeSet::new(),
            needed,
            ends: self.now + self.config.gossip_interval * 2,
        });
        self.announce_leave();
    }

    /// How the leave ended; `None` before that.
    pub fn leave_outcome(&self) -> Option<LeaveOutcome> {
        let leaving = self.leaving.as_ref()?;
        let confirmed = leaving.confirmed.len();
        let over = confirmed >= leaving.needed || self.now >= leaving.ends;
        over.then_some(LeaveOutcome { confirmed, needed: leaving.needed })
    }

    pub(super) fn has_left(&self) -> bool {
        self.leaving.is_some()
    }

    /// Writes the status, under the present incarnation, and tells the first peers.
    pub(super) fn announce_leave(&mut self) {
        self.own.set_reserved(KEY_STATUS, STATUS_LEFT, self.now);
        let version = self.own.replica().versions().max_version;
        if let Some(leaving) = &mut self.leaving {
            leaving.version = version;
            leaving.confirmed.clear();
        }
        self.dirty.insert(self.config.node_id.clone());
        self.tend_leave();
    }

    /// Tells some who have not confirmed, until enough have.
    pub(super) fn tend_leave(&mut self) {
        let Some(leaving) = &self.leaving else { return };
        if self.leave_outcome().is_some() {
            return;
        }
        let (nonce, confirmed) = (leaving.nonce, &leaving.confirmed);
        let unconfirmed =
            self.live_within_reach().filter(|node_id| !confirmed.contains(*node_id)).cloned();
        let mut rng = self.rng.clone();
        let peers = unconfirmed.choose_multiple(&mut rng, TOLD_AT_ONCE);
        self.rng = rng;
        for peer in peers {
            if let Some(target) = self.target(&peer) {
                self.push_own(target, nonce);
            }
        }
        let again = self.now + self.config.gossip_interval / 2;
        self.timers.set(Timer::Leave, again);
    }

    /// Sends the end of the own log to a peer that most likely has the rest.
    fn push_own(&mut self, target: Target, nonce: u64) {
        let versions = self.own.replica().versions();
        let before = versions.max_version.saturating_sub(1);
        let owner = StaleOwner {
            node_id: &self.config.node_id,
            incarnation: self.identity.incarnation,
            replica: self.own.replica(),
            peer: PeerView::complete_to(before, versions),
            heartbeat: self.identity.heartbeat,
            age: Some(self.now.since(self.identity.emitted_at)),
            urgent: true,
        };
        let header = self.header(nonce, 0);
        let overhead = size::message_overhead(&header);
        let budget =
            TrainBudget::new(self.link, self.link.preferred_message_len, overhead, overhead);
        let train = Train::pack(vec![owner], budget, 0, self.now);
        let options = EncodeOptions::in_version(self.version_for(target.node_id.as_deref()));
        let encode = |deltas| {
            Message { header: header.clone(), body: Body::Push { deltas } }.encode_with(&options)
        };
        let messages: Vec<Vec<u8>> = train.messages.into_iter().map(encode).collect();
        for bytes in messages {
            self.transmit(target.clone(), bytes);
        }
    }

    /// News that we did not ask for: taken only from a node that is known to live.
    pub(super) fn handle_push(
        &mut self,
        origin: &Origin,
        header: &Header<'_>,
        deltas: &[NodeDelta<'_>],
    ) {
        let heard = self.hear_sender(header, origin.peer.is_some());
        let sender = &*header.sender.node_id;
        if !self.takes_pushes_of(heard, header) {
            self.counters.refused_pushes += 1;
            return;
        }
        self.apply_all(deltas, sender);
        let Some(member) = self.members.get(sender) else {
            return;
        };
        let max_version = member.replica.versions().max_version;
        if max_version < header.sender.max_version
            && let Some(peer) = self.pusher(origin, sender)
        {
            // Something before it is missing: ask for that.
            self.pull(peer, "", None);
        }
        let options = EncodeOptions::in_version(self.version_towards(header.versions));
        let header = self.answer_header(origin, header.nonce, None);
        let bytes = Message { header, body: Body::PushAck { max_version } }.encode_with(&options);
        self.transmit(self.reply_to(origin), bytes);
    }

    /// Whether what this sender says unasked is listened to: it is known to live. A node that has left says
    /// so again when it did not hear that it was heard.
    pub(super) fn takes_pushes_of(&self, heard: Heard, header: &Header<'_>) -> bool {
        heard == Heard::Known
            && self.members.get(&header.sender.node_id).is_some_and(|member| {
                let speaks = member.is_live() || member.status == NodeStatus::Left;
                member.incarnation == header.sender.incarnation && speaks
            })
    }

    /// Whom to ask for what a push lacks: its sender, where it is known to be. Unless the sender is verified,
    /// the push may come from anywhere.
    pub(super) fn pusher(&self, origin: &Origin, sender: &str) -> Option<Peer> {
        let (node_id, member) = self.members.get_key_value(sender)?;
        let verified = origin.peer.as_ref().map(|_| origin.path);
        let path = verified.or(member.contact.path)?;
        Some(Peer { node_id: node_id.clone(), path, token: member.contact.token })
    }

    pub(super) fn handle_push_ack(&mut self, header: &Header<'_>, max_version: u64) {
        let asked = self.leaving.as_ref().is_some_and(|leaving| leaving.nonce == header.echo);
        if !asked {
            self.counters.refused_unsolicited += 1;
            return;
        }
        self.hear_sender(header, true);
        if let Some(leaving) = &mut self.leaving
            && max_version >= leaving.version
        {
            leaving.confirmed.insert(NodeId::from(&*header.sender.node_id));
        }
    }
}
