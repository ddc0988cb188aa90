//! Who is there, in virtual time.

mod common;

use std::time::Duration;

use chitchat::transport::memory::MemoryNetwork;
use chitchat::{Event, NodeStatus, OperatorNotice};
use common::{live, soon, spawn_at, until, virtual_node};
use tokio::time::{Instant, sleep};

const INTERVAL: Duration = Duration::from_millis(500);

#[tokio::test(start_paused = true)]
async fn a_node_started_a_minute_before_its_seed_joins_within_five_rounds_of_its_start() {
    let network = MemoryNetwork::new(1);
    let mut early = Vec::new();
    for n in 1..=3 {
        let node = virtual_node(&format!("early-{n}")).seeds(["10.0.0.9:7280"]);
        early.push(spawn_at(&network, &format!("10.0.0.{n}"), node).await);
    }
    sleep(Duration::from_secs(60)).await;
    for node in &early {
        assert_eq!(live(&node.snapshot()), 1, "there is nobody to be found");
    }
    let seed = spawn_at(&network, "10.0.0.9", virtual_node("seed")).await;
    sleep(INTERVAL * 5).await;
    for node in early.iter().chain([&seed]) {
        assert_eq!(live(&node.snapshot()), 4, "{:?}", node.id());
    }
    for node in &early {
        let report = node.joined().await.unwrap();
        assert_eq!(report.answered_seeds, ["10.0.0.9:7280".parse().unwrap()]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_without_seeds_or_with_itself_as_the_only_one_has_joined_at_once() {
    let network = MemoryNetwork::new(1);
    let none = spawn_at(&network, "10.0.0.1", virtual_node("none")).await;
    assert!(soon("joined", none.joined()).await.unwrap().answered_seeds.is_empty());
    let itself = virtual_node("itself").seeds(["10.0.0.2:7280"]);
    let itself = spawn_at(&network, "10.0.0.2", itself).await;
    assert!(soon("joined", itself.joined()).await.unwrap().answered_seeds.is_empty());

    // Behind an unspecified address it takes a message that comes back.
    let ip = "10.0.0.3".parse().unwrap();
    let config = virtual_node("anywhere").seeds(["10.0.0.3:7280"]).build().unwrap();
    let anywhere = chitchat::spawn(config, network.transport().with_host_ips([ip])).await.unwrap();
    soon("joined", anywhere.joined()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn joined_waits_for_a_seed_that_answers() {
    let network = MemoryNetwork::new(1);
    let node = virtual_node("n").seeds(["10.0.0.9:7280"]);
    let node = spawn_at(&network, "10.0.0.1", node).await;
    let waiting = tokio::time::timeout(Duration::from_secs(600), node.joined());
    assert!(waiting.await.is_err(), "and may be given up");
    let _seed = spawn_at(&network, "10.0.0.9", virtual_node("seed")).await;
    soon("joined", node.joined()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_seed_that_does_not_resolve_is_told_once() {
    let network = MemoryNetwork::new(1);
    let node = virtual_node("n").seeds(["no-such-host.invalid:7280"]);
    let node = spawn_at(&network, "10.0.0.1", node).await;
    let mut notices = node.notices();
    while node.stats().seeds.failures < 3 {
        sleep(Duration::from_secs(1)).await;
    }
    let mut unresolved = 0;
    while let Some(Ok(notice)) = notices.try_next() {
        if let OperatorNotice::SeedUnresolved { seed, .. } = notice {
            assert_eq!(&*seed, "no-such-host.invalid:7280");
            unresolved += 1;
        }
    }
    assert_eq!(unresolved, 1);
}

#[tokio::test(start_paused = true)]
async fn the_live_nodes_watcher_tells_of_nodes_and_not_of_keys() {
    let network = MemoryNetwork::new(1);
    let a = spawn_at(&network, "10.0.0.1", virtual_node("a")).await;
    let c = virtual_node("c").seeds(["10.0.0.1:7280"]);
    let c = spawn_at(&network, "10.0.0.3", c).await;
    until(&a, "c lives", |now| live(now) == 2).await;
    until(&c, "a lives", |now| live(now) == 2).await;

    let mut watcher = a.live_nodes_watcher();
    a.set("k", "v").unwrap();
    c.set("k", "v").unwrap();
    until(&a, "the key has come", |now| common::value(now, "c", "k").is_some()).await;
    let quiet = tokio::time::timeout(Duration::from_secs(30), watcher.changed()).await;
    assert!(quiet.is_err(), "only keys have changed");
    assert!(watcher.current().node("c").unwrap().get("k").is_some(), "but it shows them");

    let b = virtual_node("b").seeds(["10.0.0.1:7280"]);
    let b = spawn_at(&network, "10.0.0.2", b).await;
    let snapshot = soon("b joins", watcher.changed()).await.unwrap();
    assert_eq!(live(&snapshot), 3);
    b.shutdown().await.unwrap();
    let snapshot = soon("b fails", watcher.changed()).await.unwrap();
    assert_eq!(snapshot.node("b").unwrap().status(), NodeStatus::Dead);
    let b = virtual_node("b").seeds(["10.0.0.1:7280"]);
    let b = spawn_at(&network, "10.0.0.2", b).await;
    soon("b is back", watcher.wait_for(|now| live(now) == 3)).await.unwrap();
    b.leave().await.unwrap();
    let has_left = |now: &chitchat::ClusterStateSnapshot| {
        now.node("b").is_some_and(|b| b.status() == NodeStatus::Left)
    };
    soon("b leaves", watcher.wait_for(has_left)).await.unwrap();
    a.shutdown().await.unwrap();
    assert!(soon("a is closed", watcher.changed()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_leave_is_confirmed_and_seen_within_two_rounds() {
    let network = MemoryNetwork::new(1);
    let seed = spawn_at(&network, "10.0.0.1", virtual_node("n1")).await;
    let mut nodes = vec![seed];
    for n in 2..=5 {
        let node = virtual_node(&format!("n{n}")).seeds(["10.0.0.1:7280"]);
        nodes.push(spawn_at(&network, &format!("10.0.0.{n}"), node).await);
    }
    for node in &nodes {
        until(node, "all live", |now| live(now) == 5).await;
    }
    let leaver = nodes.pop().unwrap();
    let start = Instant::now();
    let outcome = leaver.leave().await.unwrap();
    assert!(outcome.confirmed >= 3 && outcome.needed == 3, "{outcome:?}");
    leaver.shutdown().await.unwrap();
    for node in &nodes {
        until(node, "n5 has left", |now| now.node("n5").unwrap().status() == NodeStatus::Left)
            .await;
    }
    assert!(start.elapsed() <= INTERVAL * 2, "{:?}", start.elapsed());
    assert_eq!(leaver.leave().await.ok(), None, "it is closed");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_cut_off_fails_and_recovers_under_the_same_generation() {
    let network = MemoryNetwork::new(1);
    let a = spawn_at(&network, "10.0.0.1", virtual_node("a")).await;
    let mut others = Vec::new();
    for (n, name) in [(2, "b"), (3, "c")] {
        let node = virtual_node(name).seeds(["10.0.0.1:7280"]);
        others.push(spawn_at(&network, &format!("10.0.0.{n}"), node).await);
    }
    until(&a, "all live", |now| live(now) == 3).await;
    let (_, mut events) = a.events();
    let b = others[0].id();
    let addr = |n: u8| vec![format!("10.0.0.{n}:7280").parse().unwrap()];
    network.partition(&addr(2), &[addr(1), addr(3)].concat());
    until(&a, "b is dead", |now| now.node("b").unwrap().status() == NodeStatus::Dead).await;
    network.heal();
    until(&a, "b is back", |now| live(now) == 3).await;
    let mut seen = Vec::new();
    while let Some(event) = events.try_next() {
        seen.push(event.unwrap());
    }
    assert_eq!(seen, [Event::Failed { id: b.clone() }, Event::Recovered { id: b }]);
}

#[tokio::test(start_paused = true)]
async fn the_health_of_a_node_that_is_silent_gets_worse() {
    let network = MemoryNetwork::new(1);
    let a = spawn_at(&network, "10.0.0.1", virtual_node("a")).await;
    let b = virtual_node("b").seeds(["10.0.0.1:7280"]);
    let b = spawn_at(&network, "10.0.0.2", b).await;
    until(&a, "b lives", |now| live(now) == 2).await;
    sleep(Duration::from_secs(10)).await;
    let before = a.node_health("b").unwrap().unwrap();
    b.shutdown().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let after = a.node_health("b").unwrap().unwrap();
    assert!(after.since_last_sign_of_life > before.since_last_sign_of_life);
    assert_eq!(a.node_health("nobody").unwrap(), None);
}
