//! What comes of a question: SynAck → Ack, and taking in both.

use std::collections::BTreeSet;

use crate::columns::{ColumnAnswer, Standing};
use crate::delta::NodeDelta;
use crate::digest::DigestEntry;
use crate::id::NodeId;
use crate::message::{Body, Header, Message, TrainPart, Unnamed};
use crate::node::answer::{Encoded, part, report_of};
use crate::node::exchange::{Next, Peer, Purpose};
use crate::node::serve::AnswerKind;
use crate::node::{Node, Origin};
use crate::reconcile::{PeerView, Train, TrainBudget};
use crate::wire::{EncodeOptions, size};

/// What a SynAck says.
pub(super) struct Told<'a> {
    pub(super) part: TrainPart,
    pub(super) budget: u64,
    /// To a question in columns.
    pub(super) answer: Option<&'a ColumnAnswer>,
    pub(super) entries: &'a [DigestEntry<'a>],
    pub(super) deltas: &'a [NodeDelta<'a>],
}

impl Node {
    pub(super) fn handle_syn_ack(&mut self, origin: &Origin, header: &Header<'_>, told: &Told<'_>) {
        let Told { part, budget, answer, entries, deltas } = *told;
        let nonce = header.echo;
        let Some(pending) = self.exchanges.get(nonce) else {
            self.counters.refused_unsolicited += 1;
            return;
        };
        // It must be whom we asked, if we know whom we asked, and one and the same.
        let asked = pending.target.node_id.as_ref();
        let answering = pending.answered_by.as_ref().map(|peer| &peer.node_id);
        if [asked, answering].into_iter().flatten().any(|id| **id != *header.sender.node_id) {
            self.counters.refused_unsolicited += 1;
            return;
        }
        if let Some(answer) = answer {
            match &pending.asked {
                Some(asked) if asked.fits(answer) => {}
                // Come again: it was taken in.
                None if pending.in_columns => return,
                _ => {
                    self.counters.refused_malformed += 1;
                    return;
                }
            }
        }
        let first = answering.is_none();
        let (started, purpose) = (pending.started, pending.purpose);
        let (start, end) = (pending.start.clone(), pending.end.clone());
        // Of several addresses it is not known which one answered, unless it answers from there.
        let asked_at = match *pending.target.addrs {
            [addr] => Some(addr),
            _ => None,
        };
        if self.backlog.is_some_and(|it| started >= it.since) {
            self.backlog = None;
        }
        for addr in asked_at.into_iter().chain([origin.path.remote]) {
            if self.seeds.binary_search(&addr).is_ok() {
                self.answered_seeds.insert(addr);
            }
        }
        // What concerns ourselves comes before anything else.
        let mut conflict = header.about_you.is_some_and(|report| self.check_self(&report));
        let own = entries.iter().find(|entry| *entry.node_id == *self.config.node_id);
        conflict |= own.is_some_and(|entry| self.check_self(&report_of(entry)));
        let sender = &*header.sender.node_id;
        let heard = self.hear_sender(header, true);
        if heard.is_refused() {
            self.exchanges.finish(nonce, self.now);
            self.tell_refused(origin, header);
            return;
        }
        if let Some(observed) = header.observed.filter(|_| first) {
            self.learn_address(sender, observed);
        }
        if answer.is_some_and(|answer| answer.standing == Standing::Unknown) {
            self.ask_by_hashes(nonce, header.nonce);
            return;
        }
        let mut wanted = BTreeSet::new();
        let mut lacking = Vec::new();
        let asked = answer.and_then(|_| self.exchanges.take_asked(nonce));
        if let (Some(asked), Some(answer)) = (&asked, answer) {
            self.sets_agree = answer.standing == Standing::Same;
            self.hear_answer(asked, answer, header, &mut wanted);
            lacking = self.entries_of_answer(asked, answer, &mut wanted);
        }
        self.hear_entries(entries, sender);
        let progressed = self.apply_all(deltas, sender);
        // The first token of a peer lifts the bound on its answers: that is progress too.
        let token = header.nonce;
        let known = self.members.get(sender).is_some_and(|member| member.contact.token == token);
        let validated = part.more && !known && purpose == Purpose::Round;
        self.remember_path(origin, header, Some(token));
        let peer = Peer { node_id: NodeId::from(sender), path: origin.path, token };
        lacking.extend(entries.iter().cloned());
        self.send_ack(origin, header, budget, &lacking, conflict);
        if answer.is_some() {
            self.want_log_of(header, part, &mut wanted);
        }
        // Most answers leave nothing to ask for.
        if !wanted.is_empty() {
            let version = self.version_towards(header.versions);
            let target = self.target_of(&peer);
            self.inquire((&target, token), version, &wanted, Unnamed::default(), usize::MAX);
        }
        let progressed = progressed || validated;
        match self.exchanges.record(nonce, peer.clone(), part, progressed, self.now) {
            Next::Wait => {}
            Next::Done => self.exchanges.end_serving(sender),
            Next::Continue => self.pull(peer, &start, end.as_deref()),
        }
        self.watch_exchange(nonce);
        if part.last {
            self.go_on_after(&header.sender.node_id);
        }
    }

    /// A responder that is not listened to is told why (rule L4): one that asks nobody, as a seed may
    /// be, would never learn it otherwise.
    fn tell_refused(&mut self, origin: &Origin, header: &Header<'_>) {
        let Some(report) = self.report_on(&header.sender) else { return };
        let part = part(0, true, false);
        self.answer(origin, header, Some(report), Body::Ack { part, deltas: Vec::new() });
    }

    /// Sends what the responder lacks.
    fn send_ack(
        &mut self,
        origin: &Origin,
        header: &Header<'_>,
        budget: u64,
        entries: &[DigestEntry<'_>],
        conflict: bool,
    ) {
        let mut stale = Vec::new();
        for entry in entries {
            if *entry.node_id == *self.config.node_id {
                stale.extend(if conflict { None } else { self.own_stale(Some(entry)) });
                continue;
            }
            let Some((node_id, member)) = self.members.get_key_value(&entry.node_id) else {
                continue;
            };
            if !member.is_gossiped() || *entry.node_id == *header.sender.node_id {
                continue;
            }
            let (view, urgent) = if entry.incarnation == member.incarnation {
                (PeerView::from_digest(entry), entry.max_version == 0)
            } else if entry.incarnation < member.incarnation {
                (PeerView::nothing(), true)
            } else {
                continue;
            };
            if view.is_behind(&member.replica) {
                stale.push(self.stale(node_id, member, view, urgent));
            }
        }
        if stale.is_empty() {
            return;
        }
        let budget = self.granted(budget);
        let ack_header = self.answer_header(origin, header.nonce, None);
        let overhead = size::message_overhead(&ack_header);
        let slice = self.slice(budget);
        let train_budget = TrainBudget::new(self.link, slice, overhead, overhead);
        let mut train = Train::pack(stale, train_budget, self.rotation, self.now);
        let count = train.messages.len();
        let left = budget.saturating_sub(train.spent);
        let version = self.version_towards(header.versions);
        let service =
            self.begin_service(AnswerKind::Ack, version, &ack_header, &mut train, left, count);
        let ends = service.is_none();
        let encode = |(index, deltas)| {
            let part = part(index, ends && index + 1 == count, train.more);
            let body = Body::Ack { part, deltas };
            Message { header: ack_header.clone(), body }
                .encode_with(&EncodeOptions::in_version(version))
        };
        let messages = train.messages.into_iter().enumerate().map(encode).collect();
        let encoded = Encoded { messages, service, too_large: train.too_large };
        self.send_all(&self.reply_to(origin), encoded);
    }

    pub(super) fn handle_ack(
        &mut self,
        origin: &Origin,
        header: &Header<'_>,
        part: TrainPart,
        deltas: &[NodeDelta<'_>],
    ) {
        if !self.proves(origin, header.echo) {
            self.counters.refused_unsolicited += 1;
            return;
        }
        if let Some(report) = header.about_you {
            self.check_self(&report);
        }
        let heard = self.hear_sender(header, true);
        if heard.is_refused() {
            return;
        }
        let sender = &*header.sender.node_id;
        let progressed = self.apply_all(deltas, sender);
        self.remember_path(origin, header, Some(header.nonce));
        let has_gap = |delta: &NodeDelta<'_>| {
            self.members.get(&delta.node_id).is_some_and(|member| member.parked_len() > 0)
        };
        let missing = part.more || deltas.iter().any(has_gap);
        if part.last && missing && progressed {
            let peer =
                Peer { node_id: NodeId::from(sender), path: origin.path, token: header.nonce };
            self.pull(peer, "", None);
        }
    }

    /// The way to a peer that has proven that it is there, the token that it gave us, and what it
    /// reads.
    pub(super) fn remember_path(
        &mut self,
        origin: &Origin,
        header: &Header<'_>,
        token: Option<u64>,
    ) {
        self.learn_versions(origin, header);
        let Some(member) = self.members.get_mut(&header.sender.node_id) else { return };
        if member.incarnation == header.sender.incarnation {
            member.contact.set_path(origin.path, self.now);
            member.contact.token = token.unwrap_or(member.contact.token);
        }
    }
}
