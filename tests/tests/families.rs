//! Nodes with sockets of one address family among nodes with both.

use std::net::SocketAddr;

use chitchat_protocol::{Event, LinkLimits, NodeStatus};
use chitchat_tests::sim::{HostId, Sim};

/// Has both families in the clusters of three.
const A: HostId = 0;
/// Has IPv4.
const B: HostId = 1;
/// Has IPv6.
const C: HostId = 2;

#[derive(Clone, Copy, PartialEq)]
enum Stack {
    V4,
    V6,
    Dual,
}

fn addrs(host: HostId, stack: Stack) -> Vec<SocketAddr> {
    match stack {
        Stack::V4 => vec![Sim::addr_of(host)],
        Stack::V6 => vec![Sim::v6_addr_of(host)],
        Stack::Dual => vec![Sim::addr_of(host), Sim::v6_addr_of(host)],
    }
}

fn wildcards(stack: Stack) -> Vec<SocketAddr> {
    let texts: &[&str] = match stack {
        Stack::V4 => &["0.0.0.0:7280"],
        Stack::V6 => &["[::]:7280"],
        Stack::Dual => &["0.0.0.0:7280", "[::]:7280"],
    };
    texts.iter().map(|text| text.parse().expect("an address")).collect()
}

/// The first host is the seed of all, by both its addresses. What nodes advertise is configured, or
/// else learnt from peers.
fn cluster(seed: u64, stacks: &[Stack], configured: bool) -> Sim {
    let mut sim = Sim::new(seed);
    for (host, stack) in stacks.iter().enumerate() {
        let mut config = Sim::config(&format!("node-{host}"));
        config.bound_addrs = wildcards(*stack);
        if configured {
            config.advertise_addrs = addrs(host, *stack);
        }
        let seeds = addrs(0, stacks[0]);
        let host = sim.add_host_at(config, LinkLimits::default(), addrs(host, *stack), seeds);
        sim.start(host);
    }
    sim
}

fn set_stack(sim: &mut Sim, host: HostId, stack: Stack) {
    sim.set_addrs(host, addrs(host, stack));
    sim.with(host, |node, _| node.set_bound_addrs(&wildcards(stack)));
}

fn wasted(sim: &Sim) -> Vec<u64> {
    sim.hosts().map(|host| host.wasted).collect()
}

fn failed(sim: &Sim, by: HostId, node_id: &str) -> usize {
    let is_failure =
        |event: &Event| matches!(event, Event::Failed { id } if &*id.node_id == node_id);
    sim.host(by).times_of(is_failure).len()
}

#[test]
fn nodes_of_one_family_each_converge_through_one_of_both_and_waste_no_round() {
    // Row S24.
    for configured in [true, false] {
        for seed in 0..20 {
            let mut sim = cluster(seed, &[Stack::Dual, Stack::V4, Stack::V6], configured);
            sim.expect_within(8, "all see all", Sim::all_see_all);
            for host in [A, B, C] {
                sim.set(host, "key", "value");
            }
            sim.expect_within(8, "all agree", Sim::all_equal);
            let rounds = |sim: &Sim, host| sim.host(host).running().counters().rounds;
            let before = [B, C].map(|host| rounds(&sim, host));
            sim.tap = Some(Vec::new());
            sim.run_rounds(100);
            let tap = sim.tap.take().expect("a tap");
            for (host, before) in [B, C].into_iter().zip(before) {
                let from = sim.host(host).addr();
                let questions = tap.iter().filter(|it| it.from == from && it.is_question()).count();
                let rounds = rounds(&sim, host) - before;
                assert!(questions as u64 >= rounds, "seed {seed}: {questions} in {rounds} rounds");
            }
            assert_eq!(wasted(&sim), [0, 0, 0], "seed {seed}");
            assert!(sim.all_see_all() && sim.false_deaths() == 0, "{}", sim.describe());
            for by in [A, B, C] {
                let state = sim.host(by).state_of("node-0").expect("known");
                assert_eq!(**state.advertise_addrs(), addrs(A, Stack::Dual)[..], "seed {seed}");
            }
        }
    }
}

#[test]
fn a_node_that_loses_a_family_goes_on_in_the_other_and_is_the_same_when_it_is_back() {
    // Row S24: no new generation.
    for configured in [true, false] {
        for seed in 0..20 {
            let mut sim = cluster(seed, &[Stack::Dual, Stack::V4, Stack::V6], configured);
            sim.expect_within(8, "all see all", Sim::all_see_all);
            let before = sim.host(A).running().incarnation();

            set_stack(&mut sim, A, Stack::V6);
            sim.run_rounds(1);
            let baseline = wasted(&sim);
            sim.set(A, "written", "with one family");
            sim.expect_within(3, "A and C go on", |sim| {
                sim.host(C).get("node-0", "written") == Some("with one family")
            });
            sim.expect_within(12, "B is dead for both", |sim| {
                [A, C].iter().all(|by| sim.host(*by).status_of("node-1") == Some(NodeStatus::Dead))
            });
            sim.run_rounds(60);
            let [a, _, c] = wasted(&sim)[..] else { panic!("three hosts") };
            assert_eq!((a, c), (baseline[A], baseline[C]), "seed {seed}: nothing goes to B");
            assert_eq!(failed(&sim, C, "node-0") + failed(&sim, A, "node-2"), 0, "seed {seed}");

            set_stack(&mut sim, A, Stack::Dual);
            sim.expect_within(10, "all see all again", |sim| sim.all_see_all() && sim.all_equal());
            assert_eq!(sim.host(A).running().incarnation(), before, "seed {seed}");
            sim.expect_within(6, "A is at both addresses", |sim| {
                (0..3).all(|by| {
                    let state = sim.host(by).state_of("node-0");
                    state.is_some_and(|it| **it.advertise_addrs() == addrs(A, Stack::Dual)[..])
                })
            });
        }
    }
}

#[test]
fn in_a_mixed_cluster_no_message_goes_where_it_cannot_arrive() {
    for seed in 0..5 {
        let mut stacks = vec![Stack::Dual; 4];
        stacks.extend([Stack::V4; 6]);
        stacks.extend([Stack::V6; 6]);
        let mut sim = cluster(seed, &stacks, seed % 2 == 0);
        sim.expect_within(12, "all see all", Sim::all_see_all);
        for host in 0..stacks.len() {
            sim.set(host, "key", "value");
        }
        sim.expect_within(12, "all agree", Sim::all_equal);
        sim.run_rounds(100);
        assert_eq!(wasted(&sim), vec![0; stacks.len()], "seed {seed}");
        assert!(sim.all_see_all() && sim.false_deaths() == 0, "{}", sim.describe());
    }
}

#[test]
fn a_peer_whose_addresses_are_of_no_use_is_reached_the_way_that_it_came() {
    // It advertises IPv4 only, and comes over IPv6, for example through a translator.
    for seed in 0..10 {
        let mut sim = cluster(seed, &[Stack::V6], true);
        let mut config = Sim::config("translated");
        config.bound_addrs = wildcards(Stack::Dual);
        config.advertise_addrs = addrs(1, Stack::V4);
        let seeds = addrs(0, Stack::V6);
        let host = sim.add_host_at(config, LinkLimits::default(), addrs(1, Stack::Dual), seeds);
        sim.start(host);
        sim.expect_within(6, "they see each other", Sim::all_see_all);
        sim.tap = Some(Vec::new());
        sim.run_rounds(40);
        let tap = sim.tap.take().expect("a tap");
        let asked = tap.iter().filter(|it| it.to == Sim::v6_addr_of(1) && it.is_question());
        assert!(asked.count() >= 39, "seed {seed}");
        assert_eq!(wasted(&sim), [0, 0], "seed {seed}");
    }
}
