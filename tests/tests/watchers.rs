//! Watchers: every visible change is an event, and the events are exactly the difference.

use std::time::Duration;

use chitchat_protocol::{Event, LinkLimits, Timestamp};
use chitchat_tests::sim::{HostId, Replayed, Sim, for_seeds, text_of};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// The time after `begin` at which the last of the hosts had the event.
#[track_caller]
fn reached(
    sim: &Sim,
    hosts: &[HostId],
    begin: Timestamp,
    holds: impl Fn(&Event) -> bool,
) -> Duration {
    let first = |host: HostId| {
        let times = sim.host(host).times_of(&holds);
        let first = times.iter().find(|at| **at >= begin).copied();
        first.unwrap_or_else(|| panic!("host {host} had no such event: {}", sim.describe()))
    };
    hosts.iter().map(|host| first(*host).since(begin)).max().unwrap_or_default()
}

#[test]
fn every_kind_of_change_reaches_every_watcher() {
    // Row S18: with five nodes everybody is reached in a few rounds; the event comes in the same
    // step in which the change is received, since there is no other way to see it.
    let mut sim = Sim::cluster_with(1, 5, LinkLimits::new(1_400, 1_400), |config| {
        config.marked_for_deletion_grace_period = Duration::from_secs(4);
        config.dead_node_grace_period = Duration::from_secs(40);
    });
    let interval = sim.host(0).interval();
    let others = [0, 1, 2, 3];
    sim.run_rounds(20);
    let soon = interval * 5;

    let begin = sim.now();
    sim.set(4, "key", "value");
    sim.run_rounds(8);
    let set = |event: &Event| matches!(event, Event::KeySet { key, value, version, .. } if &**key == "key" && &**value == "value" && *version > 0);
    assert!(reached(&sim, &others, begin, set) <= soon);

    let begin = sim.now();
    sim.delete(4, "key");
    sim.run_rounds(8);
    let deleted = |name: &'static str| move |event: &Event| matches!(event, Event::KeyDeleted { key, .. } if &**key == name);
    assert!(reached(&sim, &others, begin, deleted("key")) <= soon);

    let begin = sim.now();
    let lease = Duration::from_secs(3);
    sim.with(4, |node, now| node.set_with_ttl("lease", "v", lease, now)).expect("a write");
    sim.run_rounds(12);
    let expired = reached(&sim, &others, begin, deleted("lease"));
    assert!(expired >= lease && expired <= lease + Duration::from_millis(50), "{expired:?}");

    // A prune: the tombstone is gone before node-3 hears of the deletion.
    sim.set(4, "pruned", &text_of(100, 1));
    sim.run_rounds(8);
    sim.links.partition(&[3], &[0, 1, 2, 4]);
    sim.delete(4, "pruned");
    sim.run_for(Duration::from_secs(12));
    sim.set(4, "later", "v");
    let begin = sim.now();
    sim.links.heal();
    sim.run_rounds(12);
    assert!(reached(&sim, &[3], begin, deleted("pruned")) <= interval * 8);

    let begin = sim.now();
    let mut config = Sim::config("joiner");
    config.initial_key_values = vec![("role".into(), "guest".into())];
    let joiner = sim.add_host(config, &[0]);
    sim.start(joiner);
    sim.run_rounds(8);
    let joined = |event: &Event| match event {
        Event::Joined { state } => {
            &*state.id().node_id == "joiner" && state.get("role") == Some("guest")
        }
        _ => false,
    };
    assert!(reached(&sim, &others, begin, joined) <= soon);

    let begin = sim.now();
    sim.kill(joiner);
    sim.start(joiner);
    sim.run_rounds(8);
    let generation = sim.host(joiner).running().id();
    let superseded = |event: &Event| match event {
        Event::Joined { state } => *state.id() == generation,
        _ => false,
    };
    assert!(reached(&sim, &others, begin, superseded) <= soon);

    let begin = sim.now();
    sim.with(joiner, |node, now| node.leave(now));
    sim.run_rounds(4);
    sim.kill(joiner);
    sim.run_rounds(4);
    let left = |event: &Event| matches!(event, Event::Left { id } if &*id.node_id == "joiner");
    assert!(reached(&sim, &others, begin, left) <= interval * 2);

    let begin = sim.now();
    sim.kill(4);
    sim.run_for(Duration::from_secs(45));
    let of_4 = |kind: fn(&Event) -> bool| {
        move |event: &Event| match event {
            Event::Failed { id } | Event::ScheduledForDeletion { id } | Event::Removed { id } => {
                kind(event) && &*id.node_id == "node-4"
            }
            _ => false,
        }
    };
    reached(&sim, &others, begin, of_4(|event| matches!(event, Event::Failed { .. })));
    reached(
        &sim,
        &others,
        begin,
        of_4(|event| matches!(event, Event::ScheduledForDeletion { .. })),
    );
    reached(&sim, &others, begin, of_4(|event| matches!(event, Event::Removed { .. })));

    let begin = sim.now();
    sim.stop_for(2, Duration::from_secs(6));
    sim.run_for(Duration::from_secs(12));
    let recovered =
        |event: &Event| matches!(event, Event::Recovered { id } if &*id.node_id == "node-2");
    assert!(reached(&sim, &[0, 1, 3], begin, recovered) < Duration::from_secs(10));
}

#[test]
fn events_are_exactly_the_difference_between_snapshots() {
    // Row S18: whoever applies all events to the first snapshot has the last one.
    for_seeds(40, |seed| {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut sim = Sim::cluster_with(seed, 5, LinkLimits::default(), |config| {
            config.marked_for_deletion_grace_period = Duration::from_secs(3);
            config.dead_node_grace_period = Duration::from_secs(32);
        });
        sim.links.loss = 0.2;
        sim.links.delay = Duration::from_millis(1)..Duration::from_millis(700);
        for _ in 0..60 {
            let host = rng.random_range(1..5);
            match rng.random_range(0..10) {
                0 => sim.kill(host),
                1 if sim.host(host).node().is_none() => sim.start(host),
                2 if sim.host(host).node().is_some() => {
                    sim.with(host, |node, now| node.leave(now));
                    sim.run_rounds(2);
                    sim.kill(host);
                }
                3 => sim.stop_for(host, Duration::from_secs(7)),
                _ if sim.host(host).node().is_some() => {
                    let key = format!("key-{}", rng.random_range(0..4));
                    let value = rng.random::<u32>().to_string();
                    let ttl = Duration::from_secs(rng.random_range(1..6));
                    sim.with(host, |node, now| match value.as_bytes()[0] {
                        b'1' => node.delete(&key, now).map(drop),
                        b'2' => node.set_with_ttl(&key, &value, ttl, now).map(drop),
                        _ => node.set(&key, &value, now).map(drop),
                    })
                    .expect("a valid write");
                }
                _ => {}
            }
            sim.run_for(Duration::from_millis(rng.random_range(50..3_000)));
        }
        for (id, host) in sim.running() {
            let mut known = Replayed::of(host.first_snapshot());
            for (at, event) in &host.events {
                known.apply(event).unwrap_or_else(|why| panic!("host {id} at {at}: {why}"));
            }
            assert_eq!(known, Replayed::of(host.snapshot()), "host {id}");
        }
    });
}

#[test]
fn a_delete_and_a_set_between_two_publications_are_one_event() {
    let mut sim = Sim::cluster(3, 2);
    sim.set(0, "key", "old");
    sim.run_rounds(4);
    let before = sim.host(0).events.len();
    sim.with(0, |node, now| {
        node.delete("key", now).expect("a valid write");
        node.set("key", "new", now).expect("a valid write");
    });
    let events = &sim.host(0).events[before..];
    assert!(
        matches!(events, [(_, Event::KeySet { value, .. })] if &**value == "new"),
        "{events:?}"
    );
}

#[test]
fn nothing_of_the_protocols_own_keys_is_visible() {
    let mut sim = Sim::cluster(4, 3);
    sim.set(0, "key", "value");
    sim.run_rounds(6);
    sim.with(2, |node, now| node.leave(now));
    sim.run_rounds(4);
    for (_, host) in sim.running() {
        for node in host.snapshot().nodes() {
            assert!(node.key_values().all(|(key, _)| key == "key"));
        }
        for (_, event) in &host.events {
            if let Event::KeySet { key, .. } | Event::KeyDeleted { key, .. } = event {
                assert_eq!(&**key, "key");
            }
        }
    }
    let refused = sim.with(0, |node, now| node.set("\0addrs", "10.6.6.6:1", now));
    assert!(refused.is_err());
}
