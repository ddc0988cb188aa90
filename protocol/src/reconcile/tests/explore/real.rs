//! The real code, run once for each situation that is different from all others.
//!
//! Owners, copies, digests and deltas get small numbers. What the code makes of them is a function of
//! them alone, so that it is remembered by their numbers. A number stands for the exact content: no
//! two contents share one.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::rc::Rc;
use std::time::Duration;

use crate::delta::{DeltaOp, NodeDelta};
use crate::id::Incarnation;
use crate::reconcile::plan::{PeerView, Planned, plan};
use crate::reconcile::tests::check::{Reader, Violation, check_part, check_peer, violation};
use crate::reconcile::tests::owner::{KEYS, OWNER, Owner, contents};
use crate::reconcile::tests::peer::Peer;
use crate::reconcile::tests::support::ALL;
use crate::state::{Breakage, DropReason, PruneCursor, Replica, Versions};
use crate::time::Timestamp;

const HOUR: Duration = Duration::from_secs(3_600);

/// The copy that has nothing.
pub(super) const EMPTY: Id = 0;

/// The number of an owner's state, a copy, a digest or a delta.
pub(super) type Id = u32;

/// How far the owner's log goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Writes after the first version, which is the protocol's own.
    pub(super) writes: u64,
    pub(super) keys: usize,
    /// Times that an hour passes, with leases of one and of two hours; 0: without leases.
    pub(super) hours: u32,
}

/// What the owner does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Write {
    Set(usize),
    /// Sets a key for so many hours.
    Lease(usize, u32),
    Delete(usize),
    /// The grace period of the tombstones up to this version is over.
    Collect(u64),
    /// An hour passes, for everybody.
    Hour,
}

/// Who answers a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Server {
    Owner,
    Copy(Id),
}

/// The owner at some time.
#[derive(Clone)]
pub(super) struct Moment {
    pub(super) owner: Owner,
    pub(super) now: Timestamp,
    hours: u32,
}

type OwnerKey = (Vec<(usize, bool, Timestamp)>, u64, u32);

#[derive(PartialEq, Eq, Hash)]
struct CopyKey {
    versions: Versions,
    /// Key, version, whether it is readable, doomed, a tombstone; deadline.
    entries: Vec<(usize, u64, [bool; 3], Timestamp)>,
    reader: Reader,
}

#[derive(PartialEq, Eq, Hash)]
struct DeltaKey {
    numbers: [u64; 5],
    prune: Option<(u64, u64, Vec<u64>)>,
    /// Key, version, whether it is a tombstone; time to live.
    entries: Vec<(usize, u64, bool, Option<Duration>)>,
}

/// Contents and their numbers.
struct Shelf<K, V> {
    ids: HashMap<K, Id>,
    items: Vec<V>,
}

impl<K: Eq + Hash, V> Shelf<K, V> {
    fn new() -> Self {
        Shelf { ids: HashMap::new(), items: Vec::new() }
    }

    fn put(&mut self, key: K, item: impl FnOnce() -> V) -> Id {
        let items = &mut self.items;
        *self.ids.entry(key).or_insert_with(|| {
            items.push(item());
            items.len() as Id - 1
        })
    }

    fn get(&self, id: Id) -> &V {
        &self.items[id as usize]
    }
}

pub(super) struct Real {
    bounds: Bounds,
    breakage: Breakage,
    owners: Shelf<OwnerKey, Moment>,
    copies: Shelf<CopyKey, Peer>,
    views: Shelf<(u64, u64, Option<PruneCursor>), PeerView>,
    deltas: Shelf<DeltaKey, NodeDelta<'static>>,
    writes: HashMap<Id, Rc<[(Write, Id)]>>,
    /// By who answers which digest at what time.
    plans: HashMap<(Id, Server, Id), Rc<[Id]>>,
    /// By the owner, the copy, and the delta.
    delivered: HashMap<(Id, Id, Id), Id>,
    hour_passed: HashMap<(Id, Id), Id>,
    met: HashSet<(Id, Id)>,
}

impl Real {
    pub(super) fn new(bounds: Bounds, breakage: Breakage) -> Real {
        let mut real = Real {
            bounds,
            breakage,
            owners: Shelf::new(),
            copies: Shelf::new(),
            views: Shelf::new(),
            deltas: Shelf::new(),
            writes: HashMap::new(),
            plans: HashMap::new(),
            delivered: HashMap::new(),
            hour_passed: HashMap::new(),
            met: HashSet::new(),
        };
        real.put_owner(Moment { owner: Owner::new(), now: Timestamp::ZERO, hours: 0 });
        real.put_copy(Peer::default());
        real
    }

    pub(super) fn breakage(&self) -> Breakage {
        self.breakage
    }

    pub(super) fn moment(&self, owner: Id) -> &Moment {
        self.owners.get(owner)
    }

    pub(super) fn copy(&self, id: Id) -> &Peer {
        self.copies.get(id)
    }

    pub(super) fn delta(&self, id: Id) -> &NodeDelta<'static> {
        self.deltas.get(id)
    }

    fn put_owner(&mut self, moment: Moment) -> Id {
        let log = moment.owner.log.iter().map(|op| (op.key, op.value.is_some(), op.deadline));
        let key = (log.collect(), moment.owner.versions().last_gc_version, moment.hours);
        self.owners.put(key, || moment)
    }

    fn put_copy(&mut self, peer: Peer) -> Id {
        let entries = peer.replica.entries().map(|(name, entry)| {
            let flags = [entry.is_readable(), entry.is_doomed(), entry.is_tombstone()];
            (key_of(name), entry.version(), flags, entry.raw_deadline())
        });
        let key = CopyKey {
            versions: peer.replica.versions(),
            entries: entries.collect(),
            reader: peer.reader.clone(),
        };
        self.copies.put(key, || peer)
    }

    fn put_delta(&mut self, delta: NodeDelta<'_>) -> Id {
        let entries = delta.entries.iter().map(|entry| match &entry.op {
            DeltaOp::Set { ttl, .. } => (key_of(&entry.key), entry.version, false, *ttl),
            DeltaOp::Delete => (key_of(&entry.key), entry.version, true, None),
        });
        let prune = delta.prune.as_ref();
        let key = DeltaKey {
            numbers: [delta.from, delta.to, delta.source, delta.horizon, delta.last_gc_version],
            prune: prune.map(|prune| (prune.from, prune.to, prune.versions.clone())),
            entries: entries.collect(),
        };
        self.deltas.put(key, || delta.into_owned())
    }

    /// What a copy says of itself.
    pub(super) fn digest(&mut self, copy: Id) -> Id {
        let peer = self.copies.get(copy);
        let Versions { max_version, last_gc_version, cursor, .. } = peer.replica.versions();
        let view = peer.view();
        self.views.put((max_version, last_gc_version, cursor), || view)
    }

    /// Everything that the owner may do next. Keys are used in their order, since they differ in
    /// nothing else.
    pub(super) fn writes(&mut self, owner: Id) -> Rc<[(Write, Id)]> {
        if let Some(known) = self.writes.get(&owner) {
            return known.clone();
        }
        let moment = self.owners.get(owner).clone();
        let Versions { max_version, last_gc_version, .. } = moment.owner.versions();
        let mut writes = Vec::new();
        if max_version <= self.bounds.writes {
            let used = moment.owner.history.iter().skip(1).filter(|it| !it.is_empty()).count();
            for key in 1..=self.bounds.keys.min(used + 1) {
                writes.push(Write::Set(key));
                if self.bounds.hours > 0 {
                    writes.extend([Write::Lease(key, 1), Write::Lease(key, 2)]);
                }
                let entry = moment.owner.replica().get(KEYS[key]);
                if entry.is_some_and(|entry| !entry.is_tombstone()) {
                    writes.push(Write::Delete(key));
                }
            }
        }
        let mut tombstones: Vec<u64> = moment.owner.deletions.concat();
        tombstones.retain(|version| *version > last_gc_version);
        tombstones.sort_unstable();
        if self.bounds.hours > 0 {
            // Without an hour between them they are of one age.
            tombstones = tombstones.last().copied().into_iter().collect();
            if moment.hours < self.bounds.hours {
                writes.push(Write::Hour);
            }
        }
        writes.extend(tombstones.into_iter().map(Write::Collect));
        let next = writes.into_iter().map(|write| {
            let mut after = moment.clone();
            after.write(write, self.bounds.hours > 0);
            (write, self.put_owner(after))
        });
        let next: Rc<[(Write, Id)]> = next.collect();
        self.writes.insert(owner, next.clone());
        next
    }

    fn replica(&self, owner: Id, server: Server) -> &Replica {
        match server {
            Server::Owner => self.owners.get(owner).owner.replica(),
            Server::Copy(id) => &self.copies.get(id).replica,
        }
    }

    /// The different parts that answer a digest, with every budget from nothing to everything. Each is
    /// checked against its sender (rules S1 to S3, V1).
    pub(super) fn parts(
        &mut self,
        owner: Id,
        server: Server,
        view: Id,
    ) -> Result<Rc<[Id]>, Violation> {
        // What a copy sends depends on the owner only by the time that is left of leases.
        let time = match server {
            Server::Copy(_) if self.bounds.hours == 0 => 0,
            _ => owner,
        };
        if let Some(known) = self.plans.get(&(time, server, view)) {
            return Ok(known.clone());
        }
        let now = self.owners.get(owner).now;
        let view_then = *self.views.get(view);
        let replica = self.replica(owner, server);
        let mut cuts: Vec<NodeDelta<'static>> = Vec::new();
        let mut room = 0;
        let plan_in = |room| {
            let mut view = view_then;
            plan(OWNER, Incarnation::default(), replica, &mut view, room, now)
        };
        if let Planned::Part { delta: whole, .. } = plan_in(ALL) {
            while cuts.last() != Some(&whole) {
                match plan_in(room) {
                    Planned::Nothing => {
                        return violation("S23", "silent where more room gets an answer".into());
                    }
                    Planned::TooSmall { needed, .. } if needed <= room => {
                        return violation("S23", format!("{needed} bytes do not fit {room}"));
                    }
                    Planned::TooSmall { needed, .. } => room = needed,
                    Planned::Part { delta, len } => {
                        check_part(replica, &delta, len, room)?;
                        room += 1;
                        if cuts.last() != Some(&delta) {
                            cuts.push(delta.into_owned());
                        }
                    }
                }
            }
        }
        let parts: Rc<[Id]> = cuts.into_iter().map(|delta| self.put_delta(delta)).collect();
        self.plans.insert((time, server, view), parts.clone());
        Ok(parts)
    }

    /// The copy after a delta, remembered.
    pub(super) fn deliver(&mut self, owner: Id, copy: Id, delta: Id) -> Result<Id, Violation> {
        if let Some(known) = self.delivered.get(&(owner, copy, delta)) {
            return Ok(*known);
        }
        let after = self.take(owner, copy, delta)?;
        self.delivered.insert((owner, copy, delta), after);
        Ok(after)
    }

    /// The copy after a delta, with every invariant checked.
    pub(super) fn take(&mut self, owner: Id, copy: Id, delta: Id) -> Result<Id, Violation> {
        let (before, delta) = (&self.copies.get(copy).replica, self.deltas.get(delta));
        // What is dropped changes nothing, and is not worth a clone.
        match before.versions().step_with(&delta.versions(), self.breakage) {
            Err(DropReason::Stale) if self.bounds.hours > 0 => {}
            Err(_) => return Ok(copy),
            Ok(_) => {}
        }
        let moment = self.owners.get(owner);
        let mut peer = self.copies.get(copy).clone();
        match peer.replica.apply_with(delta, moment.now, self.breakage) {
            Err(DropReason::Invalid) => return violation("V1", format!("{delta:?}")),
            Ok(_) | Err(_) => {}
        }
        peer.replica.expire(moment.now);
        check_peer(&mut peer, &moment.owner, moment.now)?;
        Ok(self.put_copy(peer))
    }

    /// The copy after an hour, at which what has come to its end is hidden.
    pub(super) fn hour(&mut self, owner: Id, copy: Id) -> Result<Id, Violation> {
        if let Some(known) = self.hour_passed.get(&(owner, copy)) {
            return Ok(*known);
        }
        let moment = self.owners.get(owner);
        let mut peer = self.copies.get(copy).clone();
        peer.replica.expire(moment.now);
        check_peer(&mut peer, &moment.owner, moment.now)?;
        let after = self.put_copy(peer);
        self.hour_passed.insert((owner, copy), after);
        Ok(after)
    }

    /// A copy beside an owner in a new state: the invariants, and that two answers of the owner make
    /// the copy equal to it, whatever is lost of what is under way.
    pub(super) fn meet(&mut self, owner: Id, copy: Id) -> Result<(), Violation> {
        if !self.met.insert((owner, copy)) {
            return Ok(());
        }
        let moment = self.owners.get(owner);
        let mut peer = self.copies.get(copy).clone();
        check_peer(&mut peer, &moment.owner, moment.now)?;
        let mut after = copy;
        for _ in 0..2 {
            let view = self.digest(after);
            if let Some(whole) = self.parts(owner, Server::Owner, view)?.last() {
                after = self.deliver(owner, after, *whole)?;
            }
        }
        let (owner, replica) = (&self.owners.get(owner).owner, &self.copies.get(after).replica);
        let equal = replica.versions() == owner.versions()
            && replica.doomed_len() == 0
            && replica.state_hash() == owner.replica().state_hash()
            && replica.bytes() == owner.replica().bytes()
            && contents(replica) == owner.expected();
        if !equal {
            let (before, after) = (self.copies.get(copy).replica.versions(), replica.versions());
            let truth = owner.versions();
            let detail = format!("{before:?} became {after:?} in two exchanges, not {truth:?}");
            return violation("R1", detail);
        }
        Ok(())
    }
}

pub(super) fn key_of(name: &str) -> usize {
    KEYS.iter().position(|it| *it == name).unwrap()
}

impl Moment {
    /// Without leases an hour passes with each write, so that tombstones differ in age.
    fn write(&mut self, write: Write, leases: bool) {
        let value = (self.owner.versions().max_version + 1).to_string();
        let pass = |now: &mut Timestamp| {
            if !leases {
                *now = *now + HOUR;
            }
        };
        match write {
            Write::Set(key) => {
                pass(&mut self.now);
                self.owner.set(key, &value, None, self.now);
            }
            Write::Lease(key, hours) => {
                self.owner.set(key, &value, Some(hours * HOUR), self.now);
            }
            Write::Delete(key) => {
                pass(&mut self.now);
                self.owner.delete(key, self.now);
            }
            Write::Collect(_) if leases => self.owner.collect(self.now),
            Write::Collect(version) => {
                // Later than any move of the watermark before it by more than its pace.
                let now = self.now + Duration::from_secs(31 * version);
                let written = Timestamp::ZERO + HOUR * (version as u32 - 1);
                self.owner.state.collect_garbage(now, now.since(written));
                assert_eq!(self.owner.versions().last_gc_version, version);
            }
            Write::Hour => {
                self.hours += 1;
                self.now = self.now + HOUR;
                // Expiry, and no tombstone old enough.
                self.owner.tick(self.now, 1_000 * HOUR);
            }
        }
    }
}
