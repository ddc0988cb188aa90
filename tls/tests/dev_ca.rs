//! The development CA: files, PEM in and out.

#![cfg(feature = "dev-ca")]

mod common;

use std::fs;

use chitchat_tls::{
    CaError, CaOptions, ClusterCa, IssueOptions, PeerRole, RevocationListOptions, TlsConfig,
    TlsError,
};
use common::{Folder, ca, days_ago, in_days, node, now};

#[cfg(unix)]
fn mode(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_keys() {
    let (ca, folder) = (ca(), Folder::new());
    let of_node = folder.path().join("not").join("there yet");
    let files = ca.issue("n").unwrap().write_pem_files(&of_node).unwrap();
    assert_eq!(mode(&files.key), 0o600);
    assert_ne!(mode(&files.cert) & 0o044, 0);
    ca.write_pem_files(folder.path()).unwrap();
    assert_eq!(mode(&folder.path().join("ca-key.pem")), 0o600);
    // A file that is there already does not pass its mode on.
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o666)).unwrap();
    ca.issue("n").unwrap().write_pem_files(&of_node).unwrap();
    assert_eq!(mode(&files.key), 0o600);
    let names = fs::read_dir(&of_node).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, ["ca.pem", "cert.pem", "key.pem"], "nothing is left over");
}

#[test]
fn a_ca_goes_on_from_its_files() {
    let (ca, folder) = (ca(), Folder::new());
    ca.write_pem_files(folder.path()).unwrap();
    let again = ClusterCa::read_pem_files("c", folder.path(), CaOptions::default()).unwrap();
    assert_eq!(again.certificate(), ca.certificate());
    assert_eq!((again.serial(), again.cluster_id()), (ca.serial(), "c"));
    let us = node(&ca, "us");
    let peer = again.issue("peer").unwrap();
    let check = |us: &chitchat_tls::NodeTls| {
        us.current().authorize(peer.chain(), PeerRole::Dialler, now(), Some("peer")).map(|_| ())
    };
    assert_eq!(check(&us), Ok(()));
    let list = again.revoke(&[&peer]).unwrap();
    let own = ca.issue("us").unwrap();
    let config = own.tls_config_builder().crls([list.der().clone()]).build().unwrap();
    assert_eq!(check(&config.bind("c", "us").unwrap()).unwrap_err().kind(), "revoked");
}

#[test]
fn files_with_intermediate_certificates_work() {
    let (root, folder) = (ca(), Folder::new());
    let below = root.intermediate(CaOptions::default()).unwrap();
    let files = below.issue("us").unwrap().write_pem_files(folder.path()).unwrap();
    let config = TlsConfig::from_pem_files(&files.ca, &files.cert, &files.key).unwrap();
    let bound = config.bind("c", "us").unwrap();
    assert_eq!(bound.current().chain().len(), 2);
    let peer = root.issue("peer").unwrap();
    assert!(bound.current().authorize(peer.chain(), PeerRole::Listener, now(), None).is_ok());
}

#[test]
fn odd_ids_and_times_are_no_problem() {
    let ca = ClusterCa::generate("prod / eu \u{1f980}").unwrap();
    let far = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1 << 40);
    for id in [".", "..", "a/b", "%2F", "ü", "\0", &"é".repeat(127)] {
        let options = IssueOptions::new(id).validity(std::time::UNIX_EPOCH, far);
        let config = ca.issue_with(options).unwrap().tls_config().unwrap();
        let node = config.bind("prod / eu \u{1f980}", id).unwrap();
        assert_eq!(node.node_id(), id);
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let ca = ca();
    assert!(matches!(ClusterCa::generate(""), Err(CaError::BadId { which: "cluster", len: 0 })));
    assert!(matches!(ca.issue(&"x".repeat(256)), Err(CaError::BadId { which: "node", len: 256 })));
    let backwards = IssueOptions::new("n").validity(in_days(1), days_ago(1));
    assert_eq!(ca.issue_with(backwards).unwrap_err(), CaError::BadValidity);
    let backwards = RevocationListOptions::default().updates(in_days(1), days_ago(1));
    assert!(matches!(ca.revoke_with(&[], backwards), Err(CaError::Crypto { .. })));
    let not_ascii = IssueOptions::new("n").sans(["chitchat://c/ü"]);
    assert!(matches!(ca.issue_with(not_ascii), Err(CaError::Crypto { .. })));
    let bad = CaOptions::default().san_template("x");
    assert!(matches!(ClusterCa::generate_with("c", bad), Err(CaError::Template(_))));
    let options = CaOptions::default;
    let garbage = ClusterCa::from_pem("c", "x", "y", options());
    assert!(matches!(garbage, Err(CaError::Crypto { .. })));
    let missing = ClusterCa::read_pem_files("c", "/nonexistent", options());
    assert!(matches!(missing, Err(CaError::File { .. })));
    let missing = TlsConfig::from_pem_files("/nonexistent", "/nonexistent", "/nonexistent");
    assert!(matches!(missing, Err(TlsError::Read { .. })));
}
