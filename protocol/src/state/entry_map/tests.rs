//! The map against a plain one, under random changes and with clones that are kept.

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::time::Timestamp;

fn value(version: u64) -> VersionedValue {
    VersionedValue::new(Some("v".into()), version, Timestamp::MAX)
}

fn plain(map: &EntryMap) -> BTreeMap<String, u64> {
    map.iter().map(|(key, value)| (key.as_str().to_owned(), value.version())).collect()
}

/// What `diff` says, applied to the first of two maps.
fn patched(before: &EntryMap, after: &EntryMap) -> BTreeMap<String, u64> {
    let mut map = plain(before);
    for change in before.diff(after) {
        assert_ne!(change.before, change.after);
        let old = map.remove(change.key.as_str());
        assert_eq!(old, change.before.map(VersionedValue::version));
        map.extend(change.after.map(|new| (change.key.as_str().to_owned(), new.version())));
    }
    map
}

#[test]
fn any_changes_give_what_a_plain_map_gives_and_clones_do_not_change() {
    for seed in 0..60 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut map = EntryMap::default();
        let mut model = BTreeMap::new();
        let mut kept = vec![(map.clone(), model.clone())];
        let space = [30, 400, 6_000][(seed % 3) as usize];
        for step in 0..3_000 {
            // Grows, and shrinks to almost nothing.
            let grows = rng.random_bool(if step % 1_000 < 600 { 0.8 } else { 0.1 });
            let key = format!("{:05}", rng.random_range(0..space));
            if grows {
                let old = map.insert(Key::new(&key), value(step));
                assert_eq!(old.map(|old| old.version()), model.insert(key, step));
            } else {
                // A key that is there, if any is.
                let key = model.range(key.clone()..).next().map_or(key, |(key, _)| key.clone());
                let old = map.remove(&key).map(|(_, old)| old.version());
                assert_eq!(old, model.remove(&key));
            }
            if step % 97 == 0 {
                map.check().unwrap();
                kept.push((map.clone(), model.clone()));
            }
        }
        assert_eq!(plain(&map), model);
        let start = format!("{:05}", space / 2);
        let rest: Vec<_> = map.iter_from(&start).map(|(key, _)| key.as_str().to_owned()).collect();
        assert_eq!(rest, model.range(start..).map(|(key, _)| key.clone()).collect::<Vec<_>>());
        for pair in kept.windows(2) {
            assert_eq!(plain(&pair[0].0), pair[0].1);
            assert_eq!(patched(&pair[0].0, &pair[1].0), pair[1].1);
            assert_eq!(patched(&pair[1].0, &pair[0].0), pair[0].1);
        }
        assert_eq!(patched(&kept[0].0, &map), model);
    }
}

#[test]
fn keys_in_order_fill_the_nodes() {
    let mut map = EntryMap::default();
    for number in 0..20_000 {
        map.insert(Key::new(&format!("{number:06}")), value(number));
    }
    map.check().unwrap();
    fn leaves(node: &Node) -> usize {
        match node {
            Node::Leaf(_) => 1,
            Node::Branch(children) => children.iter().map(|(_, child)| leaves(child)).sum(),
        }
    }
    assert!(leaves(&map.root) <= 20_000 / (FANOUT - SPARSE / 2) + 1);
}

#[test]
fn an_update_and_a_miss_leave_what_is_shared_alone() {
    let mut map = EntryMap::default();
    map.insert(Key::new("a"), value(1));
    let kept = map.clone();
    assert!(!map.update(&Key::new("b"), VersionedValue::set_doomed) && map.remove("b").is_none());
    assert!(map.ptr_eq(&kept) && map == kept);
    assert!(map.update(&Key::new("a"), VersionedValue::set_doomed));
    assert!(map.get("a").is_some_and(VersionedValue::is_doomed) && map != kept);
    assert!(kept.get("a").is_some_and(|value| !value.is_doomed()));
}
