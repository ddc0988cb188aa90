//! How far it goes: a thousand nodes and five thousand in virtual time, with figures. Ignored by
//! default, since they take minutes; CONTRIBUTING.md has the command.
#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;
use std::time::Duration;

use chitchat_protocol::{LinkLimits, NodeStatus};
use chitchat_tests::sim::{HostId, Sim};
use peak_alloc::PeakAlloc;
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use rand::{Rng, SeedableRng};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Prints what a phase cost, and begins the next one.
struct Phase {
    name: &'static str,
    begin: chitchat_protocol::Timestamp,
}

impl Phase {
    fn begin(sim: &mut Sim, name: &'static str) -> Phase {
        sim.traffic = Default::default();
        HEAP.reset_peak_usage();
        Phase { name, begin: sim.now() }
    }

    /// Returns the bytes that a node sent in a round.
    fn end(self, sim: &Sim) -> f64 {
        let nodes = sim.running().count();
        let rounds =
            sim.now().since(self.begin).as_secs_f64() / sim.host(0).interval().as_secs_f64();
        let each = sim.traffic.bytes as f64 / nodes as f64 / rounds.max(1.0);
        println!(
            "| {nodes} | {} | {rounds:.1} | {:.1} | {each:.0} | {} | {:.0} |",
            self.name,
            sim.traffic.messages as f64 / nodes as f64 / rounds.max(1.0),
            sim.traffic.longest,
            HEAP.peak_usage_as_mb(),
        );
        each
    }
}

fn heading() {
    println!(
        "| nodes | phase | rounds | messages per node and round | bytes per node and round \
         | longest message | peak heap of all nodes, MB |"
    );
}

/// Long messages, as over a stream or in fragmented datagrams.
const LONG: LinkLimits = LinkLimits::new(65_507, 65_507);

fn joined(count: usize, link: LinkLimits) -> Sim {
    let mut sim = Sim::cluster_with(1, count, link, |config| {
        config.initial_key_values = vec![("role".into(), format!("of {}", config.node_id))];
    });
    assert!(sim.checker.is_none());
    let phase = Phase { name: "join", begin: sim.now() - sim.host(0).interval() };
    sim.expect_within(40, "all see all", Sim::all_see_all);
    phase.end(&sim);
    sim.expect_within(40, "the states are equal", Sim::all_equal);
    sim
}

fn steady(sim: &mut Sim, rounds: u32) -> f64 {
    let phase = Phase::begin(sim, "steady state");
    sim.run_rounds(rounds);
    let each = phase.end(sim);
    assert!(sim.all_see_all() && sim.false_deaths() == 0, "{} false deaths", sim.false_deaths());
    each
}

/// In each round one node in a hundred is killed, and whoever was killed ten rounds before starts
/// again under its name.
fn churn(sim: &mut Sim, rounds: usize) {
    let count = sim.hosts().count();
    let mut rng = StdRng::seed_from_u64(2);
    let mut away: Vec<Vec<HostId>> = Vec::new();
    let phase = Phase::begin(sim, "1 % churn per round");
    for round in 0..rounds {
        let running = sim.running().map(|(host, _)| host).filter(|host| *host != 0);
        let chosen = running.choose_multiple(&mut rng, count / 100);
        chosen.iter().for_each(|host| sim.kill(*host));
        away.push(chosen);
        if let Some(back) = round.checked_sub(10) {
            std::mem::take(&mut away[back]).into_iter().for_each(|host| sim.start(host));
        }
        sim.run_rounds(1);
    }
    away.into_iter().flatten().for_each(|host| sim.start(host));
    phase.end(sim);
    let phase = Phase::begin(sim, "until agreed after churn");
    sim.expect_within(40, "all see all after churn", Sim::all_see_all);
    sim.expect_within(40, "the states are equal after churn", Sim::all_equal);
    phase.end(sim);
}

fn halves(sim: &mut Sim) {
    let count = sim.hosts().count();
    let mut rng = StdRng::seed_from_u64(3);
    let (one, other): (Vec<HostId>, Vec<HostId>) = (0..count).partition(|_| rng.random_bool(0.5));
    let names: BTreeSet<&str> = other.iter().map(|host| sim.host(*host).node_id()).collect();
    assert!(!names.is_empty());
    sim.links.partition(&one, &other);
    let phase = Phase::begin(sim, "partition into halves");
    sim.expect_within(60, "each half lists the other as dead", |sim| {
        let (ones, others) = (one.len(), other.len());
        one.iter().all(|host| sim.host(*host).live() == ones)
            && other.iter().all(|host| sim.host(*host).live() == others)
    });
    for host in [one[0], other[0]] {
        let dead = sim.host(host).snapshot().with_status(NodeStatus::Dead).count();
        assert_eq!(dead, count - sim.host(host).live());
    }
    sim.run_for(Duration::from_secs(10));
    phase.end(sim);
    let phase = Phase::begin(sim, "until agreed after the halves met");
    sim.links.heal();
    sim.expect_within(120, "all see all after the partition", Sim::all_see_all);
    sim.expect_within(40, "the states are equal after the partition", Sim::all_equal);
    phase.end(sim);
}

#[test]
#[ignore = "takes minutes; see CONTRIBUTING.md"]
fn a_thousand_nodes_join_churn_part_and_meet_again() {
    // Row S10.
    heading();
    let mut sim = joined(1_000, LONG);
    assert_eq!(sim.running().count(), 1_000);
    let each = steady(&mut sim, 20);
    // What the digests of all rounds hold, fivefold: growth with the square would be far beyond.
    assert!(each < 1_000.0 * 64.0 * 10.0, "{each:.0} bytes per node and round");
    churn(&mut sim, 100);
    halves(&mut sim);
}

#[test]
#[ignore = "takes minutes; see CONTRIBUTING.md"]
fn a_thousand_nodes_go_on_with_messages_of_1200_bytes() {
    // Rows S10, S11.
    heading();
    let mut sim = joined(1_000, LinkLimits::new(1_200, 1_200));
    steady(&mut sim, 4);
    assert!(sim.traffic.longest <= 1_200, "{}", sim.traffic.longest);
}

#[test]
#[ignore = "takes some 44 GB; see CONTRIBUTING.md"]
fn five_thousand_nodes_join_and_go_on() {
    // Row S10.
    heading();
    let mut sim = joined(5_000, LONG);
    assert_eq!(sim.running().count(), 5_000);
    let each = steady(&mut sim, 4);
    assert!(each < 5_000.0 * 64.0 * 10.0, "{each:.0} bytes per node and round");
}
