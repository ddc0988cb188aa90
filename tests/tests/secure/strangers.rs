//! Peers that must not get in, and peers that got in and behave badly.

use std::time::Duration;

use bytes::Bytes;
use chitchat::tls::ClusterCa;
use chitchat::{Notice, OperatorNotice};
use chitchat_tests::net::{Session, Wire};
use tokio::time::timeout;

use super::stage::{CLUSTER, GUARD, Stage, identity, papers, start, syn, until};

pub(crate) async fn a_stranger_without_a_certificate_is_refused<W: Wire>(wire: W) {
    let mut stage = Stage::new(wire).await;
    let words = stage.refuses(None, "no_certificate").await;
    assert!(words.to_lowercase().contains("certificate"), "{words}");
    let (presented, _) = stage.refusal().await;
    assert_eq!(presented, None);
}

pub(crate) async fn a_certificate_of_an_unknown_ca_is_refused<W: Wire>(wire: W) {
    let mut stage = Stage::new(wire).await;
    let other = ClusterCa::generate(CLUSTER).unwrap();
    stage.refuses(Some(papers(&other, "mallory")), "unknown_issuer").await;
    let (presented, reason) = stage.refusal().await;
    assert_eq!(presented.as_deref(), Some("chitchat://secure/mallory"));
    assert!(reason.contains("trust"), "{reason}");
}

pub(crate) async fn a_certificate_for_another_cluster_is_refused<W: Wire>(wire: W) {
    let mut stage = Stage::new(wire).await;
    let words =
        stage.refuses(Some(stage.papers_for_san("chitchat://other/mallory")), "wrong_cluster");
    let words = words.await;
    assert!(words.contains("chitchat://other/mallory"), "{words}");
    assert!(words.contains(CLUSTER), "it says what was expected: {words}");
    let (presented, _) = stage.refusal().await;
    assert_eq!(presented.as_deref(), Some("chitchat://other/mallory"));
}

pub(crate) async fn a_certificate_without_a_node_name_is_refused<W: Wire>(wire: W) {
    let mut stage = Stage::new(wire).await;
    stage.refuses(Some(stage.papers_for_san("https://example.org/mallory")), "bad_san").await;
}

pub(crate) async fn an_expired_certificate_is_refused<W: Wire>(wire: W) {
    let mut stage = Stage::new(wire).await;
    stage.refuses(Some(stage.papers_valid(-7_200..-3_600)), "expired").await;
    let (presented, reason) = stage.refusal().await;
    assert_eq!(presented.as_deref(), Some("chitchat://secure/mallory"));
    assert!(reason.contains("expired"), "{reason}");
}

pub(crate) async fn a_certificate_that_is_not_valid_yet_is_refused<W: Wire>(wire: W) {
    let mut stage = Stage::new(wire).await;
    stage.refuses(Some(stage.papers_valid(3_600..7_200)), "not_yet_valid").await;
}

/// In a Syn: the certificate is mallory's, the message says that it is from bob.
pub(crate) async fn a_member_that_speaks_as_another_in_a_syn_changes_nothing<W: Wire>(wire: W) {
    let mut stage = Stage::new(wire).await;
    let session = stage.wire.dial(stage.addr(), Some(papers(&stage.ca, "mallory"))).await.unwrap();
    let mismatch = async {
        loop {
            session.send(syn("bob", CLUSTER)).await.unwrap();
            let notice = timeout(Duration::from_millis(50), stage.notices.next()).await;
            let Ok(Some(Ok(OperatorNotice::Node(Notice::IdentityMismatch { claimed, verified })))) =
                notice
            else {
                continue;
            };
            return (claimed.to_string(), verified.to_string());
        }
    };
    let (claimed, verified) = timeout(GUARD, mismatch).await.expect("no notice");
    assert_eq!((claimed.as_str(), verified.as_str()), ("bob", "mallory"));
    assert!(stage.alice.stats().protocol.refused_identity > 0);
    stage.gossips_on().await;
}

/// As a listener: bob's address leads to mallory.
pub(crate) async fn a_listener_with_the_name_of_another_gets_no_message<W: Wire>(wire: W) {
    let mut stage = Stage::new(wire).await;
    let mut rogue = stage.wire.listen(papers(&stage.ca, "mallory")).await.unwrap();
    // Carol knows bob by name and is told that he has moved: for her, his address is mallory's.
    let to = chitchat::transport::Destination::node("bob", [rogue.addr]);
    let (sender, mut receiver) = open(&stage.wire, identity(&stage.ca, "carol")).await;
    use chitchat::transport::{Inbound, Report, TransportReceiver as _, TransportSender as _};
    let refused = async {
        loop {
            sender.send(&to, Bytes::from_static(b"for bob only")).unwrap();
            let inbound = timeout(Duration::from_millis(50), receiver.recv()).await;
            if let Ok(Some(Inbound::Report(Report::IdentityRefused {
                expected, presented, ..
            }))) = inbound
            {
                return (expected, presented);
            }
        }
    };
    let (expected, presented) = timeout(GUARD, refused).await.expect("no report");
    assert_eq!(expected.as_deref(), Some("bob"));
    assert_eq!(presented.as_deref(), Some("chitchat://secure/mallory"));
    while let Ok(session) = rogue.sessions.try_recv() {
        let heard = timeout(GUARD, session.recv()).await.expect("it is not closed");
        assert_eq!(heard, None, "mallory got what was for bob");
    }
    stage.gossips_on().await;
}

async fn open<W: Wire>(
    wire: &W,
    identity: chitchat::tls::TlsConfig,
) -> (
    <W::Transport as chitchat::transport::Transport>::Sender,
    <W::Transport as chitchat::transport::Transport>::Receiver,
) {
    use chitchat::transport::{OpenOptions, Transport};
    let options = OpenOptions::new(CLUSTER, "carol", vec!["127.0.0.1:0".parse().unwrap()]);
    wire.transport(identity).open(options).await.unwrap()
}

/// In an answer: alice asks an address and is answered by mallory in bob's name.
pub(crate) async fn an_answer_in_the_name_of_another_changes_nothing<W: Wire>(wire: W) {
    let stage = Stage::new(wire).await;
    let mut rogue = stage.wire.listen(papers(&stage.ca, "mallory")).await.unwrap();
    let carol = start(&stage.wire, "carol", identity(&stage.ca, "carol"), &[rogue.addr]).await;
    let session = timeout(GUARD, rogue.sessions.recv()).await.unwrap().unwrap();
    timeout(GUARD, session.recv()).await.unwrap().expect("carol asks her seed");
    let carol_stats = || carol.stats().protocol;
    let answers = async {
        while carol_stats().refused_identity == 0 {
            // Whatever it is: what counts is in whose name it is sent.
            session.send(syn("bob", CLUSTER)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(GUARD, answers).await.expect("it was not refused");
    assert_eq!(carol.snapshot().nodes().count(), 1, "carol knows nobody but herself");
}

pub(crate) async fn garbage_on_the_port_does_nothing<W: Wire>(wire: W) {
    let mut stage = Stage::new(wire).await;
    let plaintext = syn("mallory", CLUSTER);
    let garbage: [&[u8]; 6] = [
        b"",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        &[0; 1_200],
        &[0xff; 9_000],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        &plaintext,
    ];
    for bytes in garbage {
        stage.wire.garbage(stage.addr(), bytes).await;
    }
    stage.gossips_on().await;
}

pub(crate) async fn a_member_that_floods_is_held_up_and_nobody_else<W: Wire>(wire: W) {
    let mut stage = Stage::new(wire).await;
    let session = stage.wire.dial(stage.addr(), Some(papers(&stage.ca, "mallory"))).await.unwrap();
    let flooding = tokio::spawn({
        let session = session.clone();
        async move { session.flood(Duration::from_secs(3)).await }
    });
    for _ in 0..10 {
        stage.gossips_on().await;
    }
    let held = stage.alice.stats().transport.receive_queue_bytes;
    assert!(held <= 16 << 20, "{held} bytes wait");
    flooding.await.unwrap();
    stage.gossips_on().await;
}

pub(crate) async fn a_member_that_sends_without_end_is_cut_off_its_message<W: Wire>(wire: W) {
    let mut stage = Stage::new(wire).await;
    let session = stage.wire.dial(stage.addr(), Some(papers(&stage.ca, "mallory"))).await.unwrap();
    let endless = tokio::spawn({
        let session = session.clone();
        async move { session.endless(Duration::from_secs(2)).await }
    });
    for _ in 0..10 {
        stage.gossips_on().await;
    }
    endless.await.unwrap();
    let alice = &stage.alice;
    until("it is counted", || alice.stats().transport.dropped_malformed > 0).await;
    stage.gossips_on().await;
}

pub(crate) async fn a_member_that_goes_silent_gets_no_digest_and_holds_up_nobody<W: Wire>(wire: W) {
    let mut stage = Stage::new(wire).await;
    let session = stage.wire.dial(stage.addr(), Some(papers(&stage.ca, "mallory"))).await.unwrap();
    for _ in 0..10 {
        stage.gossips_on().await;
    }
    // It has said nothing, so it is not a member, and nobody speaks to it.
    let heard = timeout(Duration::from_millis(300), session.recv()).await;
    assert!(heard.is_err(), "it heard {heard:?}");
}
