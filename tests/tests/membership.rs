//! The life of a member: how many there may be, when the dead go, and that nothing keeps them.

use std::time::Duration;

use chitchat_protocol::{Config, ConfigError, Event, LinkLimits, NodeStatus, Timestamp};
use chitchat_tests::sim::Sim;

/// The shortest grace period that the configuration takes is eight times the detection time.
fn short_grace(config: &mut Config) {
    config.dead_node_grace_period = Duration::from_secs(40);
}

fn grace() -> Duration {
    Duration::from_secs(40)
}

fn is_about(event: &Event, node_id: &str) -> bool {
    match event {
        Event::Failed { id } | Event::ScheduledForDeletion { id } | Event::Removed { id } => {
            &*id.node_id == node_id
        }
        _ => false,
    }
}

#[test]
fn a_hundred_and_fifty_nodes_see_each_other_and_agree() {
    // Row S5: the count is asserted.
    let mut sim = Sim::cluster(1, 150);
    assert_eq!(sim.running().count(), 150);
    sim.expect_within(6, "all see all", Sim::all_see_all);
    for host in 0..150 {
        sim.set(host, "number", &host.to_string());
    }
    sim.expect_within(8, "all have all keys", Sim::all_equal);
    assert!(sim.running().all(|(_, host)| host.snapshot().len() == 150 && host.live() == 150));
}

#[test]
fn a_dead_node_is_dead_then_scheduled_then_gone_at_the_same_times_everywhere() {
    // Rows R13 to R19, S16.
    let mut sim = Sim::cluster_with(2, 6, LinkLimits::default(), short_grace);
    sim.run_rounds(20);
    sim.kill(5);
    let death = sim.now();
    let interval = sim.host(0).interval();
    sim.run_for(grace() + interval * 3);
    for host in 0..5 {
        let times = sim.host(host).times_of(|event| is_about(event, "node-5"));
        let [failed, scheduled, removed] = times[..] else {
            panic!("host {host}: {times:?}");
        };
        assert!(failed.since(death) <= Duration::from_secs(5), "{failed}");
        let near = |at: Timestamp, expected: Duration| {
            // The last sign of life is up to one interval before the death.
            at.since(death) + interval >= expected && at.since(death) <= expected + interval * 2
        };
        assert!(near(scheduled, grace() / 2), "scheduled {:?}", scheduled.since(death));
        assert!(near(removed, grace()), "removed {:?}", removed.since(death));
    }
    assert!(sim.all_give("node-5", None));
}

#[test]
fn a_dead_node_goes_in_time_although_somebody_joins_every_two_seconds() {
    // Rows S28, S16: joiners neither extend it, nor list it as live, nor meet it once it is
    // scheduled for deletion.
    let mut sim = Sim::cluster_with(3, 5, LinkLimits::default(), short_grace);
    sim.run_rounds(20);
    sim.set(4, "key", "of the dead");
    sim.run_rounds(4);
    sim.kill(4);
    let death = sim.now();
    let interval = sim.host(0).interval();
    let mut joiners = Vec::new();
    while sim.now().since(death) < grace() {
        let mut config = Sim::config(&format!("joiner-{}", joiners.len()));
        short_grace(&mut config);
        let joiner = sim.add_host(config, &[joiners.len() % 4]);
        sim.start(joiner);
        joiners.push((joiner, sim.now()));
        // Every second joiner soon crashes, so that there are other dead about.
        if joiners.len() % 2 == 0 {
            let (crashed, _) = joiners[joiners.len() - 2];
            sim.kill(crashed);
        }
        for _ in 0..20 {
            sim.run_for(Duration::from_millis(100));
            let late = sim.now().since(death) > Duration::from_secs(6);
            assert!(!late || !sim.anybody_lists_live("node-4"), "{}", sim.describe());
        }
    }
    for (joiner, started) in &joiners {
        if sim.host(*joiner).node().is_none() {
            continue;
        }
        let met = sim.host(*joiner).times_of(|event| match event {
            Event::Joined { state } => &*state.id().node_id == "node-4",
            _ => false,
        });
        let early = started.since(death) + interval * 4 < grace() / 2;
        let late = started.since(death) > grace() / 2 + interval * 2;
        assert!(!early || met.len() == 1, "a joiner after {:?}", started.since(death));
        assert!(!late || met.is_empty(), "a joiner after {:?}", started.since(death));
    }
    sim.run_for(interval * 2);
    assert!(sim.all_give("node-4", None), "gone everywhere: {}", sim.describe());
    sim.run_for(Duration::from_secs(60));
    assert!(sim.all_give("node-4", None), "and for ever");
}

#[test]
fn a_removed_node_that_returns_with_the_same_incarnation_is_taken_in_again() {
    // Row S3: cut off for longer than the grace period, and never restarted.
    let mut sim = Sim::cluster_with(4, 5, LinkLimits::default(), short_grace);
    sim.set(4, "key", "value");
    sim.run_rounds(20);
    sim.links.partition(&[4], &[0, 1, 2, 3]);
    sim.run_for(grace() * 2);
    assert!(sim.all_give("node-4", None));
    assert_eq!(sim.host(4).snapshot().len(), 1);
    sim.links.heal();
    sim.expect_within(20, "all see all", |sim| sim.all_see_all() && sim.all_equal());
    assert!(sim.all_have(0..4, "node-4", "key", Some("value")));
}

#[test]
fn a_grace_period_shorter_than_detection_allows_is_refused() {
    // Rows R13 to R19: half the grace period is at least four times the detection time.
    let mut config = Config::new("cluster", "node");
    let least = config.expected_detection_time() * 8;
    config.dead_node_grace_period = least;
    assert_eq!(config.validate(), Ok(()));
    config.dead_node_grace_period = least - Duration::from_millis(1);
    assert!(matches!(config.validate(), Err(ConfigError::GracePeriodTooShort { .. })));
}

#[test]
fn the_key_of_a_crashed_owner_that_one_node_has_reaches_all() {
    // Row R12: also joiners that hear of the owner before its key.
    for seed in 0..10 {
        let mut sim = Sim::cluster(seed, 6);
        sim.run_rounds(10);
        sim.links.partition(&[5], &[0, 1, 2, 3]);
        sim.links.partition(&[4], &[0, 1, 2, 3]);
        for number in 0..50 {
            sim.set(5, &format!("key-{number}"), &"x".repeat(200));
        }
        sim.set(5, "last", "word");
        sim.expect_within(10, "one node has it", |sim| {
            sim.all_have([4], "node-5", "last", Some("word"))
        });
        sim.kill(5);
        let joiner = sim.add_host(Sim::config("joiner"), &[0]);
        sim.links.partition(&[4], &[joiner]);
        sim.start(joiner);
        sim.run_rounds(5);
        assert_eq!(sim.host(joiner).get("node-5", "last"), None);
        sim.links.heal();
        sim.expect_within(20, "all have it", |sim| {
            sim.all_have([0, 1, 2, 3, 4, 6], "node-5", "last", Some("word"))
                && sim.all_have([0, 1, 2, 3, 4, 6], "node-5", "key-7", Some(&"x".repeat(200)))
        });
        sim.run_rounds(120);
        assert!(sim.all_give("node-5", Some(NodeStatus::Dead)), "{}", sim.describe());
    }
}

#[test]
fn a_node_is_shown_with_all_its_initial_key_values_or_not_at_all() {
    // Row S14: over a lossy network, in messages that take a few entries each.
    let count = 60;
    let keys: Vec<(String, String)> =
        (0..count).map(|index| (format!("key-{index}"), "v".repeat(100))).collect();
    for seed in 0..10 {
        let mut sim = Sim::cluster_with(seed, 5, LinkLimits::new(1_200, 1_200), |config| {
            config.initial_key_values = keys.clone();
            // Small windows, so that one exchange does not bring it all.
            config.limits.max_train_bytes = 16_384;
        });
        sim.links.loss = 0.3;
        sim.links.delay = Duration::from_millis(1)..Duration::from_millis(400);
        let complete = |sim: &Sim| {
            sim.running()
                .all(|(_, host)| host.snapshot().nodes().all(|node| node.num_key_values() == count))
        };
        for _ in 0..400 {
            sim.run_for(Duration::from_millis(50));
            assert!(complete(&sim), "a part of the initial keys: {}", sim.describe());
        }
        sim.links.loss = 0.0;
        sim.expect_within(20, "all have all", |sim| sim.all_see_all() && sim.all_equal());
        // No step between two samples was incomplete either.
        for (_, host) in sim.running() {
            for (_, event) in &host.events {
                match event {
                    Event::Joined { state } => assert_eq!(state.num_key_values(), count),
                    Event::KeySet { .. } | Event::KeyDeleted { .. } => panic!("{event:?}"),
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn flapping_nodes_leave_no_trace_beyond_their_grace_period() {
    // Row X17: what is remembered of former nodes is bounded.
    let mut sim = Sim::cluster_with(5, 4, LinkLimits::default(), |config| {
        short_grace(config);
        config.limits.max_removed_nodes = 5;
    });
    sim.run_rounds(10);
    for number in 0..30 {
        let mut config = Sim::config(&format!("guest-{number}"));
        short_grace(&mut config);
        let guest = sim.add_host(config, &[0]);
        sim.start(guest);
        sim.run_rounds(5);
        sim.kill(guest);
    }
    sim.run_for(grace() + Duration::from_secs(120));
    for (_, host) in sim.running() {
        assert_eq!(host.snapshot().len(), 4, "{}", sim.describe());
        let counters = host.running().counters();
        assert!(counters.removed_forgotten > 0, "{counters:?}");
    }
}
