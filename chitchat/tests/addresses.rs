//! What nodes hand to transports: addresses that are of use, and no more peers than there is room for.

mod common;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chitchat::ChitchatHandle;
use chitchat::transport::memory::{MemoryNetwork, MemorySender, MemoryTransport};
use chitchat::transport::{
    Destination, OpenError, OpenOptions, SendError, Transport, TransportSender, TransportStats,
};
use common::{live, soon, spawn_at, until, virtual_node};
use tokio::time::sleep;

type Sent = Arc<Mutex<Vec<Destination>>>;

/// A transport with room for a few peers, which takes down where messages are to go.
struct Narrow {
    inner: MemoryTransport,
    capacity: usize,
    sent: Sent,
}

struct NarrowSender {
    inner: MemorySender,
    capacity: usize,
    sent: Sent,
}

impl Transport for Narrow {
    type Sender = NarrowSender;
    type Receiver = <MemoryTransport as Transport>::Receiver;

    async fn open(self, options: OpenOptions) -> Result<(Self::Sender, Self::Receiver), OpenError> {
        let Self { inner, capacity, sent } = self;
        let (inner, receiver) = inner.open(options).await?;
        Ok((NarrowSender { inner, capacity, sent }, receiver))
    }
}

impl TransportSender for NarrowSender {
    fn send(&self, to: &Destination, message: Bytes) -> Result<(), SendError> {
        self.sent.lock().unwrap().push(to.clone());
        self.inner.send(to, message)
    }

    fn preferred_message_len(&self) -> usize {
        self.inner.preferred_message_len()
    }

    fn max_message_len(&self) -> usize {
        self.inner.max_message_len()
    }

    fn peer_capacity(&self) -> Option<usize> {
        Some(self.capacity)
    }

    fn local_addrs(&self) -> Vec<SocketAddr> {
        self.inner.local_addrs()
    }

    fn stats(&self) -> TransportStats {
        self.inner.stats()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_keeps_to_the_number_of_peers_that_its_transport_has_room_for() {
    // Rule P8: no fewer than twice the fanout of 3, which is 6 peers until one is changed.
    let network = MemoryNetwork::new(1);
    let mut nodes = Vec::new();
    for n in 1..=12 {
        let node = virtual_node(&format!("node-{n}")).seeds(["10.0.0.1:7280"]);
        nodes.push(spawn_at(&network, &format!("10.0.0.{n}"), node).await);
    }
    let sent = Sent::default();
    let config = virtual_node("narrow").listen(["10.0.0.99:7280"]).seeds(["10.0.0.1:7280"]);
    let narrow = Narrow { inner: network.transport(), capacity: 8, sent: Arc::clone(&sent) };
    let narrow = chitchat::spawn(config.build().unwrap(), narrow).await.unwrap();
    until(&narrow, "it sees all", |snapshot| live(snapshot) == 13).await;
    // The set is drawn in the next round.
    sleep(Duration::from_millis(600)).await;
    sent.lock().unwrap().clear();
    sleep(Duration::from_secs(15)).await;
    let sent = std::mem::take(&mut *sent.lock().unwrap());
    let opened: Vec<&Destination> = sent.iter().filter(|to| to.reply_path().is_none()).collect();
    assert!(opened.len() >= 80, "three in each of thirty rounds, but {}", opened.len());
    assert!(opened.iter().all(|to| to.node_id().is_some() && to.addrs().len() == 1));
    let peers: BTreeSet<_> = opened.iter().filter_map(|to| to.node_id()).collect();
    assert!((6..=7).contains(&peers.len()), "{peers:?}");
    assert_eq!(live(&narrow.snapshot()), 13);
}

async fn spawn_on(network: &MemoryNetwork, name: &str, ips: &[&str]) -> ChitchatHandle {
    let ips: Vec<IpAddr> = ips.iter().map(|ip| ip.parse().unwrap()).collect();
    let wildcard = |ip: &IpAddr| if ip.is_ipv4() { "0.0.0.0:7280" } else { "[::]:7280" };
    let config = virtual_node(name)
        .listen(ips.iter().map(wildcard))
        .seeds(["10.0.0.1:7280", "[2001:db8::1]:7280"])
        .build()
        .unwrap();
    chitchat::spawn(config, network.transport().with_host_ips(ips)).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn nodes_of_one_family_each_hand_no_address_of_the_other_to_their_transport() {
    // Row S24. Nothing is advertised: all learn their addresses from their peers.
    let network = MemoryNetwork::new(2);
    let both = spawn_on(&network, "both", &["10.0.0.1", "2001:db8::1"]).await;
    let v4 = spawn_on(&network, "v4", &["10.0.0.2"]).await;
    let v6 = spawn_on(&network, "v6", &["2001:db8::3"]).await;
    let nodes = [both, v4, v6];
    for node in &nodes {
        soon("joined", node.joined()).await.unwrap();
        until(node, "it sees all", |snapshot| live(snapshot) == 3).await;
    }
    nodes[1].set("key", "of v4").unwrap();
    until(&nodes[2], "the key arrives", |snapshot| {
        common::value(snapshot, "v4", "key").as_deref() == Some("of v4")
    })
    .await;
    sleep(Duration::from_secs(60)).await;
    for node in &nodes {
        let stats = node.stats().transport;
        assert_eq!(stats.refused_no_usable_address, 0, "{}", node.id());
        assert_eq!(live(&node.snapshot()), 3);
    }
}
