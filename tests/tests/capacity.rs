//! Transports that hold connections with a bounded number of peers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use chitchat_protocol::{LinkLimits, NodeStatus};
use chitchat_tests::sim::{Captured, HostId, Sim};

/// A transport of streams with room for so many peers.
fn link(capacity: usize) -> LinkLimits {
    LinkLimits::new(65_507, 1 << 20).with_max_peers(Some(capacity))
}

fn cluster(seed: u64, count: usize, capacity: usize) -> Sim {
    Sim::cluster_with(seed, count, link(capacity), |_| {})
}

/// Whom each host asked.
fn asked(tap: &[Captured]) -> BTreeMap<SocketAddr, BTreeSet<SocketAddr>> {
    let mut asked: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for message in tap.iter().filter(|it| it.is_question()) {
        asked.entry(message.from).or_default().insert(message.to);
    }
    asked
}

#[test]
fn three_hundred_nodes_with_room_for_thirty_two_peers_each_are_one_cluster() {
    // Rule P8: 16 peers at a time, of which three are others after a minute.
    let mut sim = Sim::cluster_with(1, 300, link(32), |config| {
        // A minute is 30 rounds: enough to ask nearly all of 16 peers, three at a time.
        config.gossip_interval = Duration::from_secs(2);
    });
    sim.expect_within(12, "all see all", Sim::all_see_all);
    sim.set(7, "key", "value");
    let taken = sim.expect_within(10, "a write reaches all", |sim| {
        sim.all_have(0..300, "node-7", "key", Some("value"))
    });
    assert!(taken <= sim.host(0).interval() * 5, "{taken:?}");
    sim.run_rounds(4);

    let mut peers: BTreeMap<SocketAddr, BTreeSet<SocketAddr>> = BTreeMap::new();
    let minute = sim.now() + Duration::from_secs(60);
    while sim.now() < minute {
        sim.tap = Some(Vec::new());
        sim.run_rounds(1);
        for message in sim.tap.take().expect("a tap") {
            if message.is_question() {
                peers.entry(message.from).or_default().insert(message.to);
            }
        }
    }
    let counts: Vec<usize> = peers.values().map(BTreeSet::len).collect();
    assert_eq!(counts.len(), 300);
    assert!(counts.iter().all(|count| (12..=19).contains(count)), "{counts:?}");
    assert!(sim.all_see_all() && sim.false_deaths() == 0);
}

#[test]
fn below_the_capacity_everybody_is_asked() {
    let mut sim = cluster(2, 20, 32);
    sim.expect_within(8, "all see all", Sim::all_see_all);
    sim.tap = Some(Vec::new());
    sim.run_rounds(60);
    let asked = asked(&sim.tap.take().expect("a tap"));
    assert!(asked.values().all(|peers| peers.len() == 19), "{asked:?}");
}

#[test]
fn halves_with_little_room_merge_when_their_partition_heals() {
    for seed in 0..5 {
        let mut sim = cluster(seed, 40, 8);
        sim.expect_within(12, "all see all", Sim::all_see_all);
        let (one, other): (Vec<HostId>, Vec<HostId>) = (0..40).partition(|host| host % 2 == 0);
        sim.links.partition(&one, &other);
        sim.expect_within(30, "each half sees itself", |sim| {
            (0..40).all(|host| sim.host(host).live() == 20)
        });
        sim.set(0, "side", "one");
        sim.set(1, "side", "other");
        sim.run_rounds(60);
        sim.links.heal();
        sim.expect_within(20, "all see all again", |sim| sim.all_see_all() && sim.all_equal());
    }
}

#[test]
fn with_little_room_the_dead_and_the_left_make_place_at_once_and_nobody_dies_falsely() {
    for seed in 0..5 {
        let mut sim = cluster(seed, 60, 12);
        sim.expect_within(12, "all see all", Sim::all_see_all);
        sim.run_rounds(40);
        assert_eq!(sim.false_deaths(), 0, "seed {seed}");
        for host in 40..50 {
            sim.kill(host);
        }
        for host in 50..60 {
            sim.with(host, |node, now| node.leave(now));
        }
        sim.run_rounds(4);
        for host in 50..60 {
            sim.kill(host);
        }
        sim.expect_within(16, "all know who is dead and who has left", |sim| {
            (40..50).all(|dead| sim.all_give(&format!("node-{dead}"), Some(NodeStatus::Dead)))
                && (50..60)
                    .all(|left| sim.all_give(&format!("node-{left}"), Some(NodeStatus::Left)))
        });
        sim.run_rounds(2);
        let failed = sim.false_deaths();
        assert_eq!(failed, 40 * 10, "seed {seed}: only the dead were declared dead");
        sim.set(0, "key", "value");
        sim.expect_within(8, "a write reaches all", |sim| {
            sim.all_have(0..40, "node-0", "key", Some("value"))
        });
    }
}

#[test]
fn the_same_seed_draws_the_same_peers() {
    let run = |seed| {
        let mut sim = cluster(seed, 40, 8);
        sim.run_rounds(10);
        sim.tap = Some(Vec::new());
        sim.run_rounds(60);
        asked(&sim.tap.take().expect("a tap"))
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}
