//! Trains: what is packed stays within its budgets, and is enough.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::delta::NodeDelta;
use crate::id::{Incarnation, NodeId};
use crate::limits::LinkLimits;
use crate::reconcile::model::planned_len;
use crate::reconcile::plan::{PeerView, Planned, plan};
use crate::reconcile::{StaleOwner, Train, TrainBudget};
use crate::state::{DropReason, Replica};

use super::support::{Log, catch_up, take};

/// An owner, and what the peer has of it.
pub(super) struct Pair {
    pub(super) node_id: NodeId,
    pub(super) log: Log,
    pub(super) peer: Replica,
    pub(super) urgent: bool,
}

impl Pair {
    pub(super) fn new(name: &str, log: Log) -> Pair {
        Pair { node_id: NodeId::from(name), log, peer: Replica::new(), urgent: false }
    }

    fn stale(&self) -> StaleOwner<'_> {
        StaleOwner {
            node_id: &self.node_id,
            incarnation: Incarnation::default(),
            replica: self.log.replica(),
            peer: PeerView::from_versions(self.peer.versions()),
            heartbeat: 1,
            age: None,
            urgent: self.urgent,
        }
    }

    /// What could be sent next in `room` bytes.
    fn next(&self, peer: &Replica, room: usize) -> Planned<'_> {
        let mut view = PeerView::from_versions(peer.versions());
        let replica = self.log.replica();
        plan(&self.node_id, Incarnation::default(), replica, &mut view, room, self.log.now)
    }
}

pub(super) fn pack(pairs: &[Pair], budget: TrainBudget, rotation: usize) -> Train<'_> {
    let owners = pairs.iter().map(Pair::stale).collect();
    Train::pack(owners, budget, rotation, crate::time::Timestamp::ZERO)
}

/// What the peer has after all parts, in order.
fn after(pairs: &[Pair], train: &Train<'_>) -> Result<BTreeMap<NodeId, Replica>, TestCaseError> {
    let mut peers: BTreeMap<NodeId, Replica> =
        pairs.iter().map(|pair| (pair.node_id.clone(), pair.peer.clone())).collect();
    for delta in train.messages.iter().flatten() {
        let outcome = take(peers.get_mut(&*delta.node_id).unwrap(), delta);
        prop_assert!(outcome.is_ok_and(|outcome| outcome.advanced), "{:?}: {:?}", outcome, delta);
    }
    Ok(peers)
}

/// What the peer has after the parts in another order, if it keeps aside what comes too early.
fn shuffled(pairs: &[Pair], train: &Train<'_>, by: usize) -> BTreeMap<NodeId, Replica> {
    let mut peers: BTreeMap<NodeId, Replica> =
        pairs.iter().map(|pair| (pair.node_id.clone(), pair.peer.clone())).collect();
    let mut waiting: Vec<&NodeDelta<'_>> = train.messages.iter().flatten().collect();
    let middle = by % waiting.len().max(1);
    waiting.rotate_left(middle);
    if by.is_multiple_of(2) {
        waiting.reverse();
    }
    loop {
        let before = waiting.len();
        waiting.retain(|delta| {
            take(peers.get_mut(&*delta.node_id).unwrap(), delta) == Err(DropReason::Gap)
        });
        if waiting.len() == before {
            return peers;
        }
    }
}

fn check_lengths(train: &Train<'_>, budget: TrainBudget) -> Result<(), TestCaseError> {
    let mut total = 0;
    for (index, message) in train.messages.iter().enumerate() {
        let len: usize = message.iter().map(planned_len).sum();
        let room = if index == 0 { budget.first_room } else { budget.room };
        let single = message.len() == 1 && message[0].entries.len() <= 1;
        let fits = len <= room || (single && len <= budget.single_room);
        prop_assert!(fits, "{} bytes in {}: {:?}", len, room, message);
        prop_assert!(index == 0 || !message.is_empty(), "an empty message");
        total += len;
    }
    let deltas = train.messages.iter().flatten().collect::<Vec<_>>();
    let alone =
        deltas.len() == 1 && deltas[0].entries.len() <= 1 && budget.first_part == usize::MAX;
    prop_assert!(total <= budget.total || alone, "{} bytes of {}", total, budget.total);
    Ok(())
}

/// Writes of one owner, and after how many of them the peer was up to date.
type Writes = (Vec<(u8, u16, u8)>, usize);

fn pairs_of(plan: &[Writes]) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (owner, (writes, behind)) in plan.iter().enumerate() {
        let mut pair = Pair::new(&format!("node-{owner}"), Log::new());
        for (index, (key, len, kind)) in writes.iter().enumerate() {
            let key = format!("key{}", key % 12);
            let log = &mut pair.log;
            match kind % 8 {
                0 => drop(log.state.delete(&key, log.now)),
                1 => drop(log.state.collect_garbage(log.now, std::time::Duration::ZERO)),
                2 => drop(log.lease(&key, &"y".repeat(usize::from(len % 50)), 60_000)),
                3 => log.set(&key, &format!("{index}{}", "z".repeat(usize::from(len % 2_500)))),
                _ => log.set(&key, &format!("{index}{}", "x".repeat(usize::from(len % 100)))),
            }
            if index == *behind {
                pair.peer = log.copy();
            }
        }
        pair.urgent = owner % 3 == 1;
        pairs.push(pair);
    }
    pairs
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn trains_keep_their_budgets_apply_cleanly_and_say_whether_more_is_left(
        plan in prop::collection::vec(
            (prop::collection::vec(any::<(u8, u16, u8)>(), 0..40), 0usize..60), 0..6),
        preferred in 300usize..1_500,
        longer in 0usize..1_500,
        total in 0usize..12_000,
        overheads in (0usize..200, 0usize..100),
        strict in any::<bool>(),
        rotation in any::<usize>(),
    ) {
        let pairs = pairs_of(&plan);
        let link = LinkLimits::new(preferred, preferred + longer);
        let mut budget = TrainBudget::new(link, total, overheads.0, overheads.1);
        if strict {
            budget.first_part = budget.total;
        }
        let train = pack(&pairs, budget, rotation);
        check_lengths(&train, budget)?;

        let peers = after(&pairs, &train)?;
        let mut left = false;
        for pair in &pairs {
            let (peer, truth) = (&peers[&pair.node_id], pair.log.replica());
            let next = pair.next(peer, budget.single_room);
            let reported =
                train.too_large.iter().find(|(node_id, _)| *node_id == pair.node_id);
            if let Some((_, version)) = reported {
                let too_large = matches!(&next, Planned::TooSmall { needed, version: it }
                    if *needed > budget.single_room && it == version);
                prop_assert!(too_large, "{:?} can be sent", version);
            }
            left |= matches!(next, Planned::Part { .. });
            if matches!(next, Planned::Nothing) {
                prop_assert_eq!(peer.versions(), truth.versions());
                prop_assert_eq!(peer.state_hash(), truth.state_hash());
            }
        }
        prop_assert_eq!(train.more, left);
    }

    #[test]
    fn parts_of_a_train_may_come_in_any_order(
        plan in prop::collection::vec(
            (prop::collection::vec(any::<(u8, u16, u8)>(), 0..40), 0usize..60), 1..4),
        rotation in any::<usize>(),
    ) {
        let pairs = pairs_of(&plan);
        let budget = TrainBudget::new(LinkLimits::new(400, 4_000), 1 << 20, 0, 0);
        let train = pack(&pairs, budget, rotation);
        prop_assert!(!train.more && train.too_large.is_empty());
        let mut peers = shuffled(&pairs, &train, rotation);
        for pair in &pairs {
            let peer = peers.get_mut(&pair.node_id).unwrap();
            let m = pair.peer.versions().max_version;
            let deltas = train.messages.iter().flatten();
            let mut others = deltas.filter(|delta| *delta.node_id == *pair.node_id).skip(1);
            // What starts at `m` too must wait for the prune section before it, and is sent again.
            if others.any(|delta| delta.from == m) {
                catch_up(peer, pair.log.replica());
            }
            pair.log.assert_equal(peer);
        }
    }
}
