//! Telling: what has just been heard of, and how far the copies of what changed lately go.

use std::collections::BTreeMap;

use rand::Rng;
use rand::seq::SliceRandom;

use crate::id::{Incarnation, NodeId};
use crate::limits::LinkLimits;
use crate::membership::Member;
use crate::message::{Body, Changed, Message};
use crate::node::news::{LIST_DELAYS, LIST_FANOUT, LISTED_DELAYS, Untold};
use crate::node::serve::Due;
use crate::node::timers::Timer;
use crate::node::{Node, Target};
use crate::reconcile::{PeerView, Train, TrainBudget};
use crate::time::Timestamp;
use crate::wire::{EncodeOptions, Version, size};

/// To search for one member costs about what it costs to look at so many.
const SEARCH_COST: usize = 8;

impl Node {
    /// Whether this node pushes. While another process has its id it tells nobody anything, and its leave
    /// is told in another way.
    pub(super) fn pushes(&self) -> bool {
        self.config.push_fanout > 0 && self.leaving.is_none() && !self.identity.is_yielding()
    }

    /// What the own log has had since this version is news, if it has anything.
    pub(in crate::node) fn tell_own(&mut self, since: u64) {
        if self.own.replica().versions().max_version == since || !self.pushes() {
            return;
        }
        self.news.own_changed_at = self.now;
        self.tell_soon(self.config.node_id.clone(), self.identity.incarnation, since);
    }

    /// Somebody who was not known has come and speaks for itself.
    pub(in crate::node) fn tell_newcomer(&mut self, node_id: NodeId, incarnation: Incarnation) {
        if self.pushes() {
            self.tell_soon(node_id, incarnation, 0);
        }
    }

    /// Rule N1: what a log has had since this version is told after the delay, with whatever else there is
    /// by then.
    pub(super) fn tell_soon(&mut self, node_id: NodeId, incarnation: Incarnation, since: u64) {
        self.news.note(node_id, Untold { incarnation, since, heard_at: self.now });
        self.timers.lower(Timer::Push, self.now + self.config.push_delay);
        self.list_soon();
    }

    /// Rule N3: the list goes out, unless it has gone with a push by then.
    pub(in crate::node) fn list_soon(&mut self) {
        self.timers.lower(Timer::List, self.now + self.config.push_delay * LIST_DELAYS);
    }

    /// Tells a few what was heard of since the last time.
    pub(in crate::node) fn push(&mut self) {
        let untold = std::mem::take(&mut self.news.untold);
        if untold.is_empty() || !self.pushes() {
            return;
        }
        let readers = self.draw_readers(self.config.push_fanout);
        let left = self.news.allowance.left(self.now);
        let nonce = self.rng.random();
        let link = self.news_link();
        // At most half of the message is the list.
        let changed = self.changed_lately(nonce, link.preferred_message_len / 2);
        let dues: Vec<Due> = untold.iter().filter_map(|(id, it)| self.due_of(id, it)).collect();
        let header = self.header(nonce, 0);
        let overhead = size::news_overhead(&header) + len_of(&changed);
        let mut budget = TrainBudget::new(link, 0, overhead, overhead);
        // One message; an entry that is longer goes alone, if it may cost so much.
        budget.total = budget.first_room;
        budget.first_part = usize::try_from(left).unwrap_or(usize::MAX).saturating_sub(overhead);
        let owners = dues.iter().filter_map(|due| self.due(due)).collect();
        let train = Train::pack(owners, budget, self.rotation, self.now);
        let deltas = train.messages.into_iter().next().unwrap_or_default();
        if deltas.is_empty() {
            return;
        }
        let rest: Vec<Due> = train.rest.into_iter().map(Due::from).collect();
        let goes_on = train.more;
        let message = Message { header, body: Body::News { changed, deltas } };
        let letters = letters(&message, readers);
        let had_readers = !letters.is_empty();
        if !self.send_news(letters) {
            self.counters.pushes_withheld += u64::from(had_readers);
            return;
        }
        self.counters.pushes += 1;
        // What is no news any more is left to rounds: who has written much, tells only of its beginning.
        let oldest = self.listed_since();
        for due in rest {
            let heard_at = untold.get(&due.node_id).map_or(Timestamp::MIN, |it| it.heard_at);
            if goes_on && heard_at >= oldest {
                let (incarnation, since) = (due.incarnation, due.view.max_version());
                self.news.note(due.node_id, Untold { incarnation, since, heard_at });
                self.timers.lower(Timer::Push, self.now + self.config.push_delay);
            }
        }
        // The list went with it, and goes once more, counted from then.
        let again = self.now + self.config.push_delay * (LIST_DELAYS - 1);
        self.timers.set(Timer::List, again);
    }

    /// Rule N3: tells some how far the copies go of what changed lately.
    pub(in crate::node) fn tell_list(&mut self) {
        let nonce = self.rng.random();
        let changed = self.changed_lately(nonce, self.news_link().preferred_message_len);
        let own_is_new = self.news.own_changed_at >= self.listed_since();
        if !self.pushes() || changed.is_empty() && !own_is_new {
            return;
        }
        let readers = self.draw_readers(LIST_FANOUT);
        let header = self.header(nonce, 0);
        let message = Message { header, body: Body::News { changed, deltas: Vec::new() } };
        let letters = letters(&message, readers);
        self.send_news(letters);
    }

    /// The link, for messages no longer than a datagram: where the link prefers longer ones, a single push
    /// would take all that pushes may.
    fn news_link(&self) -> LinkLimits {
        let preferred = LinkLimits::default().preferred_message_len;
        let preferred_message_len = self.link.preferred_message_len.min(preferred);
        LinkLimits { preferred_message_len, ..self.link }
    }

    /// Sends as many as may be sent now; whether there was any.
    fn send_news(&mut self, letters: Vec<(Target, Vec<u8>)>) -> bool {
        let mut any = false;
        for (target, bytes) in letters {
            if self.news.allowance.left(self.now) < bytes.len() as u64 {
                break;
            }
            self.news.allowance.spend(bytes.len());
            self.transmit(target, bytes);
            any = true;
        }
        any
    }

    /// What is to be told of one log, to somebody who has all that comes before.
    fn due_of(&self, node_id: &NodeId, untold: &Untold) -> Option<Due> {
        let replica = if *node_id == self.config.node_id {
            self.own.replica()
        } else {
            &self.members.get(node_id)?.replica
        };
        let view = PeerView::complete_to(untold.since, replica.versions());
        Some(Due { node_id: node_id.clone(), incarnation: untold.incarnation, view })
    }

    /// Random live peers that can read news.
    fn draw_readers(&mut self, count: usize) -> Vec<(Target, Version)> {
        let mut rng = self.rng.clone();
        let mut active = std::mem::take(&mut self.active);
        let version = |peer: &NodeId| self.version_for(Some(peer));
        let able = |peer: &NodeId| version(peer) >= Version::V2;
        // If not all can be told, it is not always the same who are not.
        let drawn = self.draw_partners(count, &mut active, &mut rng, able);
        let reader = |peer: &NodeId| Some((self.target(peer)?, version(peer)));
        let readers = drawn.into_iter().filter_map(reader).collect();
        self.rng = rng;
        self.active = active;
        readers
    }

    /// Since when what changed is listed.
    pub(super) fn listed_since(&self) -> Timestamp {
        self.now - self.config.push_delay * LISTED_DELAYS
    }

    /// Others whose copies have changed so lately that it is listed.
    pub(super) fn listed_members(&self) -> impl Iterator<Item = (&NodeId, &Member)> {
        let (members, recent) = (&self.members, &self.news.recent);
        let since = self.listed_since();
        // Where most have changed, to look at all is less work than to search for each.
        let looks_at_all = recent.len() > members.len() / SEARCH_COST;
        let all = looks_at_all.then(|| members.gossiped()).into_iter().flatten();
        let some = (!looks_at_all).then(|| recent.owners()).into_iter().flatten();
        all.chain(some.filter_map(|it| members.get_key_value(it)))
            .filter(move |(_, it)| it.is_gossiped() && it.changed_at >= since)
    }

    /// How far the copies go of what changed lately; of some of them, if all are too many. The own log is
    /// not among them: it is in the header.
    fn changed_lately(&mut self, nonce: u64, room: usize) -> Vec<Changed> {
        let hash = self.members.hash();
        let mut changed: Vec<Changed> = self
            .listed_members()
            .map(|(_, member)| Changed {
                hash: hash.short(member.hash(), nonce),
                max_version: member.replica.versions().max_version,
            })
            .collect();
        // Whoever has begun anew is there twice.
        changed.sort_unstable_by_key(|it| it.hash);
        changed.dedup_by_key(|it| it.hash);
        let mut len = size::news_overhead(&self.header(nonce, 0)) + len_of(&changed);
        if len > room {
            changed.shuffle(&mut self.rng);
        }
        while len > room {
            let Some(it) = changed.pop() else { break };
            len -= size::changed(it.max_version);
        }
        changed
    }
}

fn len_of(changed: &[Changed]) -> usize {
    changed.iter().map(|it| size::changed(it.max_version)).sum()
}

/// The message for each of them, written once for each version.
fn letters(message: &Message<'_>, readers: Vec<(Target, Version)>) -> Vec<(Target, Vec<u8>)> {
    let mut written: BTreeMap<Version, Vec<u8>> = BTreeMap::new();
    let mut letter = |(target, version): (Target, Version)| {
        let write = || message.encode_with(&EncodeOptions::in_version(version));
        (target, written.entry(version).or_insert_with(write).clone())
    };
    readers.into_iter().map(&mut letter).collect()
}
