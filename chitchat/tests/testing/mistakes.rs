//! What callers can do wrong, and what they are told.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use chitchat::testing::{Cluster, ClusterBuilder, find_failure, for_each_seed};
use tokio::runtime::Builder;

/// What a call panics with.
fn complaint<T>(call: impl FnOnce() -> T) -> String {
    let payload = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(_) => panic!("it does not panic"),
        Err(payload) => payload,
    };
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string)).unwrap()
}

fn complaint_in(runtime: &mut Builder) -> String {
    let runtime = runtime.enable_all().build().unwrap();
    complaint(|| runtime.block_on(async { ClusterBuilder::new(1, 2).start().await }))
}

#[test]
fn a_cluster_needs_a_single_threaded_runtime_with_paused_time() {
    let none = complaint(|| ClusterBuilder::new(1, 2).start());
    assert!(none.contains("needs a tokio runtime, and there is none"), "{none}");
    let threads = complaint_in(&mut Builder::new_multi_thread());
    assert!(threads.contains("several threads"), "{threads}");
    for _ in 0..100 {
        let running = complaint_in(&mut Builder::new_current_thread());
        assert!(running.contains("on this runtime the time runs"), "{running}");
    }
    for text in [none, threads] {
        assert!(text.contains("#[tokio::test(start_paused = true)]"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_test_of_tokio_with_paused_time_will_do() {
    let mut cluster = ClusterBuilder::new(1, 3).start().await;
    cluster.until_converged().await;
    let nested = complaint(|| for_each_seed(1, async |_| {}));
    assert!(nested.contains("makes a runtime of its own"), "{nested}");
}

#[test]
fn what_makes_no_sense_is_refused_at_the_call() {
    let none = complaint(|| ClusterBuilder::new(1, 0));
    assert!(none.contains("1 to 1000 nodes, not 0"), "{none}");
    let zero = complaint(|| find_failure(0, async |_| {}));
    assert!(zero.contains("cannot fail"), "{zero}");
    for_each_seed(1, async |seed| {
        let refused =
            complaint(|| ClusterBuilder::new(seed, 2).configure(|_, node| node.fanout(0)).start());
        assert!(refused.contains("the configuration of node-0 is refused"), "{refused}");

        let mut cluster = ClusterBuilder::new(seed, 3).start().await;
        cluster.until_converged().await;
        cluster.crash(1);
        let mut says = |call: fn(&mut Cluster), words: &str| {
            let text = complaint(|| call(&mut cluster));
            assert!(text.contains(words), "{text:?} instead of {words:?}");
        };
        says(|it| drop(it.node(7).id()), "there is no node 7: there are 3, from 0 on");
        says(|it| it.crash(7), "there is no node 7");
        says(|it| it.partition(&[0], &[7]), "there is no node 7");
        says(|it| it.block(&[7], &[0]), "there is no node 7");
        says(|it| it.isolate(7), "there is no node 7");
        says(|it| drop(it.until_live(0, &[7])), "there is no node 7");
        says(|it| it.set_conditions_between(&[0], &[7], None), "there is no node 7");
        says(|it| it.crash(1), "node-1 does not run: it crashed at ");
        says(|it| *it.app(1), "node-1 does not run");
        says(|it| it.pause(1), "node-1 does not run");
        says(|it| drop(it.leave(1)), "node-1 does not run");
        says(|it| drop(it.until_live(1, &[0])), "node-1 does not run");
        says(|it| drop(it.until_converged_among(&[0, 1])), "node-1 does not run");
        says(|it| drop(it.restart(0)), "node-0 runs; crash it or let it leave");
        says(|it| it.partition(&[0, 1], &[1, 2]), "both sides of a partition: [1]");
        says(|it| it.resume(0), "node-0 is not paused");
    });
}

#[test]
fn a_paused_node_is_not_asked_to_leave_or_paused_again() {
    for_each_seed(1, async |seed| {
        let mut cluster = ClusterBuilder::new(seed, 2).start().await;
        cluster.pause(0);
        let again = complaint(|| cluster.pause(0));
        assert!(again.contains("node-0 is paused already"), "{again}");
        let leaves = complaint(|| drop(cluster.leave(0)));
        assert!(leaves.contains("resume it first"), "{leaves}");
        cluster.crash(0);
        cluster.restart(0).await;
        cluster.until_converged().await;
    });
}

#[test]
fn a_wait_that_fails_says_all_there_is_to_know() {
    let line = Cell::new(0);
    let failure = find_failure(1, async |_| {
        let mut cluster =
            ClusterBuilder::new(4_711, 4).deadline(Duration::from_secs(30)).start().await;
        cluster.until_converged().await;
        cluster.node(0).set("colour", "blue").unwrap();
        cluster.crash(3);
        cluster.block(&[0], &[1]);
        cluster.pause(2);
        let never = |_: &Cluster| Err::<(), _>("nobody sings");
        line.set(line!() + 1);
        cluster.until("somebody sings", never).await;
    });
    let message = failure.expect("nobody does").message;
    for words in [
        "not within 30s of virtual time: until somebody sings, awaited at chitchat/tests/testing/",
        &format!("mistakes.rs:{}:", line.get()),
        "because: nobody sings",
        "seed 4711, ",
        "latency: 1ms..=10ms",
        "nothing gets from node-0 to node-1",
        "node-3 does not run: it crashed at",
        ", which is paused, sees:",
        " Dead, version ",
        "node-3 crashes",
        "node-1 sees: node-3:18000",
        "node-0: colour = blue",
    ] {
        assert!(message.contains(words), "{words:?} is missing in\n{message}");
    }
    assert!(!message.contains("}\n\n"), "{message}");
}

#[test]
fn the_waits_that_are_built_in_say_what_is_missing() {
    let agree = find_failure(1, async |seed| {
        let mut cluster = ClusterBuilder::new(seed, 3).start().await;
        cluster.isolate(2);
        cluster.until_converged().await;
    });
    let message = agree.expect("they cannot").message;
    assert!(message.contains("until all nodes that run agree"), "{message}");
    assert!(message.contains("because: node-0, of node-2: does not"), "{message}");
    let live = find_failure(1, async |seed| {
        let mut cluster = ClusterBuilder::new(seed, 3).start().await;
        cluster.until_live(1, &[2, 1]).await;
        cluster.until_live(1, &[0, 1, 2]).await;
        cluster.until_live(1, &[1]).await;
    });
    let message = live.expect("they live").message;
    assert!(message.contains("because: it takes [0, 1, 2] for live"), "{message}");
}
