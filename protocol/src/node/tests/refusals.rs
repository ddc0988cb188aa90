//! Nodes without a version in common (rules W3 and W4), and peers that lie about versions.

use std::net::SocketAddr;
use std::time::Duration;

use super::net::{INTERVAL, Net, Sent, range};
use crate::message::{Body, Message};
use crate::wire::{DecodeLimits, Envelope, Kind, Version, cluster_id_hash, unsupported};

const ELSEWHERE: ([u8; 4], u16) = ([192, 0, 2, 1], 1);

fn count(net: &Net, kind: Kind, from: usize) -> usize {
    net.sent.iter().filter(|sent| sent.is(kind) && sent.from == from).count()
}

#[test]
fn two_nodes_without_a_common_version_are_told_of_it_once_and_stay_quiet() {
    let mut net = Net::with(1, &[range(1, 1), range(2, 2)]);
    net.run_for(Duration::from_secs(120));
    for (host, other) in [(0, 1), (1, 0)] {
        let theirs = net.node(other).config().wire_versions;
        assert_eq!(net.told(host), [(None, Some(net.hosts[other].addr), theirs)]);
        let counters = net.node(host).counters();
        assert!(counters.no_common_version > 100, "{counters:?}");
        assert_eq!(counters.refused_version, count(&net, Kind::Unsupported, host) as u64);
        assert_eq!(counters.renegotiated, 0);
        // Each asks as often as any node does that knows nobody, in its rounds and four times as often
        // between them, and each question is refused once.
        let (asked, refused) =
            (count(&net, Kind::Syn, host), count(&net, Kind::Unsupported, other));
        assert!(asked <= 5 * 240 + 8, "{asked} questions");
        // A few are on their way.
        assert!(asked - 4 <= refused && refused <= asked, "{refused} refusals of {asked}");
        assert_eq!(net.node(host).snapshot().nodes().count(), 1);
    }
    let others = |sent: &&Sent| !sent.is(Kind::Syn) && !sent.is(Kind::Unsupported);
    assert_eq!(net.sent.iter().filter(others).count(), 0);
}

#[test]
fn nodes_without_a_common_version_find_each_other_once_one_is_upgraded() {
    for (upgraded, to) in [(0, range(1, 2)), (0, range(2, 2)), (1, range(1, 2)), (1, range(1, 1))] {
        let mut net = Net::with(2, &[range(1, 1), range(2, 2)]);
        net.run_for(Duration::from_secs(20));
        net.write(1 - upgraded, "key", Some("written while nobody understood"));
        net.stop(upgraded);
        net.start(upgraded, to);
        net.expect_within(4, &format!("agreement with node {upgraded} at {to}"), Net::is_converged);
        // What was told once is told again of another that comes later.
        let told = net.told(1 - upgraded).len();
        assert_eq!(told, 1);
        let other = net.node(1 - upgraded).config().wire_versions;
        net.stop(upgraded);
        net.start(upgraded, if other.oldest() == 1 { range(2, 2) } else { range(1, 1) });
        net.run_for(Duration::from_secs(20));
        assert_eq!(net.told(1 - upgraded).len(), 2);
    }
}

#[test]
fn a_node_that_has_a_version_in_common_with_both_passes_on_what_they_write() {
    let mut net = Net::new(3, 4);
    net.start(1, range(1, 2));
    net.run_for(INTERVAL);
    // Both have the node in the middle as seed, and nobody runs at their other one.
    net.start(2, range(1, 1));
    net.start(3, range(2, 2));
    for host in 1..4 {
        net.write(host, "key", Some(&format!("of {host}")));
    }
    net.expect_within(10, "agreement", Net::is_converged);
    net.write(2, "key", None);
    net.write(3, "other", Some("later"));
    net.run_for(Duration::from_secs(60));
    assert!(net.is_converged());
    // They leave it to the one in the middle, and each has told once of whom it cannot talk to.
    assert_eq!(net.sent.iter().filter(|sent| sent.is_between(2, 3)).count(), 0);
    for (host, other) in [(2, 3), (3, 2)] {
        let (peer, addr) = (Some(&*net.hosts[other].node_id), Some(net.hosts[other].addr));
        let theirs = net.node(other).config().wire_versions;
        assert_eq!(net.told(host), [(peer, addr, theirs)]);
        assert_eq!(net.node(host).counters().no_common_version, 1);
    }
    assert!(net.told(1).is_empty());
    // Nor do they look for each other's traces when one is dead, as is done for others now and then.
    net.sent.clear();
    net.stop(3);
    net.run_for(Duration::from_secs(300));
    assert_eq!(net.node(2).snapshot().dead_nodes().count(), 1);
    assert_eq!(net.sent.iter().filter(|sent| sent.is_between(2, 3)).count(), 0);
    assert!(net.sent.iter().any(|sent| sent.is_between(1, 3)));
}

#[test]
fn a_peer_that_denies_every_version_is_asked_twice_and_no_more() {
    let mut net = Net::new(4, 2);
    net.start(0, range(1, 2));
    let nowhere = net.hosts[1].addr;
    net.run_for(INTERVAL);
    let cluster = cluster_id_hash("versions");
    let asked = net.sent.iter().rfind(|sent| sent.to == 1).unwrap().envelope;
    assert_eq!((asked.kind, asked.version), (Kind::Syn as u8, 1));

    let deny = |nonce, oldest, newest| unsupported(range(oldest, newest), cluster, nonce);
    let again = net.inject(0, nowhere, &deny(asked.nonce, 2, 2));
    let [again] = &*again else { panic!("{} messages", again.len()) };
    let again = Envelope::parse(again).unwrap();
    assert_eq!((again.kind, again.version), (Kind::Syn as u8, 2));
    // Not a second time for the same question, nor a third one.
    assert!(net.inject(0, nowhere, &deny(asked.nonce, 2, 2)).is_empty());
    assert!(net.inject(0, nowhere, &deny(again.nonce, 1, 1)).is_empty());
    // Nor for a refusal of what it says that it reads, nor for what was never asked.
    net.run_for(INTERVAL * 2);
    let asked = net.sent.iter().rfind(|sent| sent.to == 1).unwrap().envelope;
    assert!(net.inject(0, nowhere, &deny(asked.nonce, 1, 1)).is_empty());
    assert!(net.inject(0, nowhere, &deny(7, 2, 2)).is_empty());
    let counters = net.node(0).counters();
    assert_eq!((counters.renegotiated, counters.refused_unsolicited), (1, 2));
    assert_eq!(counters.refused_malformed, 2);
}

#[test]
fn a_refusal_is_never_answered() {
    let mut net = Net::new(5, 2);
    net.start(0, range(1, 2));
    let from = SocketAddr::from(ELSEWHERE);
    for version in 0..=u8::MAX {
        let refusal = unsupported(range(version, u8::MAX), cluster_id_hash("versions"), 7);
        assert!(net.inject(0, from, &refusal).is_empty(), "version {version}");
    }
}

#[test]
fn strangers_of_later_versions_cost_bounded_memory_and_are_answered_in_their_cluster_only() {
    let mut net = Net::new(6, 2);
    net.start(0, range(1, 2));
    let from_the_future = |cluster| {
        let mut bytes = unsupported(range(3, 9), cluster, 0);
        bytes[3] = Kind::Syn as u8;
        bytes
    };
    let ours = from_the_future(cluster_id_hash("versions"));
    for index in 0..5_000u32 {
        let from = SocketAddr::from((index.to_be_bytes(), 1));
        let answers = net.inject(0, from, &ours);
        let [answer] = &*answers else { panic!("{} answers", answers.len()) };
        assert!(answer.len() <= ours.len());
        assert_eq!(Envelope::parse(answer).unwrap().kind, Kind::Unsupported as u8);
    }
    assert!(net.node(0).incompatible.len() <= 1_024);
    assert!(net.inject(0, ELSEWHERE.into(), &from_the_future(1)).is_empty());
    assert_eq!(net.node(0).counters().no_common_version, 5_000);
}

#[test]
fn neither_version_can_be_taken_for_the_other() {
    let mut net = Net::with(7, &[range(2, 3), range(2, 3)]);
    net.run_for(INTERVAL);
    let header = net.node(0).header(1, 2);
    let message = Message { header, body: Body::PushAck { max_version: 3 } };
    let limits = DecodeLimits { versions: range(2, 3), ..DecodeLimits::default() };
    for (version, other) in [(Version::V2, 3), (Version::V3, 2)] {
        let options = crate::wire::EncodeOptions::in_version(version);
        let mut bytes = message.encode_with(&options);
        assert_eq!(Message::decode(&bytes, &limits).as_ref(), Ok(&message));
        bytes[2] = other;
        assert!(Message::decode(&bytes, &limits).is_err());
    }
}
