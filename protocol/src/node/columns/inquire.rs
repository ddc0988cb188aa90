//! Questions about some members (rules P11 and N2), and who is meant by them.

use std::collections::{BTreeSet, HashSet};

use rand::Rng;

use crate::digest::DigestEntry;
use crate::id::NodeId;
use crate::membership::Member;
use crate::message::{Body, Header, Message, Unnamed};
use crate::node::exchange::Purpose;
use crate::node::round::EncodedSyn;
use crate::node::versions::Written;
use crate::node::{Node, Target};
use crate::wire::{EncodeOptions, Version, size};

impl Node {
    /// Tells a peer in full what we have of some members, and so asks for what we lack of them, and for all
    /// of those whose names we do not know; of these no more than a message has room for. Returns the bytes
    /// that this takes, at most `limit`, and whom of `wanted` it was about.
    pub(in crate::node) fn inquire(
        &mut self,
        (target, token): (&Target, u64),
        version: Version,
        wanted: &BTreeSet<NodeId>,
        mut unnamed: Unnamed,
        limit: usize,
    ) -> (usize, Vec<NodeId>) {
        let preferred = self.link.preferred_message_len;
        let budget = self.exchanges.budget(target.node_id.as_deref(), preferred, self.now);
        let header = self.header(0, token);
        let overhead = size::inquiry_overhead(&header);
        let room = preferred.min(limit).saturating_sub(overhead);
        unnamed.hashes.truncate(room / size::unnamed(1));
        let mut asked = Vec::new();
        let mut groups: Vec<Vec<DigestEntry<'_>>> = Vec::new();
        let mut len = usize::MAX;
        let mut left = limit;
        if !unnamed.hashes.is_empty() {
            groups.push(Vec::new());
            len = overhead + size::unnamed(unnamed.hashes.len());
            left = left.saturating_sub(len);
        }
        for node_id in wanted {
            let Some((node_id, member)) = self.members.get_key_value(node_id) else { continue };
            if !member.is_gossiped() {
                continue;
            }
            let entry = self.digest_entry(node_id, member);
            let entry_len = size::digest_entry(&entry);
            let begins = len.saturating_add(entry_len) > preferred;
            let cost = entry_len + if begins { overhead } else { 0 };
            if cost > left {
                break;
            }
            left -= cost;
            if begins {
                groups.push(Vec::new());
                len = overhead;
            }
            len += entry_len;
            asked.push(node_id.clone());
            if let Some(group) = groups.last_mut() {
                group.push(entry);
            }
        }
        let share = (budget / groups.len().max(1)).max(preferred) as u64;
        let mut rng = self.rng.clone();
        let encode = |entries: Vec<DigestEntry<'_>>| {
            let nonce = rng.random();
            let header = Header { nonce, ..header.clone() };
            // They are in the first.
            let unnamed = std::mem::take(&mut unnamed);
            let message =
                Message { header, body: Body::Inquiry { budget: share, entries, unnamed } };
            let bytes = message.encode_with(&EncodeOptions::in_version(version));
            EncodedSyn { nonce, range: (String::new(), None), asked: None, bytes }
        };
        let parts: Vec<EncodedSyn> = groups.into_iter().map(encode).collect();
        self.rng = rng;
        let spent = parts.iter().map(|part| part.bytes.len()).sum();
        let written = Written { version, again: false };
        self.ask(target, Purpose::Round, written, token, budget, parts);
        (spent, asked)
    }

    /// Whom a peer means that does not know their names, in the order of their ids.
    pub(in crate::node) fn meant_by<'a>(
        &'a self,
        unnamed: &Unnamed,
    ) -> impl Iterator<Item = (&'a NodeId, &'a Member)> {
        let hash = self.members.hash();
        let nonce = unnamed.nonce;
        let hashes: HashSet<u64> = unnamed.hashes.iter().copied().collect();
        let members = (!hashes.is_empty()).then(|| self.members.gossiped());
        members
            .into_iter()
            .flatten()
            .filter(move |(_, it)| hashes.contains(&hash.short(it.hash(), nonce)))
    }
}
