//! Queues that are full.

use std::time::Duration;

use bytes::Bytes;
use chitchat_transport::{Destination, OpenOptions, SendError, Transport, TransportSender};
use chitchat_transport_udp::{PlainUdpConfig, PlainUdpTransport};
use tokio::time::timeout;

/// Ends what would hang; far more than anything here takes.
const GUARD: Duration = Duration::from_secs(60);

/// The runtime has one thread, so the task of the socket cannot run while the test floods it.
#[tokio::test]
async fn a_flood_faster_than_the_socket_is_refused_and_counted() {
    let mut config = PlainUdpConfig::default();
    config.send_queue_bytes = 64 << 10;
    let options = OpenOptions::new("c", "n", vec!["127.0.0.1:0".parse().unwrap()]);
    let transport = PlainUdpTransport::with_config(config).unwrap();
    let (sender, _receiver) = transport.open(options).await.unwrap();
    let to = Destination::addr(sender.local_addrs()[0]);

    let message = Bytes::from(vec![0; 1_400]);
    let sent: Vec<_> = (0..100).map(|_| sender.send(&to, message.clone())).collect();
    let refused = sent.iter().filter(|sent| **sent == Err(SendError::QueueFull)).count();
    let accepted = sent.iter().filter(|sent| sent.is_ok()).count();
    assert_eq!((accepted, refused), ((64 << 10) / (1_400 + 64), 100 - accepted));
    let stats = sender.stats();
    assert_eq!(stats.refused_queue_full, refused as u64);
    assert_eq!(stats.send_queue_bytes, accepted * (1_400 + 64));

    sender.close().await;
    let stats = sender.stats();
    assert_eq!((stats.messages_sent, stats.send_queue_bytes), (accepted as u64, 0));
}

#[tokio::test]
async fn a_node_that_does_not_read_loses_the_newest_and_they_are_counted() {
    let mut config = PlainUdpConfig::default();
    config.receive_queue_messages = 16;
    let options = OpenOptions::new("c", "n", vec!["127.0.0.1:0".parse().unwrap()]);
    let transport = PlainUdpTransport::with_config(config).unwrap();
    let (sender, receiver) = transport.open(options).await.unwrap();
    let to = Destination::addr(sender.local_addrs()[0]);
    for _ in 0..20 {
        sender.send(&to, Bytes::from_static(b"x")).unwrap();
    }
    let all_arrived = async {
        while sender.stats().messages_received + sender.stats().dropped_receive_queue_full < 20 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(GUARD, all_arrived).await.unwrap();
    let stats = sender.stats();
    assert_eq!((stats.messages_received, stats.dropped_receive_queue_full), (16, 4));
    drop(receiver);
}
