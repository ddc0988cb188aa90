//! Two transports, or one and a peer that does as it is told here.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use chitchat_transport::{InboundMessage, Report, UnreachableReason};
use chitchat_transport_links::Link as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::*;
#[cfg(target_os = "linux")]
use crate::frame::put_goodbye;
use crate::frame::{Decoder, FRAME_LIMIT, Received, put_message, put_pong};
#[cfg(target_os = "linux")]
use crate::greeting::welcome;
#[cfg(target_os = "linux")]
use crate::link::Established;
use crate::preface::Preface;
#[cfg(target_os = "linux")]
use crate::stream::Stream;

/// For what happens within milliseconds.
const GUARD: Duration = Duration::from_secs(20);

struct End {
    sender: TcpSender,
    receiver: TcpReceiver,
}

impl End {
    async fn open(node_id: &str) -> End {
        End::open_with(TcpConfig::default(), node_id, "127.0.0.1:0".parse().unwrap()).await
    }

    async fn open_with(config: TcpConfig, node_id: &str, listen: SocketAddr) -> End {
        let options = OpenOptions::new("c", node_id, vec![listen]);
        let transport = PlainTcpTransport::with_config(config).unwrap();
        let (sender, receiver) = transport.open(options).await.unwrap();
        End { sender, receiver }
    }

    fn addr(&self) -> SocketAddr {
        self.sender.local_addrs()[0]
    }

    fn to(&self, node_id: &str) -> Destination {
        Destination::node(node_id, [self.addr()])
    }

    fn send(&self, to: &Destination, content: &[u8]) {
        self.sender.send(to, Bytes::copy_from_slice(content)).unwrap();
    }

    async fn next(&mut self) -> Inbound {
        timeout(GUARD, self.receiver.recv()).await.expect("nothing comes").expect("it has ended")
    }

    async fn message(&mut self) -> InboundMessage {
        loop {
            if let Inbound::Message(message) = self.next().await {
                return message;
            }
        }
    }

    async fn report(&mut self) -> Report {
        loop {
            if let Inbound::Report(report) = self.next().await {
                return report;
            }
        }
    }

    fn connections(&self) -> usize {
        self.sender.stats().connections
    }

    fn failures(&self, name: &str) -> u64 {
        self.sender.stats().failures.get(name).copied().unwrap_or(0)
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(GUARD, wait).await.unwrap_or_else(|_| panic!("not so: {what}"));
}

/// The other end of a connection, which speaks when it is told to.
struct Puppet {
    stream: TcpStream,
    came: BytesMut,
    decoder: Decoder,
}

fn preface(node_id: &str) -> BytesMut {
    Preface { node_id: node_id.into(), listens_on: 0 }.encode()
}

impl Puppet {
    /// Dials a transport, and is taken in by it.
    async fn dial(addr: SocketAddr, node_id: &str) -> Puppet {
        let mut puppet = Puppet::unknown(addr).await;
        puppet.stream.write_all(&preface(node_id)).await.unwrap();
        puppet.read_preface().await;
        puppet
    }

    /// Dials a transport, and says nothing.
    async fn unknown(addr: SocketAddr) -> Puppet {
        Puppet::of(TcpStream::connect(addr).await.unwrap())
    }

    /// Waits to be dialled.
    async fn accept(listener: &TcpListener, node_id: &str) -> Puppet {
        let (stream, _) = timeout(GUARD, listener.accept()).await.unwrap().unwrap();
        let mut puppet = Puppet::of(stream);
        puppet.read_preface().await;
        puppet.stream.write_all(&preface(node_id)).await.unwrap();
        puppet
    }

    fn of(stream: TcpStream) -> Puppet {
        Puppet { stream, came: BytesMut::new(), decoder: Decoder::default() }
    }

    async fn read_preface(&mut self) -> Preface {
        loop {
            if let Some(preface) = Preface::decode(&mut self.came).unwrap() {
                return preface;
            }
            assert!(self.read().await > 0, "turned away");
        }
    }

    async fn read(&mut self) -> usize {
        self.came.reserve(FRAME_LIMIT);
        let read = timeout(GUARD, self.stream.read_buf(&mut self.came)).await;
        read.expect("nothing comes").unwrap_or(0)
    }

    /// The next frame, or `None` at the end.
    async fn frame(&mut self) -> Option<Received> {
        loop {
            if let Some(frame) = self.decoder.next(&mut self.came).unwrap() {
                return Some(frame);
            }
            if self.read().await == 0 {
                return None;
            }
        }
    }

    async fn say(&mut self, content: &[u8]) {
        let mut out = BytesMut::new();
        put_message(&mut out, content);
        self.stream.write_all(&out).await.unwrap();
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

#[tokio::test]
async fn peers_see_the_port_that_is_listened_on_and_a_connection_at_rest_is_flushed() {
    let (a, mut b) = (End::open("a").await, End::open("b").await);
    a.send(&b.to("b"), b"short");
    assert_eq!(b.message().await.from.remote(), a.addr());
    a.send(&b.to("b"), &[0; 50_000]);
    let message = b.message().await;
    assert_eq!((message.bytes.len(), message.peer), (50_000, None), "nobody has proved anything");
    until("all is on its way", || {
        let connections = a.sender.shared.hub.connections();
        connections.iter().all(|(link, _)| link.is_flushed())
    })
    .await;
}

/// Two dials at once are rare, and their order is not ours to choose: many pairs try.
#[tokio::test]
async fn two_that_dial_each_other_at_once_end_up_with_one_connection_and_lose_nothing() {
    let mut pairs = tokio::task::JoinSet::new();
    for pair in 0..30 {
        pairs.spawn(async move {
            let (mut a, mut b) = (End::open("a").await, End::open("b").await);
            let (to_a, to_b) = (a.to("a"), b.to("b"));
            for content in [b"1", b"2"] {
                a.send(&to_b, content);
                b.send(&to_a, content);
            }
            for end in [&mut a, &mut b] {
                let mut got = [end.message().await.bytes, end.message().await.bytes];
                got.sort();
                assert_eq!(got, [&b"1"[..], b"2"], "pair {pair}");
            }
            let opened = a.sender.stats().connections_opened;
            until("one connection", || a.connections() == 1 && b.connections() == 1).await;
            for end in [&a, &b] {
                assert_eq!(end.sender.stats().failures.len(), 0, "{:?}", end.sender.stats());
            }
            opened
        });
    }
    let opened = pairs.join_all().await;
    assert!(opened.contains(&2), "no two dials at once: {opened:?}");
}

#[tokio::test]
async fn a_peer_that_was_restarted_is_found_again_and_what_waited_for_it_arrives() {
    let (mut a, mut b) = (End::open("a").await, End::open("b").await);
    let (addr, to_b) = (b.addr(), b.to("b"));
    a.send(&to_b, b"before");
    b.message().await;
    drop(b);
    let report = a.report().await;
    assert!(
        matches!(report, Report::Unreachable { reason: UnreachableReason::ConnectionLost, .. }),
        "{report:?}"
    );
    until("the port is free", || std::net::TcpListener::bind(addr).is_ok()).await;
    let mut b = End::open_with(TcpConfig::default(), "b", addr).await;
    a.send(&to_b, b"after");
    assert_eq!(b.message().await.bytes, "after");
}

#[tokio::test]
async fn a_peer_that_closes_in_order_is_no_failure_and_its_last_messages_arrive() {
    let (a, mut b) = (End::open("a").await, End::open("b").await);
    let to_b = b.to("b");
    a.send(&to_b, b"first");
    b.message().await;
    for _ in 0..100 {
        a.send(&to_b, &[1; 20_000]);
    }
    a.sender.close().await;
    for _ in 0..100 {
        assert_eq!(b.message().await.bytes.len(), 20_000);
    }
    until("b knows", || b.connections() == 0).await;
    assert_eq!(b.sender.stats().failures.len(), 0, "{:?}", b.sender.stats().failures);
}

#[tokio::test]
async fn a_peer_that_answers_nothing_is_given_up_after_it_was_asked() {
    let (mut a, (listener, addr)) = (End::open("a").await, listener().await);
    let to = Destination::node("mute", [addr]);
    a.send(&to, b"anybody there?");
    let mut mute = Puppet::accept(&listener, "mute").await;
    let begin = Instant::now();
    assert_eq!(mute.frame().await, Some(Received::Message(Bytes::from_static(b"anybody there?"))));
    assert_eq!(mute.frame().await, Some(Received::Ping));
    until("it is given up", || a.failures("unanswered") == 1).await;
    assert!(begin.elapsed() >= Duration::from_millis(2_500), "too early");
    // What comes next goes over a new connection.
    until("it is closed", || a.connections() == 0).await;
    a.send(&to, b"again");
    let mut again = Puppet::accept(&listener, "mute").await;
    assert!(matches!(again.frame().await, Some(Received::Message(_))));
    again.say(b"yes").await;
    assert_eq!(a.message().await.bytes, "yes");
}

#[tokio::test]
async fn a_peer_that_only_says_that_it_is_there_is_kept() {
    let (a, (listener, addr)) = (End::open("a").await, listener().await);
    a.send(&Destination::node("terse", [addr]), b"hello");
    let mut terse = Puppet::accept(&listener, "terse").await;
    terse.frame().await;
    assert_eq!(terse.frame().await, Some(Received::Ping));
    let mut pong = BytesMut::new();
    put_pong(&mut pong);
    terse.stream.write_all(&pong).await.unwrap();
    sleep(Duration::from_secs(4)).await;
    assert_eq!((a.connections(), a.failures("unanswered")), (1, 0));
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_given_up_though_it_talks_and_delays_nobody() {
    let (a, mut b) = (End::open("a").await, End::open("b").await);
    let (listener, addr) = listener().await;
    let to = Destination::node("deaf", [addr]);
    a.send(&to, b"hello");
    let mut deaf = Puppet::accept(&listener, "deaf").await;
    let talks = tokio::spawn(async move {
        let mut pong = BytesMut::new();
        put_pong(&mut pong);
        while deaf.stream.write_all(&pong).await.is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
    });
    let begin = Instant::now();
    // Far more than the two kernels hold.
    let mut refused = 0_u64;
    while begin.elapsed() < Duration::from_secs(5) {
        refused += u64::from(a.sender.send(&to, Bytes::from(vec![0; 1 << 20])).is_err());
        a.send(&b.to("b"), b"to somebody else");
        b.message().await;
        sleep(Duration::from_millis(10)).await;
    }
    assert!(refused > 0, "its queue has no bound");
    assert!(a.sender.stats().send_queue_bytes <= 4 << 20);
    until("it is given up", || a.failures("unanswered") == 1).await;
    assert!(begin.elapsed() >= Duration::from_secs(9), "too early");
    timeout(GUARD, talks).await.expect("still connected").unwrap();
    assert_eq!(a.failures("unanswered"), 1, "counted again while it closes");
}

#[tokio::test]
async fn whoever_does_not_introduce_itself_gives_its_place_back() {
    let config =
        TcpConfig { max_handshakes: 2, max_handshakes_per_network: 2, ..Default::default() };
    let mut a = End::open_with(config, "a", "127.0.0.1:0".parse().unwrap()).await;
    let mut slow = Puppet::unknown(a.addr()).await;
    slow.stream.write_all(&preface("slow")[..3]).await.unwrap();
    let _silent = Puppet::unknown(a.addr()).await;
    let mut third = Puppet::unknown(a.addr()).await;
    assert_eq!(third.read().await, 0, "turned away");
    assert_eq!(a.failures("too many handshakes"), 1);
    until("both are given up", || a.failures("handshake timed out") == 2).await;
    let mut b = Puppet::dial(a.addr(), "b").await;
    b.say(b"hello").await;
    assert_eq!(a.message().await.bytes, "hello");
}

#[tokio::test]
async fn a_message_that_is_not_ended_is_not_waited_for_and_others_pass_meanwhile() {
    let mut a = End::open("a").await;
    let mut slow = Puppet::dial(a.addr(), "slow").await;
    let mut other = Puppet::dial(a.addr(), "other").await;
    // The first byte of a frame of a hundred.
    slow.stream.write_all(&[0, 0, 100, 1]).await.unwrap();
    let begin = Instant::now();
    other.say(b"meanwhile").await;
    assert_eq!(a.message().await.bytes, "meanwhile");
    until("it is given up", || a.failures("too slow") == 1).await;
    assert!(begin.elapsed() >= Duration::from_secs(9), "too early");
    assert_eq!(slow.frame().await, None, "closed");
}

#[tokio::test]
async fn a_flood_is_held_up_and_those_beside_it_are_not() {
    let mut a = End::open("a").await;
    let mut flood = Puppet::dial(a.addr(), "flood").await;
    let mut other = Puppet::dial(a.addr(), "other").await;
    let flooding = tokio::spawn(async move {
        let mut frames = BytesMut::new();
        for _ in 0..1_000 {
            put_message(&mut frames, b"f");
        }
        while flood.stream.write_all(&frames).await.is_ok() {}
    });
    let begin = Instant::now();
    let mut floods = 0_u64;
    for _ in 0..20 {
        other.say(b"o").await;
        while a.message().await.bytes != "o" {
            floods += 1;
        }
        sleep(Duration::from_millis(20)).await;
    }
    // The burst, and the rate; the rest waits in the sender's kernel.
    let most = 2_048 + 4_096 * (begin.elapsed().as_millis() as u64 + 1_000) / 1_000;
    let received = a.sender.stats().messages_received + a.sender.stats().dropped_receive_queue_full;
    assert!(received <= most + 20, "{received} messages, at most {most} are right");
    assert!(floods > 0);
    flooding.abort();
}

#[tokio::test]
async fn nonsense_ends_a_connection_and_is_counted() {
    let mut a = End::open("a").await;
    let mut stranger = Puppet::unknown(a.addr()).await;
    stranger.stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(stranger.read().await, 0);
    assert_eq!(a.failures("not a node"), 1);
    let mut member = Puppet::dial(a.addr(), "member").await;
    member.say(b"sense").await;
    assert_eq!(a.message().await.bytes, "sense");
    member.stream.write_all(&[77; 100]).await.unwrap();
    assert_eq!(member.frame().await, None, "closed");
    until("it is counted", || a.failures("malformed frames") == 1).await;
    assert_eq!(a.sender.stats().dropped_malformed, 2);
}

#[tokio::test]
async fn another_node_than_the_one_that_was_looked_for_gets_nothing() {
    let (mut a, mut b) = (End::open("a").await, End::open("b").await);
    a.send(&b.to("c"), b"for c only");
    match a.report().await {
        Report::IdentityRefused { addr, expected, presented, .. } => {
            assert_eq!(addr, b.addr());
            assert_eq!((expected.as_deref(), presented.as_deref()), (Some("c"), Some("b")));
        }
        other => panic!("{other:?}"),
    }
    // Whoever is there is not put off for it.
    a.send(&b.to("b"), b"for b");
    assert_eq!(b.message().await.bytes, "for b");
    assert_eq!(b.sender.stats().failures.len(), 0, "{:?}", b.sender.stats().failures);
}

#[tokio::test]
async fn a_connection_that_is_not_used_is_closed_and_opened_again() {
    let config = TcpConfig { idle_timeout: Duration::from_secs(10), ..Default::default() };
    let a = End::open_with(config, "a", "127.0.0.1:0".parse().unwrap()).await;
    let mut b = End::open("b").await;
    a.send(&b.to("b"), b"1");
    b.message().await;
    assert_eq!(a.connections(), 1);
    until("it is closed", || a.connections() == 0 && b.connections() == 0).await;
    assert_eq!(b.sender.stats().failures.len(), 0, "{:?}", b.sender.stats().failures);
    a.send(&b.to("b"), b"2");
    assert_eq!(b.message().await.bytes, "2");
}

#[tokio::test]
async fn the_connection_that_was_used_longest_ago_makes_room() {
    let config = TcpConfig { max_connections: 8, ..Default::default() };
    let mut a = End::open_with(config, "a", "127.0.0.1:0".parse().unwrap()).await;
    let mut peers = Vec::new();
    for index in 0..9 {
        let mut peer = Puppet::dial(a.addr(), &format!("p{index}")).await;
        peer.say(b"hello").await;
        a.message().await;
        peers.push(peer);
        sleep(Duration::from_millis(20)).await;
    }
    until("one is closed", || a.connections() == 8).await;
    let Some(Received::Goodbye { code, .. }) = peers[0].frame().await else { panic!("not told") };
    assert_eq!(code, Some(CloseCode::Idle));
}

#[tokio::test]
async fn a_node_id_that_fits_nowhere_is_an_error_at_the_call() {
    for len in [0, 256] {
        let listen = vec!["127.0.0.1:0".parse().unwrap()];
        let options = OpenOptions::new("c", "n".repeat(len), listen);
        let error = PlainTcpTransport::new().open(options).await.unwrap_err();
        assert!(error.to_string().contains(&format!("has {len} bytes")), "{error}");
    }
}

#[tokio::test]
async fn a_peer_that_takes_us_in_and_hangs_up_is_not_dialled_again_without_a_pause() {
    let (a, (listener, addr)) = (End::open("a").await, listener().await);
    // So long that it is never sent before the peer has hung up.
    a.send(&Destination::node("rude", [addr]), &[0; 1 << 20]);
    let dials = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&dials);
    let rude = tokio::spawn(async move {
        loop {
            drop(Puppet::accept(&listener, "rude").await);
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    sleep(Duration::from_secs(2)).await;
    rude.abort();
    let dials = dials.load(Ordering::Relaxed);
    assert!((2..15).contains(&dials), "{dials} dials");
}

/// The other end of a connection that may be under TLS, and reads slowly.
#[cfg(target_os = "linux")]
struct Slow {
    stream: Stream,
    came: BytesMut,
}

#[cfg(target_os = "linux")]
impl Slow {
    async fn accept(listener: &TcpListener, security: &Security) -> Slow {
        let own = Preface { node_id: "slow".into(), listens_on: 0 };
        let (stream, from) = timeout(GUARD, listener.accept()).await.unwrap().unwrap();
        let Established { stream, came, .. } = welcome(stream, security, &own, from).await.unwrap();
        Slow { stream, came }
    }

    /// Reads so many messages, or to the end, and counts them.
    async fn messages(&mut self, up_to: usize) -> usize {
        let (mut decoder, mut messages, mut piece) = (Decoder::default(), 0, [0; 4_096]);
        loop {
            while let Some(received) = decoder.next(&mut self.came).unwrap() {
                messages += usize::from(matches!(received, Received::Message(_)));
            }
            if messages == up_to {
                return messages;
            }
            sleep(Duration::from_millis(1)).await;
            let read = timeout(GUARD, self.stream.read(&mut piece)).await.unwrap().unwrap();
            self.came.extend_from_slice(&piece[..read]);
            if read == 0 {
                assert!(self.came.is_empty(), "a message that is cut");
                return messages;
            }
        }
    }
}

/// A peer that says goodbye reads on until we close as well.
#[cfg(target_os = "linux")]
async fn what_was_begun_arrives(security: Security, a: End) {
    let (listener, addr) = listener().await;
    // As with a network between them: our kernel keeps what the peer has not read.
    let socket = socket2::SockRef::from(&listener);
    socket.set_recv_buffer_size(32 << 10).unwrap();
    socket.set_tcp_mss(1_000).unwrap();
    let to = Destination::node("slow", [addr]);
    a.send(&to, b"first");
    let mut slow = Slow::accept(&listener, &security).await;
    let (mut sent, begin) = (1, Instant::now());
    while begin.elapsed() < Duration::from_secs(1) {
        match a.sender.send(&to, Bytes::from(vec![1; 10_000])) {
            Ok(()) => sent += 1,
            Err(_) => sleep(Duration::from_millis(1)).await,
        }
    }
    let mut goodbye = BytesMut::new();
    put_goodbye(&mut goodbye, CloseCode::Idle, "");
    slow.stream.write_all(&goodbye).await.unwrap();
    slow.stream.flush().await.unwrap();
    // It is heard before TLS closes behind it.
    sleep(Duration::from_millis(50)).await;
    slow.stream.shutdown().await.unwrap();
    let got = slow.messages(usize::MAX).await;
    assert!(got < sent, "the kernels held all of it");
    let mut again = Slow::accept(&listener, &security).await;
    assert_eq!(got + again.messages(sent - got).await, sent);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_was_begun_when_the_peer_says_goodbye_arrives_and_the_rest_goes_another_way() {
    what_was_begun_arrives(Security::None, End::open("a").await).await;
}

#[cfg(all(target_os = "linux", feature = "tls"))]
#[tokio::test]
async fn with_tls_too_what_was_begun_when_the_peer_says_goodbye_arrives() {
    let ca = chitchat_tls::ClusterCa::generate("c").unwrap();
    let identity = ca.issue("slow").unwrap().tls_config().unwrap();
    let options = OpenOptions::new("c", "a", vec!["127.0.0.1:0".parse().unwrap()]);
    let transport = TlsTcpTransport::new(ca.issue("a").unwrap().tls_config().unwrap());
    let (sender, receiver) = transport.open(options).await.unwrap();
    let security = Security::Tls(identity.bind("c", "slow").unwrap());
    what_was_begun_arrives(security, End { sender, receiver }).await;
}

#[tokio::test]
async fn a_crowd_is_not_let_in_faster_than_it_is_closed() {
    let config = TcpConfig { max_connections: 8, ..Default::default() };
    let a = End::open_with(config, "a", "127.0.0.1:0".parse().unwrap()).await;
    let (mut crowd, mut most) = (Vec::new(), 0);
    for index in 0..500 {
        let mut one = Puppet::unknown(a.addr()).await;
        // It may have been turned away.
        let _ = one.stream.write_all(&preface(&format!("p{index}"))).await;
        crowd.push(one);
        most = most.max(a.connections());
    }
    // Three times as many, and those that were being greeted.
    assert!(most <= 24 + 32, "{most} connections");
    assert!(a.failures("too many connections") > 0);
    drop(crowd);
    until("the crowd is gone", || a.connections() == 0).await;
    Puppet::dial(a.addr(), "b").await;
}

#[tokio::test]
async fn what_waits_for_a_dial_is_sent_before_closing() {
    let (a, mut b) = (End::open("a").await, End::open("b").await);
    a.send(&b.to("b"), &[1; 100_000]);
    a.send(&b.to("b"), b"farewell");
    a.sender.close().await;
    let mut got = [b.message().await.bytes.len(), b.message().await.bytes.len()];
    got.sort();
    assert_eq!(got, [8, 100_000]);
}

#[tokio::test]
async fn closing_waits_a_second_at_most_for_a_peer_that_does_not_answer() {
    // Connected by the kernel, and never greeted.
    let (a, (_listener, addr)) = (End::open("a").await, listener().await);
    a.send(&Destination::node("silent", [addr]), b"farewell");
    let begin = Instant::now();
    a.sender.close().await;
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    assert_eq!(a.sender.stats().dropped_sending, 1);
}
