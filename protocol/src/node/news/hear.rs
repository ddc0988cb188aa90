//! Hearing of news: taking them in, passing them on, and asking for what they show to be missing.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::delta::NodeDelta;
use crate::id::{Incarnation, NodeId};
use crate::membership::Member;
use crate::message::{Changed, Header, Unnamed};
use crate::node::{Node, Origin, Target};
use crate::time::Timestamp;

/// An owner is asked for once in so many halves of the delay of a push.
const ASK_HALF_DELAYS: u32 = 5;

impl Node {
    pub(in crate::node) fn handle_news(
        &mut self,
        origin: &Origin,
        header: &Header<'_>,
        changed: &[Changed],
        deltas: &[NodeDelta<'_>],
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
            self.ask_for_news(origin, header, behind, unnamed);
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
        mut behind: BTreeSet<NodeId>,
        mut unnamed: Vec<u64>,
    ) {
        let now = self.now;
        let since = self.now - self.config.push_delay * ASK_HALF_DELAYS / 2;
        behind.retain(|node_id| {
            let frozen = self
                .members
                .get(node_id)
                .is_none_or(|it| it.frozen_until.is_some_and(|until| now < until));
            !frozen && !self.news.has_asked_since(node_id, since)
        });
        // The same one has another hash in each message: it is not known who was asked for.
        if self.news.asked_unnamed_at > since || !self.may_introduce(&header.sender.node_id) {
            unnamed.clear();
        }
        let Some((target, token)) = self.teller(origin, &header.sender.node_id) else { return };
        if behind.is_empty() && unnamed.is_empty() || self.news.allowance.left(now) == 0 {
            return;
        }
        if !unnamed.is_empty() {
            self.news.asked_unnamed_at = now;
        }
        let unnamed = Unnamed { nonce: header.nonce, hashes: unnamed };
        let version = self.version_towards(header.versions);
        let spent = self.inquire(&target, token, version, &behind, unnamed);
        self.news.allowance.spend(spent);
        let kept = self.listed_since();
        self.news.asked.retain(|_, at| *at >= kept);
        self.news.asked.extend(behind.into_iter().map(|node_id| (node_id, now)));
    }

    /// How to reach whoever told, and the token for that: the way that it is known to be at, or as in a round.
    fn teller(&self, origin: &Origin, sender: &str) -> Option<(Target, u64)> {
        if let Some(peer) = self.pusher(origin, sender) {
            return Some((self.target_of(&peer), peer.token));
        }
        let target = self.target(sender)?;
        let token = self.token_of(&target);
        Some((target, token))
    }

    /// A copy has grown, and had `before` for the last time. If that was asked for because of news, others
    /// may lack it as well.
    pub(in crate::node) fn learn_of_growth(&mut self, node_id: &NodeId, before: Timestamp) {
        let since = self.listed_since();
        self.news.recent.note(node_id, before, self.now);
        let members = &self.members;
        self.news.recent.trim(since, |it| members.get(it).map(|member| member.changed_at));
        // Of an answer about those without a name it is not known here who was in it.
        if self.news.has_asked_since(node_id, since) || self.news.asked_unnamed_at > since {
            self.list_soon();
        }
    }
}
