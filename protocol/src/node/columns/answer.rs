//! Answering a question in columns.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::columns::{
    BUCKET, Cell, ColumnAnswer, Columns, Layout, Life, PositionVersions, Standing,
};
use crate::compact::{self, MemberSet, Reading, SetMember};
use crate::id::NodeId;
use crate::membership::Member;
use crate::message::{Header, SelfReport};
use crate::node::Node;
use crate::node::answer::{Answer, is_later};
use crate::node::columns::pair;
use crate::node::hear::Sign;
use crate::reconcile::PeerView;
use crate::wire::size;

/// Whom a position of a question means to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Me,
    Sender,
    /// Somebody else, at this position of our own set.
    Member(usize),
    Unknown,
}

/// A question's layout, as we can read it.
#[derive(Debug)]
pub(in crate::node) struct Read {
    set: Arc<MemberSet>,
    slots: Vec<Slot>,
    standing: Standing,
    /// Our own position, if the question was laid out by a set. Hashes may be a part of another one.
    me: Option<u32>,
    /// Positions of our set that the question should have named and did not.
    missing: Vec<usize>,
}

impl Node {
    /// Whom the positions mean. `None`: it is a set that we do not have (rule P10).
    pub(in crate::node) fn read_layout(
        &mut self,
        header: &Header<'_>,
        columns: &Columns<'_>,
    ) -> Option<Read> {
        let set = self.member_set();
        let me = set.position(&self.config.node_id);
        let sender = set.position(&header.sender.node_id);
        let slot = |position: usize| match Some(position) {
            it if it == me => Slot::Me,
            it if it == sender => Slot::Sender,
            _ => Slot::Member(position),
        };
        match &columns.layout {
            Layout::Set { fingerprint, first } => {
                let first = usize::try_from(*first).ok()?;
                let end = first.checked_add(columns.cells.len())?;
                if *fingerprint != set.fingerprint() || end > set.len() {
                    return None;
                }
                let slots = (first..end).map(slot).collect();
                let me = me.and_then(|me| u32::try_from(me).ok());
                Some(Read { set, slots, standing: Standing::Same, me, missing: Vec::new() })
            }
            Layout::Hashes { start, end, hashes } => {
                let range = set.range(start, end.as_deref());
                let (slots, missing) = self.find_hashes(&set, range, hashes, header, slot);
                let same = missing.is_empty() && !slots.contains(&Slot::Unknown);
                let standing = if same { Standing::Same } else { Standing::Other };
                Some(Read { set, slots, standing, me: None, missing })
            }
        }
    }

    /// Whom the hashes of a range mean, and the positions of it that none of them means.
    fn find_hashes(
        &self,
        set: &MemberSet,
        range: Range<usize>,
        hashes: &[u64],
        header: &Header<'_>,
        slot: impl Fn(usize) -> Slot,
    ) -> (Vec<Slot>, Vec<usize>) {
        let hash = self.members.hash();
        let short = |member: u64| hash.short(member, header.nonce);
        let mut positions: HashMap<u64, Option<usize>> = HashMap::new();
        for position in range.clone() {
            let Some(it) = set.get(position) else { break };
            match positions.entry(short(it.hash)) {
                Entry::Vacant(free) => _ = free.insert(Some(position)),
                // Two that look alike: neither can be meant.
                Entry::Occupied(mut taken) => _ = taken.insert(None),
            }
        }
        let sender = &header.sender;
        let sender_hash = short(hash.member(&sender.node_id, &sender.incarnation));
        let mut is_named = vec![false; set.len()];
        let mut read = |it: &u64| match positions.get_mut(it).map(Option::take) {
            // Whoever is named twice is meant at most once.
            Some(Some(position)) => {
                if let Some(it) = is_named.get_mut(position) {
                    *it = true;
                }
                slot(position)
            }
            None if *it == sender_hash => Slot::Sender,
            Some(None) | None => Slot::Unknown,
        };
        let slots = hashes.iter().map(&mut read).collect();
        let is_missing =
            |it: &usize| is_named.get(*it) == Some(&false) && slot(*it) != Slot::Sender;
        (slots, range.filter(is_missing).collect())
    }

    /// Takes in the lives that a question tells of, and says what we know of them later. True if it says
    /// more of ourselves than is true.
    pub(in crate::node) fn hear_columns(
        &mut self,
        read: &Read,
        columns: &Columns<'_>,
        header: &Header<'_>,
        proven: bool,
    ) -> (ColumnAnswer, bool) {
        let mut answer = ColumnAnswer {
            standing: read.standing,
            count: u32::try_from(read.slots.len()).unwrap_or(u32::MAX),
            ..ColumnAnswer::default()
        };
        let tenth = header.gossip_interval / 10;
        let mut news: Vec<(usize, Sign)> = Vec::new();
        let mut conflict = None;
        let mut lives = columns.lives.iter();
        let mut not_live = self.members.hash().lives(header.nonce);
        let mut silent: Vec<Life> = Vec::new();
        for (at, (cell, slot)) in (0_u32..).zip(columns.cells.iter().zip(&read.slots)) {
            let life = if matches!(cell, Cell::Listed) { lives.next() } else { None };
            let known = match slot {
                Slot::Member(position) => {
                    self.members.at(&read.set, *position).map(|member| (*position, member))
                }
                Slot::Me => {
                    let (more, unclear) = self.life_of_mine(cell, life, tenth);
                    conflict = conflict.or(more);
                    answer.asked.extend(unclear.then_some(at));
                    continue;
                }
                Slot::Sender => continue,
                Slot::Unknown => None,
            };
            let Some((position, member)) = known else {
                if matches!(cell, Cell::NotLive) {
                    not_live.add(at, 0);
                }
                continue;
            };
            let known = member.vitals.heartbeat();
            let sign = |heartbeat, age| {
                let incarnation = member.incarnation;
                (position, Sign { incarnation, heartbeat, age })
            };
            match (cell, life) {
                (Cell::Young { heartbeat, age }, _) => {
                    let age = compact::cell_age(*age, tenth);
                    match self.read_cell(*heartbeat, age, member) {
                        Reading::Older => self.tell_life(&mut answer, at, member),
                        Reading::LongAgo => answer.lives.push(self.life(at, member)),
                        Reading::Newer(heartbeat) => news.push(sign(heartbeat, Some(age))),
                        Reading::Unreadable => answer.asked.push(at),
                        Reading::Same => {}
                    }
                }
                (Cell::NotLive, _) => {
                    not_live.add(at, known);
                    if member.is_live() {
                        // Whoever knows nothing young could not read a cell.
                        answer.lives.push(self.life(at, member));
                    } else {
                        silent.push(self.life(at, member));
                    }
                }
                (Cell::Listed, Some(life)) if life.heartbeat > known => {
                    news.push(sign(life.heartbeat, life.age));
                }
                (Cell::Listed, Some(life)) if life.heartbeat < known => {
                    answer.lives.push(self.life(at, member));
                }
                (Cell::Listed, _) => {}
            }
        }
        if !silent.is_empty() && not_live.finish() != columns.not_live {
            answer.lives.extend(silent);
            answer.lives.sort_unstable_by_key(|life| life.position);
        }
        for (position, sign) in news {
            self.hear_at(&read.set, position, sign, &header.sender.node_id);
        }
        let conflict =
            conflict.is_some_and(|report: SelfReport| proven && self.check_self(&report));
        (answer, conflict)
    }

    /// What a question says of our own life, if that is more than is true; and whether it may be, and has
    /// to be told in full.
    fn life_of_mine(
        &self,
        cell: &Cell,
        life: Option<&Life>,
        tenth: Duration,
    ) -> (Option<SelfReport>, bool) {
        let ours = self.identity.heartbeat;
        let own_age = self.now.since(self.identity.emitted_at);
        let (heartbeat, age) = match (cell, life) {
            (Cell::Young { heartbeat, age }, _) => {
                let age = compact::cell_age(*age, tenth);
                let interval = self.config.gossip_interval;
                match compact::read(*heartbeat, age, (ours, own_age), interval, true) {
                    Reading::Newer(heartbeat) => (heartbeat, Some(age)),
                    Reading::Unreadable => return (None, true),
                    Reading::Older | Reading::LongAgo | Reading::Same => return (None, false),
                }
            }
            (_, Some(life)) if life.heartbeat > ours => (life.heartbeat, life.age),
            _ => return (None, false),
        };
        let incarnation = self.identity.incarnation;
        let report = SelfReport { incarnation, heartbeat, age, max_version: 0, last_gc_version: 0 };
        (Some(report), false)
    }

    fn tell_life(&self, answer: &mut ColumnAnswer, position: u32, member: &Member) {
        match self.cell_of(member) {
            cell @ Cell::Young { .. } => answer.newer.push((position, cell)),
            Cell::NotLive | Cell::Listed => answer.lives.push(self.life(position, member)),
        }
    }

    /// What the sender lacks and what we lack, and whom only one of us knows.
    pub(in crate::node) fn answer_columns<'a>(
        &'a self,
        header: &'a Header<'_>,
        read: &'a Read,
        columns: &Columns<'_>,
        mut told: ColumnAnswer,
        asks: bool,
        conflict: bool,
    ) -> Answer<'a> {
        let mut answer = Answer::default();
        let mut listed = columns.versions.iter().peekable();
        let mut positions = 0_u32..;
        for (slots, bucket) in read.slots.chunks(BUCKET).zip(&columns.buckets) {
            let mut theirs = self.members.hash().versions(header.nonce);
            let mut unlisted = Vec::new();
            for (slot, at) in slots.iter().zip(&mut positions) {
                let entry = listed.next_if(|it| it.position == at);
                let member = match slot {
                    Slot::Member(position) => self.members.at(&read.set, *position),
                    _ => None,
                };
                let (m, g) = match (entry, slot) {
                    (_, Slot::Sender) => {
                        self.ask_sender_at(&mut answer, &mut told, at, header);
                        (header.sender.max_version, header.sender.last_gc_version)
                    }
                    (Some(it), _) => (it.max_version, it.last_gc_version),
                    (None, Slot::Me) => pair(self.own.replica().versions()),
                    (None, _) => {
                        member.map_or((0, 0), |member| pair(member.told_copy().versions()))
                    }
                };
                theirs.add(m, g);
                match (slot, entry) {
                    (Slot::Me, Some(it)) if !conflict => {
                        let entry = it.entry(&self.config.node_id, self.identity.incarnation);
                        answer.stale.extend(self.own_stale(Some(&entry)));
                    }
                    (Slot::Member(position), _) => {
                        let (Some(it), Some(member)) = (read.set.get(*position), member) else {
                            continue;
                        };
                        match entry {
                            None => unlisted.push((at, &it.node_id, member)),
                            Some(theirs) => {
                                self.compare_at(
                                    &mut answer,
                                    &mut told,
                                    &it.node_id,
                                    member,
                                    theirs,
                                );
                            }
                        }
                    }
                    (Slot::Unknown, _) if asks => told.unknown.push(at),
                    _ => {}
                }
            }
            if theirs.finish() != *bucket {
                // Some of these differ; which, the sender will see.
                let ours = unlisted.into_iter().map(|(at, node_id, member)| {
                    PositionVersions::of(at, &self.digest_entry(node_id, member))
                });
                told.versions.extend(ours);
            }
        }
        for position in &read.missing {
            let member = self.members.at(&read.set, *position);
            if let Some((it, member)) = read.set.get(*position).zip(member) {
                self.tell_all(&mut answer, &it.node_id, member);
            }
        }
        let me = read.set.position(&self.config.node_id);
        if !conflict && me.is_some_and(|me| read.missing.contains(&me)) {
            answer.stale.extend(self.own_stale(None));
        }
        told.versions.sort_unstable_by_key(|it| it.position);
        answer.entries.sort_by(|a, b| a.node_id.cmp(&b.node_id));
        answer.columns = Some(told);
        answer.position = read.me.filter(|me| self.is_at(&read.set, *me));
        answer
    }

    /// Whether a position means this run of ours, still.
    fn is_at(&self, set: &MemberSet, position: u32) -> bool {
        let it = usize::try_from(position).ok().and_then(|at| set.get(at));
        let is_same = |it: &SetMember| {
            it.node_id == self.config.node_id && it.incarnation == self.identity.incarnation
        };
        it.is_some_and(is_same) && !self.identity.is_yielding()
    }

    fn compare_at<'a>(
        &self,
        answer: &mut Answer<'a>,
        told: &mut ColumnAnswer,
        node_id: &'a NodeId,
        member: &'a Member,
        theirs: &PositionVersions,
    ) {
        let ours = self.digest_entry(node_id, member);
        let entry = theirs.entry(node_id, member.incarnation);
        if is_later(&entry, &ours) && !ours.frozen {
            told.versions.push(PositionVersions::of(theirs.position, &ours));
        }
        let view = PeerView::from_digest(&entry);
        if view.is_behind(&member.replica) {
            answer.stale.push(self.stale(node_id, member, view, false));
        }
    }

    /// What the sender has written that we do not have, by its position if it is a member.
    fn ask_sender_at<'a>(
        &'a self,
        answer: &mut Answer<'a>,
        told: &mut ColumnAnswer,
        position: u32,
        header: &'a Header<'_>,
    ) {
        let Some(ours) = self.lacks_of_sender(header) else { return };
        if self.members.get(&header.sender.node_id).is_some() {
            told.versions.push(PositionVersions::of(position, &ours));
        } else {
            answer.entries.push(ours);
        }
    }

    /// Rule F1, for all versions that a question lists.
    pub(in crate::node) fn consider_fresh_copies(&mut self, read: &Read, columns: &Columns<'_>) {
        for theirs in &columns.versions {
            let slot = usize::try_from(theirs.position).ok().and_then(|at| read.slots.get(at));
            if let Some(Slot::Member(position)) = slot
                && let Some(it) = read.set.get(*position)
            {
                self.consider_fresh_copy(&theirs.entry(&it.node_id, it.incarnation));
            }
        }
    }

    /// Cuts the lists of an answer to what there is room for, beginning with others each time. True if
    /// something was left out.
    pub(in crate::node) fn fit_columns(&self, answer: &mut ColumnAnswer, room: usize) -> bool {
        let mut left = room.saturating_sub(size::newer_cells(answer));
        let start = self.rotation;
        let mut cut = keep(&mut answer.lives, start, &mut left, size::life);
        cut |= keep(&mut answer.asked, start, &mut left, |_| size::POSITION);
        cut |= keep(&mut answer.unknown, start, &mut left, |_| size::POSITION);
        cut |= keep(&mut answer.versions, start, &mut left, size::position_versions);
        cut
    }
}

/// Keeps of a list what fits, from `start` on and around. True if that is not all.
fn keep<T>(list: &mut Vec<T>, start: usize, left: &mut usize, len: impl Fn(&T) -> usize) -> bool {
    let count = list.len();
    let mut kept = vec![false; count];
    let mut cut = false;
    for index in (0..count).map(|offset| (start + offset) % count) {
        let Some(item) = list.get(index) else { continue };
        let len = len(item);
        cut = len > *left;
        if cut {
            break;
        }
        *left -= len;
        if let Some(it) = kept.get_mut(index) {
            *it = true;
        }
    }
    let mut kept = kept.into_iter();
    list.retain(|_| kept.next().unwrap_or(false));
    cut
}
