//! One owner, several replicas, and a network that loses, repeats, delays and reorders.

use std::time::Duration;

use crate::delta::NodeDelta;
use crate::id::Incarnation;
use crate::reconcile::plan::{PeerView, Planned, plan};
use crate::state::{Breakage, PruneCursor, Replica, Versions};
use crate::time::Timestamp;
use crate::wire::size;

use super::check::{Violation, check_part, check_peer, progressed, violation};
use super::owner::{KEYS, OWNER, Owner, contents};
use super::peer::Peer;

/// Exchanges after which everybody must be up to date.
const SETTLE_ROUNDS: usize = 400;

/// What may happen. Indices are taken modulo what there is, so that every list of steps is a
/// schedule; peer 0 is the owner where one serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Set { key: u8, value: u8 },
    Lease { key: u8, value: u8, ms: u8 },
    Renew { key: u8, ms: u8 },
    Delete { key: u8 },
    Collect,
    Advance { ms: u8 },
    Ask { asker: u8, server: u8, room: u8, parts: u8 },
    Wild { asker: u8, server: u8, view: u8, cursor: u8, room: u8 },
    Deliver { index: u8, keep: bool },
    Lose { index: u8 },
    Exchange { asker: u8, server: u8, room: u8, parts: u8 },
    Join { peer: u8 },
    CutOff { peer: u8 },
    Reconnect { peer: u8 },
}

#[derive(Clone)]
enum Mail {
    /// A digest on its way.
    Ask {
        asker: usize,
        server: usize,
        view: PeerView,
        room: usize,
        parts: usize,
    },
    Delta {
        to: usize,
        delta: NodeDelta<'static>,
    },
}

#[derive(Clone)]
pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) owner: Owner,
    pub(super) peers: Vec<Peer>,
    pub(super) breakage: Breakage,
    /// The owner is dead.
    pub(super) crashed: bool,
    pub(super) grace: Duration,
    mail: Vec<Mail>,
}

impl World {
    pub(super) fn new(peers: usize, breakage: Breakage) -> World {
        World {
            now: Timestamp::ZERO,
            owner: Owner::new(),
            peers: vec![Peer::default(); peers],
            breakage,
            crashed: false,
            grace: Duration::from_millis(100),
            mail: Vec::new(),
        }
    }

    fn sound(&self) -> bool {
        self.breakage == Breakage::default()
    }

    fn peer(&self, index: u8) -> usize {
        usize::from(index) % self.peers.len()
    }

    /// 0: the owner, otherwise a peer's index and one.
    fn server(&self, index: u8) -> usize {
        usize::from(index) % (self.peers.len() + 1)
    }

    pub(super) fn replica(&self, server: usize) -> &Replica {
        match server {
            0 => self.owner.replica(),
            peer => &self.peers[peer - 1].replica,
        }
    }

    pub(super) fn step(&mut self, step: Step) -> Result<(), Violation> {
        let key = |key: u8| 1 + usize::from(key) % (KEYS.len() - 1);
        let text = |value: u8| {
            "xyz-a-longer-value-that-takes-room"[..1 + usize::from(value) % 30].to_string()
        };
        let now = self.now;
        match step {
            Step::Set { key: k, value } => self.owner.set(key(k), &text(value), None, now),
            Step::Lease { key: k, value, ms } => {
                let ttl = Duration::from_millis(1 + u64::from(ms));
                self.owner.set(key(k), &text(value), Some(ttl), now);
            }
            Step::Renew { key: k, ms } => {
                self.owner.renew(key(k), Duration::from_millis(1 + u64::from(ms)), now);
            }
            Step::Delete { key: k } => self.owner.delete(key(k), now),
            Step::Collect => self.owner.collect(now),
            Step::Advance { ms } => self.advance(Duration::from_millis(ms.into()))?,
            Step::Ask { asker, server, room, parts } => {
                let (asker, server) = (self.peer(asker), self.server(server));
                if !self.peers[asker].cut_off {
                    let view = self.peers[asker].view();
                    let (room, parts) = (room.into(), parts_of(parts));
                    self.mail.push(Mail::Ask { asker, server, view, room, parts });
                }
            }
            Step::Wild { asker, server, view, cursor, room } => {
                let (asker, server) = (self.peer(asker), self.server(server));
                let view = self.wild_view(view, cursor);
                for delta in self.plan_train(server, view, room.into(), 1)? {
                    self.mail.push(Mail::Delta { to: asker, delta });
                }
            }
            Step::Deliver { index, keep } => return self.deliver(index, keep),
            Step::Lose { index } => {
                if !self.mail.is_empty() {
                    let index = usize::from(index) % self.mail.len();
                    self.mail.swap_remove(index);
                }
            }
            Step::Exchange { asker, server, room, parts } => {
                let (asker, server) = (self.peer(asker), self.server(server));
                self.exchange(asker, server, room.into(), parts_of(parts))?;
            }
            Step::Join { peer } => {
                let peer = self.peer(peer);
                self.peers[peer] = Peer::default();
            }
            Step::CutOff { peer } => {
                let peer = self.peer(peer);
                self.peers[peer].cut_off = true;
            }
            Step::Reconnect { peer } => {
                let peer = self.peer(peer);
                self.peers[peer].cut_off = false;
            }
        }
        Ok(())
    }

    fn advance(&mut self, time: Duration) -> Result<(), Violation> {
        self.now = self.now + time;
        self.owner.tick(self.now, self.grace);
        for peer in &mut self.peers {
            peer.replica.expire(self.now);
            if let Some(fresh) = &mut peer.fresh {
                fresh.expire(self.now);
            }
            check_peer(peer, &self.owner, self.now)?;
        }
        Ok(())
    }

    /// Versions that a digest could have named at some time, or that nobody ever had.
    fn wild_view(&self, view: u8, cursor: u8) -> PeerView {
        let top = self.owner.versions().max_version + 1;
        let part = |byte: u8, of: u64| u64::from(byte) % of;
        let max_version = part(view, top);
        let last_gc_version = part((view / 8).wrapping_add(cursor), top) / 2;
        let cursor = (cursor.is_multiple_of(3) && max_version > 1).then(|| PruneCursor {
            position: part(cursor / 3, max_version),
            gc_version: last_gc_version + 1 + part(cursor / 5, top),
        });
        let horizon = max_version;
        PeerView::from_versions(Versions { max_version, last_gc_version, horizon, cursor })
    }

    fn deliver(&mut self, index: u8, keep: bool) -> Result<(), Violation> {
        if self.mail.is_empty() {
            return Ok(());
        }
        let index = usize::from(index) % self.mail.len();
        let mail = match keep {
            true => self.mail[index].clone(),
            false => self.mail.swap_remove(index),
        };
        match mail {
            Mail::Ask { asker, server, view, room, parts } => {
                let up = server == 0 || !self.peers[server - 1].cut_off;
                if up {
                    for delta in self.plan_train(server, view, room, parts)? {
                        self.mail.push(Mail::Delta { to: asker, delta });
                    }
                }
            }
            Mail::Delta { to, delta } => {
                let peer = &mut self.peers[to];
                if !peer.cut_off {
                    let _ = peer.receive(&delta, &self.owner, self.now, self.breakage)?;
                }
            }
        }
        Ok(())
    }

    /// A train of at most `parts` parts, each with `room` bytes beside the header, or with one entry
    /// that takes more. Checks each part against its sender (rules S1 to S3, V1, and S23: the bound
    /// on its length, and that `t` covers exactly what is in it).
    pub(super) fn plan_train(
        &self,
        server: usize,
        mut view: PeerView,
        room: usize,
        parts: usize,
    ) -> Result<Vec<NodeDelta<'static>>, Violation> {
        let replica = self.replica(server);
        let mut train = Vec::new();
        let mut room = size::delta_header(OWNER.len()) + room;
        while train.len() < parts {
            let planned = plan(OWNER, Incarnation::default(), replica, &mut view, room, self.now);
            match planned {
                Planned::Nothing => break,
                Planned::TooSmall { needed, .. } => {
                    if needed <= room {
                        return violation("S23", format!("{needed} bytes do not fit {room}"));
                    }
                    room = needed;
                }
                Planned::Part { delta, len } => {
                    check_part(replica, &delta, len, room)?;
                    train.push(delta.into_owned());
                }
            }
        }
        Ok(train)
    }

    /// An exchange without loss. True if it changed anything. Every part makes progress (X1), as the
    /// sender expects, at least if nothing is kept aside; the first part always. A second copy
    /// asks peers that cannot help it, too.
    pub(super) fn exchange(
        &mut self,
        asker: usize,
        server: usize,
        room: usize,
        parts: usize,
    ) -> Result<bool, Violation> {
        let cut_off = |world: &World, server: usize| match server {
            0 => world.crashed,
            peer => world.peers[peer - 1].cut_off,
        };
        if server == asker + 1 || cut_off(self, server) || cut_off(self, asker + 1) {
            return Ok(false);
        }
        let theirs = self.replica(server).versions();
        if self.crashed {
            self.peers[asker].consider_fresh(theirs);
        }
        let train = self.plan_train(server, self.peers[asker].view(), room, parts)?;
        let first_copy = self.peers[asker].fresh.is_none();
        let plain = self.peers[asker].parked.is_empty();
        let mut busy = false;
        for (index, delta) in train.iter().enumerate() {
            let peer = &mut self.peers[asker];
            let checked = first_copy && (index == 0 || plain);
            let before = peer.digest_versions();
            let result = peer.receive(delta, &self.owner, self.now, self.breakage)?;
            let after = peer.digest_versions();
            busy |= progressed(before, after);
            if self.sound() && checked && !progressed(before, after) {
                let text = format!("{before:?} became {after:?} ({result:?}) by {delta:?}");
                return violation("X1", text);
            }
        }
        Ok(busy)
    }

    /// Everybody exchanges with everybody, without loss, until nothing changes.
    pub(super) fn settle(&mut self, room: usize) -> Result<(), Violation> {
        for peer in &mut self.peers {
            peer.cut_off = false;
        }
        for round in 0..SETTLE_ROUNDS {
            let mut busy = false;
            for asker in 0..self.peers.len() {
                // The owner is asked last, so that the replicas teach one another first.
                for offset in (0..=self.peers.len()).rev() {
                    let server = (offset + round) % (self.peers.len() + 1);
                    busy |= self.exchange(asker, server, room, 2)?;
                }
            }
            if !busy {
                return Ok(());
            }
        }
        violation("X1", format!("not settled after {SETTLE_ROUNDS} rounds"))
    }

    /// After [`World::settle`]: all replicas are byte-equal, and what the log says (R1, S21).
    pub(super) fn check_equal(&self) -> Result<(), Violation> {
        let owner = self.owner.replica();
        if contents(owner) != self.owner.expected() {
            return violation("S21", "the owner is not what its log says".into());
        }
        let truth = owner.versions();
        for (index, peer) in self.peers.iter().enumerate() {
            let (replica, versions) = (&peer.replica, peer.replica.versions());
            let equal = versions == truth
                && replica.doomed_len() == 0
                && replica.state_hash() == owner.state_hash()
                && replica.len() == owner.len()
                && replica.bytes() == owner.bytes()
                && contents(replica) == self.owner.expected();
            if !equal {
                let (ours, theirs) = (contents(replica), contents(owner));
                let detail = format!("{index}: {versions:?} {ours:?}; owner {truth:?} {theirs:?}");
                return violation("R1", detail);
            }
        }
        Ok(())
    }

    /// Whatever is still on its way changes nothing once everybody is up to date.
    pub(super) fn deliver_the_rest(&mut self) -> Result<(), Violation> {
        for mail in std::mem::take(&mut self.mail) {
            let Mail::Delta { delta, .. } = mail else {
                continue;
            };
            for peer in &mut self.peers {
                let _ = peer.receive(&delta, &self.owner, self.now, self.breakage)?;
            }
        }
        self.check_equal()
    }
}

fn parts_of(byte: u8) -> usize {
    1 + usize::from(byte) % 6
}

impl World {
    /// After [`World::settle`] without the owner: what reached one correct replica before the crash,
    /// and was not changed again, is everywhere (R12).
    pub(super) fn check_spread(&self, before: &World) -> Result<(), Violation> {
        for (key, name) in KEYS.iter().enumerate() {
            let Some(newest) = self.owner.history[key].last().copied() else { continue };
            if self.owner.op(newest).value.is_none() {
                continue;
            }
            let has =
                |peer: &Peer| peer.replica.get(name).is_some_and(|entry| entry.version() == newest);
            if before.peers.iter().any(has) && !self.peers.iter().all(has) {
                let versions = |peer: &Peer| peer.replica.versions();
                let all: Vec<Versions> = self.peers.iter().map(versions).collect();
                return violation("R12", format!("{name}@{newest} is not everywhere: {all:?}"));
            }
        }
        Ok(())
    }
}
