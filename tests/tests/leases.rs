//! Time to live: a lease ends in time everywhere, whatever becomes of its owner.

use std::time::Duration;

use chitchat_protocol::{DeltaOp, Event, NodeStatus, WriteError};
use chitchat_tests::sim::{HostId, Puppet, Sim};

const LEASE: Duration = Duration::from_secs(10);

/// Nodes in a row: each hears only its neighbours.
fn line(seed: u64, count: usize) -> Sim {
    let mut sim = Sim::cluster(seed, count);
    for host in 0..count {
        let seeds = [host.wrapping_sub(1), host + 1];
        sim.set_seeds(host, seeds.into_iter().filter(|it| *it < count).map(Sim::addr_of).collect());
        let far: Vec<HostId> = (0..count).filter(|other| other.abs_diff(host) > 1).collect();
        sim.links.partition(&[host], &far);
    }
    sim.expect_within(60, "all see all", Sim::all_see_all);
    sim.run_rounds(10);
    sim
}

fn lease(sim: &mut Sim, value: &str, ttl: Duration) {
    let written = sim.with(0, |node, now| node.set_with_ttl("lease", value, ttl, now));
    assert!(matches!(written, Ok(Some(_))), "{written:?}");
}

fn has(sim: &Sim, host: HostId) -> bool {
    sim.host(host).get("node-0", "lease").is_some()
}

#[test]
fn a_lease_ends_in_time_everywhere_although_its_owner_crashed() {
    // Row X10: six hops, each of which may not add more than the time on the way.
    for seed in 0..5 {
        let mut sim = line(seed, 7);
        let begin = sim.now();
        lease(&mut sim, "me", LEASE);
        sim.run_for(Duration::from_secs(3));
        sim.kill(0);
        sim.run_for(LEASE - Duration::from_secs(3) - Duration::from_millis(100));
        let holders = (1..7).filter(|host| has(&sim, *host)).count();
        assert!(holders >= 4, "seed {seed}: {holders} have it just before its end");
        sim.run_for(Duration::from_millis(150));
        for host in 1..7 {
            assert!(!has(&sim, host), "seed {seed}: host {host} has an ended lease");
            let ended = sim.host(host).times_of(|event| matches!(event, Event::KeyDeleted { .. }));
            for at in ended {
                let after = at.since(begin);
                assert!(after >= LEASE && after < LEASE + Duration::from_millis(50), "{after:?}");
            }
        }
        // Nor does it come back from anybody.
        for _ in 0..100 {
            sim.run_for(Duration::from_millis(100));
            assert!((1..7).all(|host| !has(&sim, host)), "seed {seed}: {}", sim.describe());
        }
        let joiner = sim.add_host(Sim::config("joiner"), &[3]);
        sim.start(joiner);
        sim.run_rounds(6);
        assert!(!has(&sim, joiner));
    }
}

#[test]
fn a_lease_that_is_renewed_with_the_same_value_lives_on_everywhere() {
    // Row X10: the renewal is a version, and no reader ever misses the key.
    let mut sim = Sim::cluster(1, 6);
    sim.run_rounds(5);
    lease(&mut sim, "me", LEASE);
    sim.run_rounds(5);
    for _ in 0..12 {
        for _ in 0..50 {
            sim.run_for(Duration::from_millis(100));
            assert!((0..6).all(|host| has(&sim, host)), "{}", sim.describe());
        }
        lease(&mut sim, "me", LEASE);
    }
    sim.run_for(LEASE + Duration::from_millis(50));
    assert!((0..6).all(|host| !has(&sim, host)), "it ends when it is renewed no more");
    sim.expect_within(5, "all agree", Sim::all_equal);
}

#[test]
fn a_lease_can_be_shortened_and_made_permanent() {
    let mut sim = Sim::cluster(2, 4);
    sim.run_rounds(5);
    lease(&mut sim, "me", LEASE);
    sim.run_rounds(4);
    lease(&mut sim, "me", Duration::from_secs(4));
    sim.run_rounds(4);
    assert!((0..4).all(|host| has(&sim, host)));
    sim.run_for(Duration::from_millis(2_050));
    assert!((0..4).all(|host| !has(&sim, host)), "it was shortened");
    lease(&mut sim, "me", LEASE);
    sim.run_rounds(4);
    sim.set(0, "lease", "me");
    sim.run_for(LEASE * 2);
    assert!((0..4).all(|host| has(&sim, host)), "a plain set makes it permanent");
    let set = sim.with(0, |node, now| node.delete_after_ttl("lease", Duration::from_secs(3), now));
    assert!(matches!(set, Ok(Some(_))));
    sim.run_for(Duration::from_millis(3_050));
    assert!((0..4).all(|host| !has(&sim, host)), "and this ends it");
    let none = sim.with(0, |node, now| node.delete_after_ttl("none", LEASE, now));
    assert_eq!(none, Err(WriteError::NoSuchKey));
    let zero = sim.with(0, |node, now| node.set_with_ttl("k", "v", Duration::ZERO, now));
    assert_eq!(zero, Err(WriteError::ZeroTtl));
}

#[test]
fn an_expired_key_is_set_again_as_a_new_one() {
    let mut sim = Sim::cluster(3, 4);
    sim.run_rounds(5);
    for round in 0..5 {
        lease(&mut sim, "same", Duration::from_secs(2));
        sim.expect_within(4, "all have it", |sim| (0..4).all(|host| has(sim, host)));
        sim.run_for(Duration::from_secs(2));
        assert!((0..4).all(|host| !has(&sim, host)), "round {round}");
    }
    sim.expect_within(5, "all agree", Sim::all_equal);
}

#[test]
fn a_lease_in_a_partition_ends_on_both_sides() {
    let mut sim = Sim::cluster(4, 6);
    sim.run_rounds(5);
    lease(&mut sim, "me", LEASE);
    sim.run_rounds(4);
    sim.links.partition(&[0, 1, 2], &[3, 4, 5]);
    // Renewed on one side only.
    sim.run_for(Duration::from_secs(5));
    lease(&mut sim, "me", LEASE);
    sim.run_for(Duration::from_secs(4));
    assert!((0..3).all(|host| has(&sim, host)));
    assert!((3..6).all(|host| !has(&sim, host)), "the other side did not hear of the renewal");
    sim.links.heal();
    sim.run_for(Duration::from_secs(3));
    assert!((0..6).all(|host| has(&sim, host)), "it did now: {}", sim.describe());
    sim.run_for(Duration::from_secs(4));
    assert!((0..6).all(|host| !has(&sim, host)));
    assert!(sim.host(0).status_of("node-5") == Some(NodeStatus::Alive));
}

#[test]
fn expiry_reaches_watchers_as_a_deletion() {
    // Row S18.
    let mut sim = Sim::cluster(5, 4);
    sim.run_rounds(5);
    let begin = sim.now();
    lease(&mut sim, "me", LEASE);
    sim.run_for(LEASE + Duration::from_secs(2));
    for host in 0..4 {
        let deleted = sim
            .host(host)
            .times_of(|event| matches!(event, Event::KeyDeleted { key, .. } if &**key == "lease"));
        assert_eq!(deleted.len(), 1, "host {host}");
        assert!(deleted[0].since(begin) < LEASE + Duration::from_millis(50));
    }
}

#[test]
fn of_several_deadlines_for_one_version_the_earliest_holds() {
    // Rule E1: a copy that was long on its way says that more is left than there is.
    for order in [[8, 4, 60], [60, 8, 4], [4, 60, 8], [8, 60, 4]] {
        let mut sim = Sim::cluster(6, 2);
        sim.run_rounds(4);
        sim.checker = None;
        let mut relay = Puppet::new("relay", 1);
        relay.join(&mut sim, 1, &[]);
        let begin = sim.now();
        for seconds in order {
            let log = [("\0initial", "1"), ("lease", "me")];
            let mut delta = Puppet::delta("owner", relay.incarnation, 1, 0, &log);
            let value = "me".into();
            delta.entries[1].op = DeltaOp::Set { value, ttl: Some(Duration::from_secs(seconds)) };
            let push = relay.push(vec![delta]);
            relay.say(&mut sim, 1, &push);
        }
        sim.run_for(Duration::from_millis(3_990));
        assert_eq!(sim.host(1).get("owner", "lease"), Some("me"), "{order:?}");
        sim.run_for(Duration::from_millis(20));
        assert_eq!(sim.host(1).get("owner", "lease"), None, "{order:?}");
        let deleted = sim.host(1).times_of(|event| matches!(event, Event::KeyDeleted { .. }));
        assert_eq!(deleted.len(), 1);
        assert!(deleted[0].since(begin) >= Duration::from_secs(4));
    }
}
