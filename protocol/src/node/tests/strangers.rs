//! Members of which news tell a hash, and that their reader does not know (rule N2).

use std::net::SocketAddr;
use std::time::Duration;

use super::net::{INTERVAL, Net, encoded, range};
use crate::digest::DigestEntry;
use crate::limits::LinkLimits;
use crate::message::{Body, Changed, Unnamed};
use crate::node::{Origin, Target};
use crate::wire::{DecodeLimits, Frame};

const NONCE: u64 = 7;

fn settled(seed: u64, hosts: usize, running: usize) -> Net {
    let mut net = Net::new(seed, hosts);
    settle(&mut net, running);
    net
}

/// Starts so many, and waits until they have nothing to tell.
fn settle(net: &mut Net, running: usize) {
    for host in 0..running {
        net.start(host, range(1, 2));
    }
    net.settle();
}

/// How many of 40 nodes know a newcomer so soon after its start, on average.
fn reached(loss: f64, soon: Duration) -> f64 {
    let seeds = 8;
    let mut reached = 0;
    for seed in 0..seeds {
        let mut net = settled(seed, 41, 40);
        net.loss = loss;
        net.start(40, range(1, 2));
        net.run_for(soon);
        let knows = |host: &usize| net.node(*host).members.get("node-40").is_some();
        reached += u32::try_from((0..40).filter(knows).count()).unwrap();
    }
    f64::from(reached) / f64::from(u32::try_from(seeds).unwrap())
}

#[test]
fn a_newcomer_is_known_to_all_long_before_the_next_round() {
    let reached = reached(0.0, INTERVAL / 2);
    assert!(reached > 39.8, "{reached} of 40");
}

#[test]
fn a_newcomer_is_known_to_most_where_messages_are_lost() {
    let reached = reached(0.2, INTERVAL * 3 / 4);
    assert!(reached > 37.0, "{reached} of 40");
}

/// What the first node asks for, and where, when the second one tells it of these hashes from some address.
fn asked(net: &mut Net, hashes: &[u64], from: SocketAddr) -> Vec<(Unnamed, Target)> {
    let changed = hashes.iter().map(|hash| Changed { hash: *hash, max_version: 1 }).collect();
    let header = net.node(1).header(NONCE, 0);
    let bytes = encoded(header, Body::News { changed, deltas: Vec::new() });
    let now = net.now;
    let node = net.node_mut(0);
    node.handle_message(&Origin::unverified(from, 0), &bytes, now);
    let mut asked = Vec::new();
    while let Some(message) = node.poll_transmit() {
        let frame = Frame::parse(&message.bytes, &DecodeLimits::default()).unwrap();
        if let Body::Inquiry { unnamed, entries, .. } = frame.message().unwrap().body {
            assert_eq!(entries, []);
            assert!(message.bytes.len() <= LinkLimits::default().preferred_message_len);
            asked.push((unnamed, message.target));
        }
    }
    asked
}

fn short(net: &Net, host: usize) -> u64 {
    let node = net.node(host);
    let hash = node.members.hash();
    hash.short(hash.member(&net.hosts[host].node_id, &node.incarnation()), NONCE)
}

#[test]
fn whom_a_node_does_not_know_it_asks_for_and_not_more_often_than_it_may() {
    let mut net = settled(1, 4, 4);
    let addr = net.hosts[1].addr;
    let known = [short(&net, 0), short(&net, 2), short(&net, 3)];
    assert_eq!(asked(&mut net, &known, addr).len(), 0);

    let said = [known[1], 5, 4];
    let questions = asked(&mut net, &said, addr);
    let unnamed: Vec<_> = questions.iter().map(|(unnamed, _)| unnamed).collect();
    assert_eq!(unnamed, [&Unnamed { nonce: NONCE, hashes: vec![4, 5] }]);
    assert_eq!(asked(&mut net, &[5], addr).len(), 0, "it has asked a moment ago");
    net.run_for(Duration::from_millis(60));
    assert_eq!(asked(&mut net, &[5], addr).len(), 0, "that has brought nobody");
    net.run_for(INTERVAL);
    assert_eq!(asked(&mut net, &[5], addr).len(), 1);
    net.node_mut(0).learn_of_newcomer();
    net.run_for(Duration::from_millis(60));
    assert_eq!(asked(&mut net, &[5], addr).len(), 1, "that has brought somebody");

    net.run_for(INTERVAL);
    net.node_mut(0).config.limits.max_nodes = 4;
    assert_eq!(asked(&mut net, &[5], addr).len(), 0, "there is no room for more");
}

#[test]
fn a_question_does_not_go_where_news_only_seem_to_come_from() {
    for is_reached in [true, false] {
        let mut net = settled(2, 4, 4);
        if !is_reached {
            net.node_mut(0).members.get_mut("node-1").unwrap().contact.path = None;
        }
        let forged = SocketAddr::from(([10, 9, 9, 9], 9));
        let questions = asked(&mut net, &[5], forged);
        let [(_, target)] = &questions[..] else { panic!("{questions:?}") };
        assert_eq!(*target.addrs, [net.hosts[1].addr]);
        assert!(target.reply.is_none_or(|path| path.remote == net.hosts[1].addr), "{target:?}");
    }
}

#[test]
fn news_longer_than_a_message_are_asked_for_in_one_that_is_not() {
    let mut net = settled(3, 4, 4);
    let addr = net.hosts[1].addr;
    let hashes: Vec<u64> = (1..2_000).collect();
    let questions = asked(&mut net, &hashes, addr);
    let counts: Vec<usize> = questions.iter().map(|(unnamed, _)| unnamed.hashes.len()).collect();
    assert!(matches!(counts[..], [200..2_000]), "{counts:?}");
}

/// The second node tells the first one that the logs of all others go far: how long that is, and what is asked
/// then, in bytes and members.
fn inquired(net: &mut Net) -> (usize, usize, usize) {
    let hosts = net.hosts.len();
    let hashes: Vec<u64> = (2..hosts).map(|host| short(net, host)).collect();
    let changed = hashes.into_iter().map(|hash| Changed { hash, max_version: 1_000 }).collect();
    let header = net.node(1).header(NONCE, 0);
    let bytes = encoded(header, Body::News { changed, deltas: Vec::new() });
    let (now, addr) = (net.now, net.hosts[1].addr);
    let node = net.node_mut(0);
    node.handle_message(&Origin::unverified(addr, 0), &bytes, now);
    let (mut len, mut members) = (0, 0);
    while let Some(message) = node.poll_transmit() {
        let frame = Frame::parse(&message.bytes, &DecodeLimits::default()).unwrap();
        if let Body::Inquiry { entries, .. } = frame.message().unwrap().body {
            len += message.bytes.len();
            members += entries.len();
        }
    }
    (bytes.len(), len, members)
}

#[test]
fn who_has_proven_nothing_is_sent_little_and_asked_for_the_rest_later() {
    let mut net = Net::new(5, 40);
    for host in &mut net.hosts {
        host.node_id.push_str("-and-a-name-that-is-longer-than-a-hash");
    }
    settle(&mut net, 40);
    let teller = net.hosts[1].node_id.clone();
    net.node_mut(0).members.get_mut(&teller).unwrap().contact.path = None;
    let (news, first, members) = inquired(&mut net);
    assert!((1..=3 * news).contains(&first), "{first} bytes for {news}");
    assert!((1..38).contains(&members), "{members} of 38");
    let (_, _, others) = inquired(&mut net);
    assert!(others > 0, "nobody else was asked for");
    assert!(members + others <= 38, "{members} and {others}: somebody was asked for twice");
}

#[test]
fn questions_that_come_of_news_keep_to_what_they_may_cost() {
    let mut net = settled(6, 40, 40);
    let allowed = 600;
    let now = net.now;
    let node = net.node_mut(0);
    node.config.push_bytes_per_second = allowed;
    node.news = crate::node::news::News::new(&node.config, now);
    let (_, first, members) = inquired(&mut net);
    let (_, second, _) = inquired(&mut net);
    let allowed = usize::try_from(allowed).unwrap();
    assert!(members > 0 && first + second <= allowed, "{first} and {second} of {allowed}");
}

/// Whose logs the first node tells the second one, to this question.
fn told(net: &mut Net, entries: Vec<DigestEntry<'static>>, hashes: Vec<u64>) -> Vec<(String, u64)> {
    let unnamed = Unnamed { nonce: NONCE, hashes };
    let header = net.node(1).header(NONCE + 1, 0);
    let bytes = encoded(header, Body::Inquiry { budget: 1 << 20, entries, unnamed });
    let answers = net.inject(0, net.hosts[1].addr, &bytes);
    let frame = Frame::parse(&answers[0], &DecodeLimits::default()).unwrap();
    let Body::SynAck { deltas, .. } = frame.message().unwrap().body else { panic!("{frame:?}") };
    deltas.iter().map(|delta| (delta.node_id.to_string(), delta.from)).collect()
}

#[test]
fn who_is_asked_for_by_a_hash_is_told_once_from_the_beginning() {
    let mut net = settled(4, 4, 4);
    let third = ("node-2".to_owned(), 0);
    let hashes = vec![short(&net, 2)];
    let by_hash = told(&mut net, Vec::new(), hashes.clone());
    assert_eq!(by_hash, std::slice::from_ref(&third));
    let nothing = DigestEntry::nothing("node-2", net.node(2).incarnation());
    assert_eq!(told(&mut net, vec![nothing], hashes), [third]);
    // The asker itself, the one who is asked, nobody.
    let others = vec![short(&net, 1), short(&net, 0), 99];
    assert_eq!(told(&mut net, Vec::new(), others), []);
}
