//! What comes of the answer to a question in columns.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::columns::{Cell, ColumnAnswer, Life};
use crate::compact::{self, Reading};
use crate::digest::DigestEntry;
use crate::id::NodeId;
use crate::message::{Header, TrainPart};
use crate::node::Node;
use crate::node::answer::is_later;
use crate::node::columns::Asked;
use crate::node::hear::Sign;

impl Node {
    /// Says who sent an answer that tells a position only (rule P10). False if that is nobody: the answer is
    /// not to be taken in.
    pub(in crate::node) fn name_sender(&mut self, header: &mut Header<'_>) -> bool {
        let Some(position) = header.sender.position.take() else { return true };
        let Some(pending) = self.exchanges.get(header.echo) else {
            self.counters.refused_unsolicited += 1;
            return false;
        };
        let Some(asked) = &pending.asked else {
            if !pending.in_columns {
                self.counters.refused_malformed += 1;
            }
            // Or come again: it was taken in.
            return false;
        };
        let Some(it) = usize::try_from(position).ok().and_then(|at| asked.set().get(at)) else {
            self.counters.refused_malformed += 1;
            return false;
        };
        header.sender.node_id = Cow::Owned(it.node_id.as_str().to_owned());
        header.sender.incarnation = it.incarnation;
        true
    }

    /// A responder does not know the set that a question was laid out by: it is asked again, in a way that
    /// can be read by anybody.
    pub(in crate::node) fn ask_by_hashes(&mut self, nonce: u64, token: u64) {
        self.sets_agree = false;
        let Some(pending) = self.exchanges.get(nonce).cloned() else { return };
        self.exchanges.finish(nonce, self.now);
        let (target, purpose) = (pending.target, pending.purpose);
        let (start, end) = (pending.start, pending.end);
        self.open_exchange_with(target, purpose, &start, end.as_deref(), token);
    }

    /// Adds the responder to `wanted`, if it has written what we lack and this answer, which is all, did
    /// not bring it.
    pub(in crate::node) fn want_log_of(
        &self,
        header: &Header<'_>,
        part: TrainPart,
        wanted: &mut BTreeSet<NodeId>,
    ) {
        let sender = &header.sender;
        let Some((node_id, member)) = self.members.get_key_value(&sender.node_id) else { return };
        let ours = member.replica.versions();
        let lacks =
            (sender.max_version, sender.last_gc_version) > (ours.max_version, ours.last_gc_version);
        if lacks && part.last && !part.more && member.incarnation == sender.incarnation {
            wanted.insert(node_id.clone());
        }
    }

    /// Takes in the lives of an answer. Adds to `wanted` whose life could not be read.
    pub(in crate::node) fn hear_answer(
        &mut self,
        asked: &Asked,
        answer: &ColumnAnswer,
        header: &Header<'_>,
        wanted: &mut BTreeSet<NodeId>,
    ) {
        let tenth = header.gossip_interval / 10;
        let reporter = &*header.sender.node_id;
        for (position, cell) in &answer.newer {
            let (Cell::Young { heartbeat, age }, Some(at)) = (cell, asked.position(*position))
            else {
                continue;
            };
            let Some(member) = self.members.at(asked.set(), at) else { continue };
            let age = compact::cell_age(*age, tenth);
            match self.read_cell(*heartbeat, age, member) {
                Reading::Newer(heartbeat) => {
                    let incarnation = member.incarnation;
                    let sign = Sign { incarnation, heartbeat, age: Some(age) };
                    self.hear_at(asked.set(), at, sign, reporter);
                }
                Reading::Unreadable => {
                    wanted.extend(asked.member(*position).map(|it| it.node_id.clone()));
                }
                Reading::Older | Reading::LongAgo | Reading::Same => {}
            }
        }
        for Life { position, heartbeat, age } in &answer.lives {
            let Some(it) = asked.member(*position) else { continue };
            if it.node_id == self.config.node_id || *it.node_id == *reporter {
                continue;
            }
            let sign = Sign { incarnation: it.incarnation, heartbeat: *heartbeat, age: *age };
            self.hear(&it.node_id, sign, reporter);
        }
        let lacking = answer.asked.iter().filter_map(|position| asked.member(*position));
        wanted.extend(lacking.map(|it| it.node_id.clone()));
    }

    /// What the responder has, as entries of a digest: of whom it does not know, nothing.
    pub(in crate::node) fn entries_of_answer<'a>(
        &mut self,
        asked: &'a Asked,
        answer: &ColumnAnswer,
        wanted: &mut BTreeSet<NodeId>,
    ) -> Vec<DigestEntry<'a>> {
        let mut entries = Vec::new();
        for theirs in &answer.versions {
            let Some(it) = asked.member(theirs.position) else { continue };
            let entry = theirs.entry(&it.node_id, it.incarnation);
            self.consider_fresh_copy(&entry);
            if let Some((node_id, member)) = self.members.get_key_value(&it.node_id) {
                let ours = self.digest_entry(node_id, member);
                if member.incarnation == it.incarnation && is_later(&entry, &ours) && !ours.frozen {
                    wanted.insert(node_id.clone());
                }
            }
            entries.push(entry);
        }
        for position in &answer.unknown {
            let Some(it) = asked.member(*position) else { continue };
            entries.push(DigestEntry::nothing(&it.node_id, it.incarnation));
        }
        entries
    }
}
