//! Nodes whose address changes while they run.

use std::net::SocketAddr;

use chitchat_protocol::message::{Body, TrainPart};
use chitchat_protocol::{Config, Event, LinkLimits};
use chitchat_tests::sim::{HostId, Puppet, Sim};

/// Bound to the unspecified address, and nothing advertised.
fn unadvertised(node_id: &str) -> Config {
    let mut config = Sim::config(node_id);
    config.bound_addrs = vec![SocketAddr::from(([0, 0, 0, 0], 7280))];
    config
}

/// Addresses that no host has at the start.
fn elsewhere(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 9, 0, number], 7280))
}

fn cluster(seed: u64, count: usize) -> Sim {
    let mut sim = Sim::new(seed);
    for index in 0..count {
        let config = unadvertised(&format!("node-{index}"));
        let host = sim.add_host_as_is(config, LinkLimits::default(), &[0, 1]);
        sim.start(host);
    }
    sim.expect_within(12, "all see all at their addresses", |sim| {
        sim.all_see_all() && (0..count).all(|host| all_know(sim, host, Sim::addr_of(host)))
    });
    sim
}

/// Whether everybody has exactly this address of the node of a host.
fn all_know(sim: &Sim, host: HostId, addr: SocketAddr) -> bool {
    let node_id = sim.host(host).node_id();
    sim.running().all(|(_, by)| {
        by.state_of(node_id).is_some_and(|state| **state.advertise_addrs() == [addr])
    })
}

fn advertises(sim: &Sim, host: HostId) -> Vec<SocketAddr> {
    sim.host(host).snapshot().self_state().expect("own").advertise_addrs().to_vec()
}

#[test]
fn a_node_that_moves_keeps_its_identity_and_is_found_at_its_new_address() {
    // Row S12: messages to the old address are lost, and only its own ones tell of the new.
    for count in [2, 3, 5, 12, 40] {
        // A majority of the last 16 reports first, then the way of all news.
        let limit = if count == 40 { 12 } else { 9 };
        for seed in 0..if count == 40 { 3 } else { 20 } {
            let mut sim = cluster(seed, count);
            let mover = count - 1;
            let before = sim.host(mover).running().incarnation();
            for (move_number, to) in [elsewhere(1), elsewhere(2)].into_iter().enumerate() {
                sim.set_addrs(mover, vec![to]);
                let what = format!("{count} nodes: all know the new address, {move_number}");
                sim.expect_within(limit, &what, |sim| all_know(sim, mover, to));
                let value = move_number.to_string();
                sim.set(mover, "moved", &value);
                sim.set(0, "moved", &value);
                sim.expect_within(8, "writes pass both ways", Sim::all_equal);
                sim.run_rounds(20);
            }
            assert_eq!(sim.host(mover).running().incarnation(), before);
            assert_eq!(sim.false_deaths(), 0, "{}", sim.describe());
            assert!(sim.all_see_all());
        }
    }
}

#[test]
fn a_moved_node_is_asked_at_its_new_address_before_it_advertises_it() {
    // It cannot: what it advertises is configured, and wrong from now on.
    for seed in 0..10 {
        let mut sim = Sim::cluster(seed, 5);
        sim.run_rounds(10);
        sim.set_addrs(4, vec![elsewhere(1)]);
        sim.run_rounds(10);
        sim.tap = Some(Vec::new());
        sim.run_rounds(20);
        let tap = sim.tap.take().expect("a tap");
        let questions_to =
            |addr: SocketAddr| tap.iter().filter(|it| it.to == addr && it.is_question()).count();
        let (new, old) = (questions_to(elsewhere(1)), questions_to(Sim::addr_of(4)));
        assert!(new >= 40 && old == 0, "seed {seed}: {new} to the new, {old} to the old address");
        assert!(sim.all_see_all() && sim.false_deaths() == 0, "{}", sim.describe());
    }
}

#[test]
fn reports_of_the_dead_do_not_hold_a_node_at_its_old_address() {
    // Most peers die with the network that it leaves.
    for seed in 0..20 {
        let mut sim = cluster(seed, 12);
        sim.run_rounds(20);
        let before = sim.host(11).running().incarnation();
        for host in 3..11 {
            sim.kill(host);
        }
        sim.set_addrs(11, vec![elsewhere(1)]);
        // They count until they are known to be dead.
        sim.run_rounds(10);
        sim.expect_within(5, "the living have the new address", |sim| {
            all_know(sim, 11, elsewhere(1))
        });
        assert_eq!(sim.host(11).running().incarnation(), before);
        sim.expect_within(10, "the living see the living", Sim::all_see_all);
    }
}

#[test]
fn reports_that_have_grown_old_do_not_outvote_young_ones() {
    // Half of the peers live but do not reach the mover any more: what they saw grows old.
    for seed in 0..10 {
        let mut sim = cluster(seed, 9);
        sim.run_rounds(20);
        sim.set_addrs(8, vec![elsewhere(1)]);
        let silent: Vec<HostId> = (0..5).collect();
        sim.links.partition(&silent, &[8]);
        sim.run_rounds(21);
        sim.expect_within(5, "everybody has the new address", |sim| all_know(sim, 8, elsewhere(1)));
        assert_eq!(sim.false_deaths(), 0, "seed {seed}: others relay its heartbeats");
    }
}

#[test]
fn a_peer_that_lies_about_our_address_moves_nobody() {
    // It joins like a node, is asked like a node, and answers with another address each time.
    for seed in 0..5 {
        let mut sim = cluster(seed, 4);
        sim.checker = None;
        let mut liar = Puppet::new("liar", 1);
        for host in 0..4 {
            let keys = [("\0addrs", &*liar.addr.to_string())].map(|(k, v)| (k, v.to_owned()));
            let keys: Vec<(&str, &str)> = keys.iter().map(|(k, v)| (*k, &**v)).collect();
            liar.join(&mut sim, host, &keys);
        }
        let mut lies = 0;
        for lie in 0..200_u8 {
            sim.tap = Some(Vec::new());
            sim.run_for(sim.host(0).interval() / 4);
            liar.heartbeat += 1;
            for question in sim.tap.take().expect("a tap") {
                let host = (0..4).find(|host| Sim::addr_of(*host) == question.from);
                let asked = question.to == liar.addr && question.is_question();
                let (Some(host), true) = (host, asked) else { continue };
                let nonce = question.message().header.nonce;
                let mut answer = liar.message(1, nonce, answer_body());
                answer.header.observed = Some(elsewhere(100 + lie % 2));
                liar.say(&mut sim, host, &answer.encode());
                lies += 1;
            }
        }
        assert!(lies > 50, "seed {seed}: it was asked {lies} times");
        for host in 0..4 {
            assert_eq!(advertises(&sim, host), [Sim::addr_of(host)], "seed {seed}");
            let moved = sim.host(host).times_of(
                |event| matches!(event, Event::AddressesChanged { id, .. } if *id.node_id != *"liar"),
            );
            assert!(moved.len() <= 4, "seed {seed}: {moved:?}");
        }
    }
}

fn answer_body() -> Body<'static> {
    let part = TrainPart { index: 0, last: true, more: false };
    Body::SynAck { part, budget: 1_400, entries: Vec::new(), deltas: Vec::new() }
}
