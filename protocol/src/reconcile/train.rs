//! Packing deltas of many owners into messages: fair shares, byte budgets, entry boundaries.

use std::collections::VecDeque;

use crate::delta::NodeDelta;
use crate::id::{Incarnation, NodeId};
use crate::limits::LinkLimits;
use crate::reconcile::plan::{PeerView, Planned, plan};
use crate::state::Replica;
use crate::time::Timestamp;

/// Least share of an owner in one turn, in bytes: below this the repeated headers cost more than
/// the fairness is worth.
const MIN_QUANTUM: usize = 256;

/// An owner for which the peer lacks something.
#[derive(Debug)]
pub(crate) struct StaleOwner<'a> {
    pub(crate) node_id: &'a NodeId,
    pub(crate) incarnation: Incarnation,
    pub(crate) replica: &'a Replica,
    pub(crate) peer: PeerView,
    pub(crate) heartbeat: u64,
    pub(crate) age: Option<std::time::Duration>,
    /// Served before others: the own state, and nodes that the peer does not know at all.
    pub(crate) urgent: bool,
}

/// How much may be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TrainBudget {
    /// Bytes of deltas in all messages together.
    pub(crate) total: usize,
    /// Room for deltas in the first message, beside what else it carries.
    pub(crate) first_room: usize,
    /// Room for deltas in each of the others.
    pub(crate) room: usize,
    /// Room for a single entry in a message of its own.
    pub(crate) single_room: usize,
    /// Longest part that may be the first although it exceeds `total`, so that a large entry does
    /// not wait for ever. `total` itself for an address that has not proved that it wants it.
    pub(crate) first_part: usize,
}

impl TrainBudget {
    /// A budget over messages with so many bytes beside the deltas in the first, and in the others.
    pub(crate) fn new(
        link: LinkLimits,
        total: usize,
        first_overhead: usize,
        overhead: usize,
    ) -> Self {
        TrainBudget {
            total,
            first_room: link.preferred_message_len.saturating_sub(first_overhead),
            room: link.preferred_message_len.saturating_sub(overhead),
            single_room: link.max_message_len.saturating_sub(overhead),
            first_part: usize::MAX,
        }
    }
}

/// The deltas for one peer, packed.
#[derive(Debug, Default)]
pub(crate) struct Train<'a> {
    /// The deltas of each message. The first may be empty: it goes with what else the first
    /// message carries.
    pub(crate) messages: Vec<Vec<NodeDelta<'a>>>,
    /// The budget ended the train before everything was sent.
    pub(crate) more: bool,
    /// Bytes of the deltas.
    pub(crate) spent: usize,
    /// Those who may have more, in the order of their turns, with what the peer will have of them.
    pub(crate) rest: Vec<StaleOwner<'a>>,
    /// Entries that no message of this link can carry: owner and version.
    pub(crate) too_large: Vec<(NodeId, u64)>,
}

impl<'a> Train<'a> {
    /// Packs deltas by deficit round robin (Shreedhar and Varghese, 1996): every owner gets a share
    /// of each turn, so that a quiet owner's one key does not wait behind another's backlog. An
    /// owner whose next entry fits no message is skipped and holds up nobody.
    pub(crate) fn pack(
        mut owners: Vec<StaleOwner<'a>>,
        budget: TrainBudget,
        rotation: usize,
        now: Timestamp,
    ) -> Train<'a> {
        if !owners.is_empty() {
            let start = rotation % owners.len();
            owners.rotate_left(start);
        }
        Train::pack_on(urgent_first(owners), budget, now)
    }

    /// Goes on with the [rest](Train::rest) of another train.
    pub(crate) fn pack_on(
        owners: Vec<StaleOwner<'a>>,
        budget: TrainBudget,
        now: Timestamp,
    ) -> Train<'a> {
        let mut train = Train::default();
        let count = owners.len().max(1);
        let mut queue: VecDeque<(StaleOwner<'a>, usize)> =
            owners.into_iter().map(|owner| (owner, 0)).collect();
        let quantum = (budget.room / count).max(MIN_QUANTUM);

        let mut packer = Packer::new(budget);
        while let Some((mut owner, deficit)) = queue.pop_front() {
            let left = budget.total.saturating_sub(train.spent);
            if left == 0 {
                queue.push_front((owner, deficit));
                // Owners stay in the queue until they have nothing to say: look.
                train.more |=
                    queue.iter().any(|(owner, _)| owner.has_more(budget.single_room, now));
                break;
            }
            // Alone in the queue, nobody is kept waiting.
            let share = if queue.is_empty() { usize::MAX } else { deficit.saturating_add(quantum) };
            match owner.plan(share.min(packer.room).min(left), now) {
                Planned::Nothing => {}
                Planned::Part { delta, len } => {
                    train.spent += len;
                    packer.push(owner.with_liveness(delta), len);
                    queue.push_back((owner, share.saturating_sub(len).min(budget.room)));
                }
                Planned::TooSmall { needed, version } if needed > budget.single_room => {
                    train.too_large.push((owner.node_id.clone(), version));
                }
                Planned::TooSmall { needed, .. }
                    if needed > left && (needed > budget.first_part || train.spent > 0) =>
                {
                    train.more = true;
                    train.rest.push(owner);
                }
                Planned::TooSmall { needed, .. } if needed > packer.room && !packer.is_fresh() => {
                    packer.close();
                    queue.push_front((owner, deficit));
                }
                // At least one whole entry for every owner that is served; one that is longer than
                // the preferred length gets a message of its own.
                Planned::TooSmall { needed, .. } => {
                    if let Planned::Part { delta, len } = owner.plan(needed, now) {
                        train.spent += len;
                        packer.push(owner.with_liveness(delta), len);
                        queue.push_back((owner, 0));
                    }
                }
            }
        }
        train.rest.extend(queue.into_iter().map(|(owner, _)| owner));
        train.messages = packer.finish();
        train
    }
}

/// Every second place goes to an urgent owner, the first one included, so that neither kind waits for
/// all of the other.
fn urgent_first(owners: Vec<StaleOwner<'_>>) -> Vec<StaleOwner<'_>> {
    let (urgent, others): (Vec<_>, Vec<_>) = owners.into_iter().partition(|owner| owner.urgent);
    let (mut urgent, mut others) = (urgent.into_iter(), others.into_iter());
    let mut ordered = Vec::with_capacity(urgent.len() + others.len());
    loop {
        let before = ordered.len();
        ordered.extend(urgent.next());
        ordered.extend(others.next());
        if ordered.len() == before {
            return ordered;
        }
    }
}

/// Fills messages one after the other.
struct Packer<'a> {
    budget: TrainBudget,
    messages: Vec<Vec<NodeDelta<'a>>>,
    open: Vec<NodeDelta<'a>>,
    room: usize,
}

impl<'a> Packer<'a> {
    fn new(budget: TrainBudget) -> Self {
        Packer { budget, messages: Vec::new(), open: Vec::new(), room: budget.first_room }
    }

    /// Whether the open message has all the room that a message can have.
    fn is_fresh(&self) -> bool {
        self.open.is_empty() && self.room >= self.budget.room
    }

    fn push(&mut self, delta: NodeDelta<'a>, len: usize) {
        self.open.push(delta);
        self.room = self.room.saturating_sub(len);
    }

    fn close(&mut self) {
        self.messages.push(std::mem::take(&mut self.open));
        self.room = self.budget.room;
    }

    fn finish(mut self) -> Vec<Vec<NodeDelta<'a>>> {
        if !self.open.is_empty() {
            self.close();
        }
        self.messages
    }
}

impl<'a> StaleOwner<'a> {
    fn plan(&mut self, room: usize, now: Timestamp) -> Planned<'a> {
        plan(self.node_id, self.incarnation, self.replica, &mut self.peer, room, now)
    }

    /// Whether there is anything to send that a message can carry. Does not plan all of it.
    fn has_more(&self, room: usize, now: Timestamp) -> bool {
        let mut peer = self.peer;
        match plan(self.node_id, self.incarnation, self.replica, &mut peer, MIN_QUANTUM, now) {
            Planned::Nothing => false,
            Planned::Part { .. } => true,
            Planned::TooSmall { needed, .. } => needed <= room,
        }
    }

    fn with_liveness(&self, mut delta: NodeDelta<'a>) -> NodeDelta<'a> {
        delta.heartbeat = self.heartbeat;
        delta.age = self.age;
        delta
    }
}
