//! A cluster finds itself, agrees on its key-values, and notices who comes and goes.

use std::time::Duration;

use chitchat_protocol::{LinkLimits, NodeStatus};
use chitchat_tests::sim::Sim;

#[test]
fn three_nodes_find_each_other_and_agree() {
    let mut sim = Sim::cluster(1, 3);
    sim.expect_within(3, "all see all", Sim::all_see_all);
    sim.set(1, "role", "indexer");
    sim.expect_within(3, "the key is everywhere", |sim| {
        sim.hosts().all(|host| host.get("node-1", "role") == Some("indexer"))
    });
    sim.delete(1, "role");
    sim.expect_within(3, "the key is nowhere", |sim| {
        sim.hosts().all(|host| host.get("node-1", "role").is_none())
    });
    sim.expect_within(3, "the states are equal", Sim::all_equal);
}

#[test]
fn a_death_is_noticed_and_so_is_the_return() {
    let mut sim = Sim::cluster(2, 10);
    sim.expect_within(4, "all see all", Sim::all_see_all);
    sim.run_rounds(40);
    sim.kill(4);
    sim.expect_within(12, "everybody lists the dead node as dead", |sim| {
        sim.running().all(|(_, host)| host.status_of("node-4") == Some(NodeStatus::Dead))
    });
    sim.run_for(Duration::from_secs(5));
    sim.start(4);
    sim.expect_within(5, "everybody lists it as live again", Sim::all_see_all);
}

#[test]
fn a_hundred_nodes_see_each_other_soon_after_a_common_start() {
    let mut sim = Sim::cluster(3, 100);
    sim.expect_within(5, "all see all", Sim::all_see_all);
    assert_eq!(sim.running().count(), 100);
    sim.expect_within(5, "the states are equal", Sim::all_equal);
}

#[test]
fn small_messages_carry_a_large_cluster() {
    // Row S11.
    let link = LinkLimits::new(1_200, 1_200);
    let mut sim = Sim::cluster_with(4, 500, link, |config| {
        config.gossip_interval = Duration::from_secs(1);
    });
    sim.expect_within(10, "all see all", Sim::all_see_all);
    assert_eq!(sim.running().count(), 500);
    assert!(sim.traffic.longest <= 1_200, "{}", sim.traffic.longest);
}
