//! The own namespace: what appends a version, when tombstones go, and what is refused.

use std::sync::Arc;
use std::time::Duration;

use crate::error::WriteError;
use crate::limits::Limits;
use crate::state::{KEY_INITIAL, OwnState, VersionedValue};
use crate::time::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn ttl(ms: u64) -> Option<Duration> {
    Some(Duration::from_millis(ms))
}

fn own() -> OwnState {
    OwnState::new(Limits::default(), 1 << 20, Vec::new(), Vec::new(), at(0))
}

fn own_with(limits: Limits) -> OwnState {
    OwnState::new(limits, 1 << 20, Vec::new(), Vec::new(), at(0))
}

fn version(own: &OwnState) -> u64 {
    own.replica().versions().max_version
}

fn watermark(own: &OwnState) -> u64 {
    own.replica().versions().last_gc_version
}

fn value<'a>(own: &'a OwnState, key: &str) -> Option<&'a str> {
    own.replica().get(key).and_then(VersionedValue::value)
}

#[test]
fn log_begins_with_the_number_of_its_initial_versions() {
    let seedling = |key: &str| (Arc::from(key), Arc::from("v"), None);
    let reserved = vec![seedling("\0x")];
    let own =
        OwnState::new(Limits::default(), 100, reserved, vec![seedling("a"), seedling("b")], at(0));
    assert_eq!(own.replica().get(KEY_INITIAL).map(VersionedValue::version), Some(1));
    assert_eq!(value(&own, KEY_INITIAL), Some("4"));
    assert_eq!(version(&own), 4);
    assert_eq!(own.live_entries(at(0)), [seedling("a"), seedling("b")]);
}

#[test]
fn write_that_changes_nothing_appends_nothing() {
    let mut own = own();
    assert_eq!(own.set("k", "v", None, at(0)), Ok(Some(2)));
    let hash = own.replica().state_hash();
    assert_eq!(own.set("k", "v", None, at(1)), Ok(None));
    assert_eq!(own.delete("other", at(1)), Ok(None));
    assert_eq!((version(&own), own.replica().state_hash()), (2, hash));
    assert_eq!(own.set("k", "w", None, at(2)), Ok(Some(3)));
    assert_eq!(value(&own, "k"), Some("w"));
    own.replica().check().unwrap();
}

#[test]
fn same_value_with_another_time_to_live_is_a_version() {
    let mut own = own();
    own.set("k", "v", None, at(0)).unwrap();
    assert_eq!(own.set("k", "v", ttl(100), at(0)), Ok(Some(3)));
    // The same deadline, reached from a later time, is no change.
    assert_eq!(own.set("k", "v", ttl(90), at(10)), Ok(None));
    assert_eq!(own.set("k", "v", ttl(100), at(10)), Ok(Some(4)));
    assert_eq!(own.set("k", "v", None, at(10)), Ok(Some(5)));
    assert_eq!(own.delete_after_ttl("k", Duration::from_millis(5), at(10)), Ok(Some(6)));
    let entry = own.replica().get("k").unwrap();
    assert_eq!((entry.value(), entry.deadline()), (Some("v"), Some(at(15))));
}

#[test]
fn deleting_twice_is_one_version() {
    let mut own = own();
    own.set("k", "v", None, at(0)).unwrap();
    assert_eq!(own.delete("k", at(1)), Ok(Some(3)));
    assert_eq!(own.delete("k", at(2)), Ok(None));
    assert_eq!(version(&own), 3);
    // Nor does the second one begin the grace period anew.
    assert!(own.collect_garbage(at(1) + MINUTE, MINUTE));
    assert_eq!(own.replica().tombstones_len(), 0);
    assert_eq!(own.delete("k", at(70_000)), Ok(None));
    assert_eq!(own.set("k", "v", None, at(70_000)), Ok(Some(4)));
}

#[test]
fn expired_key_is_deleted_before_it_is_set_again() {
    for swept in [false, true] {
        let mut own = own();
        own.set("k", "v", ttl(100), at(0)).unwrap();
        if swept {
            // The tick came first.
            assert!(own.expire(at(100)));
            assert_eq!(version(&own), 3);
            assert!(own.replica().get("k").unwrap().is_tombstone());
        }
        // Even with the same value: 3 is the deletion, 4 the set.
        assert_eq!(own.set("k", "v", None, at(100)), Ok(Some(4)));
        assert_eq!(value(&own, "k"), Some("v"));
        assert!(!own.expire(at(200)));
        assert_eq!(version(&own), 4);
        own.replica().check().unwrap();
    }
}

#[test]
fn expiry_appends_one_deletion_for_each_key_when_its_time_has_come() {
    let mut own = own();
    own.set("a", "v", ttl(100), at(0)).unwrap();
    own.set("b", "v", ttl(200), at(0)).unwrap();
    own.set("c", "v", None, at(0)).unwrap();
    assert_eq!(own.next_deadline(MINUTE), at(100));
    assert!(!own.expire(at(99)));
    assert!(own.expire(at(100)));
    assert_eq!((value(&own, "a"), value(&own, "b"), version(&own)), (None, Some("v"), 5));
    assert_eq!(own.delete("a", at(150)), Ok(None));
    assert!(own.expire(at(1_000)));
    assert!(!own.expire(at(1_000)));
    assert_eq!(version(&own), 6);
    assert_eq!(own.replica().tombstones_len(), 2);
    own.replica().check().unwrap();
}

#[test]
fn key_that_is_over_is_not_given_a_new_time_to_live() {
    let mut own = own();
    let millisecond = Duration::from_millis(1);
    own.set("k", "v", ttl(100), at(0)).unwrap();
    let refused = Err(WriteError::NoSuchKey);
    assert_eq!(own.delete_after_ttl("k", millisecond, at(100)), refused);
    assert_eq!(own.delete_after_ttl("none", millisecond, at(0)), refused);
    own.delete("k", at(0)).unwrap();
    assert_eq!(own.delete_after_ttl("k", millisecond, at(0)), refused);
    assert_eq!(version(&own), 3);
    assert!(own.live_entries(at(0)).is_empty());
}

#[test]
fn live_entries_carry_what_is_left_of_their_time() {
    let mut own = own();
    own.set("a", "1", ttl(100), at(0)).unwrap();
    own.set("b", "2", ttl(30), at(0)).unwrap();
    own.set("c", "3", None, at(0)).unwrap();
    own.set("d", "4", None, at(0)).unwrap();
    own.delete("d", at(0)).unwrap();
    let live = own.live_entries(at(40));
    assert_eq!(live, [("a".into(), "1".into(), ttl(60)), ("c".into(), "3".into(), None)]);
}

/// S15: grace is time, not versions.
#[test]
fn tombstone_outlives_100_000_sets_and_goes_soon_after_the_grace_period() {
    let mut own = own();
    own.set("k", "v", None, at(0)).unwrap();
    let tombstone = own.delete("k", at(0)).unwrap().unwrap();
    for round in 0..100_000u64 {
        let now = Timestamp::from_micros(i64::try_from(round * 10).unwrap());
        own.set("busy", &round.to_string(), None, now).unwrap();
    }
    assert!(version(&own) > 100_000);
    for second in 1..60 {
        assert!(!own.collect_garbage(at(second * 1_000), MINUTE));
    }
    assert!(own.replica().get("k").unwrap().is_tombstone());
    assert_eq!(own.next_deadline(MINUTE), at(60_000));
    assert!(own.collect_garbage(at(60_000), MINUTE));
    assert_eq!(watermark(&own), tombstone);
    assert_eq!(own.replica().get("k"), None);
    own.replica().check().unwrap();
}

#[test]
fn watermark_moves_at_most_once_in_a_quarter_of_the_grace_period() {
    let mut own = own();
    let mut moves = Vec::new();
    // A deletion every second for five minutes.
    for second in 0..300 {
        own.set("k", &second.to_string(), None, at(second * 1_000)).unwrap();
        own.delete("k", at(second * 1_000)).unwrap();
        let before = watermark(&own);
        if own.collect_garbage(at(second * 1_000), MINUTE) {
            assert!(watermark(&own) > before);
            moves.push(second);
        }
        assert!(watermark(&own) <= version(&own));
    }
    assert_eq!(moves.first(), Some(&60));
    assert!(moves.windows(2).all(|pair| pair[1] - pair[0] == 15), "{moves:?}");
    // No tombstone is kept for longer than grace and a pause between two moves.
    assert!(own.next_deadline(MINUTE) <= at(300_000 + 15_000));
}

#[test]
fn watermark_moves_at_most_every_30_seconds_with_a_long_grace_period() {
    let hour = Duration::from_secs(3_600);
    let mut own = own();
    for second in 0..100 {
        own.set("k", &second.to_string(), None, at(second * 1_000)).unwrap();
        own.delete("k", at(second * 1_000)).unwrap();
    }
    let moves: Vec<i64> =
        (3_590..3_800).filter(|second| own.collect_garbage(at(second * 1_000), hour)).collect();
    assert_eq!(moves, [3_600, 3_630, 3_660, 3_690, 3_720]);
    assert_eq!(own.replica().tombstones_len(), 0);
    assert_eq!(own.next_deadline(hour), Timestamp::MAX);
}

#[test]
fn replaced_prefix_holds_exactly_the_new_entries() {
    let mut own = own();
    for key in ["p/a", "p/b", "p/c", "q"] {
        own.set(key, "1", None, at(0)).unwrap();
    }
    let entries = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    };
    let wanted = entries(&[("p/b", "1"), ("p/c", "2"), ("p/d", "1")]);
    assert_eq!(own.replace_prefix("p/", &wanted, at(1)), Ok(3));
    let live: Vec<_> =
        own.live_entries(at(1)).into_iter().map(|(key, value, _)| (key, value)).collect();
    let expected = [("p/b", "1"), ("p/c", "2"), ("p/d", "1"), ("q", "1")];
    assert_eq!(live, expected.map(|(key, value)| (key.into(), value.into())));
    assert_eq!(own.replace_prefix("p/", &wanted, at(2)), Ok(0), "nothing changed");
    assert_eq!(own.replace_prefix("p/", &[], at(3)), Ok(3));
    assert_eq!(own.replace_prefix("", &[], at(4)), Ok(1));
    assert!(own.live_entries(at(4)).is_empty());
    assert_eq!(value(&own, KEY_INITIAL), Some("1"), "the protocol's keys stay");
    own.replica().check().unwrap();
}

#[test]
fn replacing_a_prefix_is_all_or_nothing() {
    let limits = Limits { max_keys_per_node: 4, max_value_len: 10, ..Limits::default() };
    let mut own = own_with(limits);
    own.set("p/a", "1", None, at(0)).unwrap();
    let (before, hash) = (version(&own), own.replica().state_hash());
    let entry = |key: &str, value: &str| (key.to_string(), value.to_string());
    let mut refused = |entries: &[(String, String)]| {
        let error = own.replace_prefix("p/", entries, at(1)).unwrap_err();
        assert_eq!((version(&own), own.replica().state_hash()), (before, hash));
        error
    };
    let outside = refused(&[entry("p/b", "1"), entry("q", "1")]);
    assert_eq!(outside, WriteError::OutsidePrefix { key: "q".into() });
    let long = refused(&[entry("p/b", "1"), entry("p/c", "12345678901")]);
    assert!(matches!(long, WriteError::ValueTooLong { .. }));
    let many = refused(&[entry("p/b", "1"), entry("p/c", "1"), entry("p/d", "1")]);
    assert_eq!(many, WriteError::TooManyKeys { limit: 4 });
    let reserved = own.replace_prefix("\0", &[], at(1));
    assert_eq!(reserved, Err(WriteError::ReservedKey));
    assert_eq!(own.replace_prefix("p/", &[entry("p/b", "1"), entry("p/c", "1")], at(1)), Ok(3));
}

#[test]
fn writes_beyond_a_limit_are_refused_and_change_nothing() {
    let limits = Limits {
        max_key_len: 8,
        max_value_len: 20,
        max_keys_per_node: 3,
        max_bytes_per_node: 260,
        ..Limits::default()
    };
    let mut own = own_with(limits);
    own.set("a", "1", None, at(0)).unwrap();
    let (before, hash) = (version(&own), own.replica().state_hash());
    let mut refused = |key: &str, value: &str, ttl| {
        let error = own.set(key, value, ttl, at(1)).unwrap_err();
        assert_eq!((version(&own), own.replica().state_hash()), (before, hash));
        error
    };
    assert_eq!(refused("", "v", None), WriteError::EmptyKey);
    assert_eq!(refused("\0x", "v", None), WriteError::ReservedKey);
    assert_eq!(refused("123456789", "v", None), WriteError::KeyTooLong { len: 9, limit: 8 });
    let long = "v".repeat(21);
    assert_eq!(refused("k", &long, None), WriteError::ValueTooLong { len: 22, limit: 21 });
    assert_eq!(refused("k", "v", Some(Duration::ZERO)), WriteError::ZeroTtl);
    let zero = own.delete_after_ttl("a", Duration::ZERO, at(1));
    assert_eq!(zero, Err(WriteError::ZeroTtl));
    assert_eq!(own.delete("\0x", at(1)), Err(WriteError::ReservedKey));
    own.set("b", "1", None, at(1)).unwrap();
    assert_eq!(own.set("c", "1", None, at(1)), Err(WriteError::TooManyKeys { limit: 3 }));
    // A key that exists may still be written, and a deleted one counts until it is collected.
    assert_eq!(own.set("a", "2", None, at(1)), Ok(Some(4)));
    own.delete("b", at(1)).unwrap();
    assert_eq!(own.set("c", "1", None, at(1)), Err(WriteError::TooManyKeys { limit: 3 }));
    assert!(own.collect_garbage(at(1) + MINUTE, MINUTE));
    own.set("c", "1", None, at(70_000)).unwrap();
    own.replica().check().unwrap();
}

#[test]
fn state_never_exceeds_its_limit_on_bytes() {
    let limits = Limits { max_bytes_per_node: 4_096, ..Limits::default() };
    let mut own = own_with(limits);
    let full = (0..1_000).find_map(|key| own.set(&format!("{key}"), "value", None, at(0)).err());
    assert_eq!(full, Some(WriteError::StateTooLarge { limit: 4_096 }));
    assert!(own.replica().bytes() <= 4_096, "{} bytes", own.replica().bytes());
    // What is there may be written again, and all at once.
    assert_eq!(own.set("7", "VALUE", None, at(1)).map(|version| version.is_some()), Ok(true));
    let same: Vec<_> = own.live_entries(at(1));
    let same: Vec<_> =
        same.iter().map(|(key, value, _)| (key.to_string(), value.to_string())).collect();
    assert_eq!(own.replace_prefix("", &same, at(1)), Ok(0));
}

#[test]
fn key_and_value_must_fit_a_message_of_the_transport() {
    let mut own = OwnState::new(Limits::default(), 30, Vec::new(), Vec::new(), at(0));
    let refused = Err(WriteError::ValueTooLong { len: 31, limit: 30 });
    assert_eq!(own.set("key", &"v".repeat(28), None, at(0)), refused);
    assert_eq!(own.set("key", &"v".repeat(27), None, at(0)), Ok(Some(2)));
}

#[test]
fn many_are_set_together_or_not_at_all() {
    let entries = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let limits = Limits { max_keys_per_node: 8, max_value_len: 1_100, ..Limits::default() };
    let mut own = own_with(limits);
    let before = own.replica().len();
    assert_eq!(own.set_many(&entries(&[("a", "1"), ("b", "1"), ("a", "2")]), at(1)), Ok(3));
    assert_eq!(own.set_many(&entries(&[("a", "2"), ("b", "2")]), at(2)), Ok(1));
    assert_eq!(own.replica().get("a").and_then(|entry| entry.value()), Some("2"));
    let room = 8 - before - 2;
    let names: Vec<String> = (0..=room).map(|number| format!("n{number}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "v")).collect();
    let unchanged = own.replica().versions();
    let refusals = [
        (entries(&[("c", "1"), ("", "1")]), WriteError::EmptyKey),
        (entries(&many), WriteError::TooManyKeys { limit: 8 }),
    ];
    for (entries, error) in refusals {
        assert_eq!(own.set_many(&entries, at(3)), Err(error));
        assert_eq!(own.replica().versions(), unchanged);
    }
    // Keys that are there, or twice in the list, take no room.
    let mut fitting = entries(&many[1..]);
    fitting.extend(entries(&[("a", "3"), ("n1", "w")]));
    assert_eq!(own.set_many(&fitting, at(4)), Ok(room as u64 + 2));
    assert_eq!(own.replica().len(), 8);
    own.replica().check().expect("the indexes agree");
}
