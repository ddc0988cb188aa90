//! The checkers find rules that are broken on purpose.

use crate::state::Breakage;

use super::drive::first_failure;

/// Schedules within which a broken rule must be found out.
const SCHEDULES: u64 = 100_000;

fn assert_found(breakage: Breakage, rules: &[&str]) {
    let Some((seed, violation)) = first_failure(0..SCHEDULES, false, breakage) else {
        panic!("{breakage:?} was not found out");
    };
    assert!(rules.contains(&violation.rule), "seed={seed}: {violation:?}");
}

#[test]
fn checkers_find_deltas_from_below_the_watermark() {
    assert_found(Breakage { no_source_floor: true, ..Breakage::default() }, &["I2", "I3", "I5"]);
}

#[test]
fn checkers_find_watermarks_from_partial_prunes() {
    let breakage = Breakage { partial_prune_raises_gc: true, ..Breakage::default() };
    assert_found(breakage, &["I2", "I3", "I5"]);
}

#[test]
fn checkers_find_entries_of_a_late_prune_that_are_refuted() {
    let breakage = Breakage { entries_do_not_confirm: true, ..Breakage::default() };
    assert_found(breakage, &["I1", "I5"]);
}

#[test]
fn checkers_find_keys_that_disappear_between_refutation_and_news() {
    assert_found(Breakage { no_doom: true, ..Breakage::default() }, &["I5"]);
}
