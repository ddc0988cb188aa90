//! Gossip beside bulk, over a link of 100 Mbit/s and 20 ms.

#![allow(clippy::print_stdout, reason = "the figures are of interest")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use chitchat::tls::ClusterCa;
use chitchat::transport::{
    Destination, Inbound, OpenOptions, SendError, Transport, TransportReceiver, TransportSender,
};
use chitchat_tests::net::{LinkProfile, Quic, TcpRelay, TlsTcp, UdpRelay, Wire};
use tokio::time::{Instant, sleep, timeout};

const GUARD: Duration = Duration::from_secs(180);
const BULK_LEN: usize = 64 << 10;
const TOTAL: usize = 100_000_000;
const RATE: u64 = 100_000_000;
const ONE_WAY: Duration = Duration::from_millis(20);
/// What waits in front of the link, in bytes: 16 ms, as in a switch. Bulk fills it, and nothing that
/// we do lets a message overtake what is there already.
const BUFFER: usize = 200_000;
/// What the link carries in a small message's own time and 20 ms on top, and the messages that were
/// under way at either end, since only complete ones are counted.
const OVERTAKEN: usize = (RATE as usize / 8) * 40 / 1_000 + 2 * BULK_LEN;

type SenderOf<W> = <<W as Wire>::Transport as Transport>::Sender;
type ReceiverOf<W> = <<W as Wire>::Transport as Transport>::Receiver;

async fn open<W: Wire>(wire: &W, node_id: &str, ca: &ClusterCa) -> (SenderOf<W>, ReceiverOf<W>) {
    let identity = ca.issue(node_id).unwrap().tls_config().unwrap();
    let options = OpenOptions::new("bulk", node_id, vec!["127.0.0.1:0".parse().unwrap()]);
    wire.transport(identity).open(options).await.unwrap()
}

fn link() -> LinkProfile {
    LinkProfile { rate: Some(RATE), delay: ONE_WAY, buffer: BUFFER, loss: 0.0 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_message_overtakes_the_bulk_before_it_over_quic() {
    let relay = async |target| UdpRelay::new(target, link(), 1).await.map(|r| (r.addr(), r));
    a_small_message_overtakes_the_bulk_before_it(Quic, relay).await;
}

/// Without a bound on what the kernel takes ahead of what it sends, megabytes would be before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_message_overtakes_the_bulk_before_it_over_tcp() {
    let relay = async |target| TcpRelay::new(target, link()).await.map(|r| (r.addr(), r));
    a_small_message_overtakes_the_bulk_before_it(TlsTcp, relay).await;
}

fn small(number: u64) -> Bytes {
    let mut message = BytesMut::zeroed(192);
    message.put_u64(number);
    message.freeze()
}

/// What counts is how much bulk arrives between the sending of a small message and its arrival:
/// on a link of a known rate that is a time, but one that a busy test machine cannot falsify.
async fn a_small_message_overtakes_the_bulk_before_it<W: Wire, R>(
    wire: W,
    relay: impl AsyncFnOnce(SocketAddr) -> std::io::Result<(SocketAddr, R)>,
) {
    let ca = ClusterCa::generate("bulk").unwrap();
    let (sender, _keep) = open(&wire, "a", &ca).await;
    let (receiver, mut inbox) = open(&wire, "b", &ca).await;
    let (addr, _relay) = relay(receiver.local_addrs()[0]).await.unwrap();
    let to = Destination::node("b", [addr]);
    let sender = Arc::new(sender);
    let arrived = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let sent = Arc::new(std::sync::Mutex::new(VecDeque::new()));

    let bulk = tokio::spawn({
        let (sender, to) = (Arc::clone(&sender), to.clone());
        async move {
            let message = Bytes::from(vec![0; BULK_LEN]);
            let mut left = TOTAL;
            while left > 0 {
                match sender.send(&to, message.clone()) {
                    Ok(()) => left = left.saturating_sub(BULK_LEN),
                    Err(SendError::QueueFull) => sleep(Duration::from_millis(2)).await,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    });
    let gossip = tokio::spawn({
        let (sender, to) = (Arc::clone(&sender), to.clone());
        let (arrived, sent) = (Arc::clone(&arrived), Arc::clone(&sent));
        async move {
            for number in 0_u64.. {
                let before = arrived.load(std::sync::atomic::Ordering::Relaxed);
                sent.lock().unwrap().push_back((number, before, Instant::now()));
                // In the real world it is gossip, which goes on when a message is lost.
                let _ = sender.send(&to, small(number));
                sleep(Duration::from_millis(20)).await;
            }
        }
    });
    let mut overtaken = Vec::new();
    let mut delays = Vec::new();
    let all = async {
        while arrived.load(std::sync::atomic::Ordering::Relaxed) < TOTAL {
            let Some(Inbound::Message(message)) = inbox.recv().await else { continue };
            if message.bytes.len() == BULK_LEN {
                arrived.fetch_add(BULK_LEN, std::sync::atomic::Ordering::Relaxed);
                continue;
            }
            let number = u64::from_be_bytes(message.bytes[192..].try_into().unwrap());
            let mut sent = sent.lock().unwrap();
            while let Some((first, before, at)) = sent.pop_front() {
                if first == number {
                    let now = arrived.load(std::sync::atomic::Ordering::Relaxed);
                    overtaken.push(now - before);
                    delays.push(at.elapsed());
                    break;
                }
            }
        }
    };
    timeout(GUARD, all).await.expect("the bulk does not arrive");
    bulk.await.unwrap();
    gossip.abort();
    // Those before the first bulk, and those that met a machine that stood still, count as well.
    overtaken.sort_unstable();
    delays.sort_unstable();
    let at = |share: usize| overtaken.len() * share / 100;
    println!(
        "{}: small messages during {TOTAL} bytes: {} arrived; delay p50 {:?}, p99 {:?}; bulk that \
         arrived meanwhile p50 {}, p99 {} bytes (bound {OVERTAKEN})",
        W::NAME,
        overtaken.len(),
        delays[at(50)],
        delays[at(99)],
        overtaken[at(50)],
        overtaken[at(99)],
    );
    assert!(overtaken.len() > 50, "only {} small messages arrived", overtaken.len());
    assert!(overtaken[at(99)] <= OVERTAKEN, "p99 {} > {OVERTAKEN}", overtaken[at(99)]);
}
