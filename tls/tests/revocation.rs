//! Revocation lists: which of several counts, and what they do.

#![cfg(feature = "dev-ca")]

mod common;

use chitchat_tls::{
    CaOptions, ClusterCa, NodeCertificate, NodeTls, PeerRole, RevocationList, RevocationListError,
    RevocationListOptions, TlsConfig, TlsError, TlsMaterial,
};
use common::{ca, days_ago, in_days, now};

/// A node of cluster "c" that trusts some CAs and knows some lists.
fn node_with(own: &NodeCertificate, anchors: &[&ClusterCa], lists: &[&RevocationList]) -> NodeTls {
    let anchors = anchors.iter().map(|ca| ca.trust_anchor().clone()).collect();
    let crls = lists.iter().map(|list| list.der().clone()).collect();
    let material =
        TlsMaterial::new(anchors, own.chain().to_vec(), own.private_key()).with_crls(crls);
    TlsConfig::builder().der(material).build().unwrap().bind("c", own.node_id()).unwrap()
}

/// How the node judges a peer, in both roles.
fn verdict(us: &NodeTls, peer: &NodeCertificate) -> &'static str {
    let [one, other] = [PeerRole::Dialler, PeerRole::Listener].map(|role| {
        match us.current().authorize(peer.chain(), role, now(), None) {
            Ok(_) => "accepted",
            Err(error) => error.kind(),
        }
    });
    assert_eq!(one, other);
    one
}

fn numbered(number: u64) -> RevocationListOptions {
    RevocationListOptions::default().number(number)
}

#[test]
fn a_revoked_node_is_refused_and_others_are_not() {
    let ca = ca();
    let [own, bad, good] = ["us", "bad", "good"].map(|id| ca.issue(id).unwrap());
    let us = node_with(&own, &[&ca], &[&ca.revoke(&[&bad]).unwrap()]);
    assert_eq!(verdict(&us, &bad), "revoked");
    assert_eq!(verdict(&us, &good), "accepted");
    let text = us.current().authorize(bad.chain(), PeerRole::Dialler, now(), None).unwrap_err();
    assert_eq!(text.presented(), Some("chitchat://c/bad"));
}

#[test]
fn of_two_lists_of_one_issuer_the_newest_counts_in_both_orders() {
    let ca = ca();
    let [own, bad] = ["us", "bad"].map(|id| ca.issue(id).unwrap());
    let old = ca.revoke_with(&[], numbered(9)).unwrap();
    let new = ca.revoke_with(&[&bad], numbered(10)).unwrap();
    for lists in [[&old, &new], [&new, &old]] {
        let us = node_with(&own, &[&ca], &lists);
        assert_eq!(verdict(&us, &bad), "revoked");
        let current = us.current();
        let numbers: Vec<_> = current.revocation_lists().map(|list| list.number.clone()).collect();
        assert_eq!(numbers, [Some("10".to_owned())]);
    }
    // The number decides, whatever the time, and the time where numbers are equal.
    let older_time = numbered(11).updates(days_ago(9), in_days(1));
    let lifted = ca.revoke_with(&[], older_time).unwrap();
    for lists in [[&new, &lifted], [&lifted, &new]] {
        assert_eq!(verdict(&node_with(&own, &[&ca], &lists), &bad), "accepted");
    }
    let older = ca.revoke_with(&[], numbered(10).updates(days_ago(2), in_days(1))).unwrap();
    for lists in [[&new, &older], [&older, &new]] {
        assert_eq!(verdict(&node_with(&own, &[&ca], &lists), &bad), "revoked");
    }
}

#[test]
fn a_list_of_one_ca_does_not_lock_out_another() {
    let (one, two) = (ca(), ca());
    let [own, bad] = ["us", "bad"].map(|id| one.issue(id).unwrap());
    let us = node_with(&own, &[&one, &two], &[&one.revoke(&[&bad]).unwrap()]);
    assert_eq!(verdict(&us, &two.issue("peer").unwrap()), "accepted");
    assert_eq!(verdict(&us, &bad), "revoked");
}

#[test]
fn cas_of_one_name_are_kept_apart_by_their_keys() {
    let named = || ClusterCa::generate_with("c", CaOptions::default().common_name("CA")).unwrap();
    let (old, new) = (named(), named());
    let own = old.issue("us").unwrap();
    let [old_bad, new_bad] = [&old, &new].map(|ca| ca.issue("bad").unwrap());
    let [old_good, new_good] = [&old, &new].map(|ca| ca.issue("good").unwrap());
    let old_list = old.revoke_with(&[&old_bad], numbered(7)).unwrap();
    let new_list = new.revoke_with(&[&new_bad], numbered(3)).unwrap();
    for lists in [[&old_list, &new_list], [&new_list, &old_list]] {
        for anchors in [[&old, &new], [&new, &old]] {
            let us = node_with(&own, &anchors, &lists);
            assert_eq!(us.current().revocation_lists().count(), 2);
            assert_eq!(verdict(&us, &old_bad), "revoked");
            assert_eq!(verdict(&us, &new_bad), "revoked");
            assert_eq!(verdict(&us, &old_good), "accepted");
            assert_eq!(verdict(&us, &new_good), "accepted");
        }
    }
    // One list only: the other CA has none, and is not locked out.
    let us = node_with(&own, &[&old, &new], &[&old_list]);
    assert_eq!(verdict(&us, &new_good), "accepted");
    assert_eq!(verdict(&us, &old_bad), "revoked");
}

#[test]
fn intermediate_cas_of_one_name_are_kept_apart_by_their_keys() {
    let root = ca();
    let named = || root.intermediate(CaOptions::default().common_name("below")).unwrap();
    let (old, new) = (named(), named());
    let own = root.issue("us").unwrap();
    let [old_bad, new_bad] = [&old, &new].map(|ca| ca.issue("bad").unwrap());
    let old_list = old.revoke_with(&[&old_bad], numbered(7)).unwrap();
    let new_list = new.revoke_with(&[&new_bad], numbered(3)).unwrap();
    for lists in [[&old_list, &new_list], [&new_list, &old_list]] {
        let us = node_with(&own, &[&root], &lists);
        for (bad, ca) in [(&old_bad, &old), (&new_bad, &new)] {
            assert_eq!(verdict(&us, bad), "revoked");
            assert_eq!(verdict(&us, &ca.issue("good").unwrap()), "accepted");
        }
    }
}

#[test]
fn a_revoked_intermediate_ca_is_refused() {
    let root = ca();
    let below = root.intermediate(CaOptions::default()).unwrap();
    let options = RevocationListOptions::default().serials([below.serial()]);
    let list = root.revoke_with(&[], options).unwrap();
    let us = node_with(&root.issue("us").unwrap(), &[&root], &[&list]);
    assert_eq!(verdict(&us, &below.issue("peer").unwrap()), "revoked");
}

#[test]
fn required_lists_are_needed_of_every_issuer() {
    let root = ca();
    let below = root.intermediate(CaOptions::default()).unwrap();
    let peer = below.issue("peer").unwrap();
    let require = |lists: &[&RevocationList]| {
        let crls = lists.iter().map(|list| list.der().clone());
        let config =
            root.issue("us").unwrap().tls_config_builder().crls(crls).crl_required(true).build();
        config.unwrap().bind("c", "us").unwrap()
    };
    let (of_root, of_below) = (root.revoke(&[]).unwrap(), below.revoke(&[]).unwrap());
    assert_eq!(verdict(&require(&[&of_root]), &peer), "revocation_unknown");
    assert_eq!(verdict(&require(&[&of_root, &of_below]), &peer), "accepted");
    let own = root.issue("us").unwrap();
    let crls = [of_below.der().clone()];
    let config = own.tls_config_builder().crls(crls).crl_required(true).build().unwrap();
    let error = config.bind("c", "us").unwrap_err().to_string();
    assert!(error.contains("no revocation list covers"), "{error}");
}

#[test]
fn an_outdated_list_stays_in_use() {
    let ca = ca();
    let [own, bad, good] = ["us", "bad", "good"].map(|id| ca.issue(id).unwrap());
    let options = RevocationListOptions::default().updates(days_ago(9), days_ago(2));
    let us = node_with(&own, &[&ca], &[&ca.revoke_with(&[&bad], options).unwrap()]);
    assert_eq!(verdict(&us, &bad), "revoked");
    assert_eq!(verdict(&us, &good), "accepted");
    let current = us.current();
    let list = current.revocation_lists().next().unwrap();
    assert!(list.next_update < now() && list.issuer.contains("chitchat CA c"));
    assert_eq!(list.revoked, 1);
}

#[test]
fn a_list_that_its_ca_did_not_sign_is_refused() {
    let named = || ClusterCa::generate_with("c", CaOptions::default().common_name("CA")).unwrap();
    let (real, forger) = (named(), named());
    let own = real.issue("us").unwrap();
    let load = |der: Vec<u8>| own.tls_config_builder().crls([der.into()]).build().unwrap_err();
    let error = load(forger.revoke(&[]).unwrap().der().to_vec());
    assert!(matches!(
        error,
        TlsError::RevocationList(RevocationListError::NotSigned { issuer }) if &*issuer == "CN=CA"
    ));
    for garbage in [vec![], b"garbage".to_vec(), real.certificate().to_vec()] {
        let error = load(garbage);
        assert!(matches!(error, TlsError::RevocationList(RevocationListError::Unusable { .. })));
    }
}

#[test]
fn a_forged_list_of_an_intermediate_ca_admits_nobody() {
    let root = ca();
    let named = || root.intermediate(CaOptions::default().common_name("below")).unwrap();
    let (real, forger) = (named(), named());
    let us = node_with(&root.issue("us").unwrap(), &[&root], &[&forger.revoke(&[]).unwrap()]);
    assert_eq!(verdict(&us, &real.issue("peer").unwrap()), "revocation_list_unusable");
}

#[test]
fn binding_refuses_our_own_revoked_certificate() {
    let ca = ca();
    let own = ca.issue("us").unwrap();
    let list = ca.revoke(&[&own]).unwrap();
    let config = own.tls_config_builder().crls([list.der().clone()]).build().unwrap();
    assert!(config.bind("c", "us").unwrap_err().to_string().contains("has been revoked"));
}
