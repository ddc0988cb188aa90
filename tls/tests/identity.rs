//! Who is accepted, who is refused, and what the refusal says.

#![cfg(feature = "dev-ca")]

mod common;

use chitchat_tls::{
    CaOptions, ClusterCa, Credentials, IdentityError, IssueOptions, NodeCertificate, PeerRole,
    TlsConfig, TlsError, TlsMaterial, Usage, node_san,
};
use common::{DAY, ca, days_ago, in_days, node, now};
use rustls::pki_types::CertificateDer;

const ROLES: [PeerRole; 2] = [PeerRole::Dialler, PeerRole::Listener];

/// The refusal, which has to be the same in both roles.
fn refusal(us: &Credentials, chain: &[CertificateDer<'_>], node: Option<&str>) -> IdentityError {
    let [one, other] = ROLES.map(|role| us.authorize(chain, role, now(), node).unwrap_err());
    assert_eq!(one, other);
    one
}

#[test]
fn a_node_of_the_cluster_is_known_by_its_name() {
    let ca = ca();
    let us = node(&ca, "us").current();
    let peer =
        ca.issue_with(IssueOptions::new("rack 1/ü").validity(days_ago(1), in_days(2))).unwrap();
    for role in ROLES {
        for expected in [None, Some("rack 1/ü")] {
            let identity = us.authorize(peer.chain(), role, now(), expected).unwrap();
            assert_eq!(&*identity.node_id, "rack 1/ü");
            assert_eq!(&*identity.san, "chitchat://c/rack%201%2F%C3%BC");
            assert!(identity.not_after > in_days(1) && identity.not_after <= in_days(2));
        }
    }
}

#[test]
fn no_certificate_is_refused() {
    let error = refusal(&node(&ca(), "us").current(), &[], None);
    assert_eq!((error.kind(), error.presented()), ("no_certificate", None));
}

#[test]
fn another_ca_is_refused() {
    let us = node(&ca(), "us").current();
    let stranger = ca().issue("peer").unwrap();
    let error = refusal(&us, stranger.chain(), Some("peer"));
    assert_eq!((error.kind(), error.presented()), ("unknown_issuer", Some("chitchat://c/peer")));
}

#[test]
fn another_ca_of_the_same_name_is_refused() {
    let named = || ClusterCa::generate_with("c", CaOptions::default().common_name("CA")).unwrap();
    let us = node(&named(), "us").current();
    let error = refusal(&us, named().issue("peer").unwrap().chain(), None);
    assert_eq!((error.kind(), error.presented()), ("bad_signature", Some("chitchat://c/peer")));
}

#[test]
fn certificates_are_valid_from_and_until_and_not_longer() {
    let ca = ca();
    let us = node(&ca, "us").current();
    let valid = IssueOptions::new("peer").validity(days_ago(2), days_ago(1));
    let expired = ca.issue_with(valid).unwrap();
    let error = refusal(&us, expired.chain(), None);
    assert_eq!((error.kind(), error.presented()), ("expired", Some("chitchat://c/peer")));
    let IdentityError::Expired { not_after, .. } = error else { unreachable!() };
    assert!(days_ago(1).duration_since(not_after).unwrap() < DAY / 2);

    let at = |time| us.authorize(expired.chain(), PeerRole::Dialler, time, None);
    let second = std::time::Duration::from_secs(1);
    assert!(at(not_after).is_ok());
    assert!(at(not_after + second).is_err());
    assert_eq!(at(days_ago(3)).unwrap_err().kind(), "not_yet_valid");
    assert_eq!(at(std::time::UNIX_EPOCH - DAY).unwrap_err().kind(), "not_yet_valid");

    let early = ca.issue_with(IssueOptions::new("peer").validity(in_days(1), in_days(2))).unwrap();
    assert_eq!(refusal(&us, early.chain(), None).kind(), "not_yet_valid");
}

#[test]
fn an_expired_intermediate_ca_is_refused_and_its_expiry_counts() {
    let root = ca();
    let us = node(&root, "us").current();
    let old = root.intermediate(CaOptions::default().validity(days_ago(9), days_ago(1))).unwrap();
    assert_eq!(refusal(&us, old.issue("peer").unwrap().chain(), None).kind(), "expired");
    let young = root.intermediate(CaOptions::default().validity(days_ago(1), in_days(3))).unwrap();
    let peer = young.issue("peer").unwrap();
    let identity = us.authorize(peer.chain(), PeerRole::Dialler, now(), None).unwrap();
    assert!(identity.not_after <= in_days(3), "the least of the chain");
}

#[test]
fn intermediate_cas_have_to_come_along() {
    let root = ca();
    let below = root.intermediate(CaOptions::default()).unwrap();
    let peer = below.intermediate(CaOptions::default()).unwrap().issue("peer").unwrap();
    let us = node(&root, "us").current();
    assert_eq!(peer.chain().len(), 3);
    assert!(us.authorize(peer.chain(), PeerRole::Listener, now(), Some("peer")).is_ok());
    assert_eq!(refusal(&us, &peer.chain()[..2], None).kind(), "unknown_issuer");
    let bound = peer.tls_config().unwrap().bind("c", "peer").unwrap();
    let root_issued = root.issue("us").unwrap();
    assert!(bound.current().authorize(root_issued.chain(), PeerRole::Dialler, now(), None).is_ok());
}

#[test]
fn a_certificate_for_something_else_is_refused() {
    let ca = ca();
    let us = node(&ca, "us").current();
    let issue = |usages: &[Usage]| {
        ca.issue_with(IssueOptions::new("peer").usages(usages.iter().copied())).unwrap()
    };
    let ok = |peer: &NodeCertificate, role| us.authorize(peer.chain(), role, now(), None);
    let client = issue(&[Usage::ClientAuth]);
    assert!(ok(&client, PeerRole::Dialler).is_ok());
    assert_eq!(ok(&client, PeerRole::Listener).unwrap_err().kind(), "wrong_purpose");
    let server = issue(&[Usage::ServerAuth]);
    assert!(ok(&server, PeerRole::Listener).is_ok());
    assert_eq!(ok(&server, PeerRole::Dialler).unwrap_err().kind(), "wrong_purpose");
    for role in ROLES {
        assert_eq!(ok(&issue(&[Usage::CodeSigning]), role).unwrap_err().kind(), "wrong_purpose");
        assert!(ok(&issue(&[]), role).is_ok(), "no restriction");
    }
}

#[test]
fn names_have_to_be_exactly_one_and_the_right_one() {
    let ca = ca();
    let us = node(&ca, "us").current();
    let refused = |sans: &[&str], expected: Option<&str>| {
        let peer = ca.issue_with(IssueOptions::new("x").sans(sans.iter().copied())).unwrap();
        refusal(&us, peer.chain(), expected)
    };
    let error = refused(&[], Some("peer"));
    assert_eq!((error.kind(), error.presented()), ("no_san", None));
    assert!(error.to_string().contains("chitchat://c/peer"), "{error}");

    let error = refused(&["chitchat://c/one", "CHITCHAT://c/two"], None);
    assert_eq!(error.kind(), "several_sans");
    assert_eq!(error.presented(), Some("chitchat://c/one, CHITCHAT://c/two"));
    assert!(error.to_string().contains("expected was chitchat://c/*"), "{error}");
    // A second one that is malformed is no better.
    assert_eq!(refused(&["chitchat://c/one", "chitchat:two"], None).kind(), "several_sans");

    for san in ["chitchat://c", "chitchat://c/a/b", "chitchat://c/a?b", "spiffe://c/a", "urn:x"] {
        let error = refused(&[san], None);
        assert_eq!((error.kind(), error.presented()), ("bad_san", Some(san)));
    }
    let error = refused(&["chitchat://other/peer"], Some("peer"));
    assert_eq!((error.kind(), error.presented()), ("wrong_cluster", Some("chitchat://other/peer")));
    assert_eq!(refused(&["chitchat://C/peer"], Some("peer")).kind(), "wrong_cluster");
    let error = refused(&["chitchat://c/other"], Some("peer"));
    assert_eq!((error.kind(), error.presented()), ("wrong_node", Some("chitchat://c/other")));
    let text = error.to_string();
    assert!(text.contains("chitchat://c/other") && text.contains("chitchat://c/peer"), "{text}");

    // What is of another scheme does not disturb.
    let sans = ["spiffe://example.org/x", "chitchat://c/peer"];
    let peer = ca.issue_with(IssueOptions::new("peer").sans(sans)).unwrap();
    assert!(us.authorize(peer.chain(), PeerRole::Dialler, now(), Some("peer")).is_ok());
}

#[test]
fn a_san_that_is_not_text_does_not_go_unnoticed() {
    let ca = ca();
    let us = node(&ca, "us").current();
    let with_sans = |sans: &[&[u8]]| {
        let names: Vec<u8> = sans
            .iter()
            .flat_map(|san| [&[0x86, u8::try_from(san.len()).unwrap()], *san].concat())
            .collect();
        let der = [&[0x30, u8::try_from(names.len()).unwrap()], &names[..]].concat();
        let options = IssueOptions::new("x").sans([""; 0]).extension([2, 5, 29, 17], der);
        ca.issue_with(options).unwrap()
    };
    let good: &[u8] = b"chitchat://c/peer";
    assert!(us.authorize(with_sans(&[good]).chain(), PeerRole::Dialler, now(), None).is_ok());
    let error = refusal(&us, with_sans(&[b"chitchat://c/\xff\n"]).chain(), None);
    assert_eq!((error.kind(), error.presented()), ("bad_san", Some("chitchat://c/\\xff\\n")));
    let error = refusal(&us, with_sans(&[good, b"chitchat://c/\xff"]).chain(), None);
    assert_eq!(error.kind(), "several_sans");
}

#[test]
fn rules_that_are_not_understood_are_refused() {
    // NameConstraints: permitted subtrees, one URI, "example.org".
    let uri = b"example.org";
    let subtree = [&[0x30, 13, 0x86, 11], &uri[..]].concat();
    let constraints = [&[0x30, 17, 0xa0, 15], &subtree[..]].concat();
    let root = ca();
    let us = node(&root, "us").current();
    let options = CaOptions::default().extension([2, 5, 29, 30], constraints);
    let peer = root.intermediate(options).unwrap().issue("peer").unwrap();
    let error = refusal(&us, peer.chain(), None);
    assert_eq!((error.kind(), error.presented()), ("not_allowed", Some("chitchat://c/peer")));
    // A CA does not take part itself.
    assert_eq!(refusal(&us, &[root.certificate().clone()], None).kind(), "not_allowed");
}

#[test]
fn garbage_is_refused() {
    let error = refusal(&node(&ca(), "us").current(), &[b"garbage".to_vec().into()], None);
    assert_eq!((error.kind(), error.presented()), ("malformed", None));
}

#[test]
fn spiffe_ids_name_nodes() {
    let template = "spiffe://Example.org/cluster/{cluster_id}/node/{node_id}";
    let ca = ClusterCa::generate_with("c", CaOptions::default().san_template(template)).unwrap();
    let us = node(&ca, "us").current();
    let peer = ca
        .issue_with(IssueOptions::new("x").sans(["SPIFFE://example.ORG/cluster/c/node/n-1"]))
        .unwrap();
    let identity = us.authorize(peer.chain(), PeerRole::Dialler, now(), Some("n-1")).unwrap();
    assert_eq!(&*identity.node_id, "n-1");
    for san in [
        "spiffe://example.com/cluster/c/node/n-1",
        "spiffe://example.org/Cluster/c/node/n-1",
        "spiffe://example.org/cluster/c/n-1",
    ] {
        let peer = ca.issue_with(IssueOptions::new("x").sans([san])).unwrap();
        assert_eq!(refusal(&us, peer.chain(), None).kind(), "bad_san");
    }
    let other = ca.issue_with(IssueOptions::new("n-1").cluster_id("d")).unwrap();
    assert_eq!(refusal(&us, other.chain(), None).kind(), "wrong_cluster");
}

#[test]
fn binding_tells_what_is_wrong_with_our_own_certificate() {
    let ca = ca();
    let bind = |options| ca.issue_with(options).unwrap().tls_config().unwrap().bind("c", "n");
    let source = |options| match bind(options).unwrap_err() {
        TlsError::OwnCertificate { expected, source } => {
            assert_eq!(&*expected, "chitchat://c/n");
            source.kind()
        }
        error => panic!("{error}"),
    };
    assert_eq!(bind(IssueOptions::new("n")).unwrap().node_id(), "n");
    assert_eq!(source(IssueOptions::new("m")), "wrong_node");
    assert_eq!(source(IssueOptions::new("n").cluster_id("d")), "wrong_cluster");
    assert_eq!(source(IssueOptions::new("n").sans([""; 0])), "no_san");
    assert_eq!(source(IssueOptions::new("n").validity(days_ago(2), days_ago(1))), "expired");
    assert_eq!(source(IssueOptions::new("n").validity(in_days(1), in_days(2))), "not_yet_valid");
    assert_eq!(source(IssueOptions::new("n").usages([Usage::ClientAuth])), "wrong_purpose");
    assert_eq!(source(IssueOptions::new("n").usages([Usage::ServerAuth])), "wrong_purpose");
    let text = bind(IssueOptions::new("m")).unwrap_err().to_string();
    for part in ["chitchat://c/n", "chitchat://c/m", "issued to this node"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn binding_refuses_a_ca_that_we_do_not_trust_and_odd_ids() {
    let own = ca().issue("n").unwrap();
    let foreign = vec![ca().certificate().clone()];
    let config = TlsConfig::from_der(foreign, own.chain().to_vec(), own.private_key()).unwrap();
    let error = config.bind("c", "n").unwrap_err();
    assert!(error.to_string().contains("not issued by a CA that is trusted"), "{error}");
    let long = "x".repeat(256);
    for (cluster, node) in [("", "n"), ("c", ""), (&long[..], "n"), ("c", &long[..])] {
        assert!(matches!(config.bind(cluster, node), Err(TlsError::BadId { .. })));
    }
    assert!(config.bind_unchecked("c", "n").is_ok());
}

#[test]
fn material_that_does_not_fit_together_is_refused() {
    let ca = ca();
    let (one, other) = (ca.issue("n").unwrap(), ca.issue("n").unwrap());
    let anchors = || vec![ca.certificate().clone()];
    let load = TlsConfig::from_der;
    let mismatch = load(anchors(), one.chain().to_vec(), other.private_key());
    assert_eq!(mismatch.unwrap_err(), TlsError::KeyMismatch);
    let none = load(vec![], one.chain().to_vec(), one.private_key()).unwrap_err();
    assert!(matches!(none, TlsError::Missing { .. }));
    let none = load(anchors(), vec![], one.private_key()).unwrap_err();
    assert!(matches!(none, TlsError::Missing { .. }));
    let garbage: CertificateDer<'_> = b"x".to_vec().into();
    let bad = load(vec![garbage.clone()], one.chain().to_vec(), one.private_key()).unwrap_err();
    assert!(matches!(bad, TlsError::BadCertificate { .. }));
    let bad = load(anchors(), vec![garbage], one.private_key()).unwrap_err();
    assert!(matches!(bad, TlsError::BadCertificate { .. }));
    let bad = TlsConfig::builder().build().unwrap_err();
    assert!(matches!(bad, TlsError::Missing { .. }));
    let bad = one.tls_config_builder().san_template("x").build().unwrap_err();
    assert!(matches!(bad, TlsError::Template(_)));
    let bad = one.tls_config_builder().crl_required(true).build().unwrap_err();
    assert_eq!(bad, TlsError::NoRevocationList);
    let shown = format!("{:?} {:?}", one.material(), TlsMaterial::clone(&one.material()));
    assert!(!shown.contains("key"), "{shown}");
    assert_eq!(node_san("c", "n"), one.tls_config().unwrap().san_template().node_san("c", "n"));
}
