//! Exhaustive exploration of the rules, on the code that keeps them: not some schedules, but all, within
//! bounds.
//!
//! `few` has three replicas and finds what is broken by a shortest way; `many` has any number of replicas
//! and of messages, and goes farther in the owner's log. Both plan with the real planner at every budget,
//! apply with the real replica, and check with the checkers of the random schedules. After each step every
//! copy must also become equal to its owner by two exchanges.
//!
//! The numbers of states are asserted, so that what is said of them stays true, and so that nothing is
//! left out by mistake. A change of the rules changes them.

mod broken;
mod few;
mod many;
mod real;
mod search;
mod tell;

use crate::state::Breakage;

use few::{Few, Size};
use many::Many;
use real::Bounds;
use search::search;

/// States, moves, and the moves to the farthest state.
type Figures = (usize, u64, usize);

fn assert_sound(mut few: Few, expected: Figures) {
    let report = search(&mut few, usize::MAX);
    if let Some(failure) = &report.failure {
        panic!("{}{:?}", tell::way(&mut few, failure), failure.violation);
    }
    assert!(report.complete);
    assert_eq!((report.states, report.moves, report.depth), expected);
}

fn three(writes: u64, keys: usize, slots: usize) -> Few {
    leased(writes, keys, slots, 0)
}

fn leased(writes: u64, keys: usize, slots: usize, hours: u32) -> Few {
    let size = Size { replicas: 3, slots };
    Few::new(Bounds { writes, keys, hours }, size, Breakage::default())
}

/// Logs, copies, deltas and deliveries.
fn assert_sound_for_any_number(writes: u64, keys: usize, expected: [u64; 4]) {
    let mut many = Many::new(Bounds { writes, keys, hours: 0 }, Breakage::default());
    if let Err(found) = many.explore() {
        panic!("{}{:?}", tell::story(&mut many, &found), found.violation);
    }
    let many::Counts { logs, copies, deltas, deliveries } = many.report;
    assert_eq!([logs, copies, deltas, deliveries], expected);
}

#[test]
fn nothing_that_may_happen_to_three_replicas_breaks_an_invariant() {
    assert_sound(three(4, 3, 0), (118_127, 1_145_702, 20));
}

#[test]
fn no_late_message_among_three_replicas_breaks_an_invariant() {
    assert_sound(three(3, 2, 1), (268_237, 3_110_329, 23));
}

#[test]
fn nothing_that_happens_to_leases_among_three_replicas_breaks_an_invariant() {
    assert_sound(leased(2, 2, 0, 2), (95_470, 829_766, 21));
}

#[test]
fn what_one_of_three_replicas_has_when_the_owner_crashes_reaches_all_from_every_state() {
    assert_sound(three(3, 2, 0).with_crashes(), (6_023, 49_150, 15));
}

#[test]
fn no_number_of_replicas_and_late_messages_breaks_an_invariant() {
    assert_sound_for_any_number(5, 3, [869, 28_602, 116_019, 2_153_847]);
}

#[test]
#[ignore = "minutes, and 1 GB"]
fn larger_three_replicas() {
    assert_sound(three(5, 2, 0), (1_212_889, 12_296_553, 27));
}

#[test]
#[ignore = "minutes, and 1 GB"]
fn larger_late_messages_among_three_replicas() {
    assert_sound(three(4, 2, 1), (8_580_785, 110_161_064, 34));
}

#[test]
#[ignore = "minutes, and 1 GB"]
fn larger_two_late_messages_among_three_replicas() {
    assert_sound(three(3, 2, 2), (6_650_556, 100_302_783, 31));
}

#[test]
#[ignore = "minutes"]
fn larger_leases_among_three_replicas() {
    assert_sound(leased(3, 2, 0, 2), (3_093_033, 28_546_427, 22));
    assert_sound(leased(2, 1, 1, 2), (1_620_844, 18_094_424, 27));
}

#[test]
#[ignore = "minutes"]
fn larger_crashes_among_three_replicas() {
    assert_sound(three(4, 2, 0).with_crashes(), (93_031, 864_038, 20));
}

#[test]
#[ignore = "minutes"]
fn larger_any_number_of_replicas() {
    assert_sound_for_any_number(6, 3, [6_810, 387_966, 1_693_051, 53_749_503]);
}
