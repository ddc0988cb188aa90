//! Nodes over QUIC, as an application sees them.

#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use std::net::{Ipv6Addr, UdpSocket};
use std::time::{Duration, SystemTime};

use chitchat::quic::QuicTransport;
use chitchat::tls::{ClusterCa, IssueOptions, TlsConfig};
use chitchat::transport::{CredentialsReport, Report};
use chitchat::udp::PlainUdpTransport;
use chitchat::{ChitchatConfig, ChitchatHandle, Error, OperatorNotice, SpawnError, WriteError};
use tokio::time::{sleep, timeout};

/// Ends what would hang; far more than anything here takes.
const GUARD: Duration = Duration::from_secs(60);

fn config(node_id: &str, listen: &[&str], seeds: &[String]) -> ChitchatConfig {
    ChitchatConfig::builder("values", node_id)
        .listen(listen)
        .seeds(seeds)
        .gossip_interval(Duration::from_millis(100))
        .build()
        .unwrap()
}

async fn spawn(ca: &ClusterCa, node_id: &str, listen: &[&str], seeds: &[String]) -> ChitchatHandle {
    let identity = ca.issue(node_id).unwrap().tls_config().unwrap();
    chitchat::spawn(config(node_id, listen, seeds), QuicTransport::new(identity)).await.unwrap()
}

fn addrs(node: &ChitchatHandle) -> Vec<String> {
    node.local_addrs().iter().map(ToString::to_string).collect()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let holds = async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(GUARD, holds).await.unwrap_or_else(|_| panic!("{what} has not come about"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_of_a_mebibyte_replicates_over_quic_and_is_refused_over_udp() {
    let ca = ClusterCa::generate("values").unwrap();
    let writer = spawn(&ca, "writer", &["127.0.0.1:0"], &[]).await;
    let reader = spawn(&ca, "reader", &["127.0.0.1:0"], &addrs(&writer)).await;
    let value = "x".repeat(1 << 20);
    writer.set("large", &value).unwrap();
    writer.set("small", "y").unwrap();
    until("the value", || {
        let state = reader.snapshot();
        let writer = state.node("writer");
        writer
            .is_some_and(|node| node.get("large") == Some(&value) && node.get("small") == Some("y"))
    })
    .await;
    // One byte more is over the limit of the protocol.
    let refused = writer.set("larger", "x".repeat((1 << 20) + 1)).unwrap_err();
    assert!(matches!(refused, Error::Refused(WriteError::ValueTooLong { .. })), "{refused:?}");

    let over_udp = config("plain", &["127.0.0.1:0"], &[]);
    let over_udp = chitchat::spawn(over_udp, PlainUdpTransport::new()).await.unwrap();
    let refused = over_udp.set("large", &value).unwrap_err();
    let Error::Refused(WriteError::ValueTooLong { limit, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(limit < 65_507, "the limit is that of a datagram: {limit}");
    assert_eq!(over_udp.get("large"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_one_family_meet_through_a_node_of_both() {
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("SKIPPED: no IPv6 on this host");
        return;
    }
    let ca = ClusterCa::generate("values").unwrap();
    let both = spawn(&ca, "both", &["127.0.0.1:0", "[::1]:0"], &[]).await;
    let seeds = addrs(&both);
    let v4 = spawn(&ca, "v4", &["127.0.0.1:0"], &seeds).await;
    let v6 = spawn(&ca, "v6", &["[::1]:0"], &seeds).await;
    v4.set("from", "v4").unwrap();
    v6.set("from", "v6").unwrap();
    for node in [&both, &v4, &v6] {
        until("all see all", || {
            let state = node.snapshot();
            let from = |id: &str| state.node(id).and_then(|node| node.get("from")) == Some(id);
            state.live_nodes().count() == 3 && from("v4") && from("v6")
        })
        .await;
    }
    let failures = |node: &ChitchatHandle| node.stats().transport.failures;
    for node in [&both, &v4, &v6] {
        assert_eq!(failures(node).get("EAFNOSUPPORT"), None);
    }
}

#[tokio::test]
async fn a_certificate_for_another_node_is_refused_when_the_node_is_started() {
    let ca = ClusterCa::generate("values").unwrap();
    let identity = ca.issue("somebody-else").unwrap().tls_config().unwrap();
    let config = config("node", &["127.0.0.1:0"], &[]);
    let error = chitchat::spawn(config, QuicTransport::new(identity)).await.unwrap_err();
    assert!(matches!(error, SpawnError::Open(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("chitchat://values/somebody-else"), "{text}");
    assert!(text.contains("chitchat://values/node"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_user_knows_when_the_certificate_expires_and_that_it_was_replaced() {
    let ca = ClusterCa::generate("values").unwrap();
    let now = SystemTime::now();
    let soon = now + Duration::from_secs(3_600);
    let issue = |until: SystemTime| {
        let options = IssueOptions::new("node").validity(now - Duration::from_secs(60), until);
        ca.issue_with(options).unwrap()
    };
    let identity = TlsConfig::builder()
        .der(issue(soon).material())
        .warn_before_expiry(Duration::from_secs(7_200))
        .build()
        .unwrap();
    let transport = QuicTransport::new(identity.clone());
    let node = chitchat::spawn(config("node", &["127.0.0.1:0"], &[]), transport).await.unwrap();
    let mut notices = node.notices();
    let seconds = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let expires = || node.stats().transport.credentials_expire_at.map(seconds);
    assert_eq!(expires(), Some(seconds(soon)));

    let late = now + Duration::from_secs(86_400);
    identity.update(issue(late).material()).unwrap();
    assert_eq!(expires(), Some(seconds(late)));
    let mut told = Vec::new();
    let reloaded = async {
        while let Some(Ok(notice)) = notices.next().await {
            let OperatorNotice::Transport(Report::Credentials(report)) = notice else { continue };
            told.push(report.clone());
            if matches!(report, CredentialsReport::Reloaded { .. }) {
                return;
            }
        }
    };
    timeout(GUARD, reloaded).await.unwrap_or_else(|_| panic!("only {told:?} was told"));
    until("it is counted", || node.stats().reports.credentials >= 1).await;
}
