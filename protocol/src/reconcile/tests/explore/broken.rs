//! The explorer finds every rule that is left out, and tells the shortest way to what breaks by it.
//!
//! The ways are short enough to be read. They say why the rule is there.

use crate::state::Breakage;

use super::few::{Few, Size};
use super::many::Many;
use super::real::Bounds;
use super::search::search;
use super::tell;

/// Writes, keys, replicas and slots, as few as it takes, so that the search is short.
fn assert_way(breakage: Breakage, [writes, keys, replicas, slots]: [usize; 4], expected: &[&str]) {
    let bounds = Bounds { writes: writes as u64, keys, hours: 0 };
    let mut few = Few::new(bounds, Size { replicas, slots }, breakage);
    let report = search(&mut few, usize::MAX);
    let failure = report.failure.expect("not found out");
    let way = tell::way(&mut few, &failure);
    let told: Vec<&str> = way.lines().chain([failure.violation.rule]).collect();
    assert_eq!(told, expected, "{way}");
}

fn assert_story(breakage: Breakage, writes: u64, keys: usize, expected: &[&str]) {
    let mut many = Many::new(Bounds { writes, keys, hours: 0 }, breakage);
    let found = many.explore().expect_err("not found out");
    let story = tell::story(&mut many, &found);
    let told: Vec<&str> = story.lines().chain([found.violation.rule]).collect();
    assert_eq!(told, expected, "{story}");
}

/// A delta from somebody who is behind refutes a key whose next value is not here yet: without the
/// horizon nobody would know that there is one.
const KEY_BETWEEN_REFUTATION_AND_NEWS: [&str; 10] = [
    "the owner sets a@2",
    "the owner sets b@3",
    "the owner deletes a@4",
    "P gets [(0, 3] of 4 h 4 gc 0 first@1 b@3] from the owner: m 3 g 0 h 4, first@1 b@3",
    "the owner sets b@5",
    "Q gets [(0, 4] of 5 h 5 gc 0 first@1 a@4 deleted] from the owner: m 4 g 0 h 5, first@1 a@4 deleted",
    "the owner moves its watermark to 4",
    "Q gets [(4, 4] of 5 h 5 gc 4] from the owner: m 4 g 4 h 5, first@1",
    "P gets [(3, 4] of 4 h 5 gc 4, of (0, 3] [1] stand] from Q: broken",
    "I5",
];

#[test]
fn the_explorer_finds_deltas_that_start_above_what_a_replica_has() {
    let breakage = Breakage { takes_gaps: true, ..Breakage::default() };
    assert_way(
        breakage,
        [1, 1, 3, 1],
        &[
            "the owner sets a@2",
            "P gets [(0, 1] of 2 h 2 gc 0 first@1] from the owner: m 1 g 0 h 2, first@1",
            "P sends its digest: m 1 g 0",
            "the owner answers it with [(1, 2] of 2 h 2 gc 0 a@2]",
            "Q gets [(1, 2] of 2 h 2 gc 0 a@2], late: broken",
            "I1",
        ],
    );
}

#[test]
fn the_explorer_finds_sources_that_are_behind_the_watermark() {
    let breakage = Breakage { no_source_floor: true, ..Breakage::default() };
    assert_way(
        breakage,
        [3, 2, 2, 1],
        &[
            "the owner sets a@2",
            "the owner sets b@3",
            "P sends its digest: m 0 g 0",
            "the owner answers it with [(0, 2] of 3 h 3 gc 0 first@1 a@2]",
            "the owner deletes a@4",
            "the owner moves its watermark to 4",
            "P gets [(0, 1] of 4 h 4 gc 4 first@1] from the owner: m 1 g 4 h 4, first@1",
            "P gets [(0, 2] of 3 h 3 gc 0 first@1 a@2], late: broken",
            "I3",
        ],
    );
}

#[test]
fn the_explorer_finds_horizons_that_are_not_passed_on() {
    let breakage = Breakage { horizon_is_not_passed_on: true, ..Breakage::default() };
    assert_way(breakage, [4, 2, 3, 0], &KEY_BETWEEN_REFUTATION_AND_NEWS);
}

#[test]
fn the_explorer_finds_watermarks_without_a_prune() {
    let breakage = Breakage { no_prune: true, ..Breakage::default() };
    assert_way(
        breakage,
        [2, 1, 1, 0],
        &[
            "the owner sets a@2",
            "P gets [(0, 2] of 2 h 2 gc 0 first@1 a@2] from the owner: m 2 g 0 h 2, first@1 a@2",
            "the owner deletes a@3",
            "the owner moves its watermark to 3",
            "I2",
        ],
    );
}

#[test]
fn the_explorer_finds_watermarks_from_partial_prunes() {
    let breakage = Breakage { partial_prune_raises_gc: true, ..Breakage::default() };
    assert_way(
        breakage,
        [4, 3, 2, 1],
        &[
            "the owner sets a@2",
            "the owner sets b@3",
            "the owner sets c@4",
            "P gets [(0, 1] of 4 h 4 gc 0 first@1] from the owner: m 1 g 0 h 4, first@1",
            "Q gets [(0, 3] of 4 h 4 gc 0 first@1 a@2 b@3] from the owner: m 3 g 0 h 4, first@1 a@2 b@3",
            "the owner deletes b@5",
            "the owner moves its watermark to 5",
            "P sends its digest: m 1 g 0",
            "the owner answers it with [(1, 2] of 5 h 5 gc 5, of (0, 1] [1] stand a@2]",
            "Q gets [(1, 2] of 5 h 5 gc 5, of (0, 1] [1] stand a@2], late: broken",
            "I3",
        ],
    );
}

#[test]
fn the_explorer_finds_entries_of_a_late_prune_that_are_refuted() {
    let breakage = Breakage { entries_do_not_confirm: true, ..Breakage::default() };
    assert_way(
        breakage,
        [3, 2, 2, 1],
        &[
            "the owner sets a@2",
            "the owner sets b@3",
            "the owner deletes a@4",
            "P gets [(0, 1] of 4 h 4 gc 0 first@1] from the owner: m 1 g 0 h 4, first@1",
            "Q gets [(0, 3] of 4 h 4 gc 0 first@1 b@3] from the owner: m 3 g 0 h 4, first@1 b@3",
            "the owner moves its watermark to 4",
            "P sends its digest: m 1 g 0",
            "the owner answers it with [(1, 4] of 4 h 4 gc 4, of (0, 1] [1] stand b@3]",
            "Q gets [(1, 4] of 4 h 4 gc 4, of (0, 1] [1] stand b@3], late: broken",
            "I1",
        ],
    );
}

#[test]
fn the_explorer_finds_keys_that_disappear_between_refutation_and_news() {
    let breakage = Breakage { no_doom: true, ..Breakage::default() };
    assert_way(breakage, [4, 2, 3, 0], &KEY_BETWEEN_REFUTATION_AND_NEWS);
}

#[test]
fn the_explorer_finds_prunes_that_go_on_without_a_beginning() {
    let breakage = Breakage { prunes_without_cursor: true, ..Breakage::default() };
    assert_story(
        breakage,
        4,
        3,
        &[
            "the owner answers an empty copy: delta 2 is [(0, 1] of 1 h 1 gc 0 first@1]",
            "an empty copy takes delta 2: copy 2 is m 1 g 0 h 1, first@1",
            "the owner sets a@2",
            "the owner sets b@3",
            "the owner sets c@4",
            "the owner answers an empty copy: delta 1 is [(0, 4] of 4 h 4 gc 0 first@1 a@2 b@3 c@4]",
            "an empty copy takes delta 1: copy 1 is m 4 g 0 h 4, first@1 a@2 b@3 c@4",
            "the owner deletes a@5",
            "the owner moves its watermark to 5",
            "the owner answers copy 2: delta 3 is [(1, 3] of 5 h 5 gc 5, of (0, 1] [1] stand b@3]",
            "copy 1 takes delta 3: copy 3 is m 4 g 0 p 3 gp 5 h 5, first@1 a@2 doomed b@3 c@4",
            "the owner answers copy 3: delta 4 is [(4, 5] of 5 h 5 gc 5, of (3, 4] [4] stand]",
            "copy 1 takes delta 4: broken",
            "I2",
        ],
    );
}

#[test]
fn the_explorer_finds_passes_that_end_with_the_watermark_of_the_last_part() {
    let breakage = Breakage { last_part_of_a_prune_decides: true, ..Breakage::default() };
    assert_story(
        breakage,
        5,
        2,
        &[
            "the owner answers an empty copy: delta 6 is [(0, 1] of 1 h 1 gc 0 first@1]",
            "an empty copy takes delta 6: copy 6 is m 1 g 0 h 1, first@1",
            "the owner sets a@2",
            "the owner sets b@3",
            "the owner answers an empty copy: delta 1 is [(0, 3] of 3 h 3 gc 0 first@1 a@2 b@3]",
            "an empty copy takes delta 1: copy 1 is m 3 g 0 h 3, first@1 a@2 b@3",
            "the owner deletes b@4",
            "the owner answers an empty copy: delta 3 is [(0, 2] of 4 h 4 gc 0 first@1 a@2]",
            "the owner deletes a@5",
            "the owner sets b@6",
            "the owner answers an empty copy: delta 4 is [(0, 5] of 6 h 6 gc 0 first@1 a@5 deleted]",
            "copy 1 takes delta 4: copy 4 is m 5 g 0 h 6, first@1 b@3 a@5 deleted",
            "copy 4 answers an empty copy: delta 5 is [(0, 3] of 5 h 6 gc 0 first@1 b@3]",
            "the owner moves its watermark to 4",
            "the owner answers an empty copy: delta 2 is [(0, 1] of 6 h 6 gc 4 first@1]",
            "an empty copy takes delta 2: copy 2 is m 1 g 4 h 6, first@1",
            "copy 2 takes delta 3: copy 3 is m 2 g 4 h 6, first@1 a@2",
            "copy 3 takes delta 5: copy 5 is m 3 g 4 h 6, first@1 a@2 b@3",
            "copy 5 answers copy 6: delta 7 is [(1, 2] of 3 h 6 gc 4, of (0, 1] [1] stand a@2]",
            "the owner moves its watermark to 5",
            "copy 1 takes delta 7: broken",
            "I2",
        ],
    );
}
