//! The tests of the example application: what a user of chitchat writes for an application.

#[path = "../tested_application/placement.rs"]
mod placement;

use std::time::Duration;

use chitchat::testing::{Cluster, ClusterBuilder, TestNode, find_failure, for_each_seed};
use chitchat::transport::memory::Conditions;
use placement::{Placement, Rules, SHARDS};

/// The default gossip interval, as in production.
const INTERVAL: Duration = Duration::from_millis(500);

type Shards = Cluster<Placement>;

/// Starts the application with a node, as its `main` does.
fn application(rules: Rules) -> impl Fn(&TestNode) -> Placement {
    move |node| {
        let placement = Placement::default();
        let (handle, stopping) = (node.handle().clone(), node.stopping());
        node.spawn(placement.clone().run(handle, rules, stopping));
        placement
    }
}

async fn start(seed: u64, nodes: usize, rules: Rules) -> Shards {
    ClusterBuilder::new(seed, nodes).start_with(application(rules)).await
}

/// The nodes that serve a shard.
fn owners(cluster: &Shards, shard: u32) -> Vec<usize> {
    let serves = |node: &usize| cluster.app(*node).serving().contains(&shard);
    cluster.running().into_iter().filter(serves).collect()
}

fn each_shard_has_one_owner(cluster: &Shards) -> Result<(), String> {
    for shard in 0..SHARDS {
        let owners = owners(cluster, shard);
        if owners.len() != 1 {
            return Err(format!("shard {shard} is served by {owners:?}"));
        }
    }
    Ok(())
}

fn no_shard_has_two_owners(cluster: &Shards) -> Result<(), String> {
    for shard in 0..SHARDS {
        let owners = owners(cluster, shard);
        if owners.len() > 1 {
            return Err(format!("shard {shard} is served by {owners:?}"));
        }
    }
    Ok(())
}

/// Two of five nodes crash at once.
async fn crashes(seed: u64, rules: Rules) {
    let mut cluster = start(seed, 5, rules).await;
    cluster.until("each shard has one owner", each_shard_has_one_owner).await;
    // And all know of it: what is still being told when they crash, would fill the report of a failure.
    cluster.run_for(Duration::from_secs(2)).await;
    let before: Vec<usize> = (0..SHARDS).map(|shard| owners(&cluster, shard)[0]).collect();
    cluster.crash(1);
    cluster.crash(4);
    let limit = Duration::from_secs(15);
    let what = "the shards of the two have owners again";
    cluster.until_within(limit, what, each_shard_has_one_owner).await;
    for (shard, owner) in (0..SHARDS).zip(before) {
        if owner != 1 && owner != 4 {
            assert_eq!(owners(&cluster, shard), [owner], "nothing else moves: shard {shard}");
        }
    }
}

/// One node after the other is stopped in good order and started again.
async fn rolling_restart(seed: u64, rules: Rules) {
    let mut cluster = start(seed, 4, rules).await;
    cluster.always("no shard has two owners", no_shard_has_two_owners);
    cluster.until("each shard has one owner", each_shard_has_one_owner).await;
    for node in 0..4 {
        cluster.leave(node).await;
        cluster.until("the others have all shards", each_shard_has_one_owner).await;
        cluster.restart(node).await;
        cluster.until_live(0, &[0, 1, 2, 3]).await;
        cluster
            .until("it has its shards back", |cluster| {
                let idle =
                    cluster.running().into_iter().find(|it| cluster.app(*it).serving().is_empty());
                match idle {
                    Some(node) => Err(format!("node-{node} serves nothing")),
                    None => each_shard_has_one_owner(cluster),
                }
            })
            .await;
    }
}

/// Both sides of a partition go on, as there is no consensus; when it heals, they agree.
async fn partition(seed: u64, rules: Rules) {
    let mut cluster = start(seed, 5, rules).await;
    cluster.until("each shard has one owner", each_shard_has_one_owner).await;
    cluster.partition(&[0, 1], &[2, 3, 4]);
    for side in [vec![0, 1], vec![2, 3, 4]] {
        cluster
            .until("each side serves all shards", |cluster| {
                let served = |shard| owners(cluster, shard).iter().any(|it| side.contains(it));
                match (0..SHARDS).find(|shard| !served(*shard)) {
                    Some(shard) => Err(format!("nobody of {side:?} serves shard {shard}")),
                    None => Ok(()),
                }
            })
            .await;
    }
    cluster.heal();
    cluster.until("they agree again", each_shard_has_one_owner).await;
    cluster.run_rounds(20).await;
    assert_eq!(each_shard_has_one_owner(&cluster), Ok(()), "{cluster:?}");
}

fn rules() -> Rules {
    Rules::new(INTERVAL)
}

#[test]
fn the_shards_of_crashed_nodes_are_served_again_and_no_others_move() {
    for_each_seed(30, async |seed| crashes(seed, rules()).await);
}

#[test]
fn in_a_rolling_restart_no_shard_is_ever_served_twice() {
    for_each_seed(20, async |seed| rolling_restart(seed, rules()).await);
}

#[test]
fn after_a_partition_each_shard_is_served_once() {
    for_each_seed(30, async |seed| partition(seed, rules()).await);
}

#[test]
fn lost_repeated_and_late_messages_only_take_longer() {
    for_each_seed(20, async |seed| {
        let storm = Conditions::default()
            .with_latency(Duration::from_millis(1)..=Duration::from_millis(200))
            .with_loss(0.3)
            .with_duplication(0.2)
            .with_reordering(0.3);
        let builder = ClusterBuilder::new(seed, 5).conditions(storm);
        let mut cluster = builder.start_with(application(rules())).await;
        cluster.until("each shard has one owner", each_shard_has_one_owner).await;
        cluster.crash(3);
        cluster.until("the shards have owners again", each_shard_has_one_owner).await;
        cluster.restart(3).await;
        cluster
            .until("node 3 serves some of them again", |cluster| {
                !cluster.app(3).serving().is_empty() && each_shard_has_one_owner(cluster).is_ok()
            })
            .await;
    });
}

#[test]
fn a_node_that_stood_still_and_comes_back_is_taken_in() {
    for_each_seed(20, async |seed| {
        let mut cluster = start(seed, 4, rules()).await;
        cluster.until("each shard has one owner", each_shard_has_one_owner).await;
        cluster.pause(2);
        cluster
            .until("the others serve its shards", |cluster| {
                (0..SHARDS).all(|shard| owners(cluster, shard).iter().any(|owner| *owner != 2))
            })
            .await;
        cluster.resume(2);
        cluster.until("they agree again", each_shard_has_one_owner).await;
    });
}

#[test]
fn a_cluster_that_grows_shares_its_shards_with_the_new_node() {
    for_each_seed(20, async |seed| {
        let mut cluster = start(seed, 3, rules()).await;
        cluster.always("no shard has two owners", no_shard_has_two_owners);
        cluster.until("each shard has one owner", each_shard_has_one_owner).await;
        let added = cluster.add_node().await;
        cluster
            .until("it serves some of them", |cluster| {
                !cluster.app(added).serving().is_empty()
                    && each_shard_has_one_owner(cluster).is_ok()
            })
            .await;
    });
}

// The tests are tested, too: each rule that is left out is noticed.

#[test]
fn an_application_that_does_not_heed_failures_is_found_out() {
    let wrong = Rules { heed_failures: false, ..rules() };
    let failure = find_failure(5, async |seed| crashes(seed, wrong).await);
    let message = failure.expect("nobody takes the shards over").message;
    assert!(message.contains("until the shards of the two have owners again"), "{message}");
    assert!(message.contains("is served by []"), "{message}");
    assert!(message.contains("node-1 crashes"), "{message}");
}

#[test]
fn an_application_that_does_not_wait_for_the_release_is_found_out() {
    // Nor for the others to be known: in a calm network either of the two is enough.
    let wrong = Rules { wait_for_release: false, settle: Duration::ZERO, ..rules() };
    let failure = find_failure(5, async |seed| rolling_restart(seed, wrong).await);
    let message = failure.expect("two nodes serve one shard").message;
    assert!(message.contains("it does not hold that no shard has two owners"), "{message}");
}

#[test]
fn an_application_that_does_not_yield_is_found_out() {
    let wrong = Rules { yield_to_others: false, ..rules() };
    let failure = find_failure(5, async |seed| partition(seed, wrong).await);
    let message = failure.expect("both sides keep what they have").message;
    assert!(message.contains("until they agree again"), "{message}");
}
