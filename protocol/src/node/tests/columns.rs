//! Digests in columns, and what happens where they cannot be used: members that one side does not know, sets
//! that differ, restarts, hashes that collide, and nodes of wire version 1.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::net::{INTERVAL, Net, encoded, range};
use crate::columns::Layout;
use crate::message::{Body, Header};
use crate::wire::Kind;
use crate::wire::tests::strategies::column_body;

/// How many messages of a kind were sent.
fn count(net: &Net, kind: Kind) -> usize {
    net.sent.iter().filter(|sent| sent.is(kind)).count()
}

/// Nobody has a later heartbeat of anybody than that node itself.
fn nobody_is_ahead(net: &Net) -> Result<(), String> {
    for observer in net.hosts.iter().filter_map(|host| host.node.as_ref()) {
        for owner in &net.hosts {
            let Some(node) = &owner.node else { continue };
            let Some(member) = observer.members.get(&owner.node_id) else { continue };
            let (heard, own) = (member.vitals.heartbeat(), node.identity.heartbeat);
            if member.incarnation == node.identity.incarnation && heard > own {
                return Err(format!(
                    "{} has heartbeat {heard} of {}, which is at {own}",
                    observer.config.node_id, owner.node_id
                ));
            }
        }
    }
    Ok(())
}

/// Restarts, writes, deletions and messages that are lost, at random. Returns after how many of the rounds
/// somebody had heard of a heartbeat that its owner has not had yet.
fn disturb(net: &mut Net, seed: u64, rounds: u32) -> usize {
    let mut rng = StdRng::seed_from_u64(seed);
    let hosts = net.hosts.len();
    let mut ahead = 0;
    for _ in 0..rounds {
        let host = rng.random_range(0..hosts);
        match rng.random_range(0..10) {
            0 => {
                net.stop(host);
                if rng.random_bool(0.5) {
                    net.run_for(INTERVAL * rng.random_range(0..20));
                }
                net.start(host, range(1, 2));
            }
            1 => net.loss = if net.loss > 0.0 { 0.0 } else { 0.3 },
            2..5 => net.write(host, &format!("key-{}", rng.random_range(0..5)), None),
            _ => {
                let value = rng.random_range(0..1_000_u32).to_string();
                net.write(host, &format!("key-{}", rng.random_range(0..5)), Some(&value));
            }
        }
        net.run_for(INTERVAL / 2);
        ahead += usize::from(nobody_is_ahead(net).is_err());
    }
    net.loss = 0.0;
    ahead
}

#[test]
fn a_quiet_cluster_tells_nothing_but_columns() {
    let mut net = Net::with(1, &[range(1, 2); 8]);
    net.expect_within(10, "agreement", Net::is_converged);
    net.run_for(INTERVAL * 10);
    net.sent.clear();
    net.run_for(INTERVAL * 40);
    let questions = count(&net, Kind::ColumnSyn);
    assert_eq!(questions, 8 * 3 * 40);
    assert_eq!(count(&net, Kind::ColumnSynAck), questions);
    let others = net.sent.len() - 2 * questions;
    assert_eq!(others, 0, "{others} other messages");
}

#[test]
fn a_newcomer_makes_sets_differ_and_they_agree_again() {
    let mut net = Net::new(2, 8);
    for host in 0..7 {
        net.start(host, range(1, 2));
    }
    net.expect_within(10, "agreement of seven", Net::is_converged);
    net.run_for(INTERVAL * 10);
    assert!(net.hosts[..7].iter().all(|host| host.node.as_ref().unwrap().sets_agree));
    net.start(7, range(1, 2));
    let differ =
        |net: &Net| net.hosts[..7].iter().any(|host| !host.node.as_ref().unwrap().sets_agree);
    let mut differed = false;
    for _ in 0..100 {
        net.run_for(INTERVAL / 20);
        differed |= differ(&net);
    }
    assert!(differed, "the sets never differed: nothing was tested");
    net.expect_within(10, "agreement of eight", Net::is_converged);
    net.run_for(INTERVAL * 5);
    assert!(!differ(&net));
}

#[test]
fn what_was_written_spreads_without_being_asked_for_in_full() {
    let mut net = Net::with(3, &[range(1, 2); 6]);
    net.expect_within(10, "agreement", Net::is_converged);
    net.run_for(INTERVAL * 10);
    for round in 0..20 {
        net.write(round % 6, "key", Some(&round.to_string()));
        net.expect_within(5, "the write is everywhere", Net::is_converged);
    }
    assert_eq!(nobody_is_ahead(&net), Ok(()));
}

#[test]
fn in_the_worst_of_times_nobody_hears_of_a_heartbeat_that_was_not() {
    for seed in 0..12 {
        let mut net = Net::with(seed, &[range(1, 2); 6]);
        assert_eq!(disturb(&mut net, seed, 120), 0, "seed {seed}");
        net.expect_within(40, &format!("agreement with seed {seed}"), Net::is_converged);
    }
}

#[test]
fn hashes_that_collide_delay_and_do_no_lasting_harm() {
    // One bit: half of all comparisons say "the same" of what differs.
    for seed in 100..112 {
        let mut net = Net::new(seed, 6);
        net.hash_mask = 1;
        // One after the other, and between those who are there, so that positions mean others.
        for (host, rounds) in [(0, 7), (5, 3), (2, 5), (4, 9), (1, 4), (3, 6)] {
            net.start(host, range(1, 2));
            for _ in 0..rounds * 10 {
                net.run_for(INTERVAL / 10);
            }
        }
        disturb(&mut net, seed, 120);
        net.expect_within(80, &format!("agreement with seed {seed}"), Net::is_converged);
        let healed = |net: &Net| nobody_is_ahead(net).is_ok();
        net.expect_within(40, &format!("true heartbeats with seed {seed}"), healed);
    }
}

#[test]
fn a_heartbeat_that_was_not_is_found_by_its_owner_and_surpassed() {
    // As after a forgery, or a collision of 64 bits.
    for (seed, ahead) in [(1, 1), (2, 3), (3, 16), (4, 17), (5, 1_000), (6, 1_024)] {
        let mut net = Net::with(seed, &[range(1, 2); 6]);
        net.expect_within(10, "agreement", Net::is_converged);
        net.run_for(INTERVAL * 20);
        assert_eq!(nobody_is_ahead(&net), Ok(()));
        let heartbeat = net.node(3).identity.heartbeat + ahead;
        net.pretend(1, 3, heartbeat);
        assert!(nobody_is_ahead(&net).is_err());
        let healed = |net: &Net| nobody_is_ahead(net).is_ok();
        net.expect_within(5, &format!("{ahead} ahead, and surpassed"), healed);
        net.expect_within(1, "all see all", Net::is_converged);
    }
}

#[test]
fn a_cluster_of_both_versions_agrees_whatever_happens() {
    for seed in 200..206 {
        let ranges = [range(1, 1), range(1, 2), range(1, 2), range(1, 1), range(1, 2)];
        let mut net = Net::with(seed, &ranges);
        // Who is restarted reads both versions then.
        disturb(&mut net, seed, 80);
        net.expect_within(40, &format!("agreement with seed {seed}"), Net::is_converged);
    }
}

#[test]
fn a_cluster_that_was_cut_in_two_for_long_is_one_again() {
    let mut net = Net::with(7, &[range(1, 2); 6]);
    net.expect_within(10, "agreement", Net::is_converged);
    net.loss = 1.0;
    net.run_for(Duration::from_secs(60));
    net.loss = 0.0;
    net.expect_within(20, "agreement after the silence", Net::is_converged);
    assert_eq!(nobody_is_ahead(&net), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A member may say anything: it is answered, or not, and the cluster goes on.
    #[test]
    fn lies_in_columns_do_no_harm(seed in any::<u64>(), bodies in vec((column_body(), any::<bool>()), 1..12)) {
        let mut net = Net::with(seed, &[range(1, 2); 4]);
        net.run_for(INTERVAL * 6);
        let addr = net.hosts[1].addr;
        for (mut body, truly) in bodies {
            let set = net.node_mut(0).member_set();
            // An answer to a question that was asked, about so many; or to nothing.
            let asked = net.node(0).exchanges.any_in_columns();
            let echo = asked.map_or(0, |(nonce, _)| nonce);
            match &mut body {
                Body::ColumnSyn { columns, .. } if truly => {
                    let first = columns.lives.len() as u32 % 3;
                    let fingerprint = set.fingerprint();
                    columns.cells.truncate(set.len() - first as usize);
                    columns.layout = Layout::Set { fingerprint, first };
                }
                Body::ColumnSynAck { answer, .. } if truly => {
                    answer.count = asked.map_or(0, |(_, count)| count as u32);
                }
                _ => {}
            }
            let header = Header { echo, ..net.node(1).header(seed, echo) };
            net.inject(0, addr, &encoded(header, body));
            net.run_for(INTERVAL / 4);
        }
        let named = |net: &Net| net.node(0).members.len();
        prop_assert!(named(&net) < 400, "{} members", named(&net));
    }
}
