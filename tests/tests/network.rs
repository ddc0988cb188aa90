//! Random faults over whole nodes. Every publication of every node is judged against what the
//! owners wrote and who still runs, every step against the bounds; when the faults end, everybody
//! agrees within a bounded time, and goes on agreeing.
//!
//! `CHITCHAT_SIM_SEED=n` replays one seed, `CHITCHAT_SIM_SEEDS=n` runs another number of them,
//! `CHITCHAT_SIM_NODES=n` with so many nodes.

mod storm;

use std::time::Duration;

use chitchat_tests::sim::{Sim, for_seeds};
use storm::Storm;

#[test]
fn random_faults_bring_back_no_deleted_key_and_lose_no_unchanged_one() {
    // Rows S7, S31, R1, R3, X14 and invariants I1 to I5 as readers see them.
    for_seeds(240, |seed| {
        let mut storm = Storm::new(seed);
        let length = storm.length();
        storm.rage(length);
        storm.calm_down();
        let wait = storm.longest_wait();
        let sim = &mut storm.sim;
        let agreed = |sim: &Sim| sim.all_see_all() && sim.all_equal();
        let limit = sim.host(0).interval() * 60 + wait;
        if sim.run_until(limit, agreed).is_none() {
            panic!("no agreement after 60 calm rounds and {wait:?}: {}", sim.describe());
        }
        let calm_since = sim.now();
        sim.run_rounds(12);
        assert!(sim.all_see_all(), "somebody is missed in the calm: {}", sim.describe());
        // A lease may just have ended, or a watermark moved.
        sim.expect_within(8, "the states are equal again", Sim::all_equal);
        let deaths = sim.false_deaths_since(calm_since);
        assert!(deaths.is_empty(), "deaths in the calm: {deaths:?}: {}", sim.describe());
        storm.judge_bounds();
        let sim = &storm.sim;
        assert!(sim.checker.as_ref().is_some_and(|checker| checker.judged > 0));
    });
}

#[test]
fn a_death_of_who_is_dead_is_none_in_the_calm_and_one_of_who_runs_is() {
    let mut sim = Sim::cluster(1, 4);
    sim.run_rounds(20);
    let since = sim.now();
    sim.kill(3);
    sim.run_for(Duration::from_secs(20));
    assert_eq!(sim.host(0).live(), 3);
    assert_eq!(sim.false_deaths_since(since), []);
    sim.stop_for(2, Duration::from_secs(20));
    sim.run_for(Duration::from_secs(30));
    let deaths = sim.false_deaths_since(since);
    assert!(deaths.iter().any(|(_, by, of)| *by == "node-0" && *of.node_id == *"node-2"));
    assert_eq!(sim.false_deaths_since(sim.now()), []);
}

#[test]
fn a_storm_has_every_kind_of_fault() {
    // Not a property of the nodes: the storm is worth what it contains.
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0..8 {
        let mut storm = Storm::new(seed);
        storm.rage(Duration::from_secs(40));
        kinds.extend(storm.kinds.iter().copied());
    }
    let missing: Vec<&str> = storm::KINDS.into_iter().filter(|it| !kinds.contains(it)).collect();
    assert!(missing.is_empty(), "never happened: {missing:?}");
}
