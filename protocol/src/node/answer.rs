//! Answering a question: Syn → SynAck.

use crate::columns::{ColumnAnswer, Columns, Standing};
use crate::delta::NodeDelta;
use crate::digest::{Digest, DigestEntry};
use crate::event::Notice;
use crate::id::NodeId;
use crate::membership::Member;
use crate::message::{Body, Header, Message, Refusal, SelfReport, TrainPart, Unnamed};
use crate::node::hear::{Heard, Sign};
use crate::node::serve::{AnswerKind, Service};
use crate::node::{Node, Origin, Target};
use crate::reconcile::{PeerView, StaleOwner, Train, TrainBudget};
use crate::wire::{EncodeOptions, size};

/// An address that has not proved that it wants it gets at most this many times what it sent.
pub(super) const REFLECTION_FACTOR: usize = 3;

/// What a question says that its sender has.
pub(super) enum Question<'a> {
    /// All members of a range.
    Range(&'a Digest<'a>),
    /// All members of a range, in columns.
    Columns(&'a Columns<'a>),
    /// Some members, and some without a name.
    Some(&'a [DigestEntry<'a>], &'a Unnamed),
}

impl Question<'_> {
    /// Members that are told of in full.
    fn entries(&self) -> &[DigestEntry<'_>] {
        match self {
            Question::Range(digest) => &digest.entries,
            Question::Some(entries, _) => entries,
            Question::Columns(_) => &[],
        }
    }
}

/// What a peer is told, and what it lacks.
#[derive(Default)]
pub(super) struct Answer<'a> {
    /// To a question in columns.
    pub(super) columns: Option<ColumnAnswer>,
    /// By which the peer knows us without our name, where it is told of columns.
    pub(super) position: Option<u32>,
    pub(super) entries: Vec<DigestEntry<'a>>,
    pub(super) stale: Vec<StaleOwner<'a>>,
}

/// Encoded messages, what follows them later, and what could not be put into any.
pub(super) struct Encoded {
    pub(super) messages: Vec<Vec<u8>>,
    pub(super) service: Option<Service>,
    pub(super) too_large: Vec<(NodeId, u64)>,
}

impl Node {
    pub(super) fn handle_question(
        &mut self,
        origin: &Origin,
        header: &Header<'_>,
        budget: u64,
        question: &Question<'_>,
        len: usize,
    ) {
        let sender = &header.sender;
        let proven = origin.peer.is_some() || self.proves(origin, header.echo);
        let heard = self.hear_sender(header, proven);
        let refusal = match heard {
            Heard::Future => Some(Refusal::GenerationFromTheFuture),
            Heard::Unknown if !header.observer && !self.has_room() => {
                self.counters.refused_nodes += 1;
                Some(Refusal::TooManyNodes)
            }
            _ => None,
        };
        if let Some(reason) = refusal {
            let node_id = NodeId::from(&*sender.node_id);
            self.notify(Notice::NodeRefused { node_id, reason });
            self.answer(origin, header, None, Body::Refused { reason });
            return;
        }
        // Our own entry comes first: on a conflict nothing of our namespace is sent.
        let own = question.entries().iter().find(|entry| *entry.node_id == *self.config.node_id);
        let mut conflict = own.is_some_and(|entry| proven && self.check_self(&report_of(entry)));
        let about_you = self.report_on(sender);
        // One that only watches is answered like a member: it must go on seeing the others.
        if heard.is_refused() && !header.observer {
            // A refused sender is told why, never met with silence.
            let part = part(0, true, false);
            let body = Body::SynAck { part, budget: 0, entries: Vec::new(), deltas: Vec::new() };
            self.answer(origin, header, about_you, body);
            return;
        }
        if proven {
            self.remember_path(origin, header, None);
        }
        let limit = if proven { None } else { Some(REFLECTION_FACTOR * len) };
        let budget = self.granted(budget);
        let asks = self.may_introduce(&sender.node_id);
        let heard = self.hear_entries(question.entries(), &sender.node_id);
        let read;
        let answer = match question {
            Question::Range(digest) => self.answer_digest(header, digest, &heard, asks, conflict),
            Question::Some(entries, unnamed) => {
                self.answer_some(header, (entries, unnamed), &heard, asks, conflict)
            }
            Question::Columns(columns) => {
                let Some(layout) = self.read_layout(header, columns) else {
                    self.answer(origin, header, about_you, unknown_set());
                    return;
                };
                let (told, more) = self.hear_columns(&layout, columns, header, proven);
                conflict |= more;
                self.consider_fresh_copies(&layout, columns);
                read = layout;
                self.answer_columns(header, &read, columns, told, asks, conflict)
            }
        };
        let answer_header = self.answer_header(origin, header.nonce, about_you);
        let encoded = self.encode_syn_ack(header, &answer_header, answer, budget, limit);
        self.send_all(&self.reply_to(origin), encoded);
    }

    /// What a peer gets of the bytes that it asks for.
    pub(super) fn granted(&self, budget: u64) -> usize {
        let budget = usize::try_from(budget).unwrap_or(usize::MAX);
        budget.min(self.config.limits.max_train_bytes)
    }

    fn has_room(&self) -> bool {
        self.members.len() + 1 < self.config.limits.max_nodes
            || self.members.eviction_candidate().is_some()
    }

    pub(super) fn answer(
        &mut self,
        origin: &Origin,
        asker: &Header<'_>,
        about_you: Option<SelfReport>,
        body: Body<'_>,
    ) {
        let options = EncodeOptions::in_version(self.version_towards(asker.versions));
        let header = self.answer_header(origin, asker.nonce, about_you);
        let bytes = Message { header, body }.encode_with(&options);
        self.transmit(self.reply_to(origin), bytes);
    }

    /// Takes in the signs of life of a digest; says what each entry is to us.
    pub(super) fn hear_entries(
        &mut self,
        entries: &[DigestEntry<'_>],
        reporter: &str,
    ) -> Vec<Heard> {
        let mut heard = Vec::with_capacity(entries.len());
        for entry in entries {
            if *entry.node_id == *self.config.node_id || *entry.node_id == *reporter {
                heard.push(Heard::Superseded);
                continue;
            }
            let sign =
                Sign { incarnation: entry.incarnation, heartbeat: entry.heartbeat, age: entry.age };
            heard.push(self.hear(&entry.node_id, sign, reporter));
            self.consider_fresh_copy(entry);
        }
        heard
    }

    /// Compares a digest with what we have: both are in the order of node ids.
    fn answer_digest<'a>(
        &'a self,
        header: &'a Header<'_>,
        digest: &'a Digest<'_>,
        heard: &[Heard],
        asks: bool,
        conflict: bool,
    ) -> Answer<'a> {
        let sender = &*header.sender.node_id;
        let own = &*self.config.node_id;
        let mut answer = Answer::default();
        let end = digest.end.as_deref();
        let mut members = self
            .members
            .range(&digest.start, end)
            .filter(|(node_id, member)| member.is_gossiped() && ***node_id != *sender)
            .peekable();
        for (entry, heard) in digest.entries.iter().zip(heard) {
            while let Some((node_id, member)) =
                members.next_if(|(node_id, _)| ***node_id < *entry.node_id)
            {
                self.tell_all(&mut answer, node_id, member);
            }
            let member = members.next_if(|(node_id, _)| ***node_id == *entry.node_id);
            if *entry.node_id == *own || *entry.node_id == *sender {
                continue;
            }
            self.weigh(&mut answer, member, entry, *heard == Heard::Unknown && asks);
        }
        for (node_id, member) in members {
            self.tell_all(&mut answer, node_id, member);
        }
        if digest.covers(sender) && !header.observer {
            answer.entries.extend(self.lacks_of_sender(header));
        }
        if digest.covers(own) && !conflict {
            let view = digest.entries.iter().find(|entry| *entry.node_id == *own);
            answer.stale.extend(self.own_stale(view));
        }
        answer.entries.sort_by(|a, b| a.node_id.cmp(&b.node_id));
        answer
    }

    /// What there is to say of some members, and nothing of others.
    fn answer_some<'a>(
        &'a self,
        header: &Header<'_>,
        (entries, unnamed): (&'a [DigestEntry<'_>], &Unnamed),
        heard: &[Heard],
        asks: bool,
        conflict: bool,
    ) -> Answer<'a> {
        let mut answer = Answer::default();
        for (node_id, member) in self.meant_by(unnamed) {
            let is_named = entries.binary_search_by(|it| (*it.node_id).cmp(node_id)).is_ok();
            if !is_named && **node_id != *header.sender.node_id {
                self.tell_all(&mut answer, node_id, member);
            }
        }
        for (entry, heard) in entries.iter().zip(heard) {
            if *entry.node_id == *self.config.node_id {
                answer.stale.extend(if conflict { None } else { self.own_stale(Some(entry)) });
            } else if *entry.node_id != *header.sender.node_id {
                let member = self.members.get_key_value(&entry.node_id);
                let member = member.filter(|(_, member)| member.is_gossiped());
                self.weigh(&mut answer, member, entry, *heard == Heard::Unknown && asks);
            }
        }
        answer.entries.sort_by(|a, b| a.node_id.cmp(&b.node_id));
        answer
    }

    /// What there is to say to an entry about somebody else. Of whom we do not know, we ask for all, if
    /// `asks`.
    fn weigh<'a>(
        &self,
        answer: &mut Answer<'a>,
        member: Option<(&'a NodeId, &'a Member)>,
        theirs: &'a DigestEntry<'_>,
        asks: bool,
    ) {
        match member {
            Some((node_id, member)) => self.compare(answer, node_id, member, theirs),
            None if asks => {
                answer.entries.push(DigestEntry::nothing(&theirs.node_id, theirs.incarnation));
            }
            None => {}
        }
    }

    /// The peer does not know this node, or only an earlier incarnation of it. Its log says everything: who
    /// lacks many should not be told of each of them twice.
    pub(super) fn tell_all<'a>(
        &self,
        answer: &mut Answer<'a>,
        node_id: &'a NodeId,
        member: &'a Member,
    ) {
        let view = PeerView::nothing();
        if view.is_behind(&member.replica) {
            answer.stale.push(self.stale(node_id, member, view, true));
        } else {
            answer.entries.push(self.digest_entry(node_id, member));
        }
    }

    fn compare<'a>(
        &self,
        answer: &mut Answer<'a>,
        node_id: &'a NodeId,
        member: &'a Member,
        theirs: &DigestEntry<'_>,
    ) {
        if theirs.incarnation < member.incarnation {
            self.tell_all(answer, node_id, member);
            return;
        }
        if theirs.incarnation > member.incarnation {
            // Not adopted: too old to be true, or heard right after a pause.
            return;
        }
        let ours = self.digest_entry(node_id, member);
        if ours.heartbeat > theirs.heartbeat || is_later(theirs, &ours) && !ours.frozen {
            answer.entries.push(ours);
        }
        let view = PeerView::from_digest(theirs);
        if view.is_behind(&member.replica) {
            answer.stale.push(self.stale(node_id, member, view, false));
        }
    }

    /// What we have of the sender's log, if it has written more.
    pub(super) fn lacks_of_sender<'a>(&'a self, header: &'a Header<'_>) -> Option<DigestEntry<'a>> {
        let sender = &header.sender;
        let Some((node_id, member)) = self.members.get_key_value(&sender.node_id) else {
            return Some(DigestEntry::nothing(&sender.node_id, sender.incarnation));
        };
        let ours = self.digest_entry(node_id, member);
        let theirs = (sender.max_version, sender.last_gc_version);
        let lacks = theirs > (ours.max_version, ours.last_gc_version) && !ours.frozen;
        (lacks && member.incarnation == sender.incarnation).then_some(ours)
    }

    pub(super) fn stale<'a>(
        &self,
        node_id: &'a NodeId,
        member: &'a Member,
        peer: PeerView,
        urgent: bool,
    ) -> StaleOwner<'a> {
        StaleOwner {
            node_id,
            incarnation: member.incarnation,
            replica: &member.replica,
            peer,
            heartbeat: member.vitals.heartbeat(),
            age: Some(self.now.since(member.vitals.last_sign_of_life())),
            urgent,
        }
    }

    /// Our own state, for a peer that has this of it. Nothing while another process has our id.
    pub(super) fn own_stale(&self, theirs: Option<&DigestEntry<'_>>) -> Option<StaleOwner<'_>> {
        let incarnation = self.identity.incarnation;
        let view = match theirs {
            Some(entry) if entry.incarnation == incarnation => PeerView::from_digest(entry),
            _ => PeerView::nothing(),
        };
        let behind = view.is_behind(self.own.replica()) && !self.identity.is_yielding();
        behind.then(|| StaleOwner {
            node_id: &self.config.node_id,
            incarnation,
            replica: self.own.replica(),
            peer: view,
            heartbeat: self.identity.heartbeat,
            age: Some(self.now.since(self.identity.emitted_at)),
            urgent: true,
        })
    }

    /// Packs an answer into messages. `limit` bounds all of them together, for an address that is
    /// not validated.
    fn encode_syn_ack(
        &self,
        asker: &Header<'_>,
        header: &Header<'_>,
        answer: Answer<'_>,
        budget: usize,
        limit: Option<usize>,
    ) -> Encoded {
        let version = self.version_towards(asker.versions);
        let peer = &*asker.sender.node_id;
        let overhead = size::message_overhead(header);
        let preferred = self.link.preferred_message_len;
        let mut groups = vec![Vec::new()];
        let mut columns = answer.columns;
        let room = limit.unwrap_or(usize::MAX).min(preferred).saturating_sub(overhead);
        let cut_columns = columns.as_mut().is_some_and(|it| self.fit_columns(it, room));
        let mut len = overhead + columns.as_ref().map_or(0, size::column_answer);
        let mut spent = len;
        let mut cut = false;
        for entry in answer.entries {
            let entry_len = size::digest_entry(&entry);
            let begins = len + entry_len > preferred;
            let cost = entry_len + if begins { overhead } else { 0 };
            if limit.is_some_and(|limit| spent + cost > limit) {
                cut = true;
                break;
            }
            if begins {
                groups.push(Vec::new());
                len = overhead;
            }
            len += entry_len;
            spent += cost;
            if let Some(group) = groups.last_mut() {
                group.push(entry);
            }
        }
        let mut train_budget = TrainBudget::new(self.link, self.slice(budget), len, overhead);
        if let Some(limit) = limit {
            // One message only: the bound leaves no room for the headers of others.
            let rest = limit.saturating_sub(spent);
            train_budget.total = rest.min(budget).min(train_budget.first_room);
            train_budget.first_part = train_budget.total;
        }
        let mut train = if cut {
            Train { more: true, ..Train::default() }
        } else {
            Train::pack(answer.stale, train_budget, self.rotation, self.now)
        };
        train.more |= cut_columns;
        let mut deltas = std::mem::take(&mut train.messages).into_iter();
        let mut bodies: Vec<(Vec<DigestEntry<'_>>, Vec<NodeDelta<'_>>)> = Vec::new();
        let last_group = groups.pop().unwrap_or_default();
        bodies.extend(groups.into_iter().map(|group| (group, Vec::new())));
        bodies.push((last_group, deltas.next().unwrap_or_default()));
        bodies.extend(deltas.map(|deltas| (Vec::new(), deltas)));
        let count = bodies.len();
        let kind = AnswerKind::SynAck { peer: peer.into() };
        let left = if limit.is_none() { budget.saturating_sub(train.spent) } else { 0 };
        let service = self.begin_service(kind, version, header, &mut train, left, count);
        let ends = service.is_none();
        let own_budget = self.exchanges.budget(Some(peer), preferred, self.now) as u64;
        let mut encode = |(index, (entries, deltas)): (usize, (Vec<_>, Vec<_>))| {
            let part = part(index, ends && index + 1 == count, train.more);
            let budget = own_budget;
            let mut header = header.clone();
            let body = match columns.take() {
                Some(columns) => {
                    header.sender.position = answer.position;
                    Body::ColumnSynAck { part, budget, answer: columns, entries, deltas }
                }
                None => Body::SynAck { part, budget, entries, deltas },
            };
            Message { header, body }.encode_with(&EncodeOptions::in_version(version))
        };
        let messages = bodies.into_iter().enumerate().map(&mut encode).collect();
        Encoded { messages, service, too_large: train.too_large }
    }

    pub(super) fn send_all(&mut self, target: &Target, encoded: Encoded) {
        for bytes in encoded.messages {
            self.transmit(target.clone(), bytes);
        }
        self.services.extend(encoded.service.map(|service| (target.clone(), service)));
        self.report_too_large(encoded.too_large);
    }

    pub(super) fn report_too_large(&mut self, entries: Vec<(NodeId, u64)>) {
        for (node_id, version) in entries {
            self.counters.entries_too_large += 1;
            if self.counters.entries_too_large == 1 {
                let id = self.member_id(&node_id);
                self.notify(Notice::EntryTooLarge { id, version });
            }
        }
    }
}

pub(super) fn part(index: usize, last: bool, more: bool) -> TrainPart {
    TrainPart { index: u32::try_from(index).unwrap_or(u32::MAX), last, more: more && last }
}

/// Whether the first has more of a log, or knows of a later watermark.
pub(super) fn is_later(one: &DigestEntry<'_>, other: &DigestEntry<'_>) -> bool {
    (one.max_version, one.last_gc_version) > (other.max_version, other.last_gc_version)
}

/// Says that a question was laid out by a set that we do not have.
fn unknown_set() -> Body<'static> {
    Body::ColumnSynAck {
        part: part(0, true, false),
        budget: 0,
        answer: ColumnAnswer { standing: Standing::Unknown, ..ColumnAnswer::default() },
        entries: Vec::new(),
        deltas: Vec::new(),
    }
}

pub(super) fn report_of(entry: &DigestEntry<'_>) -> SelfReport {
    SelfReport {
        incarnation: entry.incarnation,
        heartbeat: entry.heartbeat,
        age: entry.age,
        max_version: entry.max_version,
        last_gc_version: entry.last_gc_version,
    }
}
