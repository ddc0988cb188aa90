//! Handshakes between real rustls connections, in memory.

#![cfg(feature = "dev-ca")]

mod common;

use std::sync::{Arc, Mutex};

use chitchat_tls::{CaOptions, ClusterCa, IssueOptions, NodeTls, PeerRole};
use common::{ALPN, Handshake, ca, days_ago, in_days, node, now};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, Error, HandshakeKind, ProtocolVersion,
    RootCertStore, version,
};

/// A node whose own certificate its peers have to refuse.
fn bad_node(ca: &ClusterCa, options: IssueOptions) -> NodeTls {
    ca.issue_with(options).unwrap().tls_config().unwrap().bind_unchecked("c", "bad").unwrap()
}

/// The alert that a bad node receives, as dialler and as listener.
fn alerts(us: &NodeTls, bad: &NodeTls) -> [AlertDescription; 2] {
    let alert = |outcome| match outcome {
        Err(Error::AlertReceived(alert)) => alert,
        other => panic!("no alert: {other:?}"),
    };
    let dialled = Handshake::between(bad, us);
    let listened = Handshake::between(us, bad);
    for refusal in [&dialled.server, &listened.client] {
        assert!(matches!(refusal, Err(Error::InvalidCertificate(_))), "{refusal:?}");
    }
    [alert(dialled.client), alert(listened.server)]
}

#[test]
fn two_nodes_know_each_other_after_the_handshake() {
    let root = ca();
    let one = node(&root, "one");
    let below = root.intermediate(CaOptions::default()).unwrap();
    let two = node(&below, "two");
    for (dialler, listener) in [(&one, &two), (&two, &one)] {
        let handshake = Handshake::between(dialler, listener);
        assert!(handshake.succeeded());
        assert_eq!(handshake.listener.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        assert_eq!(handshake.listener.alpn_protocol(), Some(ALPN));
        let chain = handshake.listener.peer_certificates().unwrap();
        let identity = listener.current().authorize(chain, PeerRole::Dialler, now(), None).unwrap();
        assert_eq!(&*identity.node_id, dialler.node_id());
        let chain = handshake.dialler.peer_certificates().unwrap();
        let expected = Some(listener.node_id());
        assert!(dialler.current().authorize(chain, PeerRole::Listener, now(), expected).is_ok());
    }
}

#[test]
fn the_refused_side_is_told_why() {
    let ca = ca();
    let us = node(&ca, "us");
    let stranger = bad_node(&common::ca(), IssueOptions::new("bad"));
    // A stranger does not accept us either, and as a listener would notice first.
    let dialled =
        Handshake::with(stranger.current().client_config(ALPN), us.current().server_config(ALPN));
    assert!(matches!(
        dialled.client,
        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
    ));
    assert!(matches!(dialled.server, Err(Error::AlertReceived(AlertDescription::UnknownCA))));

    // One that trusts us, but that we do not trust.
    let foreign = common::ca().issue("bad").unwrap();
    let anchors = vec![ca.certificate().clone()];
    let config =
        chitchat_tls::TlsConfig::from_der(anchors, foreign.chain().to_vec(), foreign.private_key());
    let trusting = config.unwrap().bind_unchecked("c", "bad").unwrap();
    assert_eq!(alerts(&us, &trusting), [AlertDescription::UnknownCA; 2]);

    let expired = bad_node(&ca, IssueOptions::new("bad").validity(days_ago(2), days_ago(1)));
    assert_eq!(alerts(&us, &expired), [AlertDescription::CertificateExpired; 2]);
    let early = bad_node(&ca, IssueOptions::new("bad").validity(in_days(1), in_days(2)));
    assert_eq!(alerts(&us, &early), [AlertDescription::CertificateExpired; 2]);
    let purpose = IssueOptions::new("bad").usages([chitchat_tls::Usage::CodeSigning]);
    let misused = bad_node(&ca, purpose);
    assert_eq!(alerts(&us, &misused), [AlertDescription::UnsupportedCertificate; 2]);

    let revoked = ca.issue("bad").unwrap();
    let list = ca.revoke(&[&revoked]).unwrap();
    let config = ca.issue("us").unwrap().tls_config_builder().crls([list.der().clone()]).build();
    let us = config.unwrap().bind("c", "us").unwrap();
    let revoked = revoked.tls_config().unwrap().bind("c", "bad").unwrap();
    assert_eq!(alerts(&us, &revoked), [AlertDescription::CertificateRevoked; 2]);
}

#[test]
fn our_side_knows_who_was_refused_and_why() {
    let ca = ca();
    let us = node(&ca, "us").current();
    let bad = bad_node(&ca, IssueOptions::new("bad").validity(days_ago(2), days_ago(1))).current();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = || {
        let seen = seen.clone();
        move |error: &chitchat_tls::IdentityError| seen.lock().unwrap().push(error.clone())
    };
    Handshake::with(bad.client_config(ALPN), us.server_config_reporting(ALPN, note()));
    Handshake::with(us.client_config_reporting(ALPN, note()), bad.server_config(ALPN));
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    for error in &*seen {
        assert_eq!((error.kind(), error.presented()), ("expired", Some("chitchat://c/bad")));
    }
}

/// A client of the same CA that does not know our rules.
fn plain_client(ca: &ClusterCa, versions: &[&'static rustls::SupportedProtocolVersion]) -> Plain {
    let mut roots = RootCertStore::empty();
    roots.add(ca.certificate().clone()).unwrap();
    let provider = Arc::new(common::provider());
    Plain(
        ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots),
    )
}

struct Plain(rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>);

#[test]
fn a_dialler_without_certificate_is_refused() {
    let ca = ca();
    let mut client = plain_client(&ca, &[&version::TLS13]).0.with_no_client_auth();
    client.alpn_protocols = vec![ALPN.to_vec()];
    // Its own check of our name would fail first.
    client.dangerous().set_certificate_verifier(Arc::new(common::AcceptAll));
    let handshake = Handshake::with(client, node(&ca, "us").current().server_config(ALPN));
    assert!(matches!(handshake.server, Err(Error::NoCertificatesPresented)));
    assert!(matches!(
        handshake.client,
        Err(Error::AlertReceived(AlertDescription::CertificateRequired))
    ));
}

#[test]
fn old_tls_is_refused() {
    let ca = ca();
    let peer = ca.issue("peer").unwrap();
    let client = plain_client(&ca, &[&version::TLS12])
        .0
        .with_client_auth_cert(peer.chain().to_vec(), peer.private_key())
        .unwrap();
    let handshake = Handshake::with(client, node(&ca, "us").current().server_config(ALPN));
    assert!(matches!(handshake.server, Err(Error::PeerIncompatible(_))), "{:?}", handshake.server);
    assert!(matches!(
        handshake.client,
        Err(Error::AlertReceived(AlertDescription::ProtocolVersion))
    ));
}

#[test]
fn another_protocol_is_refused() {
    let ca = ca();
    let (one, two) = (node(&ca, "one").current(), node(&ca, "two").current());
    let handshake = Handshake::with(one.client_config(b"other"), two.server_config(ALPN));
    assert!(matches!(
        handshake.client,
        Err(Error::AlertReceived(AlertDescription::NoApplicationProtocol))
    ));
}

#[test]
fn nothing_is_resumed() {
    let ca = ca();
    let server = node(&ca, "two").current().server_config(ALPN);
    assert_eq!((server.send_tls13_tickets, server.max_early_data_size), (0, 0));
    // A client that would like to, with the certificate of a node.
    let peer = ca.issue("one").unwrap();
    let mut client = plain_client(&ca, &[&version::TLS13])
        .0
        .with_client_auth_cert(peer.chain().to_vec(), peer.private_key())
        .unwrap();
    client.alpn_protocols = vec![ALPN.to_vec()];
    client.dangerous().set_certificate_verifier(Arc::new(common::AcceptAll));
    assert!(!client.enable_early_data);
    for _ in 0..3 {
        let handshake = Handshake::with(client.clone(), server.clone());
        assert!(handshake.succeeded());
        assert_eq!(handshake.listener.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(handshake.dialler.tls13_tickets_received(), 0);
    }
}

#[test]
fn a_node_of_another_cluster_passes_the_handshake_and_not_the_check() {
    let ca = ca();
    let us = node(&ca, "us");
    let other = ca.issue_with(IssueOptions::new("bad").cluster_id("d")).unwrap();
    let other = other.tls_config().unwrap().bind("d", "bad").unwrap();
    let handshake = Handshake::between(&other, &us);
    assert!(handshake.succeeded());
    let chain = handshake.listener.peer_certificates().unwrap();
    let error = us.current().authorize(chain, PeerRole::Dialler, now(), None).unwrap_err();
    assert_eq!(error.kind(), "wrong_cluster");
}
