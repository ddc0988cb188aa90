//! Upgrading a cluster while it runs.

use std::time::Duration;

use super::net::{INTERVAL, Net, range};
use crate::event::Notice;
use crate::wire::{Kind, VersionRange};

/// All running nodes write, and delete what they wrote two times ago.
fn write_everywhere(net: &mut Net, time: usize) {
    for host in 0..net.hosts.len() {
        net.write(host, &format!("key-{time}"), Some(&format!("{time} of {host}")));
        net.write(host, "counter", Some(&time.to_string()));
        if let Some(before) = time.checked_sub(2)
            && net.hosts[host].written.contains_key(&format!("key-{before}"))
        {
            net.write(host, &format!("key-{before}"), None);
        }
    }
}

/// Restarts one node after the other with another build, while all of them write and some messages
/// are lost. After each, everybody must see everybody with all that was written.
fn upgrade(net: &mut Net, to: VersionRange, time: &mut usize) {
    for host in 0..net.hosts.len() {
        // The writes of this moment are still on their way when the process ends.
        write_everywhere(net, *time);
        net.start(host, to);
        *time += 1;
        for _ in 0..4 {
            write_everywhere(net, *time);
            *time += 1;
            net.run_for(INTERVAL / 2);
        }
        let what = format!("agreement after node {host} went to {to}");
        net.expect_within(30, &what, Net::is_converged);
        for (id, host) in net.hosts.iter().enumerate() {
            let dead = host.node.as_ref().unwrap().snapshot().dead_nodes().count();
            assert_eq!(dead, 0, "node {id} lists somebody as dead");
        }
    }
}

fn assert_all_in(net: &mut Net, version: u8) {
    net.run_for(Duration::from_secs(5));
    net.sent.clear();
    net.run_for(Duration::from_secs(10));
    assert!(net.sent.len() > 100);
    let other = net.sent.iter().find(|sent| sent.envelope.version != version);
    assert!(other.is_none(), "{other:?}");
    assert!(!net.sent.iter().any(|sent| sent.is(Kind::Unsupported)));
}

#[test]
fn a_cluster_is_upgraded_node_by_node_without_a_lost_write() {
    for seed in 0..8 {
        let mut net = Net::with(seed, &[range(1, 1); 7]);
        net.loss = 0.05;
        let mut time = 0;
        write_everywhere(&mut net, time);
        net.expect_within(30, "agreement at first", Net::is_converged);
        assert_all_in(&mut net, 1);

        upgrade(&mut net, range(1, 2), &mut time);
        assert_all_in(&mut net, 2);
        // Nobody reads version 2 alone yet, so that a node of the old build may still come back.
        upgrade(&mut net, range(2, 2), &mut time);
        assert_all_in(&mut net, 2);

        for (id, host) in net.hosts.iter().enumerate() {
            let counters = host.node.as_ref().unwrap().counters();
            assert_eq!(counters.no_common_version, 0, "node {id}, seed {seed}");
            assert_eq!(counters.refused_malformed, 0, "node {id}, seed {seed}");
            let told = |notice: &Notice| matches!(notice, Notice::UnsupportedVersion { .. });
            assert!(!host.notices.iter().any(told), "node {id}, seed {seed}");
        }
    }
}

#[test]
fn an_upgrade_can_be_taken_back() {
    let mut net = Net::with(20, &[range(1, 1); 5]);
    let mut time = 0;
    upgrade(&mut net, range(1, 2), &mut time);
    upgrade(&mut net, range(1, 1), &mut time);
    assert_all_in(&mut net, 1);
}
