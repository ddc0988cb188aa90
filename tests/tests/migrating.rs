//! `docs/migrating.md` has every public name of chitchat 0.13, and points to names that exist.
//!
//! That they exist is shown by using them: each name in the middle column of the tables has to
//! occur in the code below, which the compiler checks.

use std::collections::BTreeSet;
use std::time::Duration;

use chitchat::protocol::message::{Body, Header, Message};
use chitchat::protocol::wire::{
    DecodeLimits, Envelope, Frame, WIRE_VERSION_MAX, WIRE_VERSION_MIN, cluster_id_hash,
};
use chitchat::protocol::{Config, LinkLimits, Node, Origin, Timestamp};
use chitchat::transport::memory::{
    Conditions, MemoryNetwork, MemoryReceiver, MemorySender, MemoryTransport, NetworkStats,
};
use chitchat::transport::{
    Destination, Inbound, InboundMessage, OpenOptions, Transport, TransportReceiver,
    TransportSender, TransportStats,
};
use chitchat::udp::PlainUdpTransport;
use chitchat::{
    ChitchatConfig, ChitchatConfigBuilder, ChitchatHandle, ChitchatId, ClusterStateSnapshot,
    EventStream, KeyEvent, LiveNodesWatcher, NodeHealth, NodeState, NodeStatus, PrefixSubscription,
    SeedStats, VersionedValue, spawn,
};

const GUIDE: &str = include_str!("../../docs/migrating.md");
const NAMES: &str = include_str!("../../docs/migrating-names.txt");

/// The cells of all rows of the tables that begin with a column for 0.13.
fn rows() -> Vec<[&'static str; 3]> {
    let (_, tables) = GUIDE.split_once("## Name by name").expect("the tables");
    tables
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            cells.try_into().unwrap_or_else(|_| panic!("a row has three cells: {line}"))
        })
        .collect()
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_public_name_of_the_original_has_a_row_and_no_row_another_name() {
    let names: BTreeSet<&str> =
        NAMES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert!(names.len() > 140, "only {} names", names.len());
    let rows = rows();
    let covered: Vec<&str> = rows.iter().flat_map(|[was, _, _]| quoted(was)).collect();
    let once: BTreeSet<&str> = covered.iter().copied().collect();
    assert_eq!(once.len(), covered.len(), "a name has two rows");
    let missing: Vec<_> = names.difference(&once).collect();
    assert!(missing.is_empty(), "no row for {missing:#?}");
    let unknown: Vec<_> = once.difference(&names).collect();
    assert!(unknown.is_empty(), "0.13 has no {unknown:#?}");
}

#[test]
fn a_name_without_a_successor_says_why() {
    for [was, now, why] in rows() {
        assert!(!now.is_empty() || why.len() > 10, "nothing is said about {was}");
    }
}

#[test]
fn every_name_that_the_guide_points_to_is_used_here() {
    // Without the comment at the top; what is imported exists too.
    let (_, code) = include_str!("migrating.rs").split_once("\nuse std::").expect("the code");
    let is_word = |it: char| !(it.is_alphanumeric() || it == '_');
    let words: BTreeSet<&str> = code.split(is_word).collect();
    for [was, now, _] in rows() {
        for name in quoted(now) {
            for part in name.split(['.', ':']).filter(|part| !part.is_empty()) {
                // Modules, whose items are imported by name.
                let is_module = ["memory", "message", "protocol", "transport", "udp", "wire"];
                assert!(
                    words.contains(part) || is_module.contains(&part),
                    "`{name}`, in place of {was}, is not shown to exist: use `{part}` in this file"
                );
            }
        }
    }
}

fn builder(node_id: &str) -> ChitchatConfigBuilder {
    ChitchatConfig::builder("c", node_id).listen(["10.0.0.1:0"])
}

/// Two nodes on a network in memory.
async fn two_nodes(network: &MemoryNetwork) -> (ChitchatHandle, ChitchatHandle) {
    let config = builder("one").initial_key_values([("role", "seed")]).local();
    let one = spawn(config.build().expect("valid"), network.transport()).await.expect("a node");
    let config = builder("two").local().seeds([one.local_addrs()[0]]);
    let two = spawn(config.build().expect("valid"), network.transport()).await.expect("a node");
    let mut watcher: LiveNodesWatcher = two.live_nodes_watcher();
    let all = watcher.wait_for(|snapshot| snapshot.live_nodes().count() == 2);
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("in time").expect("alive");
    (one, two)
}

#[test]
fn what_was_configured_can_be_configured() {
    let config = builder("n")
        .generation_id(7)
        .advertise(["10.0.0.1:7280"])
        .lan()
        .wan()
        .gossip_interval(Duration::from_millis(200))
        .seeds(["seed.example.org:7280"])
        .seeds_interval(Duration::from_secs(60))
        .phi_threshold(8.0)
        .max_interval(Duration::from_secs(10))
        .dead_node_grace_period(Duration::from_secs(86_400))
        .marked_for_deletion_grace_period(Duration::from_secs(3_600))
        .build()
        .expect("valid");
    assert_eq!((config.cluster_id(), config.seeds().len()), ("c", 1));
    assert_eq!(config.protocol().generation_id, Some(7));
    let _transport = PlainUdpTransport::new();
}

#[tokio::test]
async fn what_was_read_under_the_lock_is_in_the_snapshot() {
    let network = MemoryNetwork::new(1);
    let (one, two) = two_nodes(&network).await;
    let snapshot = two.snapshot();
    let state: &ClusterStateSnapshot = &snapshot;
    assert_eq!((state.cluster_id(), state.self_id()), ("c", &two.id()));
    assert_eq!(state.self_state().map(|own| own.id().clone()), Some(two.id()));
    assert_eq!((state.nodes().count(), state.dead_nodes().count()), (2, 0));
    assert_eq!(state.scheduled_for_deletion().count(), 0);
    assert_eq!(state.with_status(NodeStatus::Left).count(), 0);
    let seen: &NodeState = state.node("one").expect("a node that lives");
    assert_eq!((seen.get("role"), seen.num_key_values()), (Some("seed"), 1));
    assert_eq!((seen.key_values().count(), seen.iter_prefix("ro").count()), (1, 1));
    assert_eq!(seen.advertise_addrs().to_vec(), one.local_addrs());
    assert!(seen.max_version() >= 1 && seen.last_gc_version() == 0);
    let role: &VersionedValue = seen.get_versioned("role").expect("it is set");
    assert_eq!((role.value(), role.version() >= 1), (Some("seed"), true));
    assert!(role.is_readable() && !role.is_tombstone() && role.deadline().is_none());
    let health: NodeHealth = two.node_health("one").expect("it runs").expect("it is known");
    assert!(health.timeout > Duration::ZERO && health.heartbeat > 0);
    let seeds: SeedStats = two.stats().seeds;
    assert_eq!(seeds.addresses, 1);
    let id = ChitchatId::new("one", one.id().generation_id);
    assert_eq!((&*id.node_id, id == one.id()), ("one", true));
    let stats: NetworkStats = network.stats();
    assert!(stats.messages_sent > 0 && stats.bytes_sent > 0);
}

#[tokio::test]
async fn what_was_written_and_followed_can_be_written_and_followed() {
    let network = MemoryNetwork::new(2);
    let (one, two) = two_nodes(&network).await;
    let (_, mut events): (_, EventStream) = two.events();
    let mut colours: PrefixSubscription = two.subscribe("colour/").with_existing();
    one.set("colour/1", "blue").expect("a write");
    one.set_many([("colour/2", "red"), ("other", "thing")]).expect("writes");
    one.set_with_ttl("lease", "mine", Duration::from_secs(60)).expect("a write");
    one.delete_after_ttl("other", Duration::from_secs(60)).expect("a write");
    assert_eq!(one.get("lease").as_deref(), Some("mine"));
    let mut seen = BTreeSet::new();
    while seen.len() < 2 {
        let Some(Ok(KeyEvent::Set { owner, key, value, .. })) = colours.next().await else {
            panic!("two keys were set");
        };
        assert_eq!(owner, one.id());
        seen.insert((key.to_string(), value.to_string()));
    }
    one.delete("colour/1").expect("a deletion");
    let Some(Ok(KeyEvent::Deleted { key, .. })) = colours.next().await else {
        panic!("a key was deleted");
    };
    assert_eq!(&*key, "colour/1");
    assert!(events.next().await.is_some());

    let mut watcher = two.live_nodes_watcher();
    let changed = watcher.changed();
    one.leave().await.expect("it runs");
    assert!(changed.await.is_ok());
    one.shutdown().await.expect("an orderly end");
    assert!(one.closed().await.is_orderly() && one.close_reason().is_some());
}

#[tokio::test]
async fn what_the_channels_did_to_messages_the_network_in_memory_does() {
    let network = MemoryNetwork::new(3);
    let mut conditions = Conditions::default();
    conditions.latency = Duration::ZERO..=Duration::from_millis(1);
    (conditions.loss, conditions.mtu) = (0.0, Some(1_000));
    network.set_conditions(conditions);
    let open = async |node_id: &str| {
        let transport: MemoryTransport = network.transport().with_message_lens(1_000, 2_000);
        let any_port = "10.0.0.1:0".parse().expect("an address");
        Transport::open(transport, OpenOptions::new("c", node_id, vec![any_port])).await
    };
    let (sender, _): (MemorySender, MemoryReceiver) = open("one").await.expect("open");
    let (other, mut receiver) = open("two").await.expect("open");
    let (from, to) = (sender.local_addrs(), other.local_addrs());
    network.block(&from, &to);
    network.unblock(&from, &to);
    network.partition(&from, &to);
    network.heal();
    sender.send(&Destination::node("two", to), b"hello"[..].into()).expect("it is taken");
    let Some(Inbound::Message(message)) = receiver.recv().await else { panic!("no message") };
    let InboundMessage { bytes, from: way_back, peer, .. } = message;
    assert_eq!((&bytes[..], way_back.remote(), peer), (&b"hello"[..], from[0], None));
    let (sent, received): (TransportStats, TransportStats) = (sender.stats(), other.stats());
    assert_eq!((sent.bytes_sent, received.bytes_received), (5, 5));
}

#[test]
fn what_was_on_the_wire_can_be_read_and_written() {
    let now = Timestamp::ZERO;
    let mut config = Config::new("c", "one");
    config.advertise_addrs = vec!["10.0.0.1:7280".parse().expect("an address")];
    let mut one = Node::new(config, LinkLimits::default(), 1, now).expect("a node");
    let mut two =
        Node::new(Config::new("c", "two"), LinkLimits::default(), 2, now).expect("a node");
    two.set_seed_addrs(vec!["10.0.0.1:7280".parse().expect("an address")]);
    let from = "10.0.0.2:7280".parse().expect("an address");
    two.handle_timeout(two.poll_timeout());
    let syn = two.poll_transmit().expect("a question").bytes;

    let envelope = Envelope::parse(&syn).expect("an envelope");
    assert!((WIRE_VERSION_MIN..=WIRE_VERSION_MAX).contains(&envelope.version));
    let message = Message::decode(&syn, &DecodeLimits::default()).expect("a message");
    let Header { cluster_id_hash: hash, .. } = &message.header;
    assert_eq!(*hash, cluster_id_hash("c"));
    assert!(matches!(message.body, Body::Syn { .. }));
    let again = Message::decode(&message.encode(), &DecodeLimits::default());
    assert_eq!(again.expect("a message"), message);

    one.handle_message(&Origin::unverified(from, 0), &syn, now);
    let answer = one.poll_transmit().expect("an answer").bytes;
    let frame = Frame::parse(&answer, &DecodeLimits::default()).expect("a frame");
    let answer = frame.message().expect("a message");
    assert!(matches!(answer.body, Body::SynAck { .. } | Body::Ack { .. }));
}
