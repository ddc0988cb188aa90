use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{sleep, timeout};

use super::*;
use crate::{
    Destination, Inbound, InboxLimits, OpenError, OpenOptions, Report, SendError, Transport,
    TransportReceiver, TransportSender,
};

async fn open(transport: MemoryTransport, listen: &[&str]) -> (MemorySender, MemoryReceiver) {
    let listen = listen.iter().map(|addr| addr.parse().unwrap()).collect();
    transport.open(OpenOptions::new("c", "n", listen)).await.unwrap()
}

async fn node(network: &MemoryNetwork) -> (MemorySender, MemoryReceiver) {
    open(network.transport(), &["127.0.0.1:0"]).await
}

fn to(sender: &MemorySender) -> Destination {
    Destination::node("peer", sender.network_addrs())
}

fn number(n: u32) -> Bytes {
    Bytes::copy_from_slice(&n.to_be_bytes())
}

/// All that arrives until nothing has come for a minute (of virtual time).
async fn drain(receiver: &mut MemoryReceiver) -> Vec<u32> {
    let mut numbers = Vec::new();
    while let Ok(Some(inbound)) = timeout(Duration::from_secs(60), receiver.recv()).await {
        if let Inbound::Message(message) = inbound {
            numbers.push(u32::from_be_bytes(message.bytes[..].try_into().unwrap()));
        }
    }
    numbers
}

fn rough() -> Conditions {
    Conditions {
        latency: Duration::from_millis(1)..=Duration::from_millis(50),
        loss: 0.2,
        duplication: 0.1,
        reordering: 0.1,
        ..Conditions::default()
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_course() {
    async fn course(seed: u64) -> (Vec<u32>, NetworkStats) {
        let network = MemoryNetwork::new(seed);
        network.set_conditions(rough());
        let ((a, _), (b, mut b_in)) = (node(&network).await, node(&network).await);
        for n in 0..500 {
            a.send(&to(&b), number(n)).unwrap();
            sleep(Duration::from_millis(1)).await;
        }
        (drain(&mut b_in).await, network.stats())
    }
    let first = course(1).await;
    assert_eq!(first, course(1).await);
    assert_ne!(first, course(2).await);
}

#[tokio::test(start_paused = true)]
async fn loss_duplication_and_reordering_happen_and_are_counted() {
    let network = MemoryNetwork::new(3);
    network.set_conditions(rough());
    let ((a, _), (b, mut b_in)) = (node(&network).await, node(&network).await);
    for n in 0..1_000 {
        a.send(&to(&b), number(n)).unwrap();
    }
    let arrived = drain(&mut b_in).await;
    let stats = network.stats();
    let distinct: BTreeSet<_> = arrived.iter().collect();
    assert_eq!(distinct.len() as u64, 1_000 - stats.dropped_loss);
    assert_eq!((arrived.len() - distinct.len()) as u64, stats.duplicated);
    assert_eq!(arrived.len() as u64, stats.messages_delivered);
    assert!((100..300).contains(&stats.dropped_loss), "{stats:?}");
    assert!((40..160).contains(&stats.duplicated), "{stats:?}");
    assert!(!arrived.is_sorted());
}

#[tokio::test(start_paused = true)]
async fn constant_latency_keeps_the_order_and_takes_its_time() {
    let network = MemoryNetwork::new(3);
    let latency = Duration::from_millis(40);
    network.set_conditions(Conditions { latency: latency..=latency, ..Conditions::default() });
    let ((a, _), (b, mut b_in)) = (node(&network).await, node(&network).await);
    let start = tokio::time::Instant::now();
    for n in 0..10 {
        a.send(&to(&b), number(n)).unwrap();
    }
    assert!(b_in.try_recv().is_none());
    assert!(b_in.recv().await.is_some());
    assert_eq!(start.elapsed(), latency, "virtual time");
    assert_eq!(drain(&mut b_in).await, (1..10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_block_works_one_way_and_a_partition_both_ways_until_healed() {
    let network = MemoryNetwork::new(1);
    let ((a, mut a_in), (b, mut b_in)) = (node(&network).await, node(&network).await);
    network.block(&a.network_addrs(), &b.network_addrs());
    a.send(&to(&b), number(1)).unwrap();
    b.send(&to(&a), number(2)).unwrap();
    assert_eq!((drain(&mut a_in).await, drain(&mut b_in).await), (vec![2], vec![]));
    network.partition(&a.network_addrs(), &b.network_addrs());
    b.send(&to(&a), number(3)).unwrap();
    assert_eq!(drain(&mut a_in).await, []);
    assert_eq!(network.stats().dropped_partition, 2);
    network.heal();
    a.send(&to(&b), number(4)).unwrap();
    assert_eq!(drain(&mut b_in).await, [4]);
}

#[tokio::test(start_paused = true)]
async fn a_link_with_conditions_of_its_own_is_lossy_in_one_direction_only() {
    let network = MemoryNetwork::new(1);
    let ((a, mut a_in), (b, mut b_in)) = (node(&network).await, node(&network).await);
    let lossy = Conditions::default().with_loss(1.0);
    network.set_conditions_between(&a.network_addrs(), &b.network_addrs(), Some(&lossy));
    network.heal();
    a.send(&to(&b), number(1)).unwrap();
    b.send(&to(&a), number(2)).unwrap();
    assert_eq!((drain(&mut a_in).await, drain(&mut b_in).await), (vec![2], vec![]));
    assert_eq!(network.stats().dropped_loss, 1);
    network.set_conditions_between(&a.network_addrs(), &b.network_addrs(), None);
    a.send(&to(&b), number(3)).unwrap();
    assert_eq!(drain(&mut b_in).await, [3]);
}

#[tokio::test(start_paused = true)]
async fn the_other_family_is_used_when_one_is_cut() {
    let network = MemoryNetwork::new(1);
    let listen = ["0.0.0.0:7280", "[::]:7280"];
    let (a, _a_in) = open(network.transport(), &listen).await;
    let (b, mut b_in) = open(network.transport(), &listen).await;
    assert_eq!(b.local_addrs(), listen.map(|addr| addr.parse().unwrap()));
    network.partition(&a.network_addrs()[..1], &b.network_addrs()[..1]);
    a.send(&to(&b), number(1)).unwrap();
    let Some(Inbound::Message(message)) = b_in.recv().await else { panic!() };
    assert_eq!(message.from.remote(), a.network_addrs()[1]);
}

#[tokio::test(start_paused = true)]
async fn no_socket_of_the_family_is_no_usable_address() {
    let network = MemoryNetwork::new(1);
    let (v6, _v6_in) = open(network.transport(), &["[::1]:0"]).await;
    let target = Destination::addr("127.0.0.1:9".parse().unwrap());
    assert_eq!(v6.send(&target, number(1)), Err(SendError::NoUsableAddress));
    assert_eq!(v6.stats().refused_no_usable_address, 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_listening_is_reported_with_the_node_that_was_meant() {
    let network = MemoryNetwork::new(1);
    let (a, mut a_in) = node(&network).await;
    let dead = "127.0.0.1:9".parse().unwrap();
    a.send(&Destination::node("gone", [dead]), number(1)).unwrap();
    let Some(Inbound::Report(Report::Unreachable { node_id, addr, .. })) = a_in.recv().await else {
        panic!()
    };
    assert_eq!((node_id.as_deref(), addr), (Some("gone"), dead));
}

#[tokio::test(start_paused = true)]
async fn a_message_over_the_mtu_vanishes_and_one_over_the_limit_is_refused() {
    let network = MemoryNetwork::new(1);
    network.set_conditions(Conditions { mtu: Some(100), ..Conditions::default() });
    let (a, _a_in) = open(network.transport().with_message_lens(500, 200), &["[::1]:0"]).await;
    assert_eq!((a.preferred_message_len(), a.max_message_len()), (200, 200));
    a.send(&to(&a), Bytes::from(vec![0; 101])).unwrap();
    assert_eq!(network.stats().dropped_mtu, 1);
    let refused = a.send(&to(&a), Bytes::from(vec![0; 201]));
    assert_eq!(refused, Err(SendError::TooLarge { len: 201, limit: 200 }));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_the_newest() {
    let network = MemoryNetwork::new(1);
    let limits = InboxLimits { entries: 3, bytes: 1 << 20 };
    let (b, mut b_in) =
        open(network.transport().with_receive_queue(limits), &["127.0.0.1:0"]).await;
    let (a, _) = node(&network).await;
    for n in 0..5 {
        a.send(&to(&b), number(n)).unwrap();
    }
    assert_eq!(b.stats().dropped_receive_queue_full, 2);
    assert_eq!(drain(&mut b_in).await, [0, 1, 2]);
    assert_eq!(b.stats().receive_queue_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn an_address_can_be_bound_once_at_a_time() {
    let network = MemoryNetwork::new(1);
    let (a, _a_in) = node(&network).await;
    let options = OpenOptions::new("c", "n", a.local_addrs());
    let second = network.transport().open(options.clone()).await;
    assert!(matches!(second, Err(OpenError::Bind { .. })));
    a.close().await;
    assert_eq!(a.send(&to(&a), number(1)), Err(SendError::Closed));
    network.transport().open(options).await.unwrap();
}
