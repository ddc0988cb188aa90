//! Times to live: deadlines only ever come nearer, renewals are versions.

use std::time::Duration;

use crate::state::{DropReason, Replica};
use crate::time::Timestamp;

use super::support::{ALL, Log, at, part_at, sees};

/// One exchange at `sent`, of which the delta arrives at `received`.
fn relay(to: &mut Replica, from: &Replica, sent: Timestamp, received: Timestamp) {
    let delta = part_at(from, to.versions(), ALL, sent).unwrap();
    to.apply(&delta, received).unwrap();
}

fn deadline(replica: &Replica, key: &str) -> Timestamp {
    replica.get(key).unwrap().deadline().unwrap()
}

#[test]
fn lease_ends_everywhere_within_the_time_that_its_messages_were_on_their_way() {
    let mut log = Log::new();
    log.lease("k", "v", 10_000).unwrap();
    let mut hops = vec![log.replica().clone()];
    for hop in 1..=6 {
        // Each waits 1.5 s before it passes the key on, which takes 20 ms.
        let sent = at(hop * 1_500);
        let mut next = Replica::new();
        relay(&mut next, hops.last().unwrap(), sent, sent + Duration::from_millis(20));
        assert_eq!(deadline(&next, "k"), at(10_000 + 20 * hop));
        hops.push(next);
    }
    let mut last = hops.pop().unwrap();
    assert!(!last.expire(at(10_119)));
    assert!(sees(&last, "k"));
    // Whether the owner says anything or not.
    assert!(last.expire(at(10_120)));
    assert!(!sees(&last, "k"));
}

#[test]
fn relayed_news_of_a_lease_lowers_its_deadline_and_never_raises_it() {
    let mut log = Log::new();
    log.lease("k", "v", 10_000).unwrap();
    let early = part_at(log.replica(), Replica::new().versions(), ALL, at(0)).unwrap();
    let mut r = Replica::new();
    // The first news was 3 s on its way.
    r.apply(&early, at(3_000)).unwrap();
    assert_eq!(deadline(&r, "k"), at(13_000));
    // Later and slower news of the same version.
    assert_eq!(r.apply(&early, at(5_000)), Err(DropReason::Stale));
    assert_eq!(deadline(&r, "k"), at(13_000));
    // Quicker news.
    let quick = part_at(log.replica(), Replica::new().versions(), ALL, at(6_000)).unwrap();
    assert_eq!(r.apply(&quick, at(6_010)), Err(DropReason::Stale));
    assert_eq!(deadline(&r, "k"), at(10_010));
    assert_eq!(r.apply(&early, at(6_020)), Err(DropReason::Stale));
    assert_eq!(deadline(&r, "k"), at(10_010));
    r.check().unwrap();
    // Not even after it is over.
    assert!(r.expire(at(10_010)));
    assert_eq!(r.apply(&early, at(10_020)), Err(DropReason::Stale));
    assert!(!sees(&r, "k"));
}

#[test]
fn deadline_is_lowered_by_a_delta_that_brings_other_news_too() {
    let mut log = Log::new();
    log.lease("k", "v", 10_000).unwrap();
    let before = Replica::new().versions();
    let early = part_at(log.replica(), before, ALL, at(0)).unwrap();
    let mut r = Replica::new();
    r.apply(&early, at(4_000)).unwrap();
    log.set("other", "1");
    let both = part_at(log.replica(), before, ALL, at(5_000)).unwrap();
    r.apply(&both, at(5_001)).unwrap();
    assert_eq!(deadline(&r, "k"), at(10_001));
    log.assert_equal(&r);
}

#[test]
fn renewal_with_the_same_value_is_a_version_and_arrives() {
    let mut log = Log::new();
    log.lease("k", "v", 10_000).unwrap();
    let mut r = Replica::new();
    relay(&mut r, log.replica(), at(0), at(10));
    log.now = at(8_000);
    let renewed = log.lease("k", "v", 10_000);
    assert_eq!(renewed, Some(3));
    relay(&mut r, log.replica(), at(8_000), at(8_010));
    assert_eq!(deadline(&r, "k"), at(18_010));
    assert!(!r.expire(at(11_000)));
    assert!(sees(&r, "k"));
    // A late copy of the first lease cannot shorten the second.
    let mut first = part_at(log.replica(), Replica::new().versions(), ALL, at(8_000)).unwrap();
    first.entries.last_mut().unwrap().version = 2;
    first.to = 2;
    assert!(r.apply(&first, at(8_020)).is_err());
    assert_eq!(deadline(&r, "k"), at(18_010));
}

#[test]
fn renewal_that_arrives_after_the_end_shows_the_key_again() {
    let mut log = Log::new();
    log.lease("k", "v", 1_000).unwrap();
    let mut r = Replica::new();
    relay(&mut r, log.replica(), at(0), at(10));
    log.now = at(900);
    log.lease("k", "v", 5_000).unwrap();
    assert!(r.expire(at(1_010)));
    assert!(!sees(&r, "k"));
    relay(&mut r, log.replica(), at(2_000), at(2_010));
    assert!(sees(&r, "k"));
    assert_eq!(deadline(&r, "k"), at(5_910));
    log.assert_equal(&r);
}

#[test]
fn key_whose_time_is_over_is_relayed_with_nothing_left_and_then_deleted_by_its_owner() {
    let mut log = Log::new();
    log.lease("k", "v", 1_000).unwrap();
    let mut hop = Replica::new();
    relay(&mut hop, log.replica(), at(0), at(0));
    hop.expire(at(1_500));
    let mut joiner = Replica::new();
    relay(&mut joiner, &hop, at(1_500), at(1_510));
    joiner.expire(at(1_510));
    assert!(!sees(&joiner, "k"));
    log.now = at(1_600);
    assert!(log.state.expire(log.now));
    relay(&mut joiner, log.replica(), at(1_600), at(1_610));
    assert!(joiner.get("k").unwrap().is_tombstone());
    log.assert_equal(&joiner);
}

#[test]
fn doomed_lease_ends_too() {
    let mut log = Log::new();
    log.lease("k", "v", 1_000).unwrap();
    log.set("x", "1");
    let mut r = Replica::new();
    relay(&mut r, log.replica(), at(0), at(0));
    log.lease("k", "w", 5_000).unwrap();
    log.delete("x");
    log.collect();
    log.set("y", "1");
    // The prune section alone: k@2 is refuted, its successor has not come.
    let delta = part_at(log.replica(), r.versions(), 32, at(10)).unwrap();
    assert!(delta.entries.is_empty());
    r.apply(&delta, at(10)).unwrap();
    assert_eq!(r.doomed_len(), 2);
    assert!(sees(&r, "k"));
    assert!(r.expire(at(1_000)));
    assert!(!sees(&r, "k"));
    relay(&mut r, log.replica(), at(1_100), at(1_100));
    assert!(sees(&r, "k"));
    log.assert_equal(&r);
}
