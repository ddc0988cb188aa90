//! Several addresses, both families, and what is not there.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use bytes::Bytes;
use chitchat_transport::{
    Destination, Inbound, InboundMessage, OpenError, OpenOptions, Report, SendError, Transport,
    TransportReceiver, TransportSender,
};
use chitchat_transport_udp::{PlainUdpConfig, PlainUdpReceiver, PlainUdpSender, PlainUdpTransport};
use tokio::time::timeout;

/// Ends what would hang; far more than anything here takes.
const GUARD: Duration = Duration::from_secs(60);

struct Node {
    sender: PlainUdpSender,
    receiver: PlainUdpReceiver,
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// An address where nobody listens. A socket that is connected elsewhere keeps it.
fn dead() -> (SocketAddr, UdpSocket) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect("127.0.0.1:9").unwrap();
    (socket.local_addr().unwrap(), socket)
}

async fn open(listen: &[&str]) -> Node {
    let listen = listen.iter().map(|text| addr(text)).collect();
    let options = OpenOptions::new("c", "n", listen);
    let (sender, receiver) = PlainUdpTransport::new().open(options).await.unwrap();
    Node { sender, receiver }
}

impl Node {
    fn destination(&self) -> Destination {
        Destination::node("peer", self.sender.local_addrs())
    }

    /// Sends until it arrives, as gossip does.
    async fn gets(
        &mut self,
        from: &Node,
        to: &Destination,
        content: &'static str,
    ) -> InboundMessage {
        let arrives = async {
            loop {
                // A refusal for the moment is no failure.
                let _ = from.sender.send(to, Bytes::from_static(content.as_bytes()));
                let inbound = timeout(Duration::from_millis(50), self.receiver.recv()).await;
                if let Ok(Some(Inbound::Message(message))) = inbound
                    && message.bytes == content
                {
                    return message;
                }
            }
        };
        timeout(GUARD, arrives).await.unwrap_or_else(|_| panic!("{content} does not arrive"))
    }
}

#[tokio::test]
async fn a_node_with_both_families_talks_to_nodes_with_one() {
    let mut both = open(&["127.0.0.1:0", "[::1]:0"]).await;
    let to_both = both.destination();
    for (listen, content) in [("127.0.0.1:0", "over IPv4"), ("[::1]:0", "over IPv6")] {
        let mut one = open(&[listen]).await;
        let to_one = one.destination();
        one.gets(&both, &to_one, content).await;
        // All addresses of `both` are given, and only one of them is of a family that `one` has.
        let question = both.gets(&one, &to_both, content).await;
        assert_eq!(question.from.remote(), one.sender.local_addrs()[0]);
        one.gets(&both, &Destination::reply(question.from), "the answer").await;
        assert_eq!(one.sender.stats().failures_total(), 0, "no unusable family was tried");
    }
}

#[tokio::test]
async fn an_ipv6_only_node_has_no_usable_address_for_an_ipv4_target() {
    let node = open(&["[::1]:0"]).await;
    for target in [addr("127.0.0.1:9"), addr("[::ffff:127.0.0.1]:9")] {
        let refused = node.sender.send(&Destination::addr(target), Bytes::new());
        assert_eq!(refused, Err(SendError::NoUsableAddress));
    }
    let stats = node.sender.stats();
    assert_eq!((stats.refused_no_usable_address, stats.failures_total()), (2, 0));
}

#[tokio::test]
async fn both_families_can_listen_on_one_port() {
    let v4 = open(&["0.0.0.0:0"]).await;
    let port = v4.sender.local_addrs()[0].port();
    // Another process may have the IPv6 port; then this says nothing.
    let options = OpenOptions::new("c", "n", vec![SocketAddr::new(addr("[::]:0").ip(), port)]);
    match PlainUdpTransport::new().open(options).await {
        Ok((v6, _)) => assert_eq!(v6.local_addrs()[0].port(), port),
        Err(error) => assert!(UdpSocket::bind(("::", port)).is_err(), "{error}"),
    }
}

#[tokio::test]
async fn unspecified_addresses_and_port_0_are_bound_and_reached() {
    let mut node = open(&["0.0.0.0:0", "[::]:0"]).await;
    let from = open(&["0.0.0.0:0", "[::]:0"]).await;
    let bound = node.sender.local_addrs();
    assert!(bound.iter().all(|addr| addr.ip().is_unspecified() && addr.port() != 0));
    for (host, bound) in ["127.0.0.1:0", "[::1]:0"].into_iter().zip(bound) {
        let target = SocketAddr::new(addr(host).ip(), bound.port());
        let message = node.gets(&from, &Destination::addr(target), "hello").await;
        assert_eq!(message.from.remote().ip(), target.ip(), "canonical, and of the same family");
    }
}

#[tokio::test]
async fn a_dead_address_gives_way_to_a_live_one_of_the_same_node() {
    let from = open(&["127.0.0.1:0", "[::1]:0"]).await;
    let mut live = open(&["[::1]:0"]).await;
    let (dead_addr, _keep) = dead();
    let to = Destination::node("peer", [dead_addr, live.sender.local_addrs()[0]]);
    live.gets(&from, &to, "by the other address").await;
}

#[tokio::test]
async fn a_seed_that_starts_late_is_reached() {
    let from = open(&["127.0.0.1:0"]).await;
    let (seed_addr, keep) = dead();
    for _ in 0..200 {
        from.sender.send(&Destination::addr(seed_addr), Bytes::from_static(b"anybody?")).unwrap();
        tokio::task::yield_now().await;
    }
    drop(keep);
    let mut seed = open(&[&seed_addr.to_string()]).await;
    seed.gets(&from, &Destination::addr(seed_addr), "at last").await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn reports_about_one_dead_address_are_limited_and_the_rest_is_counted() {
    let mut node = open(&["127.0.0.1:0"]).await;
    let (dead_addr, _keep) = dead();
    let to = Destination::node("peer", [dead_addr]);
    let refused = async {
        while node.sender.stats().failures.get("ECONNREFUSED").is_none_or(|count| *count < 20) {
            node.sender.send(&to, Bytes::from_static(b"?")).unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(GUARD, refused).await.unwrap();
    let Some(Inbound::Report(Report::Unreachable { node_id, addr, .. })) = node.receiver.try_recv()
    else {
        panic!("no report")
    };
    assert_eq!((node_id.as_deref(), addr), (Some("peer"), dead_addr));
    assert!(node.sender.stats().reports_suppressed > 0);
}

#[tokio::test]
async fn an_answer_to_a_node_behind_nat_needs_no_address_of_it() {
    let mut asks = open(&["0.0.0.0:0"]).await;
    let mut answers = open(&["127.0.0.1:0", "[::1]:0"]).await;
    let to = answers.destination();
    let question = answers.gets(&asks, &to, "who am I?").await;
    let known_elsewhere = Destination::node("n", [addr("[::1]:9")]).with_reply(question.from);
    asks.gets(&answers, &known_elsewhere, "you are").await;
}

#[tokio::test]
async fn what_a_peer_with_a_higher_limit_sends_is_taken() {
    let mut config = PlainUdpConfig::default();
    config.preferred_message_len = 500;
    config.max_message_len = 500;
    let options = OpenOptions::new("c", "n", vec![addr("127.0.0.1:0")]);
    let small = PlainUdpTransport::with_config(config).unwrap();
    let (sender, receiver) = small.open(options).await.unwrap();
    let mut small = Node { sender, receiver };
    let large = open(&["127.0.0.1:0"]).await;
    let content: &'static str = Box::leak("x".repeat(60_000).into_boxed_str());
    let to = small.destination();
    small.gets(&large, &to, content).await;
    let refused = small.sender.send(&large.destination(), Bytes::from_static(content.as_bytes()));
    assert_eq!(refused, Err(SendError::TooLarge { len: 60_000, limit: 500 }));
}

#[tokio::test]
async fn opening_fails_with_a_typed_error_and_leaves_nothing_open() {
    let open =
        |listen: Vec<SocketAddr>| PlainUdpTransport::new().open(OpenOptions::new("c", "n", listen));
    assert!(matches!(open(vec![]).await, Err(OpenError::NoListenAddress)));
    let many = open(vec![addr("127.0.0.1:0"); 9]).await;
    assert!(matches!(many, Err(OpenError::TooManyListenAddresses { count: 9, limit: 8 })));

    let (taken, _receiver) = open(vec![addr("127.0.0.1:0")]).await.unwrap();
    let taken_addr = taken.local_addrs()[0];
    let both = open(vec![addr("127.0.0.1:0"), taken_addr]).await;
    let Err(error @ OpenError::Bind { .. }) = both else { panic!("two sockets on one port") };
    let text = error.to_string();
    assert!(text.contains(&taken_addr.to_string()) && text.contains("free port"), "{text}");
}
