//! Real sockets on the loopback interface, on ports that the system picks.
#![cfg(feature = "udp")]

mod common;

use std::time::Duration;

use chitchat::transport::OpenError;
use chitchat::udp::PlainUdpTransport;
use chitchat::{
    ChitchatConfig, ChitchatConfigBuilder, ChitchatHandle, Error, Event, KeyEvent, NodeStatus,
    SpawnError, WriteError,
};
use common::{live, soon, until, value};

fn on(listen: &[&str], name: &str) -> ChitchatConfigBuilder {
    ChitchatConfig::builder("udp-test", name).listen(listen).gossip_interval(FAST)
}

/// As fast as a busy machine that runs many tests can follow.
const FAST: Duration = Duration::from_millis(100);

async fn start(builder: ChitchatConfigBuilder) -> ChitchatHandle {
    chitchat::spawn(builder.build().unwrap(), PlainUdpTransport::new()).await.unwrap()
}

/// Three nodes, of which the first is the seed of the others.
async fn three(listen: &str) -> [ChitchatHandle; 3] {
    let first = start(on(&[listen], "a").initial_key_values([("role", "seed")])).await;
    let seed = first.local_addrs()[0];
    let second = start(on(&[listen], "b").seeds([seed])).await;
    let third = start(on(&[listen], "c").seeds([seed])).await;
    for node in [&first, &second, &third] {
        until(node, "all three live", |snapshot| live(snapshot) == 3).await;
    }
    [first, second, third]
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_converge_over_ipv4_and_each_has_the_others_key_values() {
    let nodes = three("127.0.0.1:0").await;
    let second = nodes[1].id();
    nodes[1].set("shard/1", "ready").unwrap();
    for node in &nodes {
        until(node, "the key has come", |now| {
            value(now, "b", "shard/1").as_deref() == Some("ready")
        })
        .await;
        assert_eq!(value(&node.snapshot(), "a", "role").as_deref(), Some("seed"));
        assert_eq!(node.snapshot().node("b").unwrap().id(), &second);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_converge_over_ipv6() {
    three("[::1]:0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_both_families_joins_nodes_that_have_one_each() {
    let both = start(on(&["127.0.0.1:0", "[::1]:0"], "both")).await;
    assert_eq!(both.local_addrs().len(), 2);
    let (v4, v6) = (both.local_addrs()[0], both.local_addrs()[1]);
    let four = start(on(&["127.0.0.1:0"], "four").seeds([v4])).await;
    let six = start(on(&["[::1]:0"], "six").seeds([v6])).await;
    for node in [&both, &four, &six] {
        until(node, "all three live", |snapshot| live(snapshot) == 3).await;
    }
    let snapshot = four.snapshot();
    let advertised = snapshot.node("both").unwrap().advertise_addrs().to_vec();
    assert!(advertised.contains(&v4) && advertised.contains(&v6), "{advertised:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_is_found_by_its_name() {
    let seed = start(on(&["127.0.0.1:0"], "seed")).await;
    let port = seed.local_addrs()[0].port();
    let node =
        start(on(&["127.0.0.1:0", "[::1]:0"], "n").seeds([format!("localhost:{port}")])).await;
    let report = soon("joined", node.joined()).await.unwrap();
    assert_eq!(report.answered_seeds, seed.local_addrs());
    let stats = node.stats();
    assert!(stats.seeds.lookups >= 1 && stats.seeds.addresses >= 1, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_a_deletion_and_an_expiry_arrive_as_events() {
    let [first, second, _third] = three("127.0.0.1:0").await;
    let owner = first.id();
    let (_, mut events) = second.events();
    let mut subscription = second.subscribe("job/");
    first.set("job/1", "todo").unwrap();
    first.set("other", "x").unwrap();
    soon("it is set", async {
        loop {
            match events.next().await.unwrap().unwrap() {
                Event::KeySet { id, key, value, .. } if &*key == "job/1" => {
                    assert_eq!((id, &*value), (owner.clone(), "todo"));
                    break;
                }
                _ => {}
            }
        }
    })
    .await;
    let next = soon("the subscription tells", subscription.next()).await.unwrap().unwrap();
    assert!(matches!(next, KeyEvent::Set { key, .. } if &*key == "job/1"));
    first.delete("job/1").unwrap();
    let next = soon("the deletion", subscription.next()).await.unwrap().unwrap();
    assert_eq!(next, KeyEvent::Deleted { owner: owner.clone(), key: "job/1".into() });
    first.set_with_ttl("job/2", "lease", Duration::from_secs(4)).unwrap();
    let next = soon("the lease", subscription.next()).await.unwrap().unwrap();
    assert!(matches!(next, KeyEvent::Set { key, .. } if &*key == "job/2"));
    let next = soon("its end", subscription.next()).await.unwrap().unwrap();
    assert_eq!(next, KeyEvent::Deleted { owner, key: "job/2".into() });
    assert_eq!(value(&second.snapshot(), "a", "job/2"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_without_leaving_fails_and_returns_with_its_next_generation() {
    let [first, second, third] = three("127.0.0.1:0").await;
    let old = third.id();
    let (_, mut events) = first.events();
    third.shutdown().await.unwrap();
    until(&first, "c is dead", |now| now.node("c").unwrap().status() == NodeStatus::Dead).await;
    let seed = first.local_addrs()[0];
    let third = start(on(&["127.0.0.1:0"], "c").seeds([seed])).await;
    assert!(third.id().generation_id > old.generation_id);
    for node in [&first, &second] {
        until(node, "c is back", |now| {
            now.node("c").is_some_and(|state| {
                state.status() == NodeStatus::Alive && *state.id() == third.id()
            })
        })
        .await;
    }
    let mut about_c = Vec::new();
    while let Some(Ok(event)) = events.try_next() {
        match event {
            Event::Failed { id } if id == old => about_c.push("failed"),
            Event::Joined { state } if *state.id() == third.id() => about_c.push("joined"),
            _ => {}
        }
    }
    assert_eq!((about_c.first(), about_c.last()), (Some(&"failed"), Some(&"joined")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_leaves_is_seen_to_have_left_and_writes_no_more() {
    let [first, second, third] = three("127.0.0.1:0").await;
    let outcome = soon("the leave is over", third.leave()).await.unwrap();
    assert_eq!(outcome.needed, 2);
    assert_eq!(third.set("k", "v"), Err(Error::Refused(WriteError::Left)));
    third.shutdown().await.unwrap();
    for node in [&first, &second] {
        until(node, "c has left", |now| now.node("c").unwrap().status() == NodeStatus::Left).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_beyond_what_a_datagram_holds_is_refused_with_the_limit() {
    let node = start(on(&["127.0.0.1:0"], "n")).await;
    let error = node.set("big", "x".repeat(70_000)).unwrap_err();
    let Error::Refused(WriteError::ValueTooLong { len, limit }) = error else {
        panic!("{error:?}");
    };
    assert!(len >= 70_000 && (60_000..65_507).contains(&limit), "{len} {limit}");
    assert_eq!(node.get("big"), None);
    node.set("big", "x".repeat(60_000)).unwrap();
    assert_eq!(node.get("big").map(|value| value.len()), Some(60_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_initial_value_beyond_what_a_datagram_holds_fails_the_spawn() {
    let config = on(&["127.0.0.1:0"], "n")
        .initial_key_values([("big", "x".repeat(70_000))])
        .build()
        .unwrap();
    let error = chitchat::spawn(config, PlainUdpTransport::new()).await.unwrap_err();
    assert!(matches!(error, SpawnError::Config(_)), "{error:?}");
    assert!(error.to_string().contains("big"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_fails_the_spawn_and_shutdown_frees_it() {
    let node = start(on(&["127.0.0.1:0"], "n")).await;
    let addr = node.local_addrs()[0];
    let config = on(&[&addr.to_string()], "m").build().unwrap();
    let error = chitchat::spawn(config.clone(), PlainUdpTransport::new()).await.unwrap_err();
    assert!(matches!(error, SpawnError::Open(OpenError::Bind { .. })), "{error:?}");
    node.shutdown().await.unwrap();
    node.shutdown().await.unwrap();
    chitchat::spawn(config, PlainUdpTransport::new()).await.unwrap();
}

#[test]
fn without_a_runtime_spawn_says_so() {
    let config = on(&["127.0.0.1:0"], "n").build().unwrap();
    let mut spawning = std::pin::pin!(chitchat::spawn(config, PlainUdpTransport::new()));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(result) = spawning.as_mut().poll(&mut context) else {
        panic!("nothing to wait for");
    };
    assert!(matches!(result, Err(SpawnError::NoRuntime)));
}
