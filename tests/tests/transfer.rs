//! Moving state: fair shares, large values, small links, trains, budgets.

use std::time::Duration;

use chitchat_protocol::{LinkLimits, WriteError};
use chitchat_tests::sim::{Sim, text_of};

const STREAM: LinkLimits = LinkLimits::new(65_507, 16 << 20);

#[test]
fn a_quiet_node_does_not_wait_behind_a_backlog_of_ten_megabytes() {
    // Row S6: a replica that was cut off finds 10 MB of one node and one key of another.
    for link in [LinkLimits::default(), LinkLimits::new(1_400, 1_400)] {
        let mut sim = Sim::cluster_with(1, 4, link, |_| {});
        sim.checker = None;
        sim.run_rounds(10);
        sim.links.partition(&[3], &[0, 1, 2]);
        for number in 0..20_000 {
            sim.with(0, |node, now| node.set(&format!("{number}"), &text_of(500, number), now))
                .expect("a valid write");
        }
        sim.run_for(Duration::from_secs(20));
        assert!(sim.all_have([1, 2], "node-0", "19999", Some(&text_of(500, 19_999))));
        sim.set(2, "quiet", "word");
        sim.run_rounds(4);
        sim.links.heal();
        let taken = sim.expect_within(3, "the quiet word", |sim| {
            sim.all_have([3], "node-2", "quiet", Some("word"))
        });
        assert!(taken <= sim.host(0).interval() * 3);
        sim.expect_within(60, "the backlog", |sim| {
            sim.all_have([3], "node-0", "19999", Some(&text_of(500, 19_999)))
        });
    }
}

#[test]
fn a_joiner_takes_a_large_state_at_network_speed_and_not_at_a_few_messages_a_round() {
    // P4: 10 MB in messages of 1,400 bytes, over a link of 1 ms.
    let link = LinkLimits::new(1_400, 1_400);
    let mut sim = Sim::cluster_with(2, 3, link, |_| {});
    sim.checker = None;
    for number in 0..20_000 {
        sim.with(0, |node, now| node.set(&format!("{number}"), &text_of(500, number), now))
            .expect("a valid write");
    }
    sim.run_for(Duration::from_secs(20));
    let joiner = sim.add_host_with(Sim::config("joiner"), link, &[0]);
    sim.start(joiner);
    sim.expect_within(10, "all of it", |sim| {
        let own = sim.host(0).snapshot().self_state().expect("own").max_version();
        sim.host(joiner).state_of("node-0").is_some_and(|state| state.max_version() == own)
    });
}

#[test]
fn a_large_state_arrives_over_a_lossy_link_that_reorders() {
    let link = LinkLimits::new(1_400, 1_400);
    let mut sim = Sim::cluster_with(3, 3, link, |_| {});
    sim.checker = None;
    for number in 0..4_000 {
        sim.with(0, |node, now| node.set(&format!("{number}"), &text_of(500, number), now))
            .expect("a valid write");
    }
    sim.links.loss = 0.2;
    sim.links.duplication = 0.1;
    sim.links.delay = Duration::from_millis(5)..Duration::from_millis(60);
    sim.expect_within(60, "two megabytes", |sim| {
        let own = sim.host(0).snapshot().self_state().expect("own").max_version();
        (1..3).all(|host| {
            sim.host(host).state_of("node-0").is_some_and(|state| state.max_version() == own)
        })
    });
}

#[test]
fn no_message_exceeds_the_link_whatever_its_size() {
    // Row S23: many budgets, entries of all sizes, deletes and prunes.
    for (number, preferred) in (1_024..1_500).step_by(17).chain([4_000, 9_000, 65_507]).enumerate()
    {
        let link = LinkLimits::new(preferred, preferred);
        let mut sim = Sim::cluster_with(number as u64, 3, link, |config| {
            config.marked_for_deletion_grace_period = Duration::from_secs(2);
            config.node_id = format!("{}{}", config.node_id, "i".repeat(number)).as_str().into();
        });
        for key in 0..60 {
            let len = (key * 37) % (preferred - 700);
            sim.set(0, &format!("key-{key}"), &text_of(len, key as u64));
        }
        sim.run_rounds(6);
        sim.links.partition(&[2], &[0, 1]);
        for key in 0..30 {
            sim.delete(0, &format!("key-{}", key * 2));
        }
        sim.run_for(Duration::from_secs(10));
        sim.links.heal();
        sim.expect_within(20, "all agree", |sim| sim.all_see_all() && sim.all_equal());
        // The simulation asserts that no message exceeds the maximum.
        assert!(sim.traffic.longest <= preferred);
    }
}

#[test]
fn only_a_message_with_a_single_entry_exceeds_the_preferred_length() {
    // Row S23, P4.
    let mut sim = Sim::cluster(4, 4);
    sim.tap = Some(Vec::new());
    for key in 0..80 {
        sim.set(0, &format!("key-{key}"), &text_of(40 * key, key as u64));
    }
    sim.expect_within(10, "all agree", Sim::all_equal);
    let mut longer = 0;
    for captured in sim.tap.take().expect("a tap") {
        if captured.bytes.len() <= 1_400 {
            continue;
        }
        use chitchat_protocol::message::Body;
        let message = captured.message();
        let deltas = match &message.body {
            Body::SynAck { deltas, .. } | Body::Ack { deltas, .. } | Body::Push { deltas } => {
                deltas
            }
            other => panic!("a {} of {} bytes", other.kind(), captured.bytes.len()),
        };
        let entries: usize = deltas.iter().map(|delta| delta.entries.len()).sum();
        assert_eq!(entries, 1, "{} bytes", captured.bytes.len());
        longer += 1;
    }
    assert!(longer > 0);
}

#[test]
fn links_with_different_limits_interoperate() {
    // Row S11: 1,200 bytes, a default link and a stream in one cluster.
    let links = [LinkLimits::new(1_200, 1_200), LinkLimits::default(), STREAM];
    let mut sim = Sim::new(5);
    for index in 0..30 {
        let config = Sim::config(&format!("node-{index}"));
        let host = sim.add_host_with(config, links[index % 3], &[0, 1, 2]);
        sim.start(host);
        for key in 0..20 {
            sim.set(host, &format!("key-{key}"), &text_of(300, key));
        }
    }
    sim.expect_within(10, "all agree", |sim| sim.all_see_all() && sim.all_equal());
}

#[test]
fn a_value_that_the_link_cannot_carry_is_refused_at_the_call() {
    // Row X15: 70 KB over UDP. Nothing changes, nobody is held up.
    let mut sim = Sim::cluster(6, 3);
    sim.set(0, "before", "it");
    let version = |sim: &Sim| sim.host(0).snapshot().self_state().expect("own").max_version();
    let before = version(&sim);
    let refused = sim.with(0, |node, now| node.set("large", &text_of(70_000, 1), now));
    assert!(matches!(refused, Err(WriteError::ValueTooLong { .. })), "{refused:?}");
    assert_eq!(version(&sim), before);
    // The largest that is taken arrives.
    let Err(WriteError::ValueTooLong { limit, .. }) = refused else { return };
    sim.set(0, "largest", &text_of(limit - "largest".len(), 2));
    sim.set(0, "after", "it");
    sim.expect_within(6, "all agree", |sim| sim.all_see_all() && sim.all_equal());
    assert!(sim.all_have(1..3, "node-0", "after", Some("it")));
}

#[test]
fn a_value_of_a_mebibyte_passes_over_a_stream() {
    // Row X15.
    let mut sim = Sim::cluster_with(7, 4, STREAM, |_| {});
    let value = text_of(1 << 20, 1);
    sim.set(0, "large", &value);
    sim.set(1, "small", "word");
    sim.expect_within(6, "all have it", |sim| {
        sim.all_have(0..4, "node-0", "large", Some(&value))
            && sim.all_have(0..4, "node-1", "small", Some("word"))
    });
}

#[test]
fn a_value_too_large_for_a_relay_holds_up_nobody_else() {
    // Row X15: node-0 and node-3 have streams, the only relay between them has 1,400 bytes.
    let mut sim = Sim::new(8);
    for (index, link) in [STREAM, LinkLimits::new(1_400, 1_400), STREAM, STREAM].iter().enumerate()
    {
        let host = sim.add_host_with(Sim::config(&format!("node-{index}")), *link, &[1]);
        sim.start(host);
    }
    sim.links.partition(&[0, 2], &[3]);
    sim.run_rounds(6);
    sim.set(0, "a-large", &text_of(50_000, 1));
    sim.set(0, "b-small", "behind the large one");
    sim.run_rounds(4);
    sim.set(2, "other", "owner");
    sim.set(1, "relay", "itself");
    sim.expect_within(6, "the other owners pass", |sim| {
        sim.all_have([3], "node-2", "other", Some("owner"))
            && sim.all_have([3], "node-1", "relay", Some("itself"))
    });
    assert!(sim.host(1).running().counters().entries_too_large > 0);
    assert!(sim.host(3).lists_live("node-0"), "its heartbeat passes");
    sim.links.heal();
    sim.expect_within(8, "without the detour all arrives", |sim| {
        sim.all_see_all() && sim.all_equal()
    });
}

#[test]
fn one_owner_at_its_size_limit_holds_up_nobody_else() {
    // Per-owner limits: a replica with a small limit freezes the owner, says so, and goes on.
    let mut sim = Sim::cluster(9, 3);
    sim.checker = None;
    let mut config = Sim::config("small");
    config.limits.max_bytes_per_node = 20_000;
    let small = sim.add_host(config, &[0]);
    sim.start(small);
    sim.run_rounds(4);
    for number in 0..200 {
        sim.set(0, &format!("key-{number}"), &text_of(500, number));
    }
    sim.set(1, "other", "owner");
    sim.expect_within(6, "the other owner passes", |sim| {
        sim.all_have([small], "node-1", "other", Some("owner"))
    });
    sim.run_rounds(20);
    let frozen = sim.host(small).notices.iter().any(|(_, notice)| {
        matches!(notice, chitchat_protocol::Notice::OwnerFrozen { id } if &*id.node_id == "node-0")
    });
    assert!(frozen, "{:?}", sim.host(small).notices);
    let kept: usize = sim.host(small).state_of("node-0").map_or(0, |state| {
        state.key_values().map(|(key, value)| key.len() + value.len() + 64).sum()
    });
    // A copy may hold twice what an owner may, since on its way it can hold old and new entries.
    assert!(kept <= 40_000, "{kept}");
    assert!(sim.all_see_all());
    // Frozen is not served again and again: the traffic of a calm cluster stays small.
    sim.traffic = Default::default();
    sim.run_rounds(20);
    let per_round = sim.traffic.bytes / 20;
    assert!(per_round < 40_000, "{per_round} bytes per round");
}

#[test]
fn a_calm_cluster_sends_no_deltas_again() {
    // R1: at rest, only digests.
    let mut sim = Sim::cluster(10, 10);
    for host in 0..10 {
        sim.set(host, "state", &text_of(5_000, host as u64));
    }
    sim.run_rounds(12);
    assert!(sim.all_equal());
    sim.tap = Some(Vec::new());
    sim.run_rounds(20);
    use chitchat_protocol::message::Body;
    for captured in sim.tap.take().expect("a tap") {
        match captured.message().body {
            Body::SynAck { deltas, .. } | Body::Ack { deltas, .. } | Body::Push { deltas } => {
                assert!(deltas.is_empty(), "{deltas:?}");
            }
            _ => {}
        }
    }
}
