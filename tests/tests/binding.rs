//! Over transports that verify their peers: a peer speaks as the node that its certificate names, and
//! as nobody else.

use std::net::SocketAddr;

use chitchat_protocol::message::{Body, Message, Refusal, TrainPart};
use chitchat_protocol::{
    ClusterStateSnapshot, Counters, Digest, Incarnation, NodeDelta, NodeHealth, NodeId, Notice,
    Origin, Path,
};
use chitchat_tests::sim::{Captured, Puppet, Replayed, Sim};

fn cluster(seed: u64, count: usize) -> Sim {
    let mut sim = Sim::new(seed);
    sim.verified = true;
    for index in 0..count {
        let host = sim.add_host(Sim::config(&format!("node-{index}")), &[0]);
        sim.start(host);
    }
    sim.expect_within(8, "all see all", |sim| sim.all_see_all() && sim.all_equal());
    sim
}

/// A member with a certificate of its own, known to host 0.
fn mallory(sim: &mut Sim) -> Puppet {
    // The checker knows nodes, not puppets.
    sim.checker = None;
    let mut mallory = Puppet::new("mallory", 1);
    mallory.verified = Some(NodeId::from("mallory"));
    let addr = mallory.addr.to_string();
    mallory.join(sim, 0, &[("\0addrs", &addr)]);
    assert!(sim.host(0).lists_live("mallory"));
    mallory
}

/// The next question of host 0 to an address.
fn question(sim: &mut Sim, to: SocketAddr) -> Message<'static> {
    for _ in 0..200 {
        sim.tap = Some(Vec::new());
        sim.run_for(sim.host(0).interval() / 10);
        let tap = sim.tap.take().expect("a tap");
        let from = Sim::addr_of(0);
        let asks = |it: &&Captured| it.from == from && it.to == to && it.is_question();
        if let Some(question) = tap.iter().find(asks) {
            return question.message();
        }
    }
    panic!("seed {}: host 0 asks nobody at {to}", sim.seed());
}

fn part() -> TrainPart {
    TrainPart { index: 0, last: true, more: false }
}

/// News of node-2 that only node-2 could have: a key, and a later heartbeat.
fn news(sim: &Sim) -> (Incarnation, u64, Vec<NodeDelta<'static>>) {
    let state = sim.host(0).state_of("node-2").expect("known");
    let (incarnation, version) = (state.incarnation(), state.max_version());
    let heartbeat = health(sim).heartbeat + 1_000;
    let delta = Puppet::delta("node-2", incarnation, heartbeat, version, &[("forged", "value")]);
    (incarnation, heartbeat, vec![delta])
}

fn health(sim: &Sim) -> NodeHealth {
    sim.host(0).running().node_health("node-2", sim.now()).expect("known")
}

struct Before {
    snapshot: ClusterStateSnapshot,
    health: NodeHealth,
    counters: Counters,
    notices: usize,
}

fn look(sim: &Sim) -> Before {
    Before {
        snapshot: sim.host(0).snapshot().clone(),
        health: health(sim),
        counters: sim.host(0).running().counters(),
        notices: sim.host(0).notices.len(),
    }
}

/// Mallory's message under the name of node-2 is counted and noticed, and that is all.
fn is_refused(body: impl Fn(Vec<NodeDelta<'static>>) -> Body<'static>, answers: bool) {
    for seed in 0..5 {
        let mut sim = cluster(seed, 4);
        let mut mallory = mallory(&mut sim);
        let echo =
            if answers { question(&mut sim, mallory.addr).header.nonce } else { mallory.token };
        let (incarnation, heartbeat, deltas) = news(&sim);
        mallory.node_id = "node-2".into();
        (mallory.incarnation, mallory.heartbeat) = (incarnation, heartbeat);
        mallory.max_version = deltas[0].to;
        let bytes = mallory.message(7, echo, body(deltas)).encode();

        let before = look(&sim);
        let answers = mallory.say(&mut sim, 0, &bytes);
        let after = look(&sim);

        assert!(answers.is_empty(), "seed {seed}: {answers:?}");
        let mut expected = before.counters;
        expected.messages_received += 1;
        expected.bytes_received += bytes.len() as u64;
        expected.refused_identity += 1;
        assert_eq!(after.counters, expected, "seed {seed}");
        assert_eq!(after.health, before.health, "seed {seed}");
        assert_eq!(Replayed::of(&after.snapshot), Replayed::of(&before.snapshot), "seed {seed}");
        let notices: Vec<&Notice> =
            sim.host(0).notices[before.notices..].iter().map(|(_, notice)| notice).collect();
        let (claimed, verified) = (NodeId::from("node-2"), NodeId::from("mallory"));
        assert_eq!(notices, [&Notice::IdentityMismatch { claimed, verified }], "seed {seed}");
    }
}

#[test]
fn a_question_under_another_name_than_the_certificates_is_refused() {
    is_refused(|_| Body::Syn { budget: 60_000, digest: Digest::default() }, false);
}

#[test]
fn an_answer_under_another_name_than_the_certificates_is_refused() {
    let body = |deltas| Body::SynAck { part: part(), budget: 60_000, entries: Vec::new(), deltas };
    is_refused(body, true);
}

#[test]
fn an_ack_under_another_name_than_the_certificates_is_refused() {
    is_refused(|deltas| Body::Ack { part: part(), deltas }, false);
}

#[test]
fn a_push_under_another_name_than_the_certificates_is_refused() {
    is_refused(|deltas| Body::Push { deltas }, false);
}

#[test]
fn a_confirmation_under_another_name_than_the_certificates_is_refused() {
    is_refused(|_| Body::PushAck { max_version: 9 }, false);
}

#[test]
fn a_refusal_under_another_name_than_the_certificates_is_refused() {
    is_refused(|_| Body::Refused { reason: Refusal::TooManyNodes }, true);
}

#[test]
fn every_mismatch_is_counted_and_only_so_many_are_noticed() {
    let mut sim = cluster(1, 3);
    let mut puppet = Puppet::new("node-2", 1);
    let syn = puppet.syn(Vec::new());
    let path = Path { remote: puppet.addr, token: 0 };
    let origin = Origin { path, peer: Some(NodeId::from("mallory")) };
    sim.with(0, |node, now| (0..2_000).for_each(|_| node.handle_message(&origin, &syn, now)));
    let host = sim.host(0);
    let is_mismatch = |notice: &Notice| matches!(notice, Notice::IdentityMismatch { .. });
    let noticed = host.notices.iter().filter(|(_, notice)| is_mismatch(notice)).count();
    let counters = host.running().counters();
    assert_eq!((counters.refused_identity, noticed), (2_000, 512));
    assert_eq!(counters.notices_dropped, 2_000 - 512);
}

#[test]
fn only_whom_we_asked_may_answer_whatever_its_certificate() {
    // Mallory speaks under its own name, and knows the nonce of a question to node-2.
    for seed in 0..5 {
        let mut sim = cluster(seed, 4);
        let mut mallory = mallory(&mut sim);
        let bodies = [
            Body::SynAck { part: part(), budget: 60_000, entries: Vec::new(), deltas: Vec::new() },
            Body::Refused { reason: Refusal::TooManyNodes },
        ];
        for body in bodies {
            // It is answered at once by the one that was asked, too: so that one is cut off.
            sim.links.cut(0, 2);
            let nonce = question(&mut sim, Sim::addr_of(2)).header.nonce;
            sim.links.heal();
            mallory.heartbeat += 1;
            let before = look(&sim);
            let bytes = mallory.message(7, nonce, body).encode();
            assert!(mallory.say(&mut sim, 0, &bytes).is_empty());
            let after = look(&sim);
            let mut expected = before.counters;
            expected.messages_received += 1;
            expected.bytes_received += bytes.len() as u64;
            expected.refused_unsolicited += 1;
            assert_eq!(after.counters, expected, "seed {seed}");
            assert_eq!(after.notices, before.notices, "seed {seed}");
        }
    }
}

#[test]
fn what_a_verified_peer_relays_of_others_is_taken_as_hearsay() {
    // Two that cannot reach each other hear of each other through the rest.
    for seed in 0..5 {
        let mut sim = cluster(seed, 4);
        sim.links.partition(&[0], &[3]);
        sim.set(3, "key", "value");
        sim.expect_within(8, "it arrives", |sim| sim.host(0).get("node-3", "key") == Some("value"));
        sim.run_rounds(60);
        assert!(sim.all_see_all() && sim.false_deaths() == 0, "{}", sim.describe());
        for (_, host) in sim.running() {
            assert_eq!(host.running().counters().refused_identity, 0);
        }
    }
}

#[test]
fn another_process_with_our_certificate_is_an_identity_conflict() {
    // Rule C3, whether it asks or pushes. Its certificate is proof enough: it needs no token.
    for asks in [true, false] {
        let mut sim = cluster(2, 3);
        sim.run_rounds(10);
        sim.checker = None;
        let own = sim.host(0).running().incarnation();
        let mut twin = Puppet::new("node-0", 1);
        twin.verified = Some(NodeId::from("node-0"));
        let generation_id = own.generation_id + 1_000;
        twin.incarnation = Incarnation { generation_id, boot: 1 };
        let bytes = if asks { twin.syn(Vec::new()) } else { twin.push(Vec::new()) };
        twin.say(&mut sim, 0, &bytes);
        let host = sim.host(0);
        let conflict =
            |notice: &Notice| *notice == Notice::IdentityConflict { other: twin.incarnation };
        assert!(host.notices.iter().any(|(_, notice)| conflict(notice)), "asks: {asks}");
        assert_eq!(host.running().counters().refused_identity, 0);
        sim.expect_within(16, "it takes a later generation when the other is silent", |sim| {
            sim.host(0).running().incarnation().generation_id > generation_id && sim.all_see_all()
        });
    }
}

#[test]
fn a_verified_peer_may_close_an_exchange_over_another_connection() {
    // Two that dial each other at once may keep the other connection than the one they began on.
    for verified in [true, false] {
        let mut sim = cluster(3, 3);
        sim.checker = None;
        let mut peer = Puppet::new("peer", 1);
        peer.verified = verified.then(|| NodeId::from("peer"));
        let syn = peer.syn(Vec::new());
        peer.say(&mut sim, 0, &syn);
        peer.addr.set_port(50_000);
        let log = [("\0initial", "2"), ("key", "value")];
        let delta = Puppet::delta("peer", peer.incarnation, peer.heartbeat, 0, &log);
        let ack = peer.ack(vec![delta]);
        peer.say(&mut sim, 0, &ack);
        let expected = verified.then_some("value");
        assert_eq!(sim.host(0).get("peer", "key"), expected, "verified: {verified}");
    }
}

#[test]
fn what_a_push_of_a_verified_peer_lacks_is_asked_for_where_it_came_from() {
    // It has moved since it was heard last. Of a peer that is not verified anybody could say that.
    for verified in [true, false] {
        let mut sim = cluster(4, 3);
        let mut mallory = mallory(&mut sim);
        let before = mallory.addr;
        mallory.addr.set_port(50_000);
        if !verified {
            mallory.verified = None;
        }
        mallory.max_version += 5;
        sim.tap = Some(Vec::new());
        let push = mallory.push(Vec::new());
        match mallory.verified.clone() {
            Some(peer) => sim.inject_from(0, mallory.addr, peer, &push),
            None => sim.inject(0, mallory.addr, &push),
        }
        let tap = sim.tap.take().expect("a tap");
        let asked: Vec<_> = tap.iter().filter(|it| it.is_question()).map(|it| it.to).collect();
        let expected = if verified { mallory.addr } else { before };
        assert_eq!(asked, [expected], "verified: {verified}");
    }
}
