//! Who counts as alive: detection, stale heartbeats, pauses, deafness, loss.

use std::sync::mpsc;
use std::time::Duration;

use chitchat_protocol::message::Body;
use chitchat_protocol::{Event, NodeStatus, Notice};
use chitchat_tests::sim::{HostId, Sim};

const HALF_AN_HOUR: Duration = Duration::from_secs(1_800);

/// Three peers that hold ascending heartbeats of node-0, which has been dead for so long, and that
/// are cut off from each other.
fn peers_with_three_heartbeats(seed: u64, dead_for: Duration) -> Sim {
    let mut sim = Sim::cluster(seed, 4);
    sim.run_rounds(20);
    for host in 1..4 {
        sim.set_seeds(host, (1..4).map(Sim::addr_of).collect());
    }
    for host in 1..4 {
        let others: Vec<HostId> = (0..4).filter(|other| *other != host).collect();
        sim.links.partition(&[host], &others);
        sim.run_for(Duration::from_secs(7));
    }
    sim.kill(0);
    sim.run_for(dead_for);
    let heartbeats: Vec<u64> = (1..4)
        .filter_map(|host| sim.host(host).running().node_health("node-0", sim.now()))
        .map(|health| health.heartbeat)
        .collect();
    assert!(heartbeats.len() == 3 && heartbeats.is_sorted_by(|a, b| a < b), "{heartbeats:?}");
    sim
}

fn nobody_lists_it_live_for_two_minutes(sim: &mut Sim) {
    for _ in 0..1_200 {
        sim.run_for(Duration::from_millis(100));
        assert!(!sim.anybody_lists_live("node-0"), "{}", sim.describe());
    }
}

fn the_partition_heals(dead_for: Duration) {
    for seed in 0..5 {
        let mut sim = peers_with_three_heartbeats(seed, dead_for);
        let begin = sim.now();
        sim.links.heal();
        nobody_lists_it_live_for_two_minutes(&mut sim);
        // Nor between two samples.
        for (_, host) in sim.running() {
            let revived = |event: &Event| match event {
                Event::Recovered { id } => id.node_id.as_str() == "node-0",
                _ => false,
            };
            assert!(host.times_of(revived).iter().all(|at| *at < begin));
        }
        assert!((1..4).all(|host| sim.host(host).live() == 3), "{}", sim.describe());
    }
}

/// The joiner meets the three peers 2.5 s apart.
fn a_joiner_meets_rising_heartbeats(dead_for: Duration) {
    for seed in 0..5 {
        let mut sim = peers_with_three_heartbeats(seed, dead_for);
        let joiner = sim.add_host(Sim::config("joiner"), &[1, 2, 3]);
        sim.links.heal();
        sim.links.partition(&[1], &[2, 3]);
        sim.links.partition(&[2], &[3]);
        sim.links.partition(&[joiner], &[2, 3]);
        sim.start(joiner);
        for open in [1..2, 1..3, 1..4] {
            sim.links.heal();
            sim.links.partition(&[1], &[2, 3]);
            sim.links.partition(&[2], &[3]);
            let closed: Vec<HostId> = (1..4).filter(|host| !open.contains(host)).collect();
            sim.links.partition(&[joiner], &closed);
            for _ in 0..25 {
                sim.run_for(Duration::from_millis(100));
                assert!(!sim.anybody_lists_live("node-0"), "{}", sim.describe());
            }
        }
        nobody_lists_it_live_for_two_minutes(&mut sim);
        let joined_live = sim.host(joiner).times_of(|event| match event {
            Event::Joined { state } => {
                &*state.id().node_id == "node-0" && state.status() == NodeStatus::Alive
            }
            Event::Recovered { id } => &*id.node_id == "node-0",
            _ => false,
        });
        assert!(joined_live.is_empty());
    }
}

#[test]
fn a_node_long_dead_is_never_listed_live_when_a_partition_heals() {
    // Row S1.
    the_partition_heals(HALF_AN_HOUR);
}

#[test]
fn a_node_dead_for_less_than_a_minute_is_not_listed_live_either_when_a_partition_heals() {
    // Row S1: dead for longer than its peers need to notice, but for less than what one sample of
    // a stale heartbeat can make of the time that they tolerate.
    the_partition_heals(Duration::from_secs(20));
}

#[test]
fn a_joiner_that_meets_rising_heartbeats_of_a_dead_node_never_lists_it_live() {
    // Row S1.
    a_joiner_meets_rising_heartbeats(HALF_AN_HOUR);
}

#[test]
fn a_joiner_that_meets_rising_heartbeats_of_a_node_dead_for_less_than_a_minute_never_lists_it_live()
{
    // Rows S1, S16.
    a_joiner_meets_rising_heartbeats(Duration::from_secs(20));
}

#[test]
fn a_stale_heartbeat_after_an_own_pause_is_no_sign_of_life() {
    // Rows S1, R6: node-1 lists node-0 as dead, is suspended for half an hour, and then hears of a
    // later heartbeat of it, which is half an hour old.
    let mut sim = Sim::cluster(1, 4);
    sim.run_rounds(20);
    sim.links.partition(&[0], &[1]);
    sim.links.partition(&[1], &[2, 3]);
    sim.run_rounds(30);
    sim.kill(0);
    assert!(!sim.host(1).lists_live("node-0"));
    sim.stop_for(1, HALF_AN_HOUR);
    sim.run_for(HALF_AN_HOUR - Duration::from_millis(10));
    sim.links.heal();
    nobody_lists_it_live_for_two_minutes(&mut sim);
    assert!((1..4).all(|host| sim.host(host).live() == 3), "{}", sim.describe());
}

fn up_for_a_day(generation: Option<u64>) -> Sim {
    let mut sim = Sim::cluster_with(1, 4, Default::default(), |config| {
        // A slow interval, so that a day is not too many rounds.
        config.gossip_interval = Duration::from_secs(5);
        config.max_interval = Duration::from_secs(20);
        config.refuse_future_generations = false;
        config.generation_id = generation;
    });
    sim.run_for(Duration::from_secs(24 * 3600));
    assert!(sim.all_see_all());
    sim.kill(3);
    sim.run_for(Duration::from_secs(5));
    sim
}

#[test]
fn a_node_up_for_a_day_is_live_again_soon_after_a_restart() {
    // Row S3, with a new generation.
    let mut sim = up_for_a_day(None);
    sim.start(3);
    let of_restart = sim.host(3).running().incarnation();
    sim.expect_within(5, "the restarted node is live on all", |sim| {
        sim.all_see_all()
            && (0..3).all(|host| {
                let state = sim.host(host).state_of("node-3");
                state.is_some_and(|state| state.incarnation() >= of_restart)
            })
    });
}

#[test]
fn a_node_up_for_a_day_is_live_again_soon_after_a_restart_with_the_same_generation() {
    // Row S3, with the same configured generation.
    let mut sim = up_for_a_day(Some(7));
    sim.start(3);
    sim.set(3, "after", "restart");
    sim.expect_within(5, "the restarted node is live on all, with its new state", |sim| {
        sim.all_see_all() && sim.all_have(0..3, "node-3", "after", Some("restart"))
    });
}

#[test]
fn a_restart_with_a_lower_generation_is_live_soon() {
    // Row S3: a clock that was set back.
    let mut sim = up_for_a_day(Some(7));
    sim.start_as(3, 3);
    sim.set(3, "after", "restart");
    sim.expect_within(5, "the restarted node is live on all, with its new state", |sim| {
        sim.all_see_all() && sim.all_have(0..3, "node-3", "after", Some("restart"))
    });
}

#[test]
fn a_heartbeat_grows_by_one_in_each_round_and_never_otherwise() {
    // Row R4.
    let mut sim = Sim::cluster(5, 6);
    sim.run_rounds(10);
    sim.tap = Some(Vec::new());
    for round in 0..60 {
        sim.set(0, "busy", &round.to_string());
        sim.run_rounds(1);
        if round == 30 {
            sim.stop_for(0, Duration::from_secs(4));
        }
    }
    let interval = sim.host(0).interval();
    let own = Sim::addr_of(0);
    let messages = sim.tap.take().expect("a tap");
    let mut last = None;
    let mut rises = Vec::new();
    for captured in messages.iter().filter(|captured| captured.from == own) {
        let message = captured.message();
        let heartbeat = message.header.sender.heartbeat;
        match last {
            Some(before) if heartbeat == before => {}
            Some(before) => {
                assert_eq!(heartbeat, before + 1, "at {}", captured.at);
                assert!(
                    matches!(message.body, Body::Syn { .. } | Body::ColumnSyn { .. }),
                    "at {}",
                    captured.at
                );
                rises.push(captured.at);
            }
            None => {}
        }
        last = Some(heartbeat);
    }
    assert!(rises.len() >= 50, "{}", rises.len());
    for pair in rises.windows(2) {
        assert!(pair[1].since(pair[0]) >= interval - Duration::from_millis(1), "{pair:?}");
    }
}

#[test]
fn forty_nodes_stopped_for_a_moment_cause_no_false_death() {
    // Rule D6: every process in turn is stopped for 5 s; when it goes on, it blames nobody.
    let mut sim = Sim::cluster(6, 40);
    sim.expect_within(5, "all see all", Sim::all_see_all);
    sim.run_rounds(20);
    for host in [0, 7, 23] {
        let (others, begin) = ((0..40).filter(|other| *other != host), sim.now());
        let others: Vec<HostId> = others.collect();
        sim.stop_for(host, Duration::from_secs(5));
        sim.run_for(Duration::from_secs(4));
        assert!(others.iter().all(|other| {
            sim.host(*other).status_of(sim.host(host).node_id()) == Some(NodeStatus::Dead)
        }));
        sim.run_for(Duration::from_secs(1));
        sim.expect_within(4, "the one that was stopped is live again", Sim::all_see_all);
        let failed = sim.host(host).times_of(|event| matches!(event, Event::Failed { .. }));
        assert!(failed.iter().all(|at| *at < begin), "it blamed others: {failed:?}");
        let paused = |notice: &Notice| matches!(notice, Notice::Paused { .. });
        assert!(sim.host(host).notices.iter().any(|(_, notice)| paused(notice)));
        sim.run_rounds(20);
    }
}

#[test]
fn a_whole_cluster_that_was_stopped_blames_nobody() {
    // Rule D6, all at once: a suspended hypervisor.
    let mut sim = Sim::cluster(7, 40);
    sim.expect_within(5, "all see all", Sim::all_see_all);
    sim.run_rounds(20);
    for host in 0..40 {
        sim.stop_for(host, Duration::from_secs(5));
    }
    sim.run_for(Duration::from_secs(30));
    assert!(sim.all_see_all());
    assert_eq!(sim.false_deaths(), 0);
}

#[test]
fn a_node_that_hears_nobody_declares_nobody_dead_for_a_while() {
    // Rule D7: its own link is broken; after ten more intervals it gives in.
    let mut sim = Sim::cluster(8, 10);
    sim.run_rounds(40);
    let others: Vec<HostId> = (1..10).collect();
    sim.links.partition(&[0], &others);
    sim.run_rounds(11);
    assert_eq!(sim.host(0).live(), 10, "it doubts itself");
    assert!(sim.host(0).notices.iter().any(|(_, notice)| *notice == Notice::Deaf));
    assert!(others.iter().all(|host| !sim.host(*host).lists_live("node-0")));
    sim.links.heal();
    sim.expect_within(5, "all see all", Sim::all_see_all);
    let heard = |notice: &Notice| matches!(notice, Notice::HearingAgain { .. });
    assert!(sim.host(0).notices.iter().any(|(_, notice)| heard(notice)));
    sim.run_rounds(20);
    assert!(sim.host(0).times_of(|event| matches!(event, Event::Failed { .. })).is_empty());
}

#[test]
fn a_node_that_hears_nobody_for_long_goes_on_running() {
    // Rule D7: the doubt ends, everybody is dead, and the node goes on. A node that spins on its
    // own timers cannot be interrupted, hence the thread.
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut sim = Sim::cluster(9, 5);
        sim.run_rounds(40);
        sim.links.partition(&[0], &[1, 2, 3, 4]);
        sim.run_rounds(40);
        let alone = sim.host(0).live();
        sim.links.heal();
        sim.run_rounds(15);
        sender.send((alone, sim.all_see_all())).ok();
    });
    let outcome = receiver.recv_timeout(Duration::from_secs(30));
    assert_eq!(outcome, Ok((1, true)), "a timeout: the node never returned from a call");
}

fn cluster_of_which_twelve_of_twenty_crashed() -> Sim {
    let mut sim = Sim::cluster(10, 20);
    sim.run_rounds(40);
    for host in 8..20 {
        sim.kill(host);
    }
    sim
}

#[test]
fn a_real_mass_crash_is_detected_as_soon_as_a_single_one() {
    // Rule D7: silence of many while others are heard is not deafness.
    let mut sim = cluster_of_which_twelve_of_twenty_crashed();
    sim.expect_within(13, "the twelve are dead for all", |sim| {
        sim.running().all(|(_, host)| host.live() == 8)
    });
    assert!(!sim.running().any(|(_, host)| host.notices.iter().any(|it| it.1 == Notice::Deaf)));
}

#[test]
fn a_mass_crash_is_reported_to_the_operator() {
    // Rule D7: the silence of half of the peers is worth a notice, though not a delay.
    let mut sim = cluster_of_which_twelve_of_twenty_crashed();
    sim.run_rounds(13);
    let mass = |notice: &Notice| matches!(notice, Notice::MassFailure { .. });
    for (_, host) in sim.running() {
        assert!(host.notices.iter().any(|(_, notice)| mass(notice)), "{}", host.node_id());
    }
}

#[test]
#[allow(clippy::print_stdout)]
fn steady_loss_of_a_third_of_all_messages_seldom_looks_like_a_death() {
    let (nodes, rounds) = (20, 400);
    let mut sim = Sim::cluster(11, nodes);
    sim.run_rounds(20);
    sim.links.loss = 0.3;
    sim.run_rounds(rounds);
    let deaths = sim.false_deaths();
    let chances = nodes * (nodes - 1) * rounds as usize;
    println!("30 % loss: {deaths} false deaths in {chances} pairs and rounds");
    assert!(deaths * 20_000 <= chances, "{deaths} false deaths in {chances} pairs and rounds");
    sim.links.loss = 0.0;
    sim.expect_within(10, "all see all", Sim::all_see_all);
}

#[test]
fn nodes_that_were_up_before_their_seed_join_soon_after_its_start() {
    // Row S22: the seed starts a minute later.
    let mut sim = Sim::new(12);
    let seed = sim.add_host(Sim::config("node-0"), &[0]);
    for index in 1..6 {
        let host = sim.add_host(Sim::config(&format!("node-{index}")), &[seed]);
        sim.start(host);
    }
    sim.run_for(Duration::from_secs(60));
    sim.start(seed);
    sim.expect_within(5, "all see all", Sim::all_see_all);
}

#[test]
fn halves_that_forgot_each_other_are_joined_again_by_their_seeds() {
    // Rule P2: for ever, a seed address that belongs to no live member is asked.
    let mut sim = Sim::cluster_with(13, 8, Default::default(), |config| {
        config.dead_node_grace_period = config.expected_detection_time() * 8;
    });
    sim.run_rounds(20);
    let (one, other): (Vec<HostId>, Vec<HostId>) = (0..8).partition(|host| *host < 4);
    sim.links.partition(&one, &other);
    sim.run_for(Duration::from_secs(120));
    assert!(sim.running().all(|(_, host)| host.snapshot().len() == 4), "forgotten");
    sim.links.heal();
    sim.expect_within(40, "all see all", Sim::all_see_all);
}
