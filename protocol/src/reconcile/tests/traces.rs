//! The schedules that broke other protocols, or earlier drafts of this one, at every way to cut the
//! deltas in them.

use crate::state::{DropReason, PruneCursor, Replica, Versions};

use super::support::{
    ALL, Log, catch_up, cuts, deleted, delta, exchange, part, sees, set, take, with_prune,
};

/// Twenty big keys, and `k`.
fn big_log() -> Log {
    let mut log = Log::new();
    for index in 0..20 {
        log.set(&format!("big{index:02}"), &"x".repeat(40));
    }
    log.set("k", "v");
    log
}

#[test]
fn t1_deleted_key_does_not_return_through_a_truncated_joiner() {
    let mut log = big_log();
    let q = log.copy();
    log.delete("k");
    log.collect();
    log.set("z", "1");
    let first_parts = cuts(log.replica(), Versions::default());
    assert!(first_parts.len() >= 20);
    for first in &first_parts {
        for room in [0, 60, 100, 1_000, ALL] {
            let (mut r, mut q) = (Replica::new(), q.clone());
            take(&mut r, first).unwrap();
            for _ in 0..3 {
                exchange(&mut r, &q, room);
                exchange(&mut q, &r, room);
            }
            assert!(!sees(&r, "k"), "after Q, cut at {}", first.to);
            let mut joined_early = Replica::new();
            catch_up(&mut joined_early, &r);
            catch_up(&mut r, log.replica());
            catch_up(&mut q, &r);
            catch_up(&mut joined_early, &q);
            let mut joined_late = Replica::new();
            catch_up(&mut joined_late, &r);
            for replica in [&r, &q, &joined_early, &joined_late] {
                assert!(!sees(replica, "k"), "cut at {}", first.to);
                log.assert_equal(replica);
            }
        }
    }
}

#[test]
fn t2_delta_from_before_a_delete_arrives_after_the_next_one() {
    for collected in [false, true] {
        for start in [0, 5, 21, 22] {
            let mut log = big_log();
            let full = log.copy();
            // R has the first `start` versions.
            let mut r = Replica::new();
            if let Some(first) = cuts(&full, r.versions()).iter().find(|delta| delta.to == start) {
                take(&mut r, first).unwrap();
            }
            assert_eq!(r.versions().max_version, start);
            let early = cuts(log.replica(), r.versions());
            log.delete("k");
            if collected {
                log.collect();
            }
            log.set("z", "1");
            let late = cuts(log.replica(), r.versions());
            for second in &late {
                for first in &early {
                    let mut r = r.clone();
                    take(&mut r, second).unwrap();
                    let before = r.versions();
                    let _ = take(&mut r, first);
                    if before.last_gc_version > 0 && start < 22 {
                        assert_eq!(r.versions(), before, "taken below the watermark");
                        assert!(!sees(&r, "k"));
                    }
                    catch_up(&mut r, log.replica());
                    assert!(!sees(&r, "k"));
                    log.assert_equal(&r);
                    let _ = take(&mut r, first);
                    log.assert_equal(&r);
                }
            }
        }
    }
}

#[test]
fn t3_delta_that_is_cut_right_after_its_header_is_harmless() {
    let mut log = Log::with(&["a", "b", "c"]);
    let behind = log.copy();
    log.delete("a");
    log.collect();
    // To a joiner there is nothing to say without an entry; a header alone would make it complete
    // up to nothing.
    for room in 0..2 {
        assert!(part(log.replica(), Versions::default(), room).is_none());
    }
    let mut joiner = Replica::new();
    assert_eq!(take(&mut joiner, &delta([0, 0, 5, 5, 5], vec![])), Err(DropReason::Empty));
    assert_eq!(joiner.versions(), Versions::default());
    // Without a prune section a header alone teaches nothing beyond the horizon.
    let mut r = behind.clone();
    let outcome = take(&mut r, &delta([4, 4, 5, 5, 5], vec![])).unwrap();
    assert!(!outcome.advanced && !outcome.visible);
    assert_eq!(r.versions(), Versions { horizon: 5, ..behind.versions() });
    catch_up(&mut r, log.replica());
    log.assert_equal(&r);
    // A watermark that is not above what we have needs no prune section.
    let mut r = behind.clone();
    take(&mut r, &delta([4, 5, 5, 5, 0], vec![deleted("a", 5)])).unwrap();
    assert_eq!(r.tombstones_len(), 1);
    let header = part(log.replica(), r.versions(), 0).unwrap();
    assert!(header.entries.is_empty() && header.prune.is_none());
    assert!(take(&mut r, &header).unwrap().advanced);
    log.assert_equal(&r);
}

#[test]
fn t4_partial_prune_raises_no_watermark_and_drops_no_tombstone() {
    let mut log = Log::with(&["a", "b", "c", "d", "e", "f", "g"]);
    log.delete("g");
    let before = log.copy();
    log.set("b", "1");
    log.delete("a");
    log.delete("d");
    log.collect();
    log.set("c", "1");
    let all = cuts(log.replica(), before.versions());
    let partial: Vec<_> = all
        .iter()
        .filter(|delta| delta.prune.as_ref().is_some_and(|prune| prune.to < delta.from))
        .collect();
    assert!(partial.len() >= 2);
    for first in partial {
        let mut r = before.clone();
        take(&mut r, first).unwrap();
        let versions = r.versions();
        assert_eq!(versions.last_gc_version, before.versions().last_gc_version);
        assert_eq!(versions.max_version, before.versions().max_version);
        let prune = first.prune.as_ref().unwrap();
        let gc_version = first.last_gc_version;
        assert_eq!(versions.cursor, Some(PruneCursor { position: prune.to, gc_version }));
        assert_eq!(r.tombstones_len(), 1);
        for key in ["a", "b", "c", "d", "e", "f"] {
            assert!(sees(&r, key), "{key} is shown until the horizon is reached");
        }
        // The pass goes on where it stopped, in parts of any size.
        for second in cuts(log.replica(), r.versions()) {
            assert_eq!(second.prune.as_ref().unwrap().from, prune.to);
            let mut r = r.clone();
            take(&mut r, &second).unwrap();
            catch_up(&mut r, log.replica());
            log.assert_equal(&r);
        }
    }
}

#[test]
fn t5_watermark_that_comes_before_the_entries_below_it_keeps_deleted_keys_dead() {
    let mut log = Log::with(&["a", "b", "c"]);
    let old = log.copy();
    log.set("k", "v");
    let q = log.copy();
    log.delete("k");
    log.delete("a");
    log.collect();
    log.set("z", "1");
    for start in [Replica::new(), old] {
        for first in cuts(log.replica(), start.versions()) {
            let mut r = start.clone();
            take(&mut r, &first).unwrap();
            let floor = r.versions().last_gc_version;
            // What Q knows is older than the watermark: Q is silent, and what it sent before that
            // is dropped.
            for late in cuts(&q, start.versions()) {
                let mut r = r.clone();
                let result = take(&mut r, &late);
                if floor > 0 && late.to > r.versions().max_version {
                    assert_eq!(result, Err(DropReason::SourceBehindFloor));
                }
                assert!(floor == 0 || !sees(&r, "k"));
                assert!(floor == 0 || part(&q, r.versions(), ALL).is_none());
                catch_up(&mut r, log.replica());
                log.assert_equal(&r);
            }
        }
    }
}

#[test]
fn t6_late_prune_counts_its_own_entries_as_confirmed() {
    let mut r = Replica::new();
    take(&mut r, &delta([0, 2, 2, 2, 0], vec![set("a", 1), set("b", 2)])).unwrap();
    let late = with_prune(delta([1, 3, 3, 3, 3], vec![set("b", 2)]), (0, 1), &[]);
    take(&mut r, &late).unwrap();
    assert!(sees(&r, "b"), "b is live");
    assert!(!sees(&r, "a"));
    let expected = Versions { max_version: 3, last_gc_version: 3, horizon: 3, cursor: None };
    assert_eq!(r.versions(), expected);
}

#[test]
fn t7_parts_of_a_prune_from_different_times_lose_no_live_key_further_on() {
    let mut log = Log::with(&["a", "b", "c", "d", "e"]);
    log.delete("e");
    let base = log.copy();
    // m = 7. Up to 12: b is overwritten, d goes, and the watermark moves.
    log.set("b", "1");
    log.delete("d");
    log.set("x", "1");
    log.collect();
    log.set("y", "1");
    log.set("y", "2");
    let z = log.copy();
    let first_parts = cuts(log.replica(), base.versions());
    // Up to 15: c and b are overwritten.
    log.set("c", "1");
    log.delete("x");
    log.collect();
    log.set("b", "2");
    for first in first_parts {
        let mut r = base.clone();
        take(&mut r, &first).unwrap();
        for second in cuts(log.replica(), r.versions()) {
            let mut r = r.clone();
            take(&mut r, &second).unwrap();
            for handed_on in cuts(&r, base.versions()) {
                let mut q = base.clone();
                let _ = take(&mut q, &handed_on);
                let whole = |replica: &Replica| {
                    for key in ["a", "b", "c"] {
                        assert!(sees(replica, key), "{key} was never deleted");
                    }
                };
                whole(&r);
                whole(&q);
                while exchange(&mut q, &r, ALL) {
                    whole(&q);
                }
                while exchange(&mut q, &z, ALL) {
                    whole(&q);
                }
                let mut joiner = Replica::new();
                catch_up(&mut joiner, &q);
                catch_up(&mut q, log.replica());
                log.assert_equal(&q);
                catch_up(&mut joiner, &q);
                log.assert_equal(&joiner);
            }
        }
    }
}
