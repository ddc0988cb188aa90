//! Trains: nobody waits behind another's backlog, or behind an entry that cannot be sent.

use std::collections::BTreeMap;

use crate::limits::LinkLimits;
use crate::reconcile::model::planned_len;
use crate::reconcile::{Train, TrainBudget};

use super::pack::{Pair, pack};
use super::support::Log;

fn backlog(name: &str, keys: usize, len: usize) -> Pair {
    let mut log = Log::new();
    for key in 0..keys {
        log.set(&format!("key{key:06}"), &"x".repeat(len));
    }
    Pair::new(name, log)
}

fn budget(link: LinkLimits, total: usize) -> TrainBudget {
    TrainBudget::new(link, total, 100, 60)
}

/// In which message an owner comes first.
fn first_message(train: &Train<'_>, owner: &str) -> Option<usize> {
    train.messages.iter().position(|message| message.iter().any(|delta| delta.node_id == owner))
}

#[test]
fn quiet_owner_beside_a_backlog_of_10_mb_is_in_the_first_message() {
    for len in [10, 100, 1_000] {
        let pairs = [backlog("busy", 10_000_000 / len.max(100), len), backlog("quiet", 1, 10)];
        for rotation in 0..2 {
            let train = pack(&pairs, budget(LinkLimits::default(), 65_536), rotation);
            assert_eq!(first_message(&train, "quiet"), Some(0), "{len} {rotation}");
            assert_eq!(first_message(&train, "busy"), Some(0), "{len} {rotation}");
            assert!(train.more);
            assert!(train.messages.len() >= 40);
        }
    }
}

#[test]
fn quiet_owner_waits_for_one_entry_at_most_when_entries_fill_messages() {
    for len in [1_200, 1_300, 20_000] {
        let pairs = [backlog("busy", 200, len), backlog("quiet", 1, 10)];
        for rotation in 0..2 {
            let train = pack(&pairs, budget(LinkLimits::default(), 65_536), rotation);
            let first = first_message(&train, "quiet");
            assert!(first.is_some_and(|first| first <= 2), "{len} {rotation}: {first:?}");
        }
    }
}

#[test]
fn owners_with_backlogs_get_equal_shares() {
    let pairs: Vec<Pair> = (0..20).map(|owner| backlog(&format!("node{owner}"), 500, 90)).collect();
    for rotation in 0..3 {
        let train = pack(&pairs, budget(LinkLimits::default(), 100_000), rotation);
        let mut shares: BTreeMap<&str, usize> = BTreeMap::new();
        for delta in train.messages.iter().flatten() {
            *shares.entry(&delta.node_id).or_default() += planned_len(delta);
        }
        assert_eq!(shares.len(), 20);
        let (least, most) = (shares.values().min().unwrap(), shares.values().max().unwrap());
        assert!(most - least <= 3 * 256, "{least} to {most}");
    }
}

#[test]
fn rotation_decides_who_is_served_when_there_is_room_for_one() {
    let pairs: Vec<Pair> = (0..5).map(|owner| backlog(&format!("node{owner}"), 5, 90)).collect();
    let mut served: Vec<String> = (0..5)
        .map(|rotation| {
            let train = pack(&pairs, budget(LinkLimits::default(), 1), rotation);
            assert_eq!(train.messages.iter().flatten().count(), 1, "at least one entry");
            assert!(train.more);
            train.messages.iter().flatten().next().unwrap().node_id.to_string()
        })
        .collect();
    served.sort();
    served.dedup();
    assert_eq!(served.len(), 5);
}

#[test]
fn urgent_owners_take_every_second_place_from_the_first_whatever_the_rotation() {
    let mut pairs: Vec<Pair> =
        (0..9).map(|owner| backlog(&format!("node{owner}"), 30, 90)).collect();
    pairs[4].urgent = true;
    pairs[7].urgent = true;
    for rotation in 0..9 {
        let train = pack(&pairs, budget(LinkLimits::default(), 10_000), rotation);
        let deltas = train.messages.iter().flatten();
        let order: Vec<String> = deltas.map(|delta| delta.node_id.to_string()).collect();
        let urgent = |place: usize| ["node4", "node7"].contains(&&*order[place]);
        assert_eq!([0, 1, 2, 3].map(urgent), [true, false, true, false], "{order:?}");
    }
}

#[test]
fn entry_that_no_message_can_carry_is_reported_and_holds_up_nobody() {
    let mut giant = backlog("giant", 3, 10);
    giant.log.set("too-big", &"x".repeat(3_000));
    giant.log.set("behind", "1");
    let pairs = [backlog("before", 40, 100), giant, backlog("after", 40, 100)];
    for rotation in 0..3 {
        let link = LinkLimits::new(1_200, 2_000);
        let train = pack(&pairs, budget(link, 1 << 20), rotation);
        assert_eq!(train.too_large, [(pairs[1].node_id.clone(), 5)]);
        assert!(!train.more, "nothing is left that could be sent");
        let reached = |name: &str| {
            let deltas = train.messages.iter().flatten().filter(|delta| delta.node_id == name);
            deltas.map(|delta| delta.to).max()
        };
        assert_eq!(reached("before"), Some(41));
        assert_eq!(reached("after"), Some(41));
        assert_eq!(reached("giant"), Some(4), "up to the entry that is too large");
    }
}

#[test]
fn strict_budget_sends_nothing_rather_than_too_much() {
    let pairs = [backlog("one", 3, 500), backlog("two", 3, 500)];
    let mut strict = budget(LinkLimits::default(), 80);
    strict.first_part = strict.total;
    let train = pack(&pairs, strict, 0);
    assert_eq!(train.messages.iter().flatten().map(planned_len).sum::<usize>(), 0);
    assert!(train.more && train.too_large.is_empty());
    strict.first_part = usize::MAX;
    let train = pack(&pairs, strict, 0);
    assert_eq!(train.messages.iter().flatten().count(), 1);
    assert!(train.more);
}

#[test]
fn large_entry_gets_a_message_of_its_own() {
    let mut pair = backlog("one", 3, 50);
    pair.log.set("large", &"x".repeat(5_000));
    pair.log.set("small", "1");
    let pairs = [pair, backlog("two", 3, 50)];
    for rotation in 0..2 {
        let train = pack(&pairs, budget(LinkLimits::default(), 1 << 20), rotation);
        let large = |message: &&Vec<crate::delta::NodeDelta<'_>>| {
            message.iter().map(planned_len).sum::<usize>() > 1_400
        };
        let large: Vec<_> = train.messages.iter().filter(large).collect();
        assert_eq!(large.len(), 1);
        assert_eq!(large[0].len(), 1);
        assert_eq!(large[0][0].entries.len(), 1);
        assert!(!train.more && train.too_large.is_empty());
    }
}

#[test]
fn budget_that_is_just_enough_leaves_nothing() {
    let pairs = [backlog("one", 30, 50), backlog("two", 3, 50)];
    let whole = pack(&pairs, budget(LinkLimits::default(), 1 << 20), 0);
    let enough = whole.messages.iter().flatten().map(planned_len).sum::<usize>();
    for (total, more) in [(enough - 1, true), (enough, false), (enough + 1, false)] {
        let train = pack(&pairs, budget(LinkLimits::default(), total), 0);
        assert_eq!(train.more, more, "{total} of {enough}");
    }
    assert!(!pack(&[], budget(LinkLimits::default(), 0), 0).more);
}
