//! What the rules promise, one test each.

use std::borrow::Cow;
use std::time::Duration;

use proptest::prelude::*;

use crate::id::Incarnation;
use crate::message::{Body, Header, Message, SenderEntry, TrainPart};
use crate::reconcile::model::{OWNER, World, check_part};
use crate::reconcile::plan::{PeerView, Planned, plan};
use crate::state::{Breakage, DropReason, OwnState, Replica, Versions};
use crate::time::Timestamp;
use crate::wire::{EncodeOptions, VersionRange, size};

use super::support::{
    ALL, Log, catch_up, cuts, deleted, delta, exchange, part, sees, set, take, with_prune,
};

#[test]
fn key_deleted_during_truncated_exchanges_is_gone_two_exchanges_after_reconnecting() {
    let mut log = Log::with(&["a", "k", "b", "c"]);
    let base = log.copy();
    log.set("a", "1");
    log.set("b", "1");
    log.delete("k");
    log.set("c", "1");
    // Before and after the watermark has moved; only deltas that end before the deletion arrive.
    for truncated in cuts(log.replica(), base.versions()) {
        let mut r = base.clone();
        if truncated.to < 8 {
            take(&mut r, &truncated).unwrap();
        }
        let mut later = Log { state: log.state.clone(), now: log.now };
        later.collect();
        later.set("d", "1");
        exchange(&mut r, later.replica(), 1_000);
        exchange(&mut r, later.replica(), 1_000);
        assert!(!sees(&r, "k"));
        later.assert_equal(&r);
    }
}

fn header() -> Header<'static> {
    Header {
        cluster_id_hash: u64::MAX,
        nonce: u64::MAX,
        echo: u64::MAX,
        versions: VersionRange::BUILD,
        gossip_interval: Duration::from_secs(3_600),
        sender: SenderEntry {
            node_id: Cow::Borrowed("sender"),
            incarnation: Incarnation { generation_id: 1 << 60, boot: u64::MAX },
            position: None,
            heartbeat: 1 << 60,
            age: Duration::from_secs(1),
            max_version: 1 << 60,
            last_gc_version: 3,
        },
        observer: true,
        observed: None,
        about_you: None,
    }
}

/// What a delta adds to a message.
fn encoded_len(delta: &crate::delta::NodeDelta<'_>) -> usize {
    let part = TrainPart { index: 0, last: true, more: false };
    let len = |deltas| {
        let message = Message { header: header(), body: Body::Ack { part, deltas } };
        message.encode_with(&EncodeOptions::plain()).len()
    };
    len(vec![delta.clone()]) - len(Vec::new())
}

#[test]
fn for_every_budget_the_part_fits_and_its_end_is_exactly_what_was_sent() {
    let mut log = Log::with(&["a", "b", "c", "d", "e", "f"]);
    let behind = log.copy();
    log.set("a", &"x".repeat(200));
    log.delete("b");
    log.lease("c", "soon over", 50_000);
    log.delete("d");
    log.collect();
    log.set("g", "1");
    log.delete("e");
    for versions in [Versions::default(), behind.versions()] {
        let mut lengths = Vec::new();
        for room in 0..600 {
            let (mut peer, now) = (PeerView::from_versions(versions), log.now);
            let incarnation = Incarnation { generation_id: 1 << 60, boot: u64::MAX };
            let planned = plan(OWNER, incarnation, log.replica(), &mut peer, room, now);
            match planned {
                Planned::Nothing => panic!("there is something to send"),
                Planned::TooSmall { needed, .. } => assert!(needed > room),
                Planned::Part { mut delta, len } => {
                    delta.heartbeat = 1 << 60;
                    delta.age = Some(Duration::from_secs(1 << 20));
                    check_part(log.replica(), &delta, len, room).unwrap();
                    assert!(encoded_len(&delta) <= len, "{delta:?}");
                    lengths.push(delta.to);
                }
            }
        }
        assert!(lengths.is_sorted(), "more room never sends less");
        assert_eq!(lengths.last(), Some(&log.replica().versions().max_version));
    }
}

proptest! {
    #[test]
    fn no_part_is_longer_than_its_bound(
        writes in prop::collection::vec(("[a-d]{1,3}", ".{0,40}", 0u8..4), 1..60),
        behind in 0usize..60,
        room in 0usize..400,
    ) {
        let mut log = Log::new();
        let mut peer = Replica::new();
        for (index, (key, value, kind)) in writes.iter().enumerate() {
            match kind {
                0 => drop(log.state.delete(key, log.now)),
                1 => drop(log.lease(key, value, 1 << 40)),
                2 => drop(log.state.collect_garbage(log.now, Duration::ZERO)),
                _ => drop(log.state.set(key, value, None, log.now)),
            }
            if index == behind {
                peer = log.copy();
            }
        }
        let mut view = PeerView::from_versions(peer.versions());
        let incarnation = Incarnation { generation_id: 1 << 61, boot: 7 };
        let room = room + size::delta_header(OWNER.len());
        while let Planned::Part { delta, len } =
            plan(OWNER, incarnation, log.replica(), &mut view, room, log.now)
        {
            prop_assert!(check_part(log.replica(), &delta, len, room).is_ok());
            prop_assert!(encoded_len(&delta) <= len, "{:?}", delta);
            prop_assert!(peer.apply(&delta, log.now).is_ok());
        }
    }
}

/// Exchanges that a replica needs for 2,736 keys in parts of `room` bytes, while the owner deletes
/// and sets a key between any two exchanges and moves its watermark every `pace` exchanges.
fn catch_up_under_deletions(room: usize, pace: usize) -> Option<usize> {
    let mut log = Log::new();
    for key in 0..2_736 {
        log.set(&format!("key{key:04}"), "some value");
    }
    let mut r = Replica::new();
    for round in 0..2_000 {
        log.set("churn", &round.to_string());
        log.delete("churn");
        if round % pace == 0 {
            log.collect();
        }
        let before = r.versions();
        if !exchange(&mut r, log.replica(), room) {
            continue;
        }
        let after = r.versions();
        let position = |versions: Versions| versions.cursor.map_or(0, |cursor| cursor.position);
        assert!(
            after.max_version > before.max_version
                || after.last_gc_version > before.last_gc_version
                || position(after) > position(before),
            "no progress: {after:?}"
        );
        if after.max_version == log.replica().versions().max_version {
            return Some(round);
        }
    }
    None
}

#[test]
fn every_exchange_makes_progress_whatever_the_delete_rate() {
    // Parts that hold a whole list of versions: the watermark may move at every exchange.
    let calm = catch_up_under_deletions(8_192, 2_000).unwrap();
    let busy = catch_up_under_deletions(8_192, 1).unwrap();
    assert!(busy <= 3 * calm, "{busy} exchanges instead of {calm}");
    // Smaller parts: the pass over the list must fit between two moves of the watermark, of which
    // there is one in 30 s, or in a quarter of the grace period.
    let calm = catch_up_under_deletions(1_400, 2_000).unwrap();
    let busy = catch_up_under_deletions(1_400, 60).unwrap();
    assert!(busy <= 2 * calm, "{busy} exchanges instead of {calm}");
}

#[test]
fn catching_up_never_empties_a_replica() {
    let mut log = Log::new();
    for key in 0..100 {
        log.set(&format!("key{key:02}"), "value");
    }
    let mut r = log.copy();
    for key in 0..50 {
        log.delete(&format!("key{key:02}"));
    }
    log.collect();
    for key in 50..75 {
        log.set(&format!("key{key:02}"), "other");
    }
    while exchange(&mut r, log.replica(), 40) {
        for key in 50..100 {
            assert!(sees(&r, &format!("key{key:02}")), "never deleted");
        }
    }
    log.assert_equal(&r);
}

#[test]
fn joiner_that_heard_the_watermark_first_gets_a_dead_owners_keys_from_a_complete_replica() {
    for room in 0..200 {
        let mut world = World::new(3, Breakage::default());
        let now = world.now;
        for key in 1..6 {
            world.owner.set(key, "value", None, now);
        }
        world.exchange(0, 0, 1_000, 9).unwrap();
        world.owner.delete(1, now);
        world.owner.collect(now);
        world.owner.set(1, "again", None, now);
        // Joins with the watermark and not all that lies below it.
        world.exchange(1, 0, room, 1).unwrap();
        world.crashed = true;
        let before = world.clone();
        world.settle(room).unwrap();
        world.check_spread(&before).unwrap();
    }
}

#[test]
fn invalid_deltas_are_refused_before_any_rule() {
    let mut r = Replica::new();
    take(&mut r, &delta([0, 4, 4, 4, 0], vec![set("a", 2), set("b", 4)])).unwrap();
    let before = r.state_hash();
    let too_high = (1 << 62) + 1;
    let invalid = [
        delta([3, 2, 5, 5, 0], vec![]),
        delta([2, 6, 5, 6, 0], vec![]),
        delta([2, 5, 6, 5, 0], vec![]),
        delta([2, 5, 5, 5, 6], vec![]),
        delta([2, 5, too_high, too_high, 0], vec![]),
        delta([4, 6, 6, 6, 0], vec![set("a", 6), set("b", 5)]),
        delta([4, 6, 6, 6, 0], vec![set("a", 5), set("a", 6)]),
        delta([4, 6, 6, 6, 0], vec![set("a", 4)]),
        delta([4, 6, 6, 6, 0], vec![set("a", 7)]),
        with_prune(delta([4, 6, 6, 6, 6], vec![]), (3, 2), &[]),
        with_prune(delta([4, 6, 6, 6, 6], vec![]), (0, 5), &[]),
        with_prune(delta([4, 6, 6, 6, 6], vec![]), (0, 4), &[2, 2]),
        with_prune(delta([4, 6, 6, 6, 6], vec![]), (1, 4), &[1]),
    ];
    for delta in &invalid {
        assert_eq!(take(&mut r, delta), Err(DropReason::Invalid), "{delta:?}");
    }
    assert_eq!(r.state_hash(), before);
    assert_eq!(take(&mut r, &delta([5, 6, 6, 6, 0], vec![])), Err(DropReason::Gap));
    assert_eq!(take(&mut r, &delta([0, 3, 4, 4, 0], vec![])), Err(DropReason::Stale));
}

#[test]
fn tombstone_below_the_watermark_is_not_kept_and_takes_its_key_along() {
    let mut r = Replica::new();
    // Joined with a watermark above what came.
    take(&mut r, &delta([0, 2, 5, 5, 5], vec![set("a", 1), set("b", 2)])).unwrap();
    take(&mut r, &delta([2, 6, 6, 6, 0], vec![deleted("a", 3), set("c", 6)])).unwrap();
    assert!(!sees(&r, "a"));
    assert_eq!(r.tombstones_len(), 0);
}

#[test]
fn late_and_repeated_parts_in_any_order_end_in_the_same_state() {
    let mut log = Log::with(&["a", "b", "c"]);
    let base = log.copy();
    log.set("a", "1");
    log.delete("b");
    log.set("d", "1");
    let mut parts = Vec::new();
    let mut r = base.clone();
    while let Some(next) = part(log.replica(), r.versions(), 8) {
        take(&mut r, &next).unwrap();
        parts.push(next);
    }
    assert_eq!(parts.len(), 3);
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut r = base.clone();
        for _ in 0..3 {
            for index in order {
                let _ = take(&mut r, &parts[index]);
            }
        }
        log.assert_equal(&r);
    }
}

#[test]
fn equal_states_have_equal_hashes_whatever_the_way_there() {
    let mut log = Log::with(&["a", "b", "c", "d"]);
    let mut witness = Replica::new();
    catch_up(&mut witness, log.replica());
    log.delete("a");
    log.set("b", "1");
    for room in [20, 40, ALL] {
        let (mut old, mut new) = (witness.clone(), Replica::new());
        while exchange(&mut old, log.replica(), room) {}
        while exchange(&mut new, log.replica(), room) {}
        log.assert_equal(&old);
        log.assert_equal(&new);
    }
    let other = OwnState::new(Default::default(), 1 << 20, vec![], vec![], Timestamp::ZERO);
    assert_ne!(other.replica().state_hash(), log.replica().state_hash());
}
