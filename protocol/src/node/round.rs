//! Opening exchanges: rounds, joining, and fetching what a train did not bring.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use rand::Rng;

use crate::digest::{Digest, DigestEntry};
use crate::id::NodeId;
use crate::membership::Member;
use crate::message::{Body, Header, Message, SelfReport, SenderEntry};
use crate::node::columns::Asked;
use crate::node::exchange::{Peer, Pending, Purpose};
use crate::node::timers::Timer;
use crate::node::versions::Written;
use crate::node::{Node, Origin, Target};
use crate::wire::{EncodeOptions, Version, size};

/// A question, the range of node ids that it is about, and the nonce that its answer must echo.
pub(super) struct EncodedSyn {
    pub(super) nonce: u64,
    pub(super) range: (String, Option<String>),
    /// Whom it is about, if it is in columns.
    pub(super) asked: Option<Asked>,
    pub(super) bytes: Vec<u8>,
}

/// The live peers of a round, one after the other: what is heard from one, is told to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    waiting: VecDeque<Target>,
    /// Who was asked last, until there is an answer.
    asked: Option<NodeId>,
}

/// Who has not answered within this part of an interval is not waited for, nor within what lets all be asked
/// in half of one.
const ROW_PATIENCE: usize = 10;

impl Node {
    /// One round of gossip: the heartbeat, the life cycle, and an exchange with a few peers.
    pub(super) fn round(&mut self) {
        self.set_next_round();
        self.tend_members();
        self.forget_loops();
        if self.leaving.is_some() {
            return;
        }
        self.counters.rounds += 1;
        self.identity.beat(self.now);
        self.rotation = self.rotation.wrapping_add(1);
        let (live, others) = self.choose_targets();
        self.row = Row { waiting: live.into(), asked: None };
        self.open_next();
        for target in others {
            self.open_exchange(target, Purpose::Round, "", None);
        }
        if self.members.live() == 0 && !self.seeds.is_empty() {
            let due = self.now + self.config.gossip_interval / 4;
            self.timers.set(Timer::Join, due);
        }
    }

    /// Opens the next exchange of the round, and the one after it when that is answered, or has not been
    /// for a while (rule P2).
    pub(super) fn open_next(&mut self) {
        self.timers.stop(Timer::Row);
        if self.leaving.is_some() {
            return;
        }
        let Some(target) = self.row.waiting.pop_front() else { return };
        self.row.asked = target.node_id.clone();
        if !self.row.waiting.is_empty() {
            let part = u32::try_from(ROW_PATIENCE.max(2 * self.config.fanout)).unwrap_or(u32::MAX);
            self.timers.set(Timer::Row, self.now + self.config.gossip_interval / part);
        }
        self.open_exchange(target, Purpose::Round, "", None);
    }

    /// This peer has answered.
    pub(super) fn go_on_after(&mut self, peer: &str) {
        if self.row.asked.as_deref() == Some(peer) {
            self.row.asked = None;
            self.open_next();
        }
    }

    /// While nobody is known to live, the seeds are asked four times per interval.
    pub(super) fn join(&mut self) {
        if self.members.live() > 0 || self.leaving.is_some() || self.seeds.is_empty() {
            return;
        }
        self.timers.set(Timer::Join, self.now + self.config.gossip_interval / 4);
        let mut seeds = self.foreign_seeds();
        for _ in 0..self.config.fanout.min(seeds.len()) {
            let seed = seeds.swap_remove(self.rng.random_range(0..seeds.len()));
            self.open_exchange(Target::addr(seed), Purpose::Round, "", None);
        }
    }

    /// Sends what we have of the range, in as many messages as it takes; each is answered on its
    /// own.
    pub(super) fn open_exchange(
        &mut self,
        target: Target,
        purpose: Purpose,
        start: &str,
        end: Option<&str>,
    ) {
        let token = self.token_of(&target);
        self.open_exchange_with(target, purpose, start, end, token);
    }

    pub(super) fn open_exchange_with(
        &mut self,
        target: Target,
        purpose: Purpose,
        start: &str,
        end: Option<&str>,
        token: u64,
    ) {
        let version = self.version_for(target.node_id.as_deref());
        let written = Written { version, again: false };
        self.open_exchange_in(written, target, purpose, (start, end), token);
    }

    pub(super) fn open_exchange_in(
        &mut self,
        written: Written,
        target: Target,
        purpose: Purpose,
        (start, end): (&str, Option<&str>),
        token: u64,
    ) {
        let peer = target.node_id.as_deref();
        let one_message = self.link.preferred_message_len;
        let budget = self.exchanges.budget(peer, one_message, self.now);
        // Whoever only watches is in no set, and who knows nobody has little to say.
        let in_columns = written.version >= Version::V2
            && self.members.len() > 0
            && !self.identity.is_yielding();
        let parts = if in_columns {
            self.encode_column_syns(written.version, peer, (start, end), token, budget)
        } else {
            self.encode_syns(written.version, (start, end), token, budget)
        };
        self.ask(&target, purpose, written, token, budget, parts);
    }

    /// Sends questions, and waits for their answers. They share the budget.
    pub(super) fn ask(
        &mut self,
        target: &Target,
        purpose: Purpose,
        written: Written,
        token: u64,
        budget: usize,
        parts: Vec<EncodedSyn>,
    ) {
        let share = budget / parts.len().max(1);
        for EncodedSyn { nonce, range, asked, bytes } in parts {
            let pending = Pending::new(
                target.clone(),
                purpose,
                written,
                (range, asked),
                token,
                share,
                self.now,
            );
            self.exchanges.open(nonce, pending, self.config.limits.max_pending_exchanges);
            self.watch_exchange(nonce);
            self.transmit(target.clone(), bytes);
        }
    }

    /// Digests over consecutive ranges, each in a Syn within the preferred length.
    fn encode_syns(
        &mut self,
        version: Version,
        (start, end): (&str, Option<&str>),
        token: u64,
        budget: usize,
    ) -> Vec<EncodedSyn> {
        let mut rng = self.rng.clone();
        let mut ranges: Vec<Digest<'_>> = Vec::new();
        let preferred = self.link.preferred_message_len;
        let header = self.header(0, token);
        let mut open = Digest { start: Cow::Borrowed(start), end: None, entries: Vec::new() };
        let mut len = size::syn_overhead(&header, start.len(), NodeId::MAX_LEN);
        let members = self.members.range(start, end).filter(|(_, member)| member.is_gossiped());
        for (node_id, member) in members {
            let entry = self.digest_entry(node_id, member);
            let entry_len = size::digest_entry(&entry);
            if len + entry_len > preferred && !open.entries.is_empty() {
                let boundary: &str = node_id;
                open.end = Some(Cow::Borrowed(boundary));
                let next =
                    Digest { start: Cow::Borrowed(boundary), end: None, entries: Vec::new() };
                ranges.push(std::mem::replace(&mut open, next));
                len = size::syn_overhead(&header, boundary.len(), NodeId::MAX_LEN);
            }
            len += entry_len;
            open.entries.push(entry);
        }
        open.end = end.map(Cow::Borrowed);
        ranges.push(open);
        let budget = (budget / ranges.len()).max(preferred) as u64;
        let encode = |digest: Digest<'_>| {
            let nonce = rng.random();
            let range = (digest.start.to_string(), digest.end.as_ref().map(Cow::to_string));
            let header = Header { nonce, ..header.clone() };
            let message = Message { header, body: Body::Syn { budget, digest } };
            let bytes = message.encode_with(&EncodeOptions::in_version(version));
            EncodedSyn { nonce, range, asked: None, bytes }
        };
        let parts = ranges.into_iter().map(encode).collect();
        self.rng = rng;
        parts
    }

    /// What we have of a member.
    pub(super) fn digest_entry<'a>(
        &self,
        node_id: &'a NodeId,
        member: &'a Member,
    ) -> DigestEntry<'a> {
        let versions = member.told_copy().versions();
        DigestEntry {
            node_id: Cow::Borrowed(node_id),
            incarnation: member.incarnation,
            heartbeat: member.vitals.heartbeat(),
            age: Some(self.now.since(member.vitals.last_sign_of_life())),
            max_version: versions.max_version,
            last_gc_version: versions.last_gc_version,
            cursor: versions.cursor,
            parked: if member.fresh.is_some() { None } else { member.parked_range() },
            frozen: member.frozen_until.is_some_and(|until| self.now < until),
        }
    }

    /// The header of a message from us.
    pub(super) fn header(&self, nonce: u64, echo: u64) -> Header<'_> {
        let versions = self.own.replica().versions();
        Header {
            cluster_id_hash: self.cluster_id_hash,
            nonce,
            echo,
            versions: self.config.wire_versions,
            gossip_interval: self.config.gossip_interval,
            sender: SenderEntry {
                node_id: Cow::Borrowed(&self.config.node_id),
                incarnation: self.identity.incarnation,
                position: None,
                heartbeat: self.identity.heartbeat,
                age: self.now.since(self.identity.emitted_at),
                max_version: versions.max_version,
                last_gc_version: versions.last_gc_version,
            },
            observer: self.identity.is_yielding(),
            observed: None,
            about_you: None,
        }
    }

    /// The header of an answer.
    pub(super) fn answer_header(
        &self,
        origin: &Origin,
        echo: u64,
        about_you: Option<SelfReport>,
    ) -> Header<'_> {
        let token = self.token(origin, self.token_epoch());
        Header { observed: Some(origin.path.remote), about_you, ..self.header(token, echo) }
    }

    /// Fetches more from a peer, unless another peer serves already.
    pub(super) fn pull(&mut self, peer: Peer, start: &str, end: Option<&str>) {
        if self.exchanges.is_pulling(&peer.node_id, start, end)
            || !self.exchanges.begin_serving(&peer.node_id, self.now)
        {
            return;
        }
        self.counters.pulls += 1;
        let target = self.target_of(&peer);
        self.open_exchange_with(target, Purpose::Pull { attempt: 0 }, start, end, peer.token);
    }

    /// A peer that has answered: the way that its last message came is the one that works.
    pub(super) fn target_of(&self, peer: &Peer) -> Target {
        let addrs = self.usable_addrs(&peer.node_id);
        Target { node_id: Some(peer.node_id.clone()), addrs, reply: Some(peer.path) }
    }

    /// How long an exchange is remembered after its last message.
    fn exchange_lifetime(&self) -> Duration {
        self.config.gossip_interval * 10
    }

    /// Wakes up in time for this exchange.
    pub(super) fn watch_exchange(&mut self, nonce: u64) {
        let due = self.exchanges.due_of(nonce, self.exchange_lifetime());
        self.timers.lower(Timer::Exchange, due);
    }

    /// Goes on where trains were cut or questions lost.
    pub(super) fn tend_exchanges(&mut self) {
        for (pending, repeated) in self.exchanges.tend(self.exchange_lifetime(), self.now) {
            let (start, end) = (pending.start.clone(), pending.end.clone());
            if repeated {
                let (target, purpose, token) = (pending.target, pending.purpose, pending.token);
                self.open_exchange_with(target, purpose, &start, end.as_deref(), token);
            } else if let Some(peer) = pending.answered_by {
                self.pull(peer, &start, end.as_deref());
            }
        }
        let due = self.exchanges.next_due(self.exchange_lifetime());
        self.timers.lower(Timer::Exchange, due);
    }

    pub(super) fn token_of(&self, target: &Target) -> u64 {
        let peer = target.node_id.as_deref().and_then(|peer| self.members.get(peer));
        peer.map_or(0, |member| member.contact.token)
    }
}
