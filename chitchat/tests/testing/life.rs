//! How nodes end and begin.

use std::time::Duration;

use chitchat::testing::{Cluster, ClusterBuilder, Generation, Occurrence, for_each_seed};
use chitchat::{Event, LeaveOutcome, NodeStatus};

async fn converged(seed: u64, nodes: usize) -> Cluster {
    let mut cluster = ClusterBuilder::new(seed, nodes).start().await;
    cluster.until_converged().await;
    cluster
}

/// What a node saw of another one's end, joining and return.
fn seen(cluster: &Cluster, observer: usize, about: &str) -> Vec<&'static str> {
    let name = |event: &Event| match event {
        Event::Joined { state } if state.id().node_id.as_str() == about => Some("joined"),
        Event::Failed { id } if id.node_id.as_str() == about => Some("failed"),
        Event::Recovered { id } if id.node_id.as_str() == about => Some("recovered"),
        Event::Left { id } if id.node_id.as_str() == about => Some("left"),
        _ => None,
    };
    let history = cluster.history();
    let of_observer = history.iter().filter_map(|entry| match &entry.what {
        Occurrence::Seen { by, event } if *by == observer => name(event),
        _ => None,
    });
    of_observer.collect()
}

#[test]
fn a_crash_is_without_a_goodbye_and_a_leave_with_one() {
    for_each_seed(10, async |seed| {
        let mut cluster = converged(seed, 5).await;
        let killed = cluster.node(4).clone();
        cluster.crash(4);
        assert!(killed.is_closed(), "at once");
        assert!(killed.close_reason().is_some_and(|reason| !reason.is_orderly()));
        let silence = cluster.until_live(0, &[0, 1, 2, 3]).await;
        assert!(silence > 3 * cluster.gossip_interval(), "{silence:?}");

        let left = cluster.leave(3).await;
        assert!(left.is_some_and(|left: LeaveOutcome| left.confirmed == 3), "{left:?}");
        let told = cluster.until_live(0, &[0, 1, 2]).await;
        assert!(told <= 2 * cluster.gossip_interval(), "{told:?}");
        assert_eq!(seen(&cluster, 0, "node-4"), ["joined", "failed"]);
        assert_eq!(seen(&cluster, 0, "node-3"), ["joined", "left"]);
        assert_eq!(cluster.running(), [0, 1, 2]);
        assert!(!cluster.is_running(3));
    });
}

#[test]
fn a_node_returns_with_any_generation() {
    for_each_seed(5, async |seed| {
        let mut cluster = converged(seed, 4).await;
        for generation in [
            Generation::Next,
            Generation::Same,
            Generation::Lower,
            Generation::Exactly(7),
            Generation::Next,
        ] {
            let before = cluster.node(2).id().generation_id;
            cluster.crash(2);
            cluster.run_for(Duration::from_secs(5)).await;
            cluster.restart_as(2, generation).await;
            let now = cluster.node(2).id().generation_id;
            let as_wanted = match generation {
                Generation::Next => now > before,
                Generation::Same => now == before,
                Generation::Lower => now == before - 1,
                Generation::Exactly(wanted) => now == wanted,
                other => panic!("{other:?} is not tested"),
            };
            assert!(as_wanted, "{generation:?}: {now} after {before}");
            cluster.until_converged().await;
        }
    });
}

#[test]
fn the_generation_is_the_virtual_wall_clock() {
    for_each_seed(1, async |seed| {
        let mut cluster = converged(seed, 2).await;
        let (before, from) = (cluster.node(1).id().generation_id, cluster.elapsed());
        cluster.crash(1);
        cluster.run_for(Duration::from_secs(600)).await;
        cluster.restart(1).await;
        let passed = Duration::from_millis(cluster.node(1).id().generation_id - before);
        assert!(passed >= Duration::from_secs(600), "{passed:?}");
        assert!(passed <= cluster.elapsed() && from < Duration::from_secs(60));
    });
}

#[test]
fn a_long_pause_is_a_failure_to_others_and_they_recover_together() {
    for_each_seed(10, async |seed| {
        let mut cluster = converged(seed, 4).await;
        cluster.pause(3);
        let rounds = cluster.node(3).stats().protocol.rounds;
        cluster.until_live(0, &[0, 1, 2]).await;
        assert_eq!(cluster.node(3).stats().protocol.rounds, rounds, "it stands still");
        cluster.until_converged().await; // without it
        cluster.resume(3);
        cluster.until_converged().await;
        assert_eq!(seen(&cluster, 0, "node-3"), ["joined", "failed", "recovered"]);
        assert_eq!(cluster.live(3), [0, 1, 2, 3]);
    });
}

#[test]
fn a_short_pause_goes_unnoticed() {
    for_each_seed(10, async |seed| {
        let mut cluster = converged(seed, 4).await;
        cluster.pause(3);
        cluster.run_rounds(1).await;
        cluster.resume(3);
        cluster.run_rounds(20).await;
        assert_eq!(seen(&cluster, 0, "node-3"), ["joined"]);
        assert_eq!(seen(&cluster, 3, "node-0"), ["joined"]);
    });
}

#[test]
fn a_cluster_grows_and_everything_can_be_configured() {
    for_each_seed(3, async |seed| {
        let mut cluster = ClusterBuilder::new(seed, 2)
            .configure(|index, node| {
                node.local()
                    .initial_key_values([("place", index.to_string())])
                    .listen(["[::1]:1"]) // does not count
                    .seeds(["10.0.0.1:7280"])
            })
            .start()
            .await;
        assert_eq!(cluster.gossip_interval(), Duration::from_millis(100));
        assert_eq!(cluster.add_node().await, 2);
        assert_eq!(cluster.len(), 3);
        cluster.until_converged().await;
        let snapshot = cluster.node(0).snapshot();
        assert_eq!(snapshot.node("node-2").and_then(|state| state.get("place")), Some("2"));
        assert_eq!(cluster.node(2).local_addrs(), ["10.0.0.3:7280".parse().unwrap()]);
    });
}

#[test]
fn fifty_nodes_are_a_cluster_as_well() {
    for_each_seed(1, async |seed| {
        let mut cluster = converged(seed, 50).await;
        assert_eq!(cluster.live(49).len(), 50);
        let snapshot = cluster.node(0).snapshot();
        assert_eq!(snapshot.with_status(NodeStatus::Alive).count(), 50);
        cluster.crash(49);
        cluster.until_converged().await;
    });
}
