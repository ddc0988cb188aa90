//! Three replicas, one owner, and what is delayed between them.
//!
//! A message that is not delayed is part of an exchange, which is one move; what is lost of it is a
//! budget that was smaller. What is delayed takes one of few slots: a digest that will be answered
//! later, by anybody, or a delta that will be delivered later, to anybody, and more than once. A replica
//! that is cut off is one that takes part in nothing for a while, and so is an owner that crashed.

use crate::reconcile::tests::check::Violation;
use crate::state::Breakage;

use super::real::{Bounds, EMPTY, Id, Real, Server, Write};
use super::search::{Next, Space};

pub(super) const REPLICAS: usize = 3;
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
    pub(super) replicas: [Id; REPLICAS],
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

pub(super) struct Few {
    pub(super) real: Real,
    slots: usize,
}

impl Few {
    pub(super) fn new(bounds: Bounds, slots: usize, breakage: Breakage) -> Few {
        Few { real: Real::new(bounds, breakage), slots }
    }

    fn server(cluster: &Cluster, source: Source) -> Server {
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

    /// Everything that may happen. Of replicas that are equal only the first one moves.
    fn list(&mut self, cluster: &Cluster) -> Result<Vec<Move>, Violation> {
        let mut moves: Vec<Move> =
            self.real.writes(cluster.owner).iter().map(|(write, _)| Move::Write(*write)).collect();
        let replicas = &cluster.replicas;
        let distinct: Vec<u8> = (0..REPLICAS)
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
                for part in 0..self.real.parts(cluster.owner, server, view)?.len() as u8 {
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
                    for part in 0..self.real.parts(cluster.owner, server, view)?.len() as u8 {
                        moves.push(Move::Answer { slot, source, part });
                    }
                }
            }
            if let Slot::Digest(_) | Slot::Delta(_) = content {
                moves.push(Move::Lose { slot });
            }
        }
        Ok(moves)
    }
}

impl Space for Few {
    type State = Cluster;
    type Move = Move;

    fn start(&self) -> Cluster {
        let mut slots = [Slot::Closed; MAX_SLOTS];
        slots[..self.slots].fill(Slot::Free);
        Cluster { owner: 0, replicas: [EMPTY; REPLICAS], slots }
    }

    fn moves(&mut self, cluster: &Cluster, out: &mut Vec<Next<Few>>) {
        // A sender that breaks its rules breaks them in every move that it is part of.
        let moves = self.list(cluster).unwrap_or_else(|violation| panic!("{violation:?}"));
        for step in moves {
            let after = self.apply(cluster, step).map(|mut after| {
                after.replicas.sort_unstable();
                after.slots.sort_unstable();
                after
            });
            out.push((step, after));
        }
    }
}
