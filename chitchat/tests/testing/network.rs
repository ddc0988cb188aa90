//! What happens to the network.

use std::time::Duration;

use chitchat::testing::{Cluster, ClusterBuilder, for_each_seed};
use chitchat::transport::memory::Conditions;

async fn converged(seed: u64, nodes: usize) -> Cluster {
    let mut cluster = ClusterBuilder::new(seed, nodes).start().await;
    cluster.until_converged().await;
    cluster
}

#[test]
fn a_partition_makes_two_clusters_until_it_heals() {
    for_each_seed(10, async |seed| {
        let mut cluster = converged(seed, 5).await;
        cluster.partition(&[0, 1], &[2, 3, 4]);
        cluster.node(0).set("side", "small").unwrap();
        cluster.until_converged_among(&[1, 0]).await;
        cluster.until_converged_among(&[2, 3, 4]).await;
        assert_eq!((cluster.live(1), cluster.live(4)), (vec![0, 1], vec![2, 3, 4]));
        assert!(cluster.network_stats().dropped_partition > 0);
        cluster.heal();
        cluster.until_converged().await;
        let snapshot = cluster.node(4).snapshot();
        assert_eq!(snapshot.node("node-0").and_then(|state| state.get("side")), Some("small"));
    });
}

#[test]
fn a_node_can_be_isolated_and_a_link_cut_in_one_direction() {
    for_each_seed(5, async |seed| {
        let mut cluster = converged(seed, 4).await;
        cluster.isolate(2);
        cluster.until_live(2, &[2]).await;
        cluster.until_live(0, &[0, 1, 3]).await;
        cluster.heal();
        cluster.until_converged().await;
        // What it says still gets out.
        cluster.block(&[0, 1, 3], &[2]);
        cluster.until_live(2, &[2]).await;
        cluster.run_rounds(20).await;
        assert_eq!(cluster.live(0), [0, 1, 2, 3]);
    });
}

#[test]
fn gossip_gets_through_loss_repetition_and_reordering() {
    for_each_seed(10, async |seed| {
        let mut cluster = ClusterBuilder::new(seed, 5)
            .conditions(Conditions::default().with_loss(0.4).with_duplication(0.3))
            .start()
            .await;
        cluster.until_converged().await;
        let latency = Duration::ZERO..=Duration::from_millis(300);
        cluster.set_conditions(Conditions::default().with_latency(latency).with_reordering(0.5));
        cluster.node(3).set("k", "v").unwrap();
        cluster.until_converged().await;
        let stats = cluster.network_stats();
        assert!(stats.dropped_loss > 0 && stats.duplicated > 0 && stats.reordered > 0, "{stats:?}");
    });
}

#[test]
fn one_link_can_be_worse_than_the_others() {
    for_each_seed(5, async |seed| {
        let mut cluster = converged(seed, 3).await;
        let dead = Conditions::default().with_loss(1.0);
        cluster.set_conditions_between(&[0], &[1], Some(dead.clone()));
        cluster.set_conditions_between(&[1], &[0], Some(dead));
        let lost = cluster.network_stats().dropped_loss;
        // They hear of each other through node 2.
        cluster.run_rounds(40).await;
        assert_eq!((cluster.live(0), cluster.live(1)), (vec![0, 1, 2], vec![0, 1, 2]));
        assert!(cluster.network_stats().dropped_loss > lost);
        cluster.set_conditions_between(&[0, 1], &[0, 1], None);
        let lost = cluster.network_stats().dropped_loss;
        cluster.run_rounds(40).await;
        assert_eq!(cluster.network_stats().dropped_loss, lost);
    });
}

#[test]
fn messages_keep_to_the_limits_of_the_transport() {
    for_each_seed(3, async |seed| {
        let mut cluster = ClusterBuilder::new(seed, 3)
            .transport(|_, transport| transport.with_message_lens(1_100, 1_200))
            .conditions(Conditions::default().with_mtu(1_200))
            .start()
            .await;
        cluster.node(0).set("long", "x".repeat(3_000)).expect_err("over the limit of a message");
        for key in 0..50 {
            cluster.node(0).set(format!("key/{key}"), "x".repeat(100)).unwrap();
        }
        cluster.until_converged().await;
        assert!(cluster.network_stats().longest_message <= 1_200);
        assert_eq!(cluster.network_stats().dropped_mtu, 0);
    });
}
