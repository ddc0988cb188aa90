//! What peers may send, and strangers do: garbage, forgeries, floods. Nothing of it panics, is taken
//! for true, or keeps the others from gossiping; all of it is counted.

use std::time::Duration;

use chitchat_protocol::message::{Body, Message, SelfReport};
use chitchat_protocol::wire::{
    DecodeLimits, EncodeOptions, Envelope, Kind, VersionRange, encode_unsupported,
};
use chitchat_protocol::{
    Counters, DigestEntry, Incarnation, LinkLimits, NodeDelta, NodeStatus, Notice,
};
use chitchat_tests::sim::{Captured, HostId, Puppet, Sim, text_of};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Four nodes that know each other, each with a key. Nobody judges the publications: what puppets
/// claim is not in the truth.
fn cluster(seed: u64) -> Sim {
    let mut sim = Sim::cluster(seed, 4);
    for host in 0..4 {
        sim.set(host, "key", &format!("of {host}"));
    }
    sim.run_rounds(10);
    assert!(sim.all_see_all() && sim.all_equal());
    sim.checker = None;
    sim
}

fn counters(sim: &Sim, host: HostId) -> Counters {
    sim.host(host).running().counters()
}

/// The four are as they were, and go on.
#[track_caller]
fn unharmed(sim: &mut Sim) {
    for host in 0..4 {
        for of in 0..4 {
            let value = format!("of {of}");
            assert_eq!(sim.host(host).get(&format!("node-{of}"), "key"), Some(&*value));
            assert!(sim.host(host).lists_live(&format!("node-{of}")), "{}", sim.describe());
        }
    }
    let word = format!("at {}", sim.now());
    sim.set(2, "later", &word);
    sim.expect_within(6, "news pass", |sim| sim.all_have(0..4, "node-2", "later", Some(&word)));
}

/// Messages of all kinds from a cluster at work.
fn captured_messages() -> Vec<Captured> {
    let mut sim = Sim::cluster(77, 4);
    sim.tap = Some(Vec::new());
    for number in 0..40 {
        sim.set(number % 4, &format!("key-{}", number % 7), &text_of(30, number as u64));
        if number % 5 == 0 {
            sim.delete(number % 4, &format!("key-{}", number % 7));
        }
        sim.run_for(Duration::from_millis(150));
    }
    sim.with(3, |node, now| node.leave(now));
    sim.run_rounds(2);
    sim.tap.take().expect("a tap")
}

#[test]
fn garbage_is_counted_and_dropped() {
    let mut sim = cluster(1);
    let mut rng = StdRng::seed_from_u64(1);
    let before = counters(&sim, 0);
    let from = Puppet::new("noise", 1).addr;
    for number in 0..5_000_usize {
        let mut bytes: Vec<u8> = (0..number % 300).map(|_| rng.random()).collect();
        if number % 3 == 0 && bytes.len() > 2 {
            bytes[..2].copy_from_slice(&[0xC8, 0x17]);
        }
        sim.inject(0, from, &bytes);
    }
    let after = counters(&sim, 0);
    let refused = |it: Counters| {
        it.refused_malformed + it.refused_version + it.refused_cluster + it.refused_unsolicited
    };
    assert_eq!(refused(after) - refused(before), 5_000);
    unharmed(&mut sim);
}

#[test]
fn real_messages_cut_at_every_byte_and_with_every_bit_flipped_do_no_harm() {
    // Row X16.
    let messages = captured_messages();
    let mut kinds: Vec<u8> = messages.iter().map(|captured| captured.bytes[3]).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert!(kinds.len() >= 5, "kinds of messages: {kinds:?}");
    let mut sim = cluster(2);
    // The same names as in the cluster, from other incarnations: the worst case.
    let from = Puppet::new("noise", 1).addr;
    for captured in messages.iter().step_by(7).take(60) {
        for len in 0..captured.bytes.len() {
            sim.inject(0, from, &captured.bytes[..len]);
        }
    }
    let malformed = counters(&sim, 0).refused_malformed;
    assert!(malformed > 1_000, "{malformed}");
    unharmed(&mut sim);
    for captured in messages.iter().step_by(13).take(25) {
        for bit in 0..captured.bytes.len() * 8 {
            let mut bytes = captured.bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            sim.inject(1, from, &bytes);
        }
    }
    // A flipped bit can make a valid message with another claim, such as a later incarnation of a
    // node that runs: its real one takes the next generation and is back.
    sim.run_rounds(30);
    let live: Vec<_> = (0..4).map(|host| sim.host(host).lists_live("node-2")).collect();
    assert!(live.iter().all(|live| *live), "{}", sim.describe());
    assert!(sim.host(2).live() >= 4);
}

#[test]
fn real_messages_played_again_and_to_others_do_no_harm() {
    // Row S31: every message again, late, from another address, to another node.
    let mut sim = Sim::cluster(3, 4);
    for host in 0..4 {
        sim.set(host, "key", &format!("of {host}"));
    }
    sim.tap = Some(Vec::new());
    sim.run_rounds(12);
    let messages = sim.tap.take().expect("a tap");
    for round in 0..5 {
        sim.delete(0, "gone");
        sim.set(0, "gone", &round.to_string());
        sim.run_rounds(2);
    }
    sim.delete(0, "gone");
    sim.run_rounds(10);
    // The checker judges all of it.
    for (number, captured) in messages.iter().enumerate() {
        for host in 0..4 {
            let from = if number % 2 == 0 { captured.from } else { Sim::addr_of((host + 1) % 4) };
            sim.inject(host, from, &captured.bytes);
        }
    }
    assert!(counters(&sim, 0).refused_unsolicited > 0);
    unharmed(&mut sim);
    assert!(sim.all_have(0..4, "node-0", "gone", None));
}

#[test]
fn messages_of_another_cluster_are_dropped_and_counted() {
    // Row X18.
    let mut sim = cluster(4);
    let mut puppet = Puppet::new("stranger", 1);
    puppet.cluster = chitchat_protocol::wire::cluster_id_hash("another");
    let before = counters(&sim, 0).refused_cluster;
    let delta = Puppet::delta("stranger", puppet.incarnation, 9, 0, &[("\0initial", "1")]);
    let mut answers = Vec::new();
    for _ in 0..3 {
        let syn = puppet.syn(Vec::new());
        answers.extend(puppet.say(&mut sim, 0, &syn));
    }
    for bytes in [puppet.syn_ack(1, vec![delta.clone()]), puppet.push(vec![delta.clone()])] {
        answers.extend(puppet.say(&mut sim, 0, &bytes));
    }
    assert!(answers.is_empty());
    assert_eq!(counters(&sim, 0).refused_cluster - before, 5);
    assert_eq!(sim.host(0).snapshot().len(), 4);
    unharmed(&mut sim);
}

#[test]
fn answers_that_nobody_asked_for_are_dropped_and_counted() {
    // Row X18: a SynAck with a guessed nonce, an Ack with a guessed token, a PushAck.
    let mut sim = cluster(5);
    let mut puppet = Puppet::new("stranger", 1);
    let of = sim.host(0).state_of("node-1").expect("known").clone();
    let forged =
        Puppet::delta("node-1", of.incarnation(), 1_000, of.max_version(), &[("key", "forged")]);
    let before = counters(&sim, 0);
    puppet.token = 12_345;
    for echo in [0, 1, u64::MAX] {
        let bytes = puppet.syn_ack(echo, vec![forged.clone()]);
        puppet.say(&mut sim, 0, &bytes);
    }
    let ack = puppet.ack(vec![forged.clone()]);
    puppet.say(&mut sim, 0, &ack);
    let push_ack = puppet.message(1, 2, Body::PushAck { max_version: 9 }).encode();
    puppet.say(&mut sim, 0, &push_ack);
    let push = puppet.push(vec![forged]);
    puppet.say(&mut sim, 0, &push);
    let after = counters(&sim, 0);
    assert!(after.refused_unsolicited - before.refused_unsolicited >= 5, "{after:?}");
    assert_eq!(after.refused_pushes - before.refused_pushes, 1);
    assert_eq!(sim.host(0).snapshot().len(), 4);
    unharmed(&mut sim);
}

#[test]
fn an_unknown_version_gets_one_typed_answer_and_an_answer_gets_none() {
    // Row S17.
    let mut sim = cluster(6);
    let mut puppet = Puppet::new("from-tomorrow", 1);
    let mut syn = puppet.syn(Vec::new());
    syn[2] = 99;
    syn[6] = 99;
    let before = counters(&sim, 0).refused_version;
    let answers = puppet.say(&mut sim, 0, &syn);
    assert_eq!(answers.len(), 1);
    let envelope = Envelope::parse(&answers[0].bytes).expect("an envelope");
    assert_eq!(envelope.kind, Kind::Unsupported as u8);
    assert_eq!(envelope.versions(), Ok(VersionRange::BUILD));
    assert_eq!(envelope.echo, puppet.nonce);
    assert!(answers[0].bytes.len() <= syn.len(), "no amplification");
    // The answer is not answered, in whatever version it is written.
    let mut answer = encode_unsupported(puppet.cluster, 7);
    for version in [1, 99] {
        answer[2] = version;
        answer[6] = version;
        assert!(puppet.say(&mut sim, 0, &answer).is_empty());
    }
    assert!(counters(&sim, 0).refused_version > before);
    // Nor is one of another cluster.
    let mut other = puppet.syn(Vec::new());
    other[2] = 99;
    other[6] = 99;
    other[7] ^= 1;
    assert!(puppet.say(&mut sim, 0, &other).is_empty());
    unharmed(&mut sim);
}

/// For half a minute none of the four is dead for any other. A heartbeat that leaves no room above
/// it makes its owner take the next generation, which takes a round to be known.
#[track_caller]
fn never_dead(sim: &mut Sim, heartbeat: u64) {
    for tick in 0..120 {
        sim.run_for(Duration::from_millis(250));
        let settled = heartbeat > 1 << 62 || tick > 6;
        for host in 0..4 {
            for of in 0..4 {
                let status = sim.host(host).status_of(&format!("node-{of}"));
                let live = status == Some(NodeStatus::Alive) || status.is_none() && !settled;
                assert!(live, "heartbeat {heartbeat}: {}", sim.describe());
            }
        }
    }
}

#[test]
fn forged_heartbeats_kill_nobody() {
    // Row R4: the highest number, and the highest that is taken.
    for heartbeat in [u64::MAX, (1 << 62) + 1, 1 << 62, 1 << 61] {
        let mut sim = cluster(7);
        let mut puppet = Puppet::new("liar", 1);
        let of =
            |sim: &Sim, node_id: &str| sim.host(0).state_of(node_id).expect("known").incarnation();
        for node_id in ["node-0", "node-1", "node-2", "node-3"] {
            let forged = Puppet::entry(node_id, of(&sim, node_id), heartbeat, 4);
            // Twice: the second one carries a proof of the address.
            for _ in 0..2 {
                let syn = puppet.syn(vec![forged.clone()]);
                for host in 0..4 {
                    puppet.say(&mut sim, host, &syn);
                    let syn = puppet.syn(vec![forged.clone()]);
                    puppet.say(&mut sim, host, &syn);
                }
            }
        }
        never_dead(&mut sim, heartbeat);
        unharmed(&mut sim);
        // And a real death is still noticed.
        sim.kill(3);
        sim.expect_within(14, "node-3 is dead", |sim| {
            sim.all_give("node-3", Some(NodeStatus::Dead))
        });
    }
}

#[test]
fn a_forged_heartbeat_of_a_claimed_name_kills_nobody() {
    // Row R4: the sender's own entry instead of a digest's.
    for heartbeat in [u64::MAX, 1 << 62, 1 << 61] {
        let mut sim = cluster(8);
        let incarnation = sim.host(3).running().incarnation();
        let mut puppet = Puppet::new("node-3", 1);
        (puppet.incarnation, puppet.heartbeat, puppet.max_version) = (incarnation, heartbeat, 4);
        for host in [0, 1, 0, 1] {
            let syn = puppet.syn(Vec::new());
            puppet.say(&mut sim, host, &syn);
        }
        never_dead(&mut sim, heartbeat);
        unharmed(&mut sim);
    }
}

#[test]
fn a_delta_for_the_receivers_own_namespace_is_ignored_and_reported() {
    // Row R2: by a peer that is accepted otherwise.
    let mut sim = cluster(9);
    let mut puppet = Puppet::new("liar", 1);
    puppet.join(&mut sim, 0, &[("role", "liar")]);
    assert!(sim.host(0).lists_live("liar"), "{}", sim.describe());
    let own = sim.host(0).running().incarnation();
    let before = counters(&sim, 0).refused_foreign_writes;
    let version = sim.host(0).snapshot().self_state().expect("own").max_version();
    for incarnation in [own, Incarnation { generation_id: own.generation_id - 1, boot: 1 }] {
        let forged = Puppet::delta("node-0", incarnation, 1, version, &[("key", "forged")]);
        let ack = puppet.ack(vec![forged.clone()]);
        puppet.say(&mut sim, 0, &ack);
        let push = puppet.push(vec![forged]);
        puppet.say(&mut sim, 0, &push);
    }
    assert!(counters(&sim, 0).refused_foreign_writes >= before + 2);
    let reported =
        |notice: &Notice| matches!(notice, Notice::ForeignWrite { peer } if &**peer == "liar");
    assert!(sim.host(0).notices.iter().any(|(_, notice)| reported(notice)));
    assert_eq!(sim.host(0).snapshot().self_state().expect("own").max_version(), version);
    unharmed(&mut sim);
}

#[test]
fn deltas_of_superseded_incarnations_are_refused() {
    // Rows S13, X14.
    let mut sim = cluster(10);
    let mut puppet = Puppet::new("liar", 1);
    puppet.join(&mut sim, 0, &[]);
    let current = sim.host(3).running().incarnation();
    let former = Incarnation { generation_id: current.generation_id - 1, boot: 5 };
    let before = counters(&sim, 0).refused_superseded;
    for heartbeat in [1, 1_000_000] {
        let old =
            Puppet::delta("node-3", former, heartbeat, 0, &[("\0initial", "1"), ("old", "x")]);
        let ack = puppet.ack(vec![old.clone()]);
        puppet.say(&mut sim, 0, &ack);
        let push = puppet.push(vec![old]);
        puppet.say(&mut sim, 0, &push);
    }
    assert!(counters(&sim, 0).refused_superseded > before);
    assert_eq!(sim.host(0).get("node-3", "old"), None);
    assert_eq!(sim.host(0).state_of("node-3").expect("known").incarnation(), current);
    unharmed(&mut sim);
}

#[test]
fn invalid_deltas_are_refused_and_counted() {
    // Row S31, rule V1: each breaks one condition.
    let mut sim = cluster(11);
    let mut puppet = Puppet::new("liar", 1);
    puppet.join(&mut sim, 0, &[("role", "liar")]);
    let base = || {
        let mut delta = Puppet::delta(
            "liar",
            Puppet::new("liar", 1).incarnation,
            9,
            2,
            &[("a", "1"), ("b", "2")],
        );
        (delta.source, delta.horizon) = (4, 4);
        delta
    };
    let breaks: [fn(&mut NodeDelta<'static>); 6] = [
        |delta| delta.entries.swap(0, 1),
        |delta| delta.entries[1].version = delta.entries[0].version,
        |delta| delta.entries[1].key = "a".into(),
        |delta| delta.entries[0].version = 2,
        |delta| delta.entries[1].version = 5,
        |delta| delta.last_gc_version = 5,
    ];
    for (number, break_it) in breaks.iter().enumerate() {
        let mut delta = base();
        break_it(&mut delta);
        let before = counters(&sim, 0);
        let ack = puppet.ack(vec![delta]);
        puppet.say(&mut sim, 0, &ack);
        let after = counters(&sim, 0);
        let refused = |it: &Counters| it.refused_malformed + it.deltas_invalid;
        assert!(refused(&after) > refused(&before), "broken in way {number}");
        assert_eq!(sim.host(0).get("liar", "a"), None, "broken in way {number}");
    }
    unharmed(&mut sim);
}

#[test]
fn a_digest_of_a_hundred_thousand_unknown_nodes_allocates_no_member() {
    // Row X17: over a stream, in one message, by a peer that is accepted and by a stranger.
    let mut sim = Sim::cluster_with(12, 4, LinkLimits::new(65_507, 64 << 20), |_| {});
    for host in 0..4 {
        sim.set(host, "key", &format!("of {host}"));
    }
    sim.run_rounds(10);
    sim.checker = None;
    let incarnation = Puppet::new("x", 1).incarnation;
    let entries: Vec<DigestEntry<'static>> = (0..100_000)
        .map(|number| Puppet::entry(&format!("fake-{number:06}"), incarnation, 5, 100))
        .collect();
    let mut puppet = Puppet::new("liar", 1);
    for joined in [false, true] {
        if joined {
            puppet.join(&mut sim, 0, &[]);
        }
        let syn = puppet.syn(entries.clone());
        let answers = puppet.say(&mut sim, 0, &syn);
        let longest = answers.iter().map(|answer| answer.bytes.len()).max().unwrap_or_default();
        assert!(longest <= 65_507, "{longest}");
        assert!(sim.host(0).snapshot().len() <= 5);
    }
    sim.run_rounds(20);
    for host in 0..4 {
        assert!(sim.host(host).snapshot().len() <= 5, "{}", sim.describe());
    }
    unharmed(&mut sim);
}

#[test]
fn a_flood_of_ten_thousand_joiners_evicts_no_live_node() {
    // L8: a limit of 40 nodes. Live, verified nodes stay, whatever else comes.
    let mut sim = Sim::cluster_with(13, 10, LinkLimits::default(), |config| {
        config.limits.max_nodes = 40;
        config.dead_node_grace_period = Duration::from_secs(60);
    });
    sim.run_rounds(10);
    assert!(sim.all_see_all());
    sim.checker = None;
    let all_live = |sim: &Sim| {
        (0..10).all(|host| (0..10).all(|of| sim.host(host).lists_live(&format!("node-{of}"))))
    };
    for number in 0..10_000_u16 {
        let mut puppet = Puppet::new(&format!("fake-{number}"), number);
        if number % 10 == 0 {
            puppet.join(&mut sim, usize::from(number / 10 % 10), &[("k", "v")]);
        } else {
            let syn = puppet.syn(Vec::new());
            puppet.say(&mut sim, usize::from(number % 10), &syn);
        }
        if number % 50 == 0 {
            sim.run_for(Duration::from_millis(100));
            for host in 0..10 {
                assert!(sim.host(host).snapshot().len() <= 40, "{}", sim.describe());
            }
            assert!(all_live(&sim), "{}", sim.describe());
        }
    }
    assert!((0..10).any(|host| counters(&sim, host).refused_nodes > 0));
    sim.set(3, "later", "word");
    sim.expect_within(10, "news pass", |sim| sim.all_have(0..10, "node-3", "later", Some("word")));
    // A real joiner gets in, once the fakes are gone at the latest.
    sim.run_for(Duration::from_secs(62));
    let mut config = Sim::config("real");
    config.limits.max_nodes = 40;
    let real = sim.add_host(config, &[0, 1, 2]);
    sim.start(real);
    let lists = |sim: &Sim| (0..10).filter(|host| sim.host(*host).lists_live("real")).count();
    if sim.run_until(Duration::from_secs(20), |sim| lists(sim) == 10).is_none() {
        panic!("{} of 10 list the real joiner", lists(&sim));
    }
}

#[test]
fn one_peer_cannot_fill_the_state_with_nodes_that_only_it_names() {
    // L8: at most an eighth of max_nodes.
    let mut sim = Sim::cluster_with(14, 4, LinkLimits::new(65_507, 1 << 20), |config| {
        config.limits.max_nodes = 80;
    });
    for host in 0..4 {
        sim.set(host, "key", &format!("of {host}"));
    }
    sim.run_rounds(10);
    sim.checker = None;
    let mut puppet = Puppet::new("liar", 1);
    puppet.join(&mut sim, 0, &[]);
    let hearsay: Vec<NodeDelta<'static>> = (0..500)
        .map(|number| {
            let name = format!("fake-{number}");
            Puppet::delta(&name, puppet.incarnation, 3, 0, &[("\0initial", "1")])
        })
        .collect();
    let before = counters(&sim, 0).refused_nodes;
    let ack = puppet.ack(hearsay);
    puppet.say(&mut sim, 0, &ack);
    assert!(sim.host(0).snapshot().len() <= 5 + 10, "{}", sim.host(0).snapshot().len());
    assert!(counters(&sim, 0).refused_nodes > before);
    sim.run_rounds(20);
    unharmed(&mut sim);
}

#[test]
fn a_small_message_that_claims_a_large_body_is_refused() {
    // Row X17: a compressed body that declares a gigabyte, and one beyond sixteen times its length.
    let mut sim = cluster(15);
    let puppet = Puppet::new("liar", 1);
    let plain = puppet.push(vec![Puppet::delta(
        "liar",
        puppet.incarnation,
        1,
        0,
        &[("\0initial", "1"), ("k", &"x".repeat(4_000))],
    )]);
    let before = counters(&sim, 0).refused_malformed;
    for declared in [[0x80, 0x80, 0x80, 0x80, 0x04], [0xFF, 0xFF, 0xFF, 0xFF, 0x7F]] {
        let mut bytes = plain[..31].to_vec();
        bytes[4] |= 1;
        bytes.extend(declared);
        bytes.extend([0; 60]);
        sim.inject(0, puppet.addr, &bytes);
    }
    assert_eq!(counters(&sim, 0).refused_malformed - before, 2);
    unharmed(&mut sim);
}

#[test]
fn a_stranger_gets_at_most_three_times_what_it_sends() {
    // P6: no reflection. Large states, and Syns of all lengths from addresses that are not proven.
    let mut sim = Sim::cluster(16, 6);
    for host in 0..6 {
        for key in 0..20 {
            sim.set(host, &format!("key-{key}"), &text_of(500, key));
        }
    }
    sim.run_rounds(10);
    for number in 0..50 {
        let mut puppet = Puppet::new(&"n".repeat(1 + usize::from(number)), number);
        let syn = puppet.syn(Vec::new());
        let answers = puppet.say(&mut sim, 0, &syn);
        let sent: usize = answers.iter().map(|answer| answer.bytes.len()).sum();
        assert!(sent <= 3 * syn.len(), "{sent} bytes for {}", syn.len());
    }
}

#[test]
fn far_future_reports_about_the_receiver_are_counted_and_change_nothing() {
    // Rule L3 for what others say of us.
    let mut sim = cluster(17);
    let own = sim.host(0).running().incarnation();
    let mut puppet = Puppet::new("liar", 1);
    let incarnation =
        Incarnation { generation_id: own.generation_id + 400 * 24 * 3_600 * 1_000, boot: 1 };
    puppet.about_you = Some(SelfReport {
        incarnation,
        heartbeat: 5,
        age: Some(Duration::ZERO),
        max_version: 9,
        last_gc_version: 0,
    });
    let before = counters(&sim, 0).refused_future;
    for _ in 0..3 {
        let syn = puppet.syn(vec![Puppet::entry("node-0", incarnation, 5, 9)]);
        puppet.say(&mut sim, 0, &syn);
    }
    assert!(counters(&sim, 0).refused_future > before);
    assert_eq!(sim.host(0).running().incarnation(), own);
    unharmed(&mut sim);
}

#[test]
fn a_storm_of_bit_flips_on_a_live_network_does_not_keep_a_cluster_from_agreeing() {
    // Row X16: every tenth message arrives a second time, damaged.
    let mut sim = Sim::cluster(18, 6);
    sim.checker = None;
    let mut rng = StdRng::seed_from_u64(18);
    sim.tap = Some(Vec::new());
    for number in 0..300 {
        sim.set(number % 6, &format!("key-{}", number % 5), &text_of(40, number as u64));
        sim.run_for(Duration::from_millis(50));
        for captured in sim.tap.replace(Vec::new()).expect("a tap") {
            if rng.random_bool(0.1) {
                let mut bytes = captured.bytes;
                let at = rng.random_range(0..bytes.len());
                bytes[at] ^= 1 << rng.random_range(0..8);
                if let Some(host) = (0..6).find(|host| Sim::addr_of(*host) == captured.to) {
                    sim.inject(host, captured.from, &bytes);
                }
            }
        }
    }
    sim.tap = None;
    // What a damaged message claimed may take the forgetting of a forged node; the real ones agree.
    sim.run_rounds(40);
    for host in 0..6 {
        for of in 0..6 {
            let name = format!("node-{of}");
            let own = sim.host(of).snapshot().self_state().expect("own").clone();
            let seen = sim.host(host).state_of(&name).expect("known");
            assert_eq!(seen.incarnation(), own.incarnation(), "{name} on {host}");
            assert!(sim.host(host).lists_live(&name), "{name} on {host}");
        }
    }
}

#[test]
fn every_message_of_a_cluster_can_be_decoded_and_encodes_to_the_same() {
    for captured in captured_messages() {
        let message = captured.message();
        let version = Envelope::parse(&captured.bytes).expect("an envelope").version;
        let options = EncodeOptions::default().with_version(version).expect("a version of ours");
        let again = Message::decode(&message.encode_with(&options), &DecodeLimits::default());
        assert_eq!(again.as_ref(), Ok(&message));
    }
}
