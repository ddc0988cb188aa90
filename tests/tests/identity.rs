//! Who is who: generations, restarts, own addresses, forged reports about oneself.

use std::collections::BTreeMap;
use std::time::Duration;

use chitchat_protocol::message::SelfReport;
use chitchat_protocol::{DigestEntry, Event, Incarnation, LinkLimits, NodeStatus, Notice};
use chitchat_tests::sim::{Puppet, Sim};

#[test]
fn a_higher_generation_takes_the_place_of_the_former_at_once() {
    // Row S13: the former one still runs and counts as live; nothing of its state stays.
    let mut sim = Sim::cluster(1, 6);
    sim.run_rounds(10);
    sim.set(5, "of-the-first", "1");
    sim.expect_within(4, "all have the key", |sim| {
        sim.all_have(0..5, "node-5", "of-the-first", Some("1"))
    });
    sim.kill(5);
    let second = sim.add_host(Sim::config("node-5"), &[0]);
    sim.start(second);
    sim.set(second, "of-the-second", "2");
    let generation = sim.host(second).running().incarnation();
    let begin = sim.now();
    sim.expect_within(3, "all see the second", |sim| {
        (0..5).all(|host| {
            sim.host(host).state_of("node-5").is_some_and(|state| state.incarnation() == generation)
        })
    });
    for host in 0..5 {
        // The checker proves that no snapshot mixes them; here: the first is gone in that step.
        assert_eq!(sim.host(host).get("node-5", "of-the-first"), None);
        let removed = sim.host(host).times_of(|event| matches!(event, Event::Removed { .. }));
        assert_eq!(removed.len(), 1, "{removed:?}");
        assert!(removed[0] >= begin);
    }
    sim.run_rounds(2);
    assert!(sim.all_have(0..5, "node-5", "of-the-second", Some("2")));
    assert!(sim.all_see_all());
}

#[test]
fn fifteen_hundred_restarts_leave_one_state_and_kill_nobody() {
    // Rows S13, X5: and no message grows with the number of restarts.
    let mut sim = Sim::cluster_with(2, 4, LinkLimits::new(1_400, 1_400), |config| {
        config.gossip_interval = Duration::from_millis(100);
    });
    sim.run_rounds(10);
    let normal = sim.traffic.longest;
    for restart in 0..1_500 {
        sim.kill(3);
        sim.run_for(Duration::from_millis(40));
        sim.start(3);
        sim.set(3, "restart", &restart.to_string());
        sim.run_for(Duration::from_millis(160));
        for host in 0..3 {
            assert_eq!(sim.host(host).snapshot().len(), 4, "restart {restart}");
        }
    }
    sim.expect_within(5, "all agree", |sim| sim.all_see_all() && sim.all_equal());
    assert!(sim.traffic.longest < normal + 400, "{} after {normal}", sim.traffic.longest);
}

#[test]
fn the_state_of_a_restarted_node_is_its_own_alone() {
    // Rows X14, S20: same generation, fewer keys; peers neither bring the old ones back nor wipe.
    for seed in 0..10 {
        let mut sim = Sim::cluster_with(seed, 5, LinkLimits::default(), |config| {
            config.refuse_future_generations = false;
            config.generation_id = Some(7);
        });
        for number in 0..20 {
            sim.set(4, &format!("old-{number}"), "old");
        }
        sim.run_rounds(10);
        assert!(sim.all_equal());
        sim.kill(4);
        sim.run_for(Duration::from_secs(seed));
        sim.start(4);
        sim.set(4, "new", "new");
        let keys = |sim: &Sim, host: usize| -> BTreeMap<String, String> {
            let state = sim.host(host).state_of("node-4").expect("known");
            state.key_values().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
        };
        for _ in 0..100 {
            sim.run_for(Duration::from_millis(100));
            assert_eq!(keys(&sim, 4), BTreeMap::from([("new".into(), "new".into())]));
        }
        assert!(sim.all_see_all() && sim.all_equal(), "{}", sim.describe());
    }
}

#[test]
fn an_address_is_no_part_of_the_identity() {
    // Row S20: the same node elsewhere is the same node id with a later generation.
    let mut sim = Sim::cluster(3, 4);
    sim.run_rounds(10);
    sim.kill(3);
    let elsewhere = sim.add_host(Sim::config("node-3"), &[0]);
    sim.run_for(Duration::from_millis(200));
    sim.start(elsewhere);
    sim.expect_within(5, "it is live at its new address", |sim| {
        (0..3).all(|host| {
            let state = sim.host(host).state_of("node-3");
            state.is_some_and(|state| {
                state.status() == NodeStatus::Alive
                    && **state.advertise_addrs() == [Sim::addr_of(elsewhere)]
            })
        })
    });
    assert!((0..3).all(|host| sim.host(host).snapshot().len() == 4));
}

#[test]
fn a_restarted_node_with_its_own_address_among_its_seeds_never_gossips_with_itself() {
    // Row X20.
    let mut sim = Sim::cluster(4, 3);
    let all: Vec<_> = (0..3).map(Sim::addr_of).collect();
    for host in 0..3 {
        sim.set_seeds(host, all.clone());
    }
    sim.run_rounds(10);
    sim.tap = Some(Vec::new());
    for _ in 0..5 {
        sim.kill(2);
        sim.run_for(Duration::from_secs(2));
        sim.start(2);
        sim.run_rounds(40);
    }
    let to_itself = sim.tap.take().expect("a tap").iter().filter(|it| it.from == it.to).count();
    assert_eq!(to_itself, 0);
    assert_eq!(
        sim.host(2).snapshot().nodes().filter(|it| &*it.id().node_id == "node-2").count(),
        1
    );
    assert!(sim.all_see_all());
}

#[test]
fn a_question_that_is_played_back_keeps_a_node_from_its_only_seed_for_a_while_only() {
    // Found by fuzzing: what came back counted as leading to oneself for ever.
    let mut sim = Sim::cluster(6, 3);
    let joiner = sim.add_host(Sim::config("joiner"), &[0]);
    sim.links.cut(joiner, 0);
    sim.tap = Some(Vec::new());
    sim.start(joiner);
    sim.run_for(Duration::from_millis(1));
    let asked = sim.tap.take().expect("a tap");
    let asked = asked.iter().find(|it| it.is_question() && it.from == Sim::addr_of(joiner));
    let asked = asked.expect("it asks its seed at once");
    sim.inject(joiner, Sim::addr_of(1), &asked.bytes);
    assert_eq!(sim.host(joiner).running().counters().refused_own, 1);
    sim.links.heal();
    sim.run_rounds(10);
    assert_eq!(sim.host(joiner).live(), 1, "the seed is taken for the node itself");
    sim.expect_within(20, "it joins", |sim| sim.all_see_all() && sim.all_equal());
}

#[test]
fn a_seed_that_asks_nobody_and_comes_back_with_a_lower_generation_is_live_soon() {
    // Found by fuzzing, rule L4: its own address is the only seed, so that it learns from answers to
    // its questions nothing, and whoever asks it did not listen to what it said.
    for away in [Duration::from_secs(10), Duration::from_secs(60)] {
        let mut sim = Sim::cluster_with(7, 3, LinkLimits::default(), |config| {
            config.dead_node_grace_period = Duration::from_secs(40);
        });
        sim.run_rounds(10);
        sim.kill(0);
        sim.run_for(away);
        let known = sim.host(1).state_of("node-0").is_some();
        assert_eq!(known, away < Duration::from_secs(40), "still known, or only remembered");
        sim.start_as(0, 1_000);
        sim.set(0, "key", "of the new run");
        sim.expect_within(60, "it is live", |sim| sim.all_see_all() && sim.all_equal());
    }
}

#[test]
fn a_forged_report_about_oneself_is_answered_by_a_later_generation_and_loses_nothing() {
    // Rules C1, C2, C4: heartbeats, versions and generations that never were.
    let forgeries: [fn(SelfReport) -> SelfReport; 5] = [
        |own| SelfReport { heartbeat: own.heartbeat + 1_000_000, ..own },
        |own| SelfReport { max_version: own.max_version + 1_000, ..own },
        |own| SelfReport { last_gc_version: own.max_version, ..own },
        |own| {
            let generation_id = own.incarnation.generation_id + 1_000;
            let incarnation = Incarnation { generation_id, ..own.incarnation };
            SelfReport { incarnation, age: None, ..own }
        },
        |own| {
            let generation_id = own.incarnation.generation_id + 1_000;
            let incarnation = Incarnation { generation_id, ..own.incarnation };
            SelfReport { incarnation, age: Some(Duration::from_secs(3_600)), ..own }
        },
    ];
    for (number, forgery) in forgeries.iter().enumerate() {
        let mut sim = Sim::cluster(5, 4);
        sim.set(3, "key", "value");
        sim.run_rounds(10);
        sim.checker = None;
        let state = sim.host(3).snapshot().self_state().expect("own").clone();
        let health = sim.host(0).running().node_health("node-3", sim.now()).expect("known");
        let own = SelfReport {
            incarnation: state.incarnation(),
            heartbeat: health.heartbeat,
            age: Some(Duration::ZERO),
            max_version: state.max_version(),
            last_gc_version: 0,
        };
        let forged = forgery(own);
        let mut puppet = Puppet::new("liar", 1);
        puppet.about_you = Some(forged);
        let entry = DigestEntry {
            age: forged.age,
            last_gc_version: forged.last_gc_version,
            ..Puppet::entry("node-3", forged.incarnation, forged.heartbeat, forged.max_version)
        };
        // The second time it has a token, which proves its address.
        for _ in 0..2 {
            let syn = puppet.syn(vec![entry.clone()]);
            puppet.say(&mut sim, 3, &syn);
        }
        for _ in 0..60 {
            sim.run_for(Duration::from_millis(100));
            for host in 0..3 {
                assert_eq!(sim.host(host).get("node-3", "key"), Some("value"), "forgery {number}");
                assert!(sim.host(host).lists_live("node-3"), "forgery {number}");
            }
        }
        assert!(sim.all_equal(), "forgery {number}: {}", sim.describe());
    }
}

#[test]
fn a_forged_process_under_our_id_silences_us_for_no_longer_than_ten_intervals() {
    // Rule C3: a higher generation, just emitted. The forger says it once.
    let mut sim = Sim::cluster(6, 4);
    sim.set(3, "key", "value");
    sim.run_rounds(10);
    sim.checker = None;
    let own = sim.host(3).running().incarnation();
    let generation_id = own.generation_id + 1_000;
    let mut puppet = Puppet::new("node-3", 1);
    puppet.incarnation = Incarnation { generation_id, boot: 1 };
    puppet.heartbeat = 5;
    for _ in 0..2 {
        let syn = puppet.syn(Vec::new());
        puppet.say(&mut sim, 3, &syn);
    }
    sim.run_rounds(1);
    let said = |sim: &Sim, holds: fn(&Notice) -> bool| {
        sim.host(3).notices.iter().any(|(_, notice)| holds(notice))
    };
    assert!(said(&sim, |notice| matches!(notice, Notice::IdentityConflict { .. })));
    sim.expect_within(14, "it speaks again, above the forged generation", |sim| {
        sim.all_see_all()
            && (0..3).all(|host| {
                sim.host(host).state_of("node-3").is_some_and(|state| {
                    state.incarnation().generation_id > generation_id
                        && state.get("key") == Some("value")
                })
            })
    });
    assert!(said(&sim, |notice| matches!(notice, Notice::GenerationBumped { .. })));
}

#[test]
fn a_generation_a_year_ahead_is_refused_and_told_and_holds_up_nobody() {
    // Rule L3.
    let mut sim = Sim::cluster(7, 4);
    sim.run_rounds(10);
    let mut config = Sim::config("from-the-future");
    config.generation_id = Some(sim.wall_clock_ms + 365 * 24 * 3_600 * 1_000);
    // It does not judge itself by its own clock, which is a year ahead too.
    config.refuse_future_generations = false;
    let host = sim.add_host(config, &[0]);
    sim.start(host);
    sim.run_rounds(10);
    for host in 0..4 {
        assert_eq!(sim.host(host).snapshot().len(), 4);
        assert_eq!(sim.host(host).live(), 4);
    }
    let counters = sim.host(0).running().counters();
    assert!(counters.refused_future > 0, "{counters:?}");
    let told = sim.host(host).notices.iter().any(|(_, notice)| {
        matches!(
            notice,
            Notice::RefusedByPeer {
                reason: chitchat_protocol::message::Refusal::GenerationFromTheFuture,
                ..
            }
        )
    });
    assert!(told, "{:?}", sim.host(host).notices);
}
