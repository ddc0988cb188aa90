//! Which version is written to whom (rules W1 and W2).

use std::time::Duration;

use super::net::{Net, Sent, range};
use crate::wire::{Kind, VersionRange};

/// How many messages were sent between these two in each of the versions 1 and 2.
fn counts(net: &Net, a: usize, b: usize) -> (usize, usize) {
    let between = |version| {
        let in_version = |sent: &&Sent| {
            sent.is_between(a, b) && !sent.is(Kind::Unsupported) && sent.envelope.version == version
        };
        net.sent.iter().filter(in_version).count()
    };
    (between(1), between(2))
}

fn refusals(net: &Net) -> usize {
    net.sent.iter().filter(|sent| sent.is(Kind::Unsupported)).count()
}

#[test]
fn each_pair_talks_in_the_newest_version_that_both_have() {
    let mut net = Net::with(1, &[range(1, 1), range(1, 2), range(1, 2)]);
    for host in 0..3 {
        net.write(host, "key", Some("value"));
    }
    net.expect_within(10, "agreement", Net::is_converged);
    net.run_for(Duration::from_secs(5));
    net.sent.clear();
    net.run_for(Duration::from_secs(30));
    for host in [1, 2] {
        let (first, second) = counts(&net, 0, host);
        assert!(first > 20 && second == 0, "{first} and {second} with node {host}");
    }
    let (first, second) = counts(&net, 1, 2);
    assert!(first == 0 && second > 20, "{first} and {second} between the newer ones");
    assert_eq!(refusals(&net), 0);
}

#[test]
fn every_message_says_what_its_sender_reads() {
    let ranges = [range(1, 1), range(1, 2), range(2, 2)];
    let mut net = Net::with(2, &ranges);
    net.run_for(Duration::from_secs(10));
    for sent in &net.sent {
        assert_eq!(sent.envelope.versions(), Ok(ranges[sent.from]));
    }
    assert!(refusals(&net) > 0, "the first and the last have no version in common");
}

#[test]
fn what_a_node_reads_is_known_from_its_namespace_before_its_first_message() {
    // The last two have only the first as seed, and hear of each other through it.
    let mut net = Net::new(3, 4);
    net.start(0, range(1, 1));
    net.start(2, range(1, 2));
    net.start(3, range(1, 2));
    net.run_for(Duration::from_secs(30));
    assert!(net.is_converged());
    let (first, second) = counts(&net, 2, 3);
    assert!(first == 0 && second > 20, "{first} and {second}");
    assert_eq!(refusals(&net), 0);
}

#[test]
fn a_peer_that_reads_only_later_versions_is_asked_again_in_one_of_them() {
    let mut net = Net::with(4, &[range(1, 2), range(2, 2)]);
    net.write(0, "key", Some("of the first"));
    net.write(1, "key", Some("of the second"));
    net.expect_within(4, "agreement", Net::is_converged);
    net.run_for(Duration::from_secs(30));
    assert!(net.is_converged());
    // Once it is known what the other reads, nothing is refused any more.
    let (renegotiated, refused) =
        (net.node(0).counters().renegotiated, net.node(1).counters().refused_version);
    assert!((1..=4).contains(&renegotiated), "{renegotiated} questions again");
    assert_eq!(renegotiated, refused);
    assert_eq!(net.node(0).counters().no_common_version, 0);
    assert!(net.told(0).is_empty() && net.told(1).is_empty());
}

#[test]
fn a_peer_that_came_back_with_another_build_is_written_to_as_it_reads_now() {
    for (before, after) in [(range(1, 2), range(1, 1)), (range(1, 1), range(2, 2))] {
        let mut net = Net::with(5, &[range(1, 2), before]);
        net.expect_within(10, "agreement", Net::is_converged);
        net.start(1, after);
        net.write(1, "key", Some("value"));
        net.expect_within(10, "agreement again", Net::is_converged);
        net.run_for(Duration::from_secs(5));
        net.sent.clear();
        net.run_for(Duration::from_secs(10));
        let (first, second) = counts(&net, 0, 1);
        let (expected, other) = if after.newest() == 1 { (first, second) } else { (second, first) };
        assert!(expected > 10 && other == 0, "{first} and {second}");
        assert!(net.told(0).is_empty(), "{:?}", net.told(0));
    }
}

#[test]
fn ranges_are_read_as_they_are_announced() {
    for (oldest, newest) in [(0, 0), (1, 1), (1, 2), (7, 255)] {
        let range = range(oldest, newest);
        assert_eq!(VersionRange::from_text(&range.to_string()), Some(range));
    }
    for text in ["", "1", "-", "1-", "-2", "2-1", "1-256", "1-2-3", " 1-2", "1 - 2", "a-b"] {
        assert_eq!(VersionRange::from_text(text), None, "{text:?}");
    }
}
