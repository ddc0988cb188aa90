//! Events, subscriptions and snapshots.

mod common;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chitchat::transport::memory::MemoryNetwork;
use chitchat::{
    ChitchatConfig, ClusterStateSnapshot, Event, EventStream, KeyEvent, NodeState, NodeStatus,
};
use common::{live, soon, spawn_at, until, virtual_node};

/// A mirror of the state, kept up to date by events alone.
#[derive(Debug, Default, PartialEq)]
struct Mirror(BTreeMap<String, MirroredNode>);

#[derive(Debug, PartialEq)]
struct MirroredNode {
    generation_id: u64,
    status: NodeStatus,
    addrs: Vec<SocketAddr>,
    keys: BTreeMap<String, (String, u64)>,
}

impl MirroredNode {
    fn of(state: &NodeState) -> MirroredNode {
        let keys = state.iter_prefix("").map(|(key, entry)| {
            (key.to_owned(), (entry.value().unwrap().to_owned(), entry.version()))
        });
        MirroredNode {
            generation_id: state.id().generation_id,
            status: state.status(),
            addrs: state.advertise_addrs().to_vec(),
            keys: keys.collect(),
        }
    }
}

impl Mirror {
    fn of(snapshot: &ClusterStateSnapshot) -> Mirror {
        let node =
            |state: &Arc<NodeState>| (state.id().node_id.to_string(), MirroredNode::of(state));
        Mirror(snapshot.nodes().map(node).collect())
    }

    fn node(&mut self, id: &chitchat::ChitchatId) -> &mut MirroredNode {
        let node = self.0.get_mut(id.node_id.as_str()).expect("events are about known nodes");
        assert_eq!(node.generation_id, id.generation_id);
        node
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Joined { state } => {
                let old = self.0.insert(state.id().node_id.to_string(), MirroredNode::of(&state));
                assert!(old.is_none(), "at most one generation of a node");
            }
            Event::Removed { id } => {
                self.node(&id);
                self.0.remove(id.node_id.as_str());
            }
            Event::Failed { id } => self.node(&id).status = NodeStatus::Dead,
            Event::Left { id } => self.node(&id).status = NodeStatus::Left,
            Event::Recovered { id } => self.node(&id).status = NodeStatus::Alive,
            Event::ScheduledForDeletion { id } => {
                self.node(&id).status = NodeStatus::ScheduledForDeletion;
            }
            Event::AddressesChanged { id, addrs } => self.node(&id).addrs = addrs.to_vec(),
            Event::KeySet { id, key, value, version } => {
                self.node(&id).keys.insert(key.to_string(), (value.to_string(), version));
            }
            Event::KeyDeleted { id, key } => {
                assert!(self.node(&id).keys.remove(&*key).is_some(), "it was set");
            }
            other => panic!("unknown event {other:?}"),
        }
    }

    fn apply_all(&mut self, events: &mut EventStream) {
        while let Some(event) = events.try_next() {
            self.apply(event.expect("the capacity is large enough"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_snapshot_and_its_events_give_the_later_snapshot_under_concurrent_writes() {
    let network = MemoryNetwork::new(1);
    let start = |ip: &str, name: &str| {
        let config = ChitchatConfig::builder("test", name)
            .listen([format!("{ip}:7280")])
            .seeds(["10.0.0.1:7280"])
            .local()
            .event_capacity(1 << 20)
            .build()
            .unwrap();
        chitchat::spawn(config, network.transport())
    };
    let a = start("10.0.0.1", "a").await.unwrap();
    let b = start("10.0.0.2", "b").await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for (node, writer) in [(&a, 0), (&a, 1), (&b, 2), (&b, 3)] {
        let (node, stop) = (node.clone(), Arc::clone(&stop));
        writers.push(tokio::task::spawn_blocking(move || {
            let mut n = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                n += 1;
                let key = format!("{writer}/{}", n % 17);
                match n % 5 {
                    0 => node.delete(&key).map(drop).unwrap(),
                    1 => node.set_with_ttl(&key, "t", Duration::from_millis(30)).map(drop).unwrap(),
                    _ => node.set(&key, n.to_string()).map(drop).unwrap(),
                }
                std::thread::sleep(Duration::from_micros(200));
            }
        }));
    }
    // Streams that start at any moment.
    let mut mirrors = Vec::new();
    for _ in 0..50 {
        let (snapshot, events) = a.events();
        mirrors.push((Mirror::of(&snapshot), events));
        tokio::time::sleep(Duration::from_millis(7)).await;
        let (mirror, events) = mirrors.last_mut().unwrap();
        mirror.apply_all(events);
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    a.shutdown().await.unwrap();
    let last = Mirror::of(&a.snapshot());
    assert_eq!(last.0.len(), 2, "the nodes found each other");
    for (mut mirror, mut events) in mirrors {
        mirror.apply_all(&mut events);
        assert_eq!(mirror, last);
    }
}

#[tokio::test(start_paused = true)]
async fn own_writes_can_be_read_at_once() {
    let network = MemoryNetwork::new(1);
    let node = spawn_at(&network, "10.0.0.1", virtual_node("a")).await;
    let (_, mut events) = node.events();
    for n in 0..100 {
        let version = node.set("k", n.to_string()).unwrap().unwrap();
        assert_eq!(node.get("k").as_deref(), Some(&*n.to_string()));
        let state = node.snapshot().self_state().cloned().unwrap();
        assert_eq!(state.get_versioned("k").unwrap().version(), version);
        assert!(matches!(events.try_next(), Some(Ok(Event::KeySet { .. }))));
    }
    assert_eq!(node.set("k", "99").unwrap(), None, "it has this value");
    node.delete("k").unwrap();
    assert_eq!(node.get("k"), None);
    assert_eq!(node.delete("k").unwrap(), None);
    assert_eq!(node.replace_prefix("p/", [("p/1", "x"), ("p/2", "y")]).unwrap(), 2);
    assert_eq!(node.get("p/2").as_deref(), Some("y"));
    assert_eq!(node.replace_prefix("p/", [("p/2", "y")]).unwrap(), 1);
    assert_eq!(node.get("p/1"), None);
    node.delete_after_ttl("p/2", Duration::from_secs(5)).unwrap();
    assert_eq!(node.get("p/2").as_deref(), Some("y"));
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(node.get("p/2"), None);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_of_events_is_told_what_it_missed_and_holds_up_nobody() {
    let network = MemoryNetwork::new(1);
    let node = spawn_at(&network, "10.0.0.1", virtual_node("a").event_capacity(100)).await;
    let (_, mut slow) = node.events();
    let mut slow_subscription = node.subscribe("k");
    for n in 0..1_000 {
        node.set("k", n.to_string()).unwrap();
    }
    let lagged = slow.next().await.unwrap().unwrap_err();
    assert_eq!(lagged.missed, 900);
    for n in 900..1_000 {
        let Some(Ok(Event::KeySet { value, .. })) = slow.next().await else { panic!() };
        assert_eq!(&*value, n.to_string());
    }
    assert_eq!(slow.try_next(), None);
    assert_eq!(slow_subscription.next().await.unwrap().unwrap_err().missed, 900);
    assert_eq!(node.stats().missed_by_readers, 1_800);
    node.shutdown().await.unwrap();
    assert_eq!(slow.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn one_write_of_more_keys_than_the_capacity_is_not_missed() {
    let network = MemoryNetwork::new(1);
    let node = spawn_at(&network, "10.0.0.1", virtual_node("a").event_capacity(10)).await;
    let mut shards = node.subscribe("shard/");
    node.replace_prefix("shard/", (0..1_000).map(|n| (format!("shard/{n}"), "ready"))).unwrap();
    for _ in 0..1_000 {
        assert!(matches!(shards.next().await, Some(Ok(KeyEvent::Set { .. }))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_has_the_keys_of_nodes_that_join_expire_and_are_removed() {
    let network = MemoryNetwork::new(1);
    let grace = Duration::from_secs(120);
    let a = virtual_node("a").dead_node_grace_period(grace);
    let a = spawn_at(&network, "10.0.0.1", a).await;
    let c = virtual_node("c").dead_node_grace_period(grace).seeds(["10.0.0.1:7280"]);
    let _c = spawn_at(&network, "10.0.0.3", c).await;
    a.set("role/own", "x").unwrap();
    let mut roles = a.subscribe("role/").with_existing();
    let brief = |event: KeyEvent| match event {
        KeyEvent::Set { owner, key, value, .. } => format!("{} {key}={value}", owner.node_id),
        KeyEvent::Deleted { owner, key } => format!("{} -{key}", owner.node_id),
        other => panic!("{other:?}"),
    };
    assert_eq!(brief(roles.next().await.unwrap().unwrap()), "a role/own=x");
    assert_eq!(roles.try_next(), None);

    let b = virtual_node("b")
        .dead_node_grace_period(grace)
        .seeds(["10.0.0.1:7280"])
        .initial_key_values([("role/1", "x"), ("role/2", "y"), ("other", "z")]);
    let b = spawn_at(&network, "10.0.0.2", b).await;
    let mut next = async || brief(soon("the next change", roles.next()).await.unwrap().unwrap());
    assert_eq!(next().await, "b role/1=x");
    assert_eq!(next().await, "b role/2=y");
    b.set_with_ttl("role/3", "brief", Duration::from_secs(10)).unwrap();
    assert_eq!(next().await, "b role/3=brief");
    assert_eq!(next().await, "b -role/3");
    a.delete("role/own").unwrap();
    assert_eq!(next().await, "a -role/own");
    b.shutdown().await.unwrap();
    // It fails and keeps its keys; after the grace period it is removed with them.
    assert_eq!(next_after_removal(&mut roles).await, ["b -role/1", "b -role/2"]);
    assert!(a.snapshot().node("b").is_none());
}

async fn next_after_removal(roles: &mut chitchat::PrefixSubscription) -> Vec<String> {
    let mut gone = Vec::new();
    for _ in 0..2 {
        // Longer than the grace period, in virtual time.
        let next = tokio::time::timeout(Duration::from_secs(600), roles.next()).await;
        let Ok(Some(Ok(KeyEvent::Deleted { owner, key }))) = next else { panic!("{next:?}") };
        gone.push(format!("{} -{key}", owner.node_id));
    }
    gone
}

#[tokio::test(start_paused = true)]
async fn every_visible_change_reaches_the_streams_of_other_nodes() {
    let network = MemoryNetwork::new(1);
    let a = spawn_at(&network, "10.0.0.1", virtual_node("a")).await;
    let b = virtual_node("b").seeds(["10.0.0.1:7280"]);
    let b = spawn_at(&network, "10.0.0.2", b).await;
    until(&a, "b lives", |now| live(now) == 2).await;
    let (snapshot, mut events) = a.events();
    let mut mirror = Mirror::of(&snapshot);
    for n in 0..200 {
        b.set(format!("k{}", n % 20), n.to_string()).unwrap();
        if n % 3 == 0 {
            b.delete(format!("k{}", n % 7)).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(137)).await;
        mirror.apply_all(&mut events);
        assert_eq!(mirror, Mirror::of(&a.snapshot()));
    }
    b.leave().await.unwrap();
    until(&a, "b has left", |now| live(now) == 1).await;
    mirror.apply_all(&mut events);
    assert_eq!(mirror, Mirror::of(&a.snapshot()));
}
