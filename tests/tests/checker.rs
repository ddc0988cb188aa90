//! The checker that judges the simulations complains where it must.

use std::collections::BTreeMap;

use chitchat_protocol::{Incarnation, NodeId, Timestamp};
use chitchat_tests::sim::{Checker, Observer, Seen, View};

const NOW: Timestamp = Timestamp::from_millis(5_000);
const READER: Observer = Observer { host: 1, run: 1 };
const FIRST: Incarnation = Incarnation { generation_id: 1, boot: 1 };
const SECOND: Incarnation = Incarnation { generation_id: 2, boot: 1 };

fn owner() -> NodeId {
    NodeId::from("owner")
}

fn view(incarnation: Incarnation, max_version: u64, keys: &[(&str, u64, &str)]) -> View {
    let seen = |(key, version, value): &(&str, u64, &str)| {
        ((*key).to_owned(), Seen { version: *version, value: (*value).to_owned(), deadline: None })
    };
    let last_gc_version = 0;
    View {
        incarnation,
        max_version,
        last_gc_version,
        keys: keys.iter().map(seen).collect::<BTreeMap<_, _>>(),
    }
}

/// The owner sets a@4, b@5, a@6, deletes b@7 and sets c@8.
fn history() -> Checker {
    let mut checker = Checker::default();
    for (max_version, keys) in [
        (3, &[][..]),
        (4, &[("a", 4, "old")]),
        (5, &[("a", 4, "old"), ("b", 5, "b")]),
        (6, &[("a", 6, "new"), ("b", 5, "b")]),
        (7, &[("a", 6, "new")]),
        (8, &[("a", 6, "new"), ("c", 8, "c")]),
    ] {
        checker.own(&owner(), view(FIRST, max_version, keys)).expect("an honest owner");
    }
    checker.own(&owner(), view(SECOND, 4, &[("a", 4, "second")])).expect("an honest owner");
    checker
}

/// The complaint about the last of these views; the ones before it are in order.
fn complaint(views: &[View]) -> Option<String> {
    let mut checker = history();
    let (last, before) = views.split_last().expect("a view");
    for view in before {
        checker.shown(NOW, READER, &owner(), view.clone()).expect("an honest step");
    }
    checker.shown(NOW, READER, &owner(), last.clone()).err()
}

#[track_caller]
fn complains(views: &[View], of: &str) {
    let said = complaint(views).unwrap_or_else(|| panic!("no complaint, expected: {of}"));
    assert!(said.contains(of), "complains of something else: {said}");
}

#[test]
fn an_honest_history_gives_no_complaint() {
    let steps = [
        view(FIRST, 0, &[("a", 4, "old")]),
        view(FIRST, 4, &[("a", 4, "old")]),
        view(FIRST, 5, &[("a", 4, "old"), ("b", 5, "b")]),
        view(FIRST, 6, &[("a", 6, "new"), ("b", 5, "b")]),
        view(FIRST, 8, &[("a", 6, "new"), ("c", 8, "c")]),
        view(SECOND, 4, &[("a", 4, "second")]),
    ];
    for count in 1..=steps.len() {
        assert_eq!(complaint(&steps[..count]), None);
    }
}

#[test]
fn a_deleted_key_that_comes_back_is_noticed() {
    let deleted = view(FIRST, 8, &[("a", 6, "new"), ("c", 8, "c")]);
    let back = view(FIRST, 8, &[("a", 6, "new"), ("b", 5, "b"), ("c", 8, "c")]);
    let before = view(FIRST, 6, &[("a", 6, "new"), ("b", 5, "b")]);
    complains(&[before, deleted.clone(), back.clone()], "came back");
    // Also where the reader had never seen it.
    complains(&[deleted, back], "appears at max_version 8");
}

#[test]
fn a_deleted_key_that_a_joiner_learns_is_noticed() {
    complains(&[view(FIRST, 7, &[("a", 6, "new"), ("b", 5, "b")])], "appears at max_version 7");
}

#[test]
fn an_older_value_after_a_newer_is_noticed() {
    let new = view(FIRST, 4, &[("a", 6, "new")]);
    // The log only reaches to 4, so that a@4 alone would be in order.
    let gone_back = view(FIRST, 5, &[("a", 4, "old"), ("b", 5, "b")]);
    complains(&[new, gone_back], "came back");
    complains(&[view(FIRST, 6, &[("a", 4, "old"), ("b", 5, "b")])], "instead of @6");
}

#[test]
fn an_unchanged_key_that_disappears_is_noticed() {
    let with = view(FIRST, 5, &[("a", 6, "new"), ("b", 5, "b")]);
    complains(&[with, view(FIRST, 5, &[("b", 5, "b")])], "disappeared");
    complains(&[view(FIRST, 8, &[("c", 8, "c")])], "is missing");
}

#[test]
fn an_overwritten_key_that_disappears_is_noticed() {
    let old = view(FIRST, 4, &[("a", 4, "old")]);
    complains(&[old.clone(), view(FIRST, 5, &[("b", 5, "b")])], "disappeared");
    // A deleted one may go before the deletion itself is here.
    let with = view(FIRST, 5, &[("a", 4, "old"), ("b", 5, "b")]);
    assert_eq!(complaint(&[with, view(FIRST, 5, &[("a", 4, "old")])]), None);
}

#[test]
fn a_version_that_falls_is_noticed() {
    let later = view(FIRST, 6, &[("a", 6, "new"), ("b", 5, "b")]);
    complains(&[later, view(FIRST, 5, &[("a", 6, "new"), ("b", 5, "b")])], "max_version fell");
    let mut checker = history();
    assert!(checker.own(&owner(), view(FIRST, 7, &[])).is_err());
}

#[test]
fn a_log_that_runs_ahead_of_its_owner_is_noticed() {
    complains(&[view(FIRST, 9, &[("a", 6, "new"), ("c", 8, "c")])], "not written yet");
}

#[test]
fn an_older_incarnation_after_a_newer_is_noticed() {
    let second = view(SECOND, 4, &[("a", 4, "second")]);
    complains(&[second, view(FIRST, 4, &[("a", 4, "old")])], "is shown after");
    // Also where the node was removed meanwhile.
    let mut checker = history();
    let second = view(SECOND, 4, &[("a", 4, "second")]);
    checker.shown(NOW, READER, &owner(), second).expect("an honest step");
    checker.removed(READER, &owner());
    assert!(checker.shown(NOW, READER, &owner(), view(FIRST, 0, &[])).is_err());
    // Unless whom it removed may be forgotten.
    checker.forgetful = true;
    checker.removed(READER, &owner());
    assert!(checker.shown(NOW, READER, &owner(), view(FIRST, 0, &[])).is_ok());
}

#[test]
fn a_key_of_another_incarnation_is_noticed() {
    complains(&[view(SECOND, 4, &[("a", 4, "old")])], "nobody wrote");
    complains(&[view(SECOND, 4, &[("a", 4, "second"), ("b", 5, "b")])], "nobody wrote");
}

#[test]
fn a_value_that_nobody_wrote_is_noticed() {
    complains(&[view(FIRST, 4, &[("a", 4, "forged")])], "nobody wrote");
    let nobody = Incarnation { generation_id: 9, boot: 9 };
    complains(&[view(nobody, 1, &[])], "never was");
}
