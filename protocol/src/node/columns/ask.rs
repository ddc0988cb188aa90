//! Asking: what we have of all members, in columns.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use rand::Rng;

use crate::columns::{
    BUCKET, Cell, ColumnAnswer, Columns, Layout, Life, PositionVersions, Standing,
};
use crate::compact::{self, MemberSet, SetMember};
use crate::id::NodeId;
use crate::membership::Member;
use crate::message::{Body, Header, Message};
use crate::node::Node;
use crate::node::columns::pair;
use crate::node::round::EncodedSyn;
use crate::wire::{EncodeOptions, Version, size};

/// For so many intervals after a change versions are listed. After that most have heard of it, and a hash
/// costs less.
const LISTED_INTERVALS: u32 = 3;

/// The members that a question in columns was about: positions in the answer refer to them.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    set: Arc<MemberSet>,
    positions: Range<usize>,
    /// Members were named by hashes, so that anybody can read it.
    by_hashes: bool,
}

impl Asked {
    /// How many they are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether this is an answer to that.
    pub(crate) fn fits(&self, answer: &ColumnAnswer) -> bool {
        match answer.standing {
            Standing::Unknown => !self.by_hashes,
            _ => usize::try_from(answer.count) == Ok(self.positions.len()),
        }
    }

    /// The member at a position of the question.
    pub(crate) fn member(&self, position: u32) -> Option<&SetMember> {
        self.set.get(self.position(position)?)
    }

    /// Its position in the set.
    pub(crate) fn position(&self, position: u32) -> Option<usize> {
        let offset = usize::try_from(position).ok().filter(|it| *it < self.positions.len())?;
        Some(self.positions.start + offset)
    }

    pub(crate) fn set(&self) -> &Arc<MemberSet> {
        &self.set
    }
}

/// What a question tells of one member.
struct Told {
    cell: Cell,
    heartbeat: u64,
    /// What the hash of its bucket is made of.
    pair: (u64, u64),
    /// Of few, and much longer than the rest.
    listed: Option<Box<Listed>>,
}

/// What is said in full, because columns do not say it.
struct Listed {
    life: Option<Life>,
    versions: Option<PositionVersions>,
}

impl Listed {
    fn of(life: Option<Life>, versions: Option<PositionVersions>) -> Option<Box<Listed>> {
        let is_any = life.is_some() || versions.is_some();
        is_any.then(|| Box::new(Listed { life, versions }))
    }

    /// In bytes.
    fn len(&self) -> usize {
        self.life.as_ref().map_or(0, size::life)
            + self.versions.as_ref().map_or(0, size::position_versions)
    }
}

/// A question that grows member by member.
struct Draft {
    first: usize,
    cells: Vec<Cell>,
    lives: Vec<Life>,
    versions: Vec<PositionVersions>,
    pairs: Vec<(u64, u64)>,
    dead: Vec<(u32, u64)>,
    listed_len: usize,
}

impl Draft {
    /// Begins with the member at `first`. There may be so many.
    fn new(first: usize, count: usize) -> Draft {
        Draft {
            first,
            cells: Vec::with_capacity(count),
            lives: Vec::new(),
            versions: Vec::new(),
            pairs: Vec::with_capacity(count),
            dead: Vec::new(),
            listed_len: 0,
        }
    }

    fn add(&mut self, told: Told) {
        let position = u32::try_from(self.cells.len()).unwrap_or(u32::MAX);
        self.cells.push(told.cell);
        self.pairs.push(told.pair);
        if let Some(listed) = told.listed {
            self.listed_len += listed.len();
            self.lives.extend(listed.life.map(|life| Life { position, ..life }));
            self.versions.extend(listed.versions.map(|it| PositionVersions { position, ..it }));
        }
        if matches!(told.cell, Cell::NotLive) {
            self.dead.push((position, told.heartbeat));
        }
    }
}

impl Node {
    /// Whom positions mean at present.
    pub(in crate::node) fn member_set(&mut self) -> Arc<MemberSet> {
        self.members.set(&self.config.node_id, self.identity.incarnation)
    }

    /// Questions over consecutive ranges, each within the preferred length. To `peer` the versions of its own
    /// log are listed, so that it can answer with what it has written.
    pub(in crate::node) fn encode_column_syns(
        &mut self,
        version: Version,
        peer: Option<&str>,
        (start, end): (&str, Option<&str>),
        token: u64,
        budget: usize,
    ) -> Vec<EncodedSyn> {
        let by_hashes = !self.sets_agree;
        let set = self.member_set();
        let mut rng = self.rng.clone();
        let positions = set.range(start, end);
        let peer = peer.and_then(|peer| set.position(peer));
        let header = self.header(0, token);
        // Where a part ends is not known yet, when it begins.
        let end_len = if by_hashes { NodeId::MAX_LEN } else { 0 };
        let room = |first: &str| {
            let overhead = size::column_syn_overhead(&header, first.len(), end_len);
            self.link.preferred_message_len.saturating_sub(overhead)
        };
        let count = positions.len();
        let mut drafts = vec![Draft::new(positions.start, count)];
        let mut left = room(start);
        for position in positions {
            let Some(draft) = drafts.last_mut() else { break };
            let Some(it) = set.get(position) else { break };
            let told = match self.members.at(&set, position) {
                Some(member) => self.told_of(&it.node_id, member, peer == Some(position)),
                None => self.told_of_self(),
            };
            let columns = size::columns(draft.cells.len() + 1, by_hashes);
            let listed = told.listed.as_ref().map_or(0, |listed| listed.len());
            if columns + draft.listed_len + listed > left && !draft.cells.is_empty() {
                left = room(&it.node_id);
                let mut next = Draft::new(position, draft.cells.len());
                next.add(told);
                drafts.push(next);
            } else {
                draft.add(told);
            }
        }
        let share = (budget / drafts.len()).max(self.link.preferred_message_len) as u64;
        let bounds: Vec<usize> = drafts.iter().skip(1).map(|draft| draft.first).collect();
        let name = |position: usize| set.get(position).map_or("", |member| &member.node_id);
        let mut parts = Vec::with_capacity(drafts.len());
        for (index, draft) in drafts.into_iter().enumerate() {
            let nonce = rng.random();
            let first = if index == 0 { start } else { name(draft.first) };
            let last = bounds.get(index).map(|next| name(*next)).or(end);
            let positions = draft.first..draft.first + draft.cells.len();
            let asked = Asked { set: set.clone(), positions, by_hashes };
            let columns = self.columns_of(draft, &asked, nonce, (first, last));
            let header = Header { nonce, ..header.clone() };
            let message = Message { header, body: Body::ColumnSyn { budget: share, columns } };
            let bytes = message.encode_with(&EncodeOptions::in_version(version));
            let range = (first.to_owned(), last.map(str::to_owned));
            parts.push(EncodedSyn { nonce, range, asked: Some(asked), bytes });
        }
        self.rng = rng;
        parts
    }

    fn told_of(&self, node_id: &NodeId, member: &Member, is_asked: bool) -> Told {
        let cell = self.cell_of(member);
        let since = self.now - self.config.gossip_interval * LISTED_INTERVALS;
        let lists = member.changed_at >= since || is_asked || member.is_unsettled(self.now);
        let life = matches!(cell, Cell::Listed).then(|| self.life(0, member));
        let versions = lists.then(|| PositionVersions::of(0, &self.digest_entry(node_id, member)));
        Told {
            cell,
            heartbeat: member.vitals.heartbeat(),
            pair: pair(member.told_copy().versions()),
            listed: Listed::of(life, versions),
        }
    }

    /// Whoever reads this has it from the header.
    fn told_of_self(&self) -> Told {
        let heartbeat = self.identity.heartbeat;
        let age = self.now.since(self.identity.emitted_at);
        let cell = compact::cell_of(heartbeat, age, self.config.gossip_interval / 10);
        let life = || Life { position: 0, heartbeat, age: Some(age) };
        Told {
            cell,
            heartbeat,
            pair: pair(self.own.replica().versions()),
            listed: Listed::of(matches!(cell, Cell::Listed).then(life), None),
        }
    }

    fn columns_of<'a>(
        &self,
        draft: Draft,
        asked: &Asked,
        nonce: u64,
        (start, end): (&'a str, Option<&'a str>),
    ) -> Columns<'a> {
        let hash = self.members.hash();
        let layout = if asked.by_hashes {
            let members = asked.set.slice(asked.positions.clone());
            let hashes = members.iter().map(|it| hash.short(it.hash, nonce)).collect();
            let (start, end) = (Cow::Borrowed(start), end.map(Cow::Borrowed));
            Layout::Hashes { start, end, hashes }
        } else {
            let first = u32::try_from(draft.first).unwrap_or(u32::MAX);
            Layout::Set { fingerprint: asked.set.fingerprint(), first }
        };
        let bucket = |pairs: &[(u64, u64)]| {
            let mut bucket = hash.versions(nonce);
            pairs.iter().for_each(|(m, g)| bucket.add(*m, *g));
            bucket.finish()
        };
        let mut not_live = hash.lives(nonce);
        draft.dead.iter().for_each(|(position, heartbeat)| not_live.add(*position, *heartbeat));
        Columns {
            layout,
            not_live: if draft.dead.is_empty() { 0 } else { not_live.finish() },
            buckets: draft.pairs.chunks(BUCKET).map(bucket).collect(),
            cells: draft.cells,
            lives: draft.lives,
            versions: draft.versions,
        }
    }
}
