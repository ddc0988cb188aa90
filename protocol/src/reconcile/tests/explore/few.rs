//! Three replicas, one owner, and what is delayed between them.
//!
//! A message that is not delayed is part of an exchange, which is one move; what is lost of it is a
//! budget that was smaller. What is delayed takes one of few slots: a digest that will be answered
//! later, by anybody, or a delta that will be delivered later, to anybody, and more than once. A replica
//! that is cut off is one that takes part in nothing for a while, and so is an owner that crashed.

use std::collections::HashSet;

use crate::reconcile::tests::check::Violation;
use crate::reconcile::tests::model::World;
use crate::reconcile::tests::support::ALL;
use crate::state::Breakage;

use super::real::{Bounds, EMPTY, Id, Real, Server, Write};
use super::search::{Next, Space};

pub(super) const MAX_REPLICAS: usize = 3;
const MAX_SLOTS: usize = 2;

/// What is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Slot {
    Digest(Id),
    Delta(Id),
    /// Nothing. Last, so that sorting leaves the places that are free at the end.
    Free,
    /// No place at all.
    Closed,
}

/// Replicas differ in nothing but what they have, and neither do slots: both are sorted, so that one state
/// stands for all that differ only in who is who.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Cluster {
    pub(super) owner: Id,
    pub(super) replicas: [Id; MAX_REPLICAS],
    pub(super) slots: [Slot; MAX_SLOTS],
}

/// Who answers: `None` is the owner.
type Source = Option<u8>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    Write(Write),
    /// A replica is empty, be it after a restart or as another node that joins.
    Restart {
        replica: u8,
    },
    /// A replica asks, and gets one part of the answer.
    Exchange {
        replica: u8,
        source: Source,
        part: u8,
    },
    /// A digest that will be answered later.
    Ask {
        replica: u8,
    },
    /// A part that answers the digest in the slot, and takes its place.
    Answer {
        slot: u8,
        source: Source,
        part: u8,
    },
    /// The delta in the slot arrives, and stays there to arrive again.
    Deliver {
        slot: u8,
        replica: u8,
    },
    Lose {
        slot: u8,
    },
}

/// How many there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Those above it stay empty and take part in nothing.
    pub(super) replicas: usize,
    pub(super) slots: usize,
}

pub(super) struct Few {
    pub(super) real: Real,
    size: Size,
    /// Whether the owner crashes, and the states in which it did.
    crashes: bool,
    crashed: HashSet<(Id, [Id; MAX_REPLICAS])>,
}

impl Few {
    pub(super) fn new(bounds: Bounds, size: Size, breakage: Breakage) -> Few {
        let real = Real::new(bounds, breakage);
        Few { real, size, crashes: false, crashed: HashSet::new() }
    }

    /// In every state it is also tried what comes of it if the owner dies then.
    pub(super) fn with_crashes(self) -> Few {
        Few { crashes: true, ..self }
    }

    pub(super) fn replicas(&self) -> usize {
        self.size.replicas
    }

    pub(super) fn server(cluster: &Cluster, source: Source) -> Server {
        match source {
            None => Server::Owner,
            Some(replica) => Server::Copy(cluster.replicas[usize::from(replica)]),
        }
    }

    /// The state after a move, not sorted yet.
    pub(super) fn apply(&mut self, cluster: &Cluster, step: Move) -> Result<Cluster, Violation> {
        let mut after = *cluster;
        match step {
            Move::Write(write) => {
                let writes = self.real.writes(cluster.owner);
                let (_, owner) = writes.iter().find(|(it, _)| *it == write).unwrap();
                after.owner = *owner;
                for replica in &mut after.replicas {
                    if write == Write::Hour {
                        *replica = self.real.hour(*owner, *replica)?;
                    }
                    self.real.meet(*owner, *replica)?;
                }
            }
            Move::Restart { replica } => after.replicas[usize::from(replica)] = EMPTY,
            Move::Exchange { replica, source, part } => {
                let copy = &mut after.replicas[usize::from(replica)];
                let view = self.real.digest(*copy);
                let server = Few::server(cluster, source);
                let delta = self.real.parts(cluster.owner, server, view)?[usize::from(part)];
                *copy = self.real.deliver(cluster.owner, *copy, delta)?;
                self.real.meet(cluster.owner, *copy)?;
            }
            Move::Ask { replica } => {
                let view = self.real.digest(cluster.replicas[usize::from(replica)]);
                let free = after.slots.iter_mut().find(|slot| **slot == Slot::Free).unwrap();
                *free = Slot::Digest(view);
            }
            Move::Answer { slot, source, part } => {
                let slot = &mut after.slots[usize::from(slot)];
                let Slot::Digest(view) = *slot else { unreachable!() };
                let server = Few::server(cluster, source);
                let delta = self.real.parts(cluster.owner, server, view)?[usize::from(part)];
                *slot = Slot::Delta(delta);
            }
            Move::Deliver { slot, replica } => {
                let copy = &mut after.replicas[usize::from(replica)];
                let Slot::Delta(delta) = after.slots[usize::from(slot)] else { unreachable!() };
                *copy = self.real.deliver(cluster.owner, *copy, delta)?;
                self.real.meet(cluster.owner, *copy)?;
            }
            Move::Lose { slot } => after.slots[usize::from(slot)] = Slot::Free,
        }
        Ok(after)
    }

    /// How many parts may answer a digest. What is wrong with one is found by the move that sends it.
    fn parts(&mut self, owner: Id, server: Server, view: Id) -> u8 {
        self.real.parts(owner, server, view).map_or(1, |parts| parts.len() as u8)
    }

    /// Everything that may happen. Of replicas that are equal only the first one moves.
    fn list(&mut self, cluster: &Cluster) -> Vec<Move> {
        let mut moves: Vec<Move> =
            self.real.writes(cluster.owner).iter().map(|(write, _)| Move::Write(*write)).collect();
        let replicas = &cluster.replicas;
        let distinct: Vec<u8> = (0..self.size.replicas)
            .filter(|index| *index == 0 || replicas[*index] != replicas[index - 1])
            .map(|index| index as u8)
            .collect();
        let sources: Vec<Source> =
            std::iter::once(None).chain(distinct.iter().copied().map(Some)).collect();
        for replica in distinct.iter().copied() {
            let copy = replicas[usize::from(replica)];
            if copy != EMPTY {
                moves.push(Move::Restart { replica });
            }
            let view = self.real.digest(copy);
            for source in sources.iter().copied() {
                let server = Few::server(cluster, source);
                for part in 0..self.parts(cluster.owner, server, view) {
                    moves.push(Move::Exchange { replica, source, part });
                }
            }
            if cluster.slots.contains(&Slot::Free) {
                moves.push(Move::Ask { replica });
            }
            for (slot, content) in (0..).zip(&cluster.slots) {
                if let Slot::Delta(_) = content {
                    moves.push(Move::Deliver { slot, replica });
                }
            }
        }
        for (slot, content) in (0..).zip(cluster.slots) {
            if let Slot::Digest(view) = content {
                for source in sources.iter().copied() {
                    let server = Few::server(cluster, source);
                    for part in 0..self.parts(cluster.owner, server, view) {
                        moves.push(Move::Answer { slot, source, part });
                    }
                }
            }
            if let Slot::Digest(_) | Slot::Delta(_) = content {
                moves.push(Move::Lose { slot });
            }
        }
        moves
    }
}

impl Few {
    /// The owner dies, and the others exchange what they have, in the smallest and in the largest parts (R12).
    fn crash(&mut self, cluster: &Cluster) -> Result<(), Violation> {
        if !self.crashes || !self.crashed.insert((cluster.owner, cluster.replicas)) {
            return Ok(());
        }
        let mut world = World::new(0, self.real.breakage());
        let moment = self.real.moment(cluster.owner);
        (world.owner, world.now) = (moment.owner.clone(), moment.now);
        world.peers = cluster.replicas.map(|copy| self.real.copy(copy).clone()).into();
        world.crashed = true;
        for room in [0, ALL] {
            let mut after = world.clone();
            after.settle(room)?;
            after.check_spread(&world)?;
        }
        Ok(())
    }
}

impl Space for Few {
    type State = Cluster;
    type Move = Move;

    fn start(&self) -> Cluster {
        let mut slots = [Slot::Closed; MAX_SLOTS];
        slots[..self.size.slots].fill(Slot::Free);
        Cluster { owner: 0, replicas: [EMPTY; MAX_REPLICAS], slots }
    }

    fn moves(&mut self, cluster: &Cluster, out: &mut Vec<Next<Few>>) {
        for step in self.list(cluster) {
            let mut after = self.apply(cluster, step);
            if let Ok(after) = &mut after {
                after.replicas[..self.size.replicas].sort_unstable();
                after.slots.sort_unstable();
            }
            let after = after.and_then(|after| self.crash(&after).map(|()| after));
            out.push((step, after));
        }
    }
}
