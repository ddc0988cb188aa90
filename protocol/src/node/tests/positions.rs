//! Answers whose sender is known by its position among the members that the question was about (rule P10).

use std::time::Duration;

use super::net::{INTERVAL, Net, encoded, range};
use crate::columns::{Cell, ColumnAnswer, Columns, Layout, Standing};
use crate::id::{Incarnation, NodeId};
use crate::message::{Body, Header, SelfReport, SenderEntry, TrainPart};
use crate::node::Origin;
use crate::wire::{DecodeLimits, Frame};

const NODES: usize = 5;

fn quiet() -> Net {
    let mut net = Net::with(1, &[range(1, 2); NODES]);
    net.expect_within(10, "agreement", Net::is_converged);
    net.run_for(INTERVAL * 10);
    net
}

/// What the first node answers to a question of the second.
fn answer_to(net: &mut Net, layout: Layout<'_>) -> SenderEntry<'static> {
    let columns = Columns {
        layout,
        cells: vec![Cell::NotLive; NODES],
        lives: Vec::new(),
        not_live: 0,
        buckets: vec![0],
        versions: Vec::new(),
    };
    let bytes = encoded(net.node(1).header(7, 0), Body::ColumnSyn { budget: 0, columns });
    let answers = net.inject(0, net.hosts[1].addr, &bytes);
    let frame = Frame::parse(&answers[0], &DecodeLimits::default()).unwrap();
    let message = frame.message().unwrap();
    assert!(matches!(message.body, Body::ColumnSynAck { .. }), "{message:?}");
    message.into_owned().header.sender
}

fn by_set(net: &mut Net) -> Layout<'static> {
    Layout::Set { fingerprint: net.node_mut(1).member_set().fingerprint(), first: 0 }
}

fn by_hashes(net: &mut Net) -> Layout<'static> {
    let set = net.node_mut(1).member_set();
    let hash = net.node(1).members.hash();
    let hashes = set.slice(0..NODES).iter().map(|it| hash.short(it.hash, 7)).collect();
    Layout::Hashes { start: "".into(), end: None, hashes }
}

#[test]
fn whoever_has_the_same_set_is_answered_without_a_name() {
    let mut net = quiet();
    let layout = by_set(&mut net);
    let sender = answer_to(&mut net, layout);
    let place = net.node_mut(1).member_set().position("node-0").unwrap();
    assert_eq!((&*sender.node_id, sender.incarnation), ("", Incarnation::default()));
    assert_eq!(sender.position, u32::try_from(place).ok());
}

#[test]
fn whoever_has_another_set_or_may_have_is_told_the_name() {
    let mut net = quiet();
    let hashes = by_hashes(&mut net);
    for layout in [hashes, Layout::Set { fingerprint: 1, first: 0 }] {
        let sender = answer_to(&mut net, layout);
        assert_eq!((&*sender.node_id, sender.position), ("node-0", None));
    }
}

#[test]
fn a_node_that_only_watches_tells_its_name() {
    let mut net = quiet();
    let layout = by_set(&mut net);
    // Another process has its id, started later, and is there.
    let incarnation = Incarnation { generation_id: 9, boot: 9 };
    let age = Some(Duration::ZERO);
    let report = SelfReport { incarnation, heartbeat: 1, age, max_version: 0, last_gc_version: 0 };
    net.node_mut(0).check_self(&report);
    assert!(net.node(0).identity.is_yielding());
    let sender = answer_to(&mut net, layout);
    assert_eq!((&*sender.node_id, sender.position), ("node-0", None));
}

/// The first node has asked, and nobody is there: the nonce of a question, and whom it went to.
fn asked(net: &mut Net) -> (u64, NodeId) {
    for host in 1..NODES {
        net.stop(host);
    }
    net.run_for(INTERVAL);
    let exchanges = &net.node(0).exchanges;
    let (nonce, _) = exchanges.any_in_columns().expect("nothing was asked");
    (nonce, exchanges.get(nonce).and_then(|it| it.target.node_id.clone()).unwrap())
}

/// What a node says whose position this is, as far as it is true.
fn said(net: &mut Net, echo: u64, position: u32) -> Vec<u8> {
    let (node_id, incarnation) = ("".into(), Incarnation::default());
    let answer = ColumnAnswer {
        standing: Standing::Same,
        count: u32::try_from(NODES).unwrap(),
        ..ColumnAnswer::default()
    };
    let header = net.node(0).header(1, echo);
    let sender = SenderEntry {
        node_id,
        incarnation,
        position: Some(position),
        heartbeat: 1_000,
        ..header.sender.clone()
    };
    let part = TrainPart { index: 0, last: true, more: false };
    let (entries, deltas) = (Vec::new(), Vec::new());
    let body = Body::ColumnSynAck { part, budget: 0, answer, entries, deltas };
    encoded(Header { sender, ..header.clone() }, body)
}

fn position_of(net: &mut Net, node_id: &str) -> u32 {
    u32::try_from(net.node_mut(0).member_set().position(node_id).unwrap()).unwrap()
}

/// Somebody else who was there.
fn other_than(peer: &str) -> String {
    (1..NODES).map(|it| format!("node-{it}")).find(|it| *it != *peer).unwrap()
}

fn heartbeat_of(net: &Net, node_id: &str) -> u64 {
    net.node(0).members.get(node_id).unwrap().vitals.heartbeat()
}

#[test]
fn an_answer_counts_for_whose_position_it_tells() {
    let mut net = quiet();
    let (nonce, peer) = asked(&mut net);
    let position = position_of(&mut net, &peer);
    let bytes = said(&mut net, nonce, position);
    let before = net.node(0).counters();
    let from = net.hosts[1].addr;
    net.inject(0, from, &bytes);
    assert_eq!(heartbeat_of(&net, &peer), 1_000);
    // It may come again.
    net.inject(0, from, &bytes);
    let after = net.node(0).counters();
    assert_eq!(after.refused_malformed, before.refused_malformed);
    assert_eq!(after.refused_unsolicited, before.refused_unsolicited);
}

#[test]
fn a_position_that_is_none_or_of_somebody_else_is_refused_and_counted() {
    let mut net = quiet();
    let (nonce, peer) = asked(&mut net);
    let from = net.hosts[1].addr;
    let other = other_than(&peer);
    let position = position_of(&mut net, &other);
    for (echo, position) in [(nonce, position), (nonce.wrapping_add(1), position)] {
        let before = net.node(0).counters().refused_unsolicited;
        let bytes = said(&mut net, echo, position);
        net.inject(0, from, &bytes);
        assert_eq!(net.node(0).counters().refused_unsolicited, before + 1);
    }
    for position in [u32::try_from(NODES).unwrap(), u32::MAX] {
        let before = net.node(0).counters().refused_malformed;
        let bytes = said(&mut net, nonce, position);
        net.inject(0, from, &bytes);
        assert_eq!(net.node(0).counters().refused_malformed, before + 1);
    }
    assert!(heartbeat_of(&net, &other) < 1_000);
}

#[test]
fn a_position_does_not_get_round_the_name_in_a_certificate() {
    let mut net = quiet();
    let (nonce, peer) = asked(&mut net);
    let position = position_of(&mut net, &peer);
    let bytes = said(&mut net, nonce, position);
    let other = other_than(&peer);
    let (from, now) = (net.hosts[1].addr, net.now);
    let origin = Origin { peer: Some(other.into()), ..Origin::unverified(from, 0) };
    let node = net.node_mut(0);
    let before = node.counters().refused_identity;
    node.handle_message(&origin, &bytes, now);
    assert_eq!(node.counters().refused_identity, before + 1);
    assert!(heartbeat_of(&net, &peer) < 1_000);
}
