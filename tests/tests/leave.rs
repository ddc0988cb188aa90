//! Leaving on purpose.

use std::time::Duration;

use chitchat_protocol::{Event, NodeStatus, WriteError};
use chitchat_tests::sim::{HostId, Sim};

fn leave(sim: &mut Sim, host: HostId) {
    sim.with(host, |node, now| node.leave(now));
}

#[test]
fn a_leave_is_known_everywhere_within_two_rounds() {
    // Row X9.
    for seed in 0..10 {
        let mut sim = Sim::cluster(seed, 10);
        sim.run_rounds(10);
        leave(&mut sim, 9);
        sim.run_rounds(2);
        assert!(sim.all_give("node-9", Some(NodeStatus::Left)), "{}", sim.describe());
        let outcome = sim.host(9).running().leave_outcome().expect("over after two intervals");
        assert!(outcome.needed == 3 && outcome.confirmed >= 3, "{outcome:?}");
        sim.kill(9);
        sim.run_rounds(30);
        assert!(sim.all_give("node-9", Some(NodeStatus::Left)));
        let failed = |event: &Event| matches!(event, Event::Failed { .. });
        assert!(sim.running().all(|(_, host)| host.times_of(failed).is_empty()));
    }
}

#[test]
fn a_leave_over_a_lossy_link_is_confirmed_or_says_that_it_is_not() {
    let mut confirmed = 0;
    for seed in 0..20 {
        let mut sim = Sim::cluster(seed, 10);
        sim.run_rounds(10);
        sim.links.loss = 0.3;
        leave(&mut sim, 9);
        sim.run_rounds(2);
        let outcome = sim.host(9).running().leave_outcome().expect("over after two intervals");
        sim.kill(9);
        sim.run_rounds(20);
        if outcome.confirmed > 0 {
            confirmed += 1;
            assert!(sim.all_give("node-9", Some(NodeStatus::Left)), "{}", sim.describe());
        }
    }
    assert!(confirmed >= 18, "{confirmed} of 20");
}

#[test]
fn a_leave_that_nobody_hears_says_so() {
    let mut sim = Sim::cluster(1, 4);
    sim.run_rounds(10);
    sim.links.partition(&[3], &[0, 1, 2]);
    leave(&mut sim, 3);
    assert_eq!(sim.host(3).running().leave_outcome(), None);
    sim.run_rounds(3);
    let outcome = sim.host(3).running().leave_outcome().expect("over after two intervals");
    assert_eq!((outcome.confirmed, outcome.needed), (0, 3));
    sim.run_rounds(10);
    assert!(sim.all_give("node-3", Some(NodeStatus::Dead)));
}

#[test]
fn a_node_alone_leaves_at_once() {
    let mut sim = Sim::cluster(2, 1);
    sim.run_rounds(3);
    leave(&mut sim, 0);
    let outcome = sim.host(0).running().leave_outcome().expect("nobody to wait for");
    assert_eq!((outcome.confirmed, outcome.needed), (0, 0));
}

#[test]
fn left_is_final_for_its_incarnation() {
    // Even where the process goes on to run, and to be heard.
    let mut sim = Sim::cluster(3, 6);
    sim.run_rounds(10);
    leave(&mut sim, 5);
    let refused = sim.with(5, |node, now| node.set("key", "value", now));
    assert_eq!(refused, Err(WriteError::Left));
    sim.run_rounds(3);
    for _ in 0..100 {
        sim.run_for(Duration::from_millis(200));
        assert!(sim.all_give("node-5", Some(NodeStatus::Left)), "{}", sim.describe());
    }
    let joiner = sim.add_host(Sim::config("joiner"), &[0]);
    sim.start(joiner);
    sim.run_rounds(5);
    assert!(!sim.host(joiner).lists_live("node-5"));
}

#[test]
fn a_replica_that_was_cut_off_during_the_leave_hears_of_it() {
    let mut sim = Sim::cluster(4, 6);
    sim.run_rounds(10);
    sim.links.partition(&[0], &[1, 2, 3, 4, 5]);
    sim.run_rounds(2);
    leave(&mut sim, 5);
    sim.run_rounds(3);
    sim.kill(5);
    sim.run_rounds(30);
    sim.links.heal();
    sim.expect_within(10, "it left", |sim| sim.all_give("node-5", Some(NodeStatus::Left)));
}

#[test]
fn whoever_left_can_come_back_as_a_new_incarnation() {
    for generation in [None, Some(3)] {
        let mut sim = Sim::cluster(5, 5);
        for host in 0..5 {
            sim.reconfigure(host, |config| config.refuse_future_generations = false);
        }
        sim.kill(4);
        sim.reconfigure(4, |config| config.generation_id = generation);
        sim.start(4);
        sim.run_rounds(10);
        leave(&mut sim, 4);
        sim.run_rounds(3);
        sim.kill(4);
        sim.run_for(Duration::from_secs(3));
        sim.start(4);
        sim.set(4, "back", "again");
        sim.expect_within(6, "it is back", |sim| {
            sim.all_see_all() && sim.all_have(0..4, "node-4", "back", Some("again"))
        });
    }
}

#[test]
fn a_shutdown_without_a_leave_looks_like_a_failure() {
    let mut sim = Sim::cluster(6, 5);
    sim.run_rounds(20);
    sim.kill(4);
    sim.expect_within(12, "it failed", |sim| sim.all_give("node-4", Some(NodeStatus::Dead)));
}

#[test]
fn all_nodes_can_leave_one_after_another() {
    let mut sim = Sim::cluster(7, 6);
    sim.run_rounds(10);
    for host in (0..6).rev() {
        leave(&mut sim, host);
        sim.run_rounds(2);
        let outcome = sim.host(host).running().leave_outcome().expect("over");
        assert!(outcome.confirmed >= outcome.needed, "host {host}: {outcome:?}");
        sim.kill(host);
    }
}
