//! Applications beside the nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chitchat::testing::{Cluster, ClusterBuilder, TestNode, find_failure, for_each_seed};
use tokio::time::sleep;

/// Counts its ticks, 100 a second, and its drops.
#[derive(Default)]
struct Ticks {
    ticks: AtomicU64,
    dropped: AtomicU64,
}

impl Ticks {
    fn count(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }
}

struct OnDrop(Arc<Ticks>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

fn ticking(node: &TestNode) -> Arc<Ticks> {
    let ticks = Arc::new(Ticks::default());
    let guard = OnDrop(Arc::clone(&ticks));
    node.spawn(async move {
        loop {
            sleep(Duration::from_millis(10)).await;
            guard.0.ticks.fetch_add(1, Ordering::Relaxed);
        }
    });
    ticks
}

#[test]
fn tasks_run_beside_their_node_stand_still_in_a_pause_and_die_with_a_crash() {
    for_each_seed(3, async |seed| {
        let mut cluster = ClusterBuilder::new(seed, 2).start_with(ticking).await;
        cluster.run_for(Duration::from_secs(1)).await;
        let ticks = Arc::clone(cluster.app(1));
        let other = Arc::clone(cluster.app(0));
        assert!(ticks.count() >= 95, "{}", ticks.count());
        cluster.pause(1);
        let (before, others) = (ticks.count(), other.count());
        cluster.run_for(Duration::from_secs(1)).await;
        assert_eq!(ticks.count(), before);
        assert!(other.count() > others + 90, "the other one goes on");
        cluster.resume(1);
        cluster.run_for(Duration::from_secs(1)).await;
        assert!(ticks.count() > before + 90);
        cluster.crash(1);
        assert_eq!(ticks.dropped.load(Ordering::Relaxed), 1, "at once");
        cluster.restart(1).await;
        cluster.run_for(Duration::from_secs(1)).await;
        assert!(!Arc::ptr_eq(&ticks, cluster.app(1)), "another run has another application");
        assert!(cluster.app(1).count() > 90);
        drop(cluster);
        assert_eq!(other.dropped.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn an_application_that_waits_for_it_stops_before_its_node_leaves() {
    for_each_seed(3, async |seed| {
        let mut cluster = ClusterBuilder::new(seed, 3)
            .start_with(|node| {
                let (handle, stopping) = (node.handle().clone(), node.stopping());
                handle.set("serving", "yes").unwrap();
                node.spawn(async move {
                    stopping.await;
                    sleep(Duration::from_secs(3)).await;
                    handle.set("serving", "no").unwrap();
                });
            })
            .await;
        cluster.until_converged().await;
        let begin = cluster.elapsed();
        cluster.leave(2).await.expect("it was still there");
        assert!(cluster.elapsed() - begin >= Duration::from_secs(3));
        let snapshot = cluster.node(0).snapshot();
        assert_eq!(snapshot.node("node-2").and_then(|state| state.get("serving")), Some("no"));
    });
}

#[test]
fn an_application_that_does_not_stop_is_ended_after_thirty_seconds() {
    for_each_seed(1, async |seed| {
        let stubborn = |node: &TestNode| {
            let stopping = node.stopping();
            node.spawn(async move {
                stopping.await;
                std::future::pending::<()>().await;
            });
        };
        let mut cluster = ClusterBuilder::new(seed, 2).start_with(stubborn).await;
        cluster.until_converged().await;
        let begin = cluster.elapsed();
        cluster.leave(1).await;
        assert!(cluster.elapsed() - begin >= Duration::from_secs(30));
        assert!(cluster.elapsed() - begin <= Duration::from_secs(35));
    });
}

#[test]
fn an_application_may_shut_its_node_down_itself() {
    for_each_seed(1, async |seed| {
        let mut cluster = ClusterBuilder::new(seed, 2)
            .start_with(|node| {
                let (handle, stopping) = (node.handle().clone(), node.stopping());
                node.spawn(async move {
                    stopping.await;
                    handle.leave().await.unwrap();
                    handle.shutdown().await.unwrap();
                });
            })
            .await;
        cluster.until_converged().await;
        assert_eq!(cluster.leave(1).await, None);
        cluster.until_live(0, &[0]).await;
        cluster.restart(1).await;
        cluster.until_converged().await;
    });
}

#[test]
fn a_panic_of_a_task_fails_the_test() {
    let late = |node: &TestNode| {
        node.spawn(async {
            sleep(Duration::from_secs(7)).await;
            panic!("a bug of the application");
        });
    };
    let waits = find_failure(1, async |seed| {
        let mut cluster = ClusterBuilder::new(seed, 1).start_with(late).await;
        cluster.run_for(Duration::from_secs(60)).await;
    });
    let message = waits.expect("it is found while the test waits").message;
    assert!(message.contains("a task of node-0 panicked"), "{message}");
    assert!(message.contains("a bug of the application"), "{message}");

    let early = |node: &TestNode| node.spawn(async { panic!("a bug of the application") });
    let ends = find_failure(1, async |seed| {
        let cluster: Cluster = ClusterBuilder::new(seed, 1).start_with(early).await;
        sleep(Duration::from_secs(1)).await;
        drop(cluster);
    });
    let message = ends.expect("it is found when the test ends").message;
    assert!(message.contains("a bug of the application"), "{message}");
}

#[test]
fn an_invariant_is_looked_at_while_time_passes() {
    let failure = find_failure(1, async |seed| {
        let mut cluster = ClusterBuilder::new(seed, 2).start_with(ticking).await;
        cluster.always("there are few ticks", |cluster| match cluster.app(1).count() {
            0..200 => Ok(()),
            many => Err(format!("there are {many}")),
        });
        cluster.until_converged().await;
        cluster.run_for(Duration::from_secs(60)).await;
    });
    let message = failure.expect("it is found").message;
    assert!(message.contains("there are few ticks: there are 200\nseed 0, "), "{message}");
}
