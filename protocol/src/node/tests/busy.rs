//! Nodes on a machine that has too much to do: every wait is an own pause (rule D6).

use super::net::{INTERVAL, Net, range};

#[test]
fn nodes_that_are_held_up_all_the_time_come_together_and_stay_so() {
    for (seed, gap) in [(1, INTERVAL / 2), (2, INTERVAL), (3, INTERVAL * 2)] {
        let mut net = Net::with(seed, &[range(1, 2); 8]);
        net.write(0, "key", Some("value"));
        net.run_held_up_for(gap * 40, gap);
        assert!(net.is_converged(), "{gap:?}");
        net.write(1, "key", Some("later"));
        net.run_held_up_for(gap * 20, gap);
        assert!(net.is_converged(), "{gap:?}");
    }
}

#[test]
fn what_was_queued_during_a_pause_brings_nobody_back() {
    let mut net = Net::with(4, &[range(1, 2); 4]);
    net.expect_within(40, "all see all", Net::is_converged);
    // The last heartbeats of one that dies are still queued when the others wake.
    net.hosts[3].node = None;
    let pause = INTERVAL * 40;
    net.run_held_up_for(pause, pause);
    net.run_for(INTERVAL * 12);
    assert!(net.is_converged());
    let dead: Vec<usize> =
        (0..3).map(|host| net.node(host).snapshot().dead_nodes().count()).collect();
    assert_eq!(dead, [1; 3]);
}
