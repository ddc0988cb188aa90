//! Deleted keys stay deleted: over partitions, restarts of relays, truncation, and any delete rate.

use std::time::Duration;

use chitchat_protocol::{Config, DeltaEntry, DeltaOp, Event, LinkLimits, NodeDelta, PruneSection};
use chitchat_tests::sim::{Puppet, Sim, text_of};

const GRACE: Duration = Duration::from_secs(8);

fn short_grace(config: &mut Config) {
    config.marked_for_deletion_grace_period = GRACE;
}

fn collected(sim: &Sim, host: usize) -> u64 {
    sim.host(host).snapshot().self_state().map_or(0, |state| state.last_gc_version())
}

#[test]
fn a_deleted_key_does_not_return_after_a_partition() {
    // Row S7, trace T1 over whole nodes: O is node-0, Q node-1, R and S join later. The messages
    // cut O's log after every entry in turn: `padding` moves the cut.
    for padding in (0..800).step_by(27) {
        let link = LinkLimits::new(1_400, 1_400);
        let mut sim = Sim::cluster_with(padding, 2, link, short_grace);
        for number in 0..20 {
            sim.set(0, &format!("big-{number:02}"), &text_of(600, number));
        }
        sim.set(0, "pad", &text_of(usize::try_from(padding).expect("small") + 1, 1));
        sim.set(0, "k", "deleted soon");
        sim.expect_within(10, "Q has all", Sim::all_equal);
        sim.links.partition(&[0], &[1]);
        sim.delete(0, "k");
        let version = sim.host(0).snapshot().self_state().expect("own").max_version();
        sim.run_for(GRACE * 2);
        assert!(collected(&sim, 0) >= version, "the tombstone is gone");
        sim.set(0, "z", "later");
        // R hears a part of O's log, then Q for a while, then O again.
        let mut config = Sim::config("node-2");
        short_grace(&mut config);
        config.limits.max_train_bytes = 16_384;
        let r = sim.add_host_with(config.clone(), link, &[0, 1]);
        sim.links.partition(&[1], &[r]);
        sim.start(r);
        sim.run_for(Duration::from_micros(1_200 + padding * 7));
        sim.links.heal();
        sim.links.partition(&[0], &[1, r]);
        sim.run_rounds(4);
        config.node_id = "node-3".into();
        let s = sim.add_host_with(config, link, &[r]);
        sim.links.partition(&[0], &[s]);
        sim.start(s);
        sim.run_rounds(4);
        sim.links.heal();
        sim.expect_within(30, "all agree", |sim| sim.all_see_all() && sim.all_equal());
        assert!(sim.all_have(0..4, "node-0", "k", None), "k is back: {}", sim.describe());
        assert!(sim.all_have(0..4, "node-0", "z", Some("later")));
        sim.run_rounds(20);
        assert!(sim.all_have(0..4, "node-0", "k", None), "k is back: {}", sim.describe());
    }
}

#[test]
fn a_key_deleted_while_a_replica_was_cut_off_is_gone_soon_after() {
    // Row S2: over delete and grace period, within two exchanges of reconnecting.
    for seed in 0..10 {
        let mut sim = Sim::cluster_with(seed, 3, LinkLimits::new(1_400, 1_400), short_grace);
        for number in 0..30 {
            sim.set(0, &format!("key-{number}"), &text_of(300, number));
        }
        sim.expect_within(10, "all agree", Sim::all_equal);
        sim.links.partition(&[2], &[0, 1]);
        for number in 0..15 {
            sim.delete(0, &format!("key-{}", number * 2));
        }
        sim.run_for(GRACE * 2);
        sim.set(0, "after", "it");
        sim.links.heal();
        sim.expect_within(6, "the deleted keys are gone, the others stay", |sim| {
            (0..30).all(|number| {
                let key = format!("key-{number}");
                sim.host(2).get("node-0", &key).is_some() == (number % 2 == 1)
            }) && sim.host(2).get("node-0", "after").is_some()
        });
    }
}

#[test]
fn the_unchanged_keys_of_a_replica_that_was_cut_off_never_disappear() {
    // Rows S21, R7 to R11: no reset. The checker judges every step; here: no spurious event.
    let mut sim = Sim::cluster_with(1, 4, LinkLimits::new(1_400, 1_400), short_grace);
    for number in 0..200 {
        sim.set(0, &format!("stays-{number}"), &text_of(50, number));
    }
    sim.expect_within(10, "all agree", Sim::all_equal);
    sim.links.partition(&[3], &[0, 1, 2]);
    for round in 0..30 {
        sim.set(0, "volatile", &round.to_string());
        sim.delete(0, "volatile");
        sim.run_for(Duration::from_secs(1));
    }
    let begin = sim.now();
    sim.links.heal();
    sim.expect_within(20, "all agree", |sim| sim.all_see_all() && sim.all_equal());
    let is_of_key = |event: &Event| match event {
        Event::KeySet { id, .. } | Event::KeyDeleted { id, .. } => &*id.node_id == "node-0",
        _ => false,
    };
    let spurious = sim.host(3).times_of(is_of_key).iter().filter(|at| **at > begin).count();
    assert_eq!(spurious, 0, "nothing changed for readers");
    assert_eq!(sim.host(3).state_of("node-0").expect("known").num_key_values(), 200);
}

#[test]
fn a_tombstone_lives_for_the_grace_period_whatever_the_number_of_versions() {
    // Row S15: a grace period of 60 s, and a million writes in one second.
    let mut sim = Sim::cluster_with(2, 2, LinkLimits::default(), |config| {
        config.marked_for_deletion_grace_period = Duration::from_secs(60);
    });
    sim.run_rounds(4);
    sim.set(0, "k", "v");
    sim.delete(0, "k");
    let deleted = sim.host(0).snapshot().self_state().expect("own").max_version();
    let begin = sim.now();
    for batch in 0..10 {
        sim.with(0, |node, now| {
            for number in 0..100_000 {
                node.set("busy", &format!("{batch}-{number}"), now).expect("a valid write");
            }
        });
        sim.run_for(Duration::from_millis(100));
    }
    let passed = sim.now().since(begin);
    sim.run_for(Duration::from_secs(59) - passed);
    assert!(collected(&sim, 0) < deleted, "the tombstone is there at 59 s");
    // The watermark moves at most once in a quarter of the grace period.
    sim.run_for(Duration::from_secs(17));
    assert!(collected(&sim, 0) >= deleted, "the tombstone is gone soon after");
    assert!(sim.host(0).snapshot().self_state().expect("own").max_version() > 1_000_000);
}

#[test]
fn deleting_twice_is_one_version_and_setting_the_same_value_is_none() {
    // Rows R7 to R11.
    let mut sim = Sim::cluster(3, 2);
    let version = |sim: &Sim| sim.host(0).snapshot().self_state().expect("own").max_version();
    sim.set(0, "k", "v");
    let first = version(&sim);
    sim.set(0, "k", "v");
    assert_eq!(version(&sim), first);
    sim.delete(0, "k");
    assert_eq!(version(&sim), first + 1);
    sim.delete(0, "k");
    sim.delete(0, "never-set");
    assert_eq!(version(&sim), first + 1);
    sim.set(0, "k", "v");
    assert_eq!(version(&sim), first + 2);
    sim.expect_within(4, "all agree", Sim::all_equal);
}

#[test]
fn a_replica_catches_up_whatever_the_delete_rate() {
    // Rows X1, S21: a replica that is far behind, while the owner sets and deletes all the time
    // and its watermark keeps moving.
    let link = LinkLimits::new(1_400, 1_400);
    let mut sim = Sim::cluster_with(4, 3, link, |config| {
        config.marked_for_deletion_grace_period = Duration::from_secs(2);
        config.limits.max_train_bytes = 16_384;
    });
    // Judging every publication of thousands of keys would take a minute.
    sim.checker = None;
    for number in 0..2_700 {
        sim.set(0, &format!("stays-{number:04}"), &text_of(100, number));
    }
    sim.run_rounds(20);
    sim.links.partition(&[2], &[0, 1]);
    let churn = |sim: &mut Sim, number: u64| {
        sim.set(0, &format!("churn-{}", number % 40), &number.to_string());
        sim.delete(0, &format!("churn-{}", (number + 20) % 40));
        sim.run_for(Duration::from_millis(20));
    };
    for number in 0..1_000 {
        churn(&mut sim, number);
    }
    for number in 0..2_700 {
        sim.set(0, &format!("stays-{number:04}"), &text_of(100, number + 9_999));
    }
    let mut config = Sim::config("joiner");
    config.limits.max_train_bytes = 16_384;
    let joiner = sim.add_host_with(config, link, &[0, 1]);
    sim.start(joiner);
    sim.links.heal();
    let behind = |sim: &Sim, host: usize| {
        let own = sim.host(0).snapshot().self_state().expect("own").max_version();
        own - sim.host(host).state_of("node-0").map_or(0, |state| state.max_version())
    };
    let mut least = [u64::MAX; 2];
    for number in 1_000..3_000 {
        churn(&mut sim, number);
        for (least, host) in least.iter_mut().zip([2, joiner]) {
            *least = behind(&sim, host).min(*least);
        }
    }
    // It keeps up with two writes in 20 ms to within some rounds.
    assert!(least.iter().all(|least| *least < 200), "{least:?} versions behind at best");
    sim.expect_within(20, "all agree when the churn ends", |sim| {
        sim.all_see_all() && sim.all_equal()
    });
}

#[test]
fn replicas_of_a_dead_owner_agree_on_what_was_deleted() {
    // Rule F1: the owner dies with its watermark above what some replicas have.
    for seed in 0..20 {
        let mut sim = Sim::cluster_with(seed, 5, LinkLimits::new(1_400, 1_400), short_grace);
        for number in 0..20 {
            sim.set(0, &format!("key-{number}"), &text_of(400, number));
        }
        sim.expect_within(10, "all agree", Sim::all_equal);
        sim.links.partition(&[4], &[0, 1, 2, 3]);
        for number in 0..10 {
            sim.delete(0, &format!("key-{number}"));
        }
        sim.run_for(GRACE * 2);
        sim.links.partition(&[3], &[0, 1, 2]);
        sim.set(0, "last", "word");
        sim.run_rounds(3);
        sim.kill(0);
        sim.links.heal();
        sim.run_rounds(40);
        let of = |sim: &Sim, host: usize| {
            let state = sim.host(host).state_of("node-0").expect("known").clone();
            let keys: Vec<(String, String)> =
                state.key_values().map(|(key, value)| (key.into(), value.into())).collect();
            (state.max_version(), keys)
        };
        for host in 2..5 {
            assert_eq!(of(&sim, host), of(&sim, 1), "seed {seed}, host {host}");
        }
        assert_eq!(of(&sim, 1).1.len(), 11, "ten keys and the last word");
    }
}

/// The log of the traces: 20 keys at versions 1 to 20, k@21, k deleted at 22, z@23. Version 1 is
/// the protocol's, as in every log.
fn entries(versions: impl IntoIterator<Item = u64>) -> Vec<DeltaEntry<'static>> {
    let entry = |version: u64| {
        let (key, value) = match version {
            1 => ("\0initial".to_owned(), "1".to_owned()),
            21 => ("k".to_owned(), "deleted".to_owned()),
            23 => ("z".to_owned(), "z".to_owned()),
            _ => (format!("key-{version}"), "stays".to_owned()),
        };
        let op = DeltaOp::Set { value: value.into(), ttl: None };
        DeltaEntry { key: key.into(), version, op }
    };
    versions.into_iter().map(entry).collect()
}

/// What the owner sends to a replica that has `(m, g)`, cut at `to`, after its watermark is 22.
fn of_owner(puppet: &Puppet, m: u64, g: u64, to: u64) -> NodeDelta<'static> {
    let prune = (g < 22 && m > 0 && m < 22).then(|| PruneSection {
        from: 0,
        to: m,
        versions: (1..=m.min(20)).collect(),
    });
    let above = entries((m + 1..=to).filter(|version| ![21, 22].contains(version)));
    let base = Puppet::delta("owner", puppet.incarnation, puppet.heartbeat, 0, &[]);
    NodeDelta {
        from: m,
        to,
        source: 23,
        horizon: 23,
        last_gc_version: 22,
        prune,
        entries: above,
        ..base
    }
}

/// What a replica sends that has all up to 21 and never heard of the deletion.
fn of_stale_replica(puppet: &Puppet, m: u64, to: u64) -> NodeDelta<'static> {
    let base = Puppet::delta("owner", puppet.incarnation, puppet.heartbeat, 0, &[]);
    let entries = entries(m + 1..=to);
    NodeDelta { from: m, to, source: 21, horizon: 21, entries, ..base }
}

#[test]
fn a_delta_from_before_the_deletion_does_not_bring_the_key_back_whenever_it_comes() {
    // Traces T1, T2 and T3, rule (c), at every truncation point and in every order: the deltas are
    // pushed by a peer that has them from honest nodes.
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for cut in 1..=21 {
        for order in orders {
            let mut sim = Sim::cluster(cut, 2);
            sim.run_rounds(4);
            sim.checker = None;
            let mut relay = Puppet::new("relay", 1);
            relay.join(&mut sim, 1, &[]);
            let parts = [
                of_owner(&relay, 0, 0, cut),
                of_stale_replica(&relay, 0, 21),
                of_stale_replica(&relay, cut.min(20), 21),
            ];
            for number in order.into_iter().chain(order) {
                let push = relay.push(vec![parts[number].clone()]);
                relay.say(&mut sim, 1, &push);
            }
            let m = sim.host(1).state_of("owner").expect("known").max_version();
            let g = sim.host(1).state_of("owner").expect("known").last_gc_version();
            // Then the owner itself is heard, as it answers this digest.
            let push = relay.push(vec![of_owner(&relay, m, g, 23)]);
            relay.say(&mut sim, 1, &push);
            let state = sim.host(1).state_of("owner").expect("known");
            let at = format!("cut at {cut}, order {order:?}");
            assert_eq!(state.get("k"), None, "{at}");
            assert_eq!(state.max_version(), 23, "{at}");
            assert_eq!(state.num_key_values(), 20, "{at}");
            // Late echoes change nothing any more.
            for part in &parts {
                let push = relay.push(vec![part.clone()]);
                relay.say(&mut sim, 1, &push);
            }
            assert_eq!(sim.host(1).get("owner", "k"), None, "{at}");
        }
    }
}
