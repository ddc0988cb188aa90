//! Long answers, piece by piece.
//!
//! Planning and encoding a whole train takes milliseconds, in which nobody else could use the node.
//! So an answer is begun, and goes on whenever its messages have been taken: see
//! [`Node::poll_transmit`].

use std::net::SocketAddr;

use crate::id::{Incarnation, NodeId};
use crate::message::{Body, Header, Message};
use crate::node::Node;
use crate::node::answer::part;
use crate::reconcile::{PeerView, StaleOwner, Train, TrainBudget};
use crate::wire::{EncodeOptions, Version, size};

/// Bytes of deltas that are planned and encoded at a time: a fraction of a millisecond.
const SLICE: usize = 64 << 10;

/// Answers under way at a time. Those beyond end after their first slice, and the peers ask again.
const MAX_SERVICES: usize = 64;

/// What kind of message the answer consists of.
#[derive(Clone, Debug)]
pub(super) enum AnswerKind {
    SynAck { peer: NodeId },
    Ack,
}

/// An answer that goes on.
#[derive(Clone, Debug)]
pub(super) struct Service {
    kind: AnswerKind,
    version: Version,
    /// The nonce of all its messages: the token that proves the peer's address.
    token: u64,
    /// The peer's address, as we see it.
    remote: SocketAddr,
    echo: u64,
    owners: Vec<Due>,
    /// Bytes of deltas that may still be sent.
    left: usize,
    /// The index of the next part.
    next_part: usize,
}

/// An owner of whom the peer lacks something, between two pieces.
#[derive(Clone, Debug)]
pub(super) struct Due {
    pub(super) node_id: NodeId,
    pub(super) incarnation: Incarnation,
    pub(super) view: PeerView,
}

impl From<StaleOwner<'_>> for Due {
    fn from(owner: StaleOwner<'_>) -> Due {
        Due { node_id: owner.node_id.clone(), incarnation: owner.incarnation, view: owner.peer }
    }
}

impl Node {
    /// How much of an answer is made at once.
    pub(super) fn slice(&self, budget: usize) -> usize {
        budget.min(SLICE)
    }

    /// Whether so much of a budget still counts. In what is less the next entry may not find room, and
    /// there would be another message to say only that this was all.
    fn is_worth_a_piece(&self, left: usize) -> bool {
        left >= self.link.preferred_message_len / 2
    }

    /// What is left of an answer whose first parts were packed, if it goes on.
    pub(super) fn begin_service(
        &self,
        kind: AnswerKind,
        version: Version,
        header: &Header<'_>,
        train: &mut Train<'_>,
        left: usize,
        parts: usize,
    ) -> Option<Service> {
        let remote = header.observed?;
        let goes_on =
            train.more && self.is_worth_a_piece(left) && self.services.len() < MAX_SERVICES;
        goes_on.then(|| Service {
            kind,
            version,
            token: header.nonce,
            remote,
            echo: header.echo,
            owners: train.rest.drain(..).map(Due::from).collect(),
            left,
            next_part: parts,
        })
    }

    /// Goes on with the answer whose turn it is.
    pub(super) fn serve(&mut self) {
        let Some((target, mut service)) = self.services.pop_front() else { return };
        let mut train = self.next_slice(&service);
        service.left = service.left.saturating_sub(train.spent);
        // With nothing sent, what is next does not fit what is left.
        let goes_on = train.more && train.spent > 0 && self.is_worth_a_piece(service.left);
        if train.messages.is_empty() {
            // The peer is to know that this was all.
            train.messages.push(Vec::new());
        }
        let header = self.service_header(&service);
        let preferred = self.link.preferred_message_len;
        let count = train.messages.len();
        let options = EncodeOptions::in_version(service.version);
        let mut encoded = Vec::with_capacity(count);
        for (index, deltas) in train.messages.into_iter().enumerate() {
            let last = !goes_on && index + 1 == count;
            let part = part(service.next_part + index, last, train.more);
            let body = match &service.kind {
                AnswerKind::SynAck { peer } => {
                    let budget = self.exchanges.budget(Some(peer), preferred, self.now) as u64;
                    Body::SynAck { part, budget, entries: Vec::new(), deltas }
                }
                AnswerKind::Ack => Body::Ack { part, deltas },
            };
            let message = Message { header: header.clone(), body };
            encoded.push(message.encode_with(&options));
        }
        let too_large = train.too_large;
        service.owners = train.rest.into_iter().map(Due::from).collect();
        service.next_part += count;
        for bytes in encoded {
            self.transmit(target.clone(), bytes);
        }
        self.report_too_large(too_large);
        if goes_on {
            // Behind the others: all peers that fetch get their share.
            self.services.push_back((target, service));
        }
    }

    fn service_header(&self, service: &Service) -> Header<'_> {
        Header { observed: Some(service.remote), ..self.header(service.token, service.echo) }
    }

    fn next_slice(&self, service: &Service) -> Train<'_> {
        let header = self.service_header(service);
        let overhead = size::message_overhead(&header);
        let owners = service.owners.iter().filter_map(|due| self.due(due)).collect();
        let slice = self.slice(service.left);
        let mut budget = TrainBudget::new(self.link, slice, overhead, overhead);
        budget.first_part = service.left;
        Train::pack_on(owners, budget, self.now)
    }

    /// What the peer lacks of an owner by now, if that is still the owner that it was.
    pub(super) fn due(&self, due: &Due) -> Option<StaleOwner<'_>> {
        if due.node_id == self.config.node_id {
            let own = self.own_stale(None)?;
            return (own.incarnation == due.incarnation)
                .then_some(StaleOwner { peer: due.view, ..own });
        }
        let (node_id, member) = self.members.get_key_value(&due.node_id)?;
        (member.incarnation == due.incarnation && member.is_gossiped())
            .then(|| self.stale(node_id, member, due.view, false))
    }
}
