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

#[test]
fn the_explorer_finds_deltas_that_start_above_what_a_replica_has() {
    let breakage = Breakage { takes_gaps: true, ..Breakage::default() };
    assert_way(breakage, [1, 1, 3, 1], &[]);
}

#[test]
fn the_explorer_finds_sources_that_are_behind_the_watermark() {
    let breakage = Breakage { no_source_floor: true, ..Breakage::default() };
    assert_way(breakage, [3, 2, 2, 1], &[]);
}

#[test]
fn the_explorer_finds_horizons_that_are_not_passed_on() {
    let breakage = Breakage { horizon_is_not_passed_on: true, ..Breakage::default() };
    assert_way(breakage, [4, 2, 3, 0], &[]);
}

#[test]
fn the_explorer_finds_watermarks_without_a_prune() {
    let breakage = Breakage { no_prune: true, ..Breakage::default() };
    assert_way(breakage, [2, 1, 1, 0], &[]);
}

#[test]
fn the_explorer_finds_watermarks_from_partial_prunes() {
    let breakage = Breakage { partial_prune_raises_gc: true, ..Breakage::default() };
    assert_way(breakage, [4, 3, 2, 1], &[]);
}

#[test]
fn the_explorer_finds_entries_of_a_late_prune_that_are_refuted() {
    let breakage = Breakage { entries_do_not_confirm: true, ..Breakage::default() };
    assert_way(breakage, [3, 2, 2, 1], &[]);
}

#[test]
fn the_explorer_finds_keys_that_disappear_between_refutation_and_news() {
    let breakage = Breakage { no_doom: true, ..Breakage::default() };
    assert_way(breakage, [4, 2, 3, 0], &[]);
}

#[test]
fn the_explorer_finds_prunes_that_go_on_without_a_beginning() {
    let breakage = Breakage { prunes_without_cursor: true, ..Breakage::default() };
    assert_story(breakage, 4, 3, &[]);
}

#[test]
fn the_explorer_finds_passes_that_end_with_the_watermark_of_the_last_part() {
    let breakage = Breakage { last_part_of_a_prune_decides: true, ..Breakage::default() };
    assert_story(breakage, 5, 2, &[]);
}
