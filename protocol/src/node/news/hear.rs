//! Hearing of news: taking them in, passing them on, and asking for what they show to be missing.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::delta::NodeDelta;
use crate::id::{Incarnation, NodeId};
use crate::membership::Member;
use crate::message::{Changed, Header, Unnamed};
use crate::node::answer::REFLECTION_FACTOR;
use crate::node::{Node, Origin, Target};
use crate::time::Timestamp;

/// An owner is asked for once in so many halves of the delay of a push.
const ASK_HALF_DELAYS: u32 = 5;

impl Node {
    pub(in crate::node) fn handle_news(
        &mut self,
        origin: &Origin,
        header: &Header<'_>,
        (changed, deltas): (&[Changed], &[NodeDelta<'_>]),
        len: usize,
    ) {
        let heard = self.hear_sender(header, origin.peer.is_some());
        if !self.takes_pushes_of(heard, header) {
            self.counters.refused_pushes += 1;
            return;
        }
        let sender = &*header.sender.node_id;
        let mut behind = BTreeSet::new();
        for delta in deltas {
            if self.is_echo(delta) {
                continue;
            }
            let before = self.progress_of(&delta.node_id);
            self.apply(delta, sender);
            let Some((incarnation, m)) = self.progress_of(&delta.node_id) else { continue };
            // Of a log that is not known there is nothing before.
            let same = before.filter(|(earlier, _)| *earlier == incarnation);
            let since = same.map_or(0, |(_, m)| m);
            if m > since && self.pushes() {
                // Rule N1: whoever hears of it first by a push passes it on.
                self.tell_soon(NodeId::from(&*delta.node_id), incarnation, since);
            }
            if incarnation == delta.incarnation && m < delta.to {
                behind.insert(NodeId::from(&*delta.node_id));
            }
        }
        if self.pushes() {
            let unnamed = self.find_behind(header, changed, &mut behind);
            self.ask_for_news(origin, header, (behind, unnamed), len);
        }
    }

    /// Whether it is what this node has written itself: news go to all, whoever is their subject.
    fn is_echo(&self, delta: &NodeDelta<'_>) -> bool {
        *delta.node_id == *self.config.node_id
            && delta.incarnation == self.identity.incarnation
            && delta.source <= self.own.replica().versions().max_version
    }

    /// How far the copy goes, of which incarnation.
    fn progress_of(&self, node_id: &str) -> Option<(Incarnation, u64)> {
        let member = self.members.get(node_id)?;
        Some((member.incarnation, member.replica.versions().max_version))
    }

    /// Adds those of whose logs the sender has more. Returns the hashes of those who are not known.
    fn find_behind(
        &self,
        header: &Header<'_>,
        changed: &[Changed],
        behind: &mut BTreeSet<NodeId>,
    ) -> Vec<u64> {
        let sender = &header.sender;
        let ours = self.progress_of(&sender.node_id);
        if ours.is_some_and(|(run, m)| run == sender.incarnation && m < sender.max_version) {
            behind.insert(NodeId::from(&*sender.node_id));
        }
        let mut theirs: HashMap<u64, u64> =
            changed.iter().map(|it| (it.hash, it.max_version)).collect();
        let hash = self.members.hash();
        let short = |member: &Member| hash.short(member.hash(), header.nonce);
        let own = hash.member(&self.config.node_id, &self.identity.incarnation);
        theirs.remove(&hash.short(own, header.nonce));
        let mut compare = |node_id: &NodeId, member: &Member, theirs: u64| {
            if theirs > member.replica.versions().max_version {
                behind.insert(node_id.clone());
            }
        };
        // Most of it has reached this node lately as well.
        for (node_id, member) in self.listed_members() {
            if let Some(theirs) = theirs.remove(&short(member)) {
                compare(node_id, member, theirs);
            }
        }
        if theirs.is_empty() {
            return Vec::new();
        }
        let mut unnamed: HashSet<u64> = theirs.keys().copied().collect();
        for (node_id, member) in self.members.iter() {
            let hash = short(member);
            let Some(theirs) = theirs.get(&hash) else { continue };
            unnamed.remove(&hash);
            // Two that look alike are both asked for: that costs a question, and harms nobody.
            if member.is_gossiped() {
                compare(node_id, member, *theirs);
            }
        }
        let mut unnamed: Vec<u64> = unnamed.into_iter().collect();
        unnamed.sort_unstable();
        unnamed
    }

    /// Rule N2: asks the sender for what it has more of.
    fn ask_for_news(
        &mut self,
        origin: &Origin,
        header: &Header<'_>,
        (mut behind, mut unnamed): (BTreeSet<NodeId>, Vec<u64>),
        len: usize,
    ) {
        let now = self.now;
        let delay = self.config.push_delay * ASK_HALF_DELAYS / 2;
        let since = now - delay;
        behind.retain(|node_id| {
            let frozen = self
                .members
                .get(node_id)
                .is_none_or(|it| it.frozen_until.is_some_and(|until| now < until));
            !frozen && !self.news.has_asked_since(node_id, since)
        });
        // The same one has another hash in each message: it is not known who was asked for. If the last
        // question has brought nobody, the next will hardly do.
        let wait = if self.news.asked_in_vain { self.config.gossip_interval } else { delay };
        if self.news.asked_unnamed_at > now - wait || !self.may_introduce(&header.sender.node_id) {
            unnamed.clear();
        }
        if behind.is_empty() && unnamed.is_empty() {
            return;
        }
        let left = usize::try_from(self.news.allowance.left(now)).unwrap_or(usize::MAX);
        let Some((target, token, limit)) = self.teller(origin, &header.sender.node_id, len) else {
            return;
        };
        let any_unnamed = !unnamed.is_empty();
        let unnamed = Unnamed { nonce: header.nonce, hashes: unnamed };
        let version = self.version_towards(header.versions);
        let way = (&target, token);
        let (spent, asked) = self.inquire(way, version, &behind, unnamed, limit.min(left));
        if any_unnamed && spent > 0 {
            self.news.asked_unnamed_at = now;
            self.news.asked_in_vain = true;
        }
        self.news.allowance.spend(spent);
        let kept = self.listed_since();
        self.news.asked.retain(|_, at| *at >= kept);
        self.news.asked.extend(asked.into_iter().map(|node_id| (node_id, now)));
    }

    /// How to reach whoever told, the token for that, and how much may be sent there: the way that it is known
    /// to be at, or as in a round. At addresses that are only announced may be somebody who has told nothing:
    /// it gets no more than an answer to a message of this length may be.
    fn teller(&self, origin: &Origin, sender: &str, len: usize) -> Option<(Target, u64, usize)> {
        if let Some(peer) = self.pusher(origin, sender) {
            return Some((self.target_of(&peer), peer.token, usize::MAX));
        }
        let target = self.target(sender)?;
        let token = self.token_of(&target);
        Some((target, token, REFLECTION_FACTOR * len))
    }

    /// A copy has grown, and had `before` for the last time. If that was asked for because of news, others
    /// may lack it as well.
    pub(in crate::node) fn learn_of_growth(&mut self, node_id: &NodeId, before: Timestamp) {
        let since = self.listed_since();
        self.news.recent.note(node_id, before, self.now);
        let members = &self.members;
        self.news.recent.trim(since, |it| members.get(it).map(|member| member.changed_at));
        if self.news.has_asked_since(node_id, since) {
            self.list_soon();
        }
    }

    /// A node was taken in that was not known. If it was asked for because of news, others may lack it as well.
    pub(in crate::node) fn learn_of_newcomer(&mut self) {
        self.news.asked_in_vain = false;
        if self.news.asked_unnamed_at > self.listed_since() {
            self.list_soon();
        }
    }
}
