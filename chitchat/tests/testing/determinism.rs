//! The same seed, the same run.

use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::env;
use std::fs;
use std::hash::BuildHasher;
use std::process::Command;
use std::time::Duration;

use chitchat::Event;
use chitchat::testing::{ClusterBuilder, Generation, TestNode, find_failure};
use chitchat::transport::memory::Conditions;

/// Where the run below is written to.
const FILE: &str = "CHITCHAT_RUN_FILE";

/// An application that has several readers of each node, and answers to what it sees.
fn application(node: &TestNode) {
    for name in ["a", "b", "c"] {
        let (handle, node_id) = (node.handle().clone(), node.handle().id().node_id);
        node.spawn(async move {
            let (_, mut events) = handle.events();
            while let Some(Ok(event)) = events.next().await {
                let about = match event {
                    Event::Joined { state } => state.id().to_string(),
                    Event::Failed { id } | Event::Left { id } => id.to_string(),
                    Event::KeySet { id, .. } if id.node_id == node_id => continue,
                    Event::KeySet { key, .. } => key.to_string(),
                    _ => continue,
                };
                // Whoever is first writes, and only then.
                if handle.get("first").as_deref().is_none_or(|first| !first.starts_with(&about)) {
                    let _ = handle.set("first", format!("{about} by {name}"));
                }
            }
        });
    }
    let handle = node.handle().clone();
    node.spawn(async move {
        let mut keys = handle.subscribe("first").with_existing();
        while let Some(Ok(event)) = keys.next().await {
            let _ = handle.set("last", format!("{event:?}"));
        }
    });
}

/// A run in which everything happens that can, down to the last counter.
async fn run(seed: u64, application: fn(&TestNode)) -> String {
    let storm = Conditions::default()
        .with_latency(Duration::from_millis(1)..=Duration::from_millis(80))
        .with_loss(0.1)
        .with_duplication(0.1)
        .with_reordering(0.2);
    let builder = ClusterBuilder::new(seed, 5).conditions(storm);
    let mut cluster = builder.start_with(application).await;
    cluster.run_rounds(12).await;
    cluster.partition(&[0, 1], &[2, 3, 4]);
    cluster.crash(4);
    cluster.run_rounds(12).await;
    cluster.heal();
    cluster.restart_as(4, Generation::Lower).await;
    cluster.pause(1);
    cluster.run_rounds(12).await;
    cluster.resume(1);
    let added = cluster.add_node().await;
    cluster.leave(0).await;
    cluster.run_rounds(12).await;
    let history: Vec<String> = cluster.history().iter().map(ToString::to_string).collect();
    assert!(history.len() > 30, "it is about something: {}", history.join("\n"));
    let mut lines = history;
    lines.push(format!("{:?}", cluster.network_stats()));
    for node in [1, 2, 3, 4, added] {
        lines.push(format!("{:?}", cluster.node(node).stats()));
        lines.push(format!("{:?}", cluster.node(node).snapshot()));
    }
    lines.join("\n")
}

fn record(seed: u64, application: fn(&TestNode)) -> String {
    let text = RefCell::new(String::new());
    // The seed of the runner is not ours.
    let failure = find_failure(1, async |_| {
        let run = run(seed, application).await;
        *text.borrow_mut() = run;
    });
    assert_eq!(failure, None);
    text.into_inner()
}

#[track_caller]
fn assert_same(one: &str, other: &str) {
    let first = one.lines().zip(other.lines()).find(|(one, other)| one != other);
    assert!(one == other, "the first difference: {first:#?}");
}

#[test]
fn the_same_seed_gives_the_same_run_event_by_event() {
    for seed in 0..3 {
        let first = record(seed, application);
        for _ in 0..2 {
            assert_same(&first, &record(seed, application));
        }
    }
}

#[test]
fn another_seed_gives_another_run() {
    assert_ne!(record(1, application), record(2, application));
}

#[test]
#[ignore = "run by the next one, in a process of its own"]
fn writes_a_run_to_a_file() {
    let file = env::var(FILE).expect("the name of a file");
    fs::write(file, record(3, application)).expect("it can be written");
}

#[test]
fn the_same_seed_gives_the_same_run_in_another_process() {
    let file = env::temp_dir().join(format!("chitchat-run-{}", std::process::id()));
    let run = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "determinism::writes_a_run_to_a_file", "--ignored"])
        .env(FILE, &file)
        .output()
        .expect("it runs");
    assert!(run.status.success(), "{run:?}");
    let other = fs::read_to_string(&file).expect("it was written");
    let _ = fs::remove_file(file);
    assert_same(&record(3, application), &other);
}

/// What breaks it, to show that a comparison would find it.
fn with_chance_of_its_own(node: &TestNode) {
    let chance = RandomState::new().hash_one(0);
    node.handle().set("chance", chance.to_string()).expect("a short value");
}

#[test]
fn an_application_with_chance_of_its_own_is_found_by_comparing_histories() {
    assert_ne!(record(1, with_chance_of_its_own), record(1, with_chance_of_its_own));
}
