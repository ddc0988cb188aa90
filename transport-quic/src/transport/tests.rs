use chitchat_tls::ClusterCa;
use chitchat_transport::InboundMessage;
use chitchat_transport::errno::classify;

use super::*;
use chitchat_transport_links::{Link as _, Linked as _};
use tokio::time::sleep;

/// For what happens within milliseconds.
const GUARD: Duration = Duration::from_secs(20);

struct End {
    sender: QuicSender,
    receiver: QuicReceiver,
}

impl End {
    async fn open(ca: &ClusterCa, node_id: &str) -> End {
        End::open_with(ca.issue(node_id).unwrap().tls_config().unwrap(), node_id).await
    }

    async fn open_with(identity: TlsConfig, node_id: &str) -> End {
        let listen = vec!["127.0.0.1:0".parse().unwrap()];
        let options = OpenOptions::new("c", node_id, listen);
        let (sender, receiver) = QuicTransport::new(identity).open(options).await.unwrap();
        End { sender, receiver }
    }

    fn addr(&self) -> SocketAddr {
        self.sender.local_addrs()[0]
    }

    fn to(&self, node_id: &str) -> Destination {
        Destination::node(node_id, [self.addr()])
    }

    fn send(&self, to: &Destination, content: &'static [u8]) {
        self.sender.send(to, Bytes::from_static(content)).unwrap();
    }

    async fn message(&mut self) -> InboundMessage {
        let message = async {
            loop {
                if let Some(Inbound::Message(message)) = self.receiver.recv().await {
                    return message;
                }
            }
        };
        timeout(GUARD, message).await.expect("no message comes")
    }
}

async fn pair() -> (End, End) {
    let ca = ClusterCa::generate("c").unwrap();
    (End::open(&ca, "a").await, End::open(&ca, "b").await)
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(GUARD, wait).await.unwrap_or_else(|_| panic!("not so: {what}"));
}

#[tokio::test]
async fn a_connection_on_which_nothing_waits_is_flushed() {
    let (a, mut b) = pair().await;
    a.send(&b.to("b"), b"a datagram");
    b.message().await;
    a.send(&b.to("b"), &[0; 20_000]);
    b.message().await;
    until("all is on its way", || {
        let connections = a.sender.shared.hub.connections();
        connections.iter().all(|(link, _)| link.is_flushed())
    })
    .await;
}

#[tokio::test]
async fn an_address_that_could_not_be_sent_to_is_dialled_again() {
    let (a, mut b) = pair().await;
    let network_down = classify(&std::io::ErrorKind::NetworkUnreachable.into());
    a.sender.shared.send_failed(b.addr(), network_down);
    a.send(&b.to("b"), b"the network is back");
    assert_eq!(b.message().await.bytes, "the network is back");
}

#[tokio::test]
async fn a_peer_that_is_revoked_just_before_it_is_taken_in_is_cut_off() {
    let ca = ClusterCa::generate("c").unwrap();
    let papers = ca.issue("a").unwrap();
    let (identity, of_b) = (papers.tls_config().unwrap(), ca.issue("b").unwrap());
    let a = End::open_with(identity.clone(), "a").await;
    let b = End::open_with(of_b.tls_config().unwrap(), "b").await;
    let shared = &a.sender.shared;
    let established = crate::dial::race_to(shared, vec![b.addr()], None).await.unwrap();
    let revoked = ca.revoke(&[&of_b]).unwrap().der().clone();
    identity.update(papers.material().with_crls(vec![revoked])).unwrap();
    // All that are there by now have been verified again.
    sleep(Duration::from_millis(600)).await;
    shared.admit(established, None);
    until("b is cut off", || a.sender.stats().identities_refused.get("revoked") == Some(&1)).await;
}

#[test]
fn a_connection_that_was_dialled_with_a_former_certificate_counts_as_such() {
    let runs = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let stands = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ca = ClusterCa::generate("c").unwrap();
    let identity = ca.issue("a").unwrap().tls_config().unwrap();
    let a = runs.block_on(End::open_with(identity.clone(), "a"));
    let mut b = stands.block_on(End::open(&ca, "b"));
    a.send(&b.to("b"), b"dialled with the former one");
    // Its first packet is on its way; nobody answers yet.
    std::thread::sleep(Duration::from_millis(200));
    identity.update(ca.issue("a").unwrap().material()).unwrap();
    stands.block_on(b.message());
    let connections = a.sender.shared.hub.connections();
    let shown: Vec<u64> = connections.iter().map(|(link, _)| link.proof.leaf_epoch()).collect();
    assert_eq!(shown, [0]);
    assert_eq!(a.sender.shared.credentials().leaf_epoch(), 1);
}

/// An address of a node that is gone is another's by now.
#[tokio::test]
async fn a_node_that_is_taken_for_another_keeps_its_connection() {
    let (a, mut b) = pair().await;
    a.send(&b.to("b"), b"hello");
    b.message().await;
    let token = b.sender.shared.hub.connections().iter().map(|(link, _)| link.token()).next();
    a.send(&b.to("c"), b"for somebody who was here");
    until("a has found out", || a.sender.stats().identities_refused.contains_key("wrong_node"))
        .await;
    until("b has, too", || {
        let stats = b.sender.stats();
        stats.connections_opened == 2 && stats.connections == 1
    })
    .await;
    {
        let connections = b.sender.shared.hub.connections();
        let serves = connections.of_node("a").map(|link| link.token());
        assert_eq!(serves, token);
        assert!(connections.iter().all(|(link, _)| link.ending().get().is_none()));
    }
    assert!(!b.sender.stats().failures.contains_key("rejected by a peer"));
}

/// The handshake is complete at the dialler's end before the listener has looked at its certificate.
#[tokio::test]
async fn a_peer_that_rejects_us_is_dialled_less_and_less_often() {
    let ca = ClusterCa::generate("c").unwrap();
    let (of_a, of_b) = (ca.issue("a").unwrap(), ca.issue("b").unwrap());
    let revoked = ca.revoke(&[&of_a]).unwrap().der().clone();
    let papers = of_b.material().with_crls(vec![revoked]);
    let a = End::open_with(of_a.tls_config().unwrap(), "a").await;
    let b = End::open_with(TlsConfig::builder().der(papers).build().unwrap(), "b").await;
    until("it was rejected four times", || {
        a.send(&b.to("b"), b"let me in");
        a.sender.stats().failures.get("rejected by a peer").is_some_and(|times| *times >= 4)
    })
    .await;
    assert!(a.sender.shared.hub.connections().backoffs.in_a_row(b.addr()) >= 4);
}

#[tokio::test]
async fn a_short_message_does_not_wait_for_a_long_one_that_stands() {
    let (a, mut b) = pair().await;
    a.send(&b.to("b"), b"hello");
    b.message().await;
    let links = || a.sender.shared.hub.connections().of_node("b").cloned();
    let mut long = links().unwrap().connection.open_uni().await.unwrap();
    long.write_all(&(4_u32 << 20).to_be_bytes()).await.unwrap();
    long.write_all(&[0; 1_000]).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    a.send(&b.to("b"), &[0; 10_000]);
    assert_eq!(b.message().await.bytes.len(), 10_000);
}

/// What was answered meanwhile is yet to be read, so the wait begins anew.
#[test]
fn a_peer_is_not_given_up_because_we_were_stopped() {
    let stops = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stands = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let ca = ClusterCa::generate("c").unwrap();
    let a = stops.block_on(End::open(&ca, "a"));
    let mut b = stands.block_on(End::open(&ca, "b"));
    stops.block_on(async {
        a.send(&b.to("b"), b"hello");
        let hello = stands.spawn(async move {
            b.message().await;
            b
        });
        let b = hello.await.unwrap();
        sleep(Duration::from_millis(600)).await;
        stands.shutdown_background();
        a.send(&b.to("b"), b"and silence");
        sleep(Duration::from_millis(300)).await;
        std::thread::sleep(Duration::from_millis(3_500));
        sleep(Duration::from_millis(500)).await;
        assert_eq!(a.sender.stats().failures.get("unanswered"), None);
        until("it is given up", || a.sender.stats().failures.contains_key("unanswered")).await;
    });
}

/// Bob's tasks run only while it is waited for him, so that all comes to him at once.
#[test]
fn the_last_messages_of_a_peer_that_closes_are_read() {
    let runs = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let stands = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ca = ClusterCa::generate("c").unwrap();
    let a = runs.block_on(End::open(&ca, "a"));
    let mut b = stands.block_on(End::open(&ca, "b"));
    a.send(&b.to("b"), b"first");
    stands.block_on(b.message());
    for _ in 0..20 {
        a.send(&b.to("b"), b"one of the last");
    }
    runs.block_on(a.sender.close());
    for _ in 0..20 {
        assert_eq!(stands.block_on(b.message()).bytes, "one of the last");
    }
}
