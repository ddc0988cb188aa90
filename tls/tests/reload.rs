//! Replacing credentials while they are in use.

#![cfg(feature = "dev-ca")]

mod common;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chitchat_tls::{
    ClusterCa, CredentialsEvent, IssueOptions, NodeTls, PeerRole, PemFiles, RevocationListOptions,
    TlsConfig, TlsConfigBuilder, TlsError, TlsMaterial,
};
use common::{DAY, Folder, ca, days_ago, in_days, now};
use tokio::sync::mpsc;

/// Node "us" of cluster "c", whose credentials are in files.
struct OnDisk {
    ca: ClusterCa,
    folder: Folder,
    files: PemFiles,
}

impl OnDisk {
    fn new() -> OnDisk {
        let (ca, folder) = (ca(), Folder::new());
        let files = ca.issue("us").unwrap().write_pem_files(folder.path()).unwrap();
        OnDisk { ca, folder, files }
    }

    fn builder(&self) -> TlsConfigBuilder {
        let PemFiles { ca, cert, key, .. } = &self.files;
        TlsConfig::builder().pem_files(ca, cert, key)
    }

    fn config(&self) -> TlsConfig {
        self.builder().build().unwrap()
    }

    fn crl_file(&self) -> PathBuf {
        self.folder.path().join("crl.pem")
    }

    fn issue(&self, options: IssueOptions) {
        self.ca.issue_with(options).unwrap().write_pem_files(self.folder.path()).unwrap();
    }
}

fn epochs(node: &NodeTls) -> (u64, u64) {
    (node.current().epoch(), node.current().leaf_epoch())
}

#[test]
fn a_reload_replaces_everything_for_all_clones_and_nodes() {
    let disk = OnDisk::new();
    let config = disk.config();
    let (one, two) = (config.bind("c", "us").unwrap(), config.clone().bind("c", "us").unwrap());
    let epoch = one.subscribe();
    let before = one.current();
    disk.issue(IssueOptions::new("us").validity(days_ago(1), in_days(3)));
    assert_eq!(epochs(&one), (0, 0));
    config.clone().reload().unwrap();
    assert_eq!((epochs(&one), epochs(&two)), ((1, 1), (1, 1)));
    assert!(epoch.has_changed().unwrap());
    assert_ne!(one.current().chain(), before.chain());
    assert!(config.not_after() <= in_days(3) && one.current().not_after() == config.not_after());
    assert_eq!((before.epoch(), before.leaf_epoch()), (0, 0), "generations do not change");
}

#[test]
fn only_our_own_chain_or_key_changes_the_leaf_epoch() {
    let disk = OnDisk::new();
    let config = disk.config();
    let node = config.bind("c", "us").unwrap();
    config.reload().unwrap();
    assert_eq!(epochs(&node), (1, 0), "nothing has changed");
    let other = ca();
    let both = format!("{}{}", disk.ca.certificate_pem(), other.certificate_pem());
    fs::write(&disk.files.ca, both).unwrap();
    config.reload().unwrap();
    assert_eq!(epochs(&node), (2, 0), "one more CA");
    let peer = other.issue("peer").unwrap();
    assert!(node.current().authorize(peer.chain(), PeerRole::Dialler, now(), None).is_ok());
    disk.issue(IssueOptions::new("us"));
    config.reload().unwrap();
    assert_eq!(epochs(&node), (3, 1));
    assert!(
        node.current().authorize(peer.chain(), PeerRole::Dialler, now(), None).is_err(),
        "issuing wrote the first CA alone"
    );
}

#[test]
fn a_reload_that_fails_changes_nothing() {
    let disk = OnDisk::new();
    disk.ca.revoke(&[]).unwrap().write_pem_file(disk.crl_file()).unwrap();
    let config = disk.builder().crl_files([disk.crl_file()]).build().unwrap();
    let node = config.bind("c", "us").unwrap();
    let epoch = node.subscribe();
    let chain = node.current().chain().to_vec();
    let files = [&disk.files.ca, &disk.files.cert, &disk.files.key, &disk.crl_file()];
    let contents = files.map(|file| fs::read(file).unwrap());
    let fails = |spoil: &dyn Fn(), says: &str| {
        spoil();
        let error = config.reload().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert!(!error.contains("PRIVATE KEY-----"), "{error}");
        assert_eq!((epochs(&node), node.current().chain()), ((0, 0), &chain[..]));
        assert!(!epoch.has_changed().unwrap());
        for (file, content) in files.iter().zip(&contents) {
            fs::write(file, content).unwrap();
        }
    };
    for (file, content) in files.iter().zip(&contents) {
        let file = *file;
        fails(&|| fs::remove_file(file).unwrap(), "check the path");
        fails(&|| fs::write(file, &content[..content.len() / 2]).unwrap(), "no end");
        fails(&|| fs::write(file, "").unwrap(), "has to have a section");
    }
    let other = disk.ca.issue("us").unwrap();
    fails(&|| fs::write(&disk.files.key, other.key_pem()).unwrap(), "does not belong");
    fails(&|| fs::write(&disk.files.cert, other.chain_pem()).unwrap(), "does not belong");
    fails(&|| disk.issue(IssueOptions::new("other")), "chitchat://c/other");
    let expired = || IssueOptions::new("us").validity(days_ago(2), days_ago(1));
    fails(&|| disk.issue(expired()), "expired");
    fails(&|| fs::write(&disk.files.ca, ca().certificate_pem()).unwrap(), "not issued by a CA");
    let forged = ca().revoke(&[]).unwrap().pem().replace("CRL", "CRT");
    fails(&|| fs::write(disk.crl_file(), &forged).unwrap(), "BEGIN X509 CRL");
    config.reload().unwrap();
    assert_eq!(epochs(&node), (1, 0));
}

#[test]
fn a_revoked_peer_is_refused_after_a_reload() {
    let disk = OnDisk::new();
    disk.ca.revoke(&[]).unwrap().write_pem_file(disk.crl_file()).unwrap();
    let config = disk.builder().crl_files([disk.crl_file()]).build().unwrap();
    let node = config.bind("c", "us").unwrap();
    let peer = disk.ca.issue("peer").unwrap();
    let check = || node.current().authorize(peer.chain(), PeerRole::Listener, now(), None);
    assert!(check().is_ok());
    let newer = RevocationListOptions::default().number(u64::MAX);
    let list = disk.ca.revoke_with(&[&peer], newer).unwrap();
    fs::write(disk.crl_file(), list.der()).unwrap();
    config.reload().unwrap();
    assert_eq!(check().unwrap_err().kind(), "revoked");
}

#[test]
fn trust_anchors_and_lists_are_taken_also_when_we_are_expired_or_revoked_ourselves() {
    let ca = ca();
    let expired = IssueOptions::new("us").validity(days_ago(8), days_ago(1));
    let own = ca.issue_with(expired).unwrap();
    let config = own.tls_config().unwrap();
    let node = config.bind_unchecked("c", "us").unwrap();
    let peer = ca.issue("peer").unwrap();
    let list = ca.revoke(&[&peer, &own]).unwrap();
    config.update(own.material().with_crls(vec![list.der().clone()])).unwrap();
    let error = node.current().authorize(peer.chain(), PeerRole::Dialler, now(), None).unwrap_err();
    assert_eq!(error.kind(), "revoked");
}

#[test]
fn der_is_updated_and_files_are_reloaded_and_not_the_other_way_round() {
    let ca = ca();
    let own = ca.issue("us").unwrap();
    let config = own.tls_config().unwrap();
    let node = config.bind("c", "us").unwrap();
    assert_eq!(config.reload(), Err(TlsError::NotFromFiles));
    config.update(ca.issue("us").unwrap().material()).unwrap();
    assert_eq!(epochs(&node), (1, 1));
    let wrong = ca.issue("other").unwrap().material();
    assert!(matches!(config.update(wrong), Err(TlsError::OwnCertificate { .. })));
    assert_eq!(epochs(&node), (1, 1));
    // A bare reload of lists from files uses what was handed over last.
    let disk = OnDisk::new();
    assert_eq!(disk.config().update(own.material()), Err(TlsError::FromFiles));
    let folder = Folder::new();
    let file = folder.path().join("crl.pem");
    ca.revoke(&[]).unwrap().write_pem_file(&file).unwrap();
    let config = own.tls_config_builder().crl_files([&file]).build().unwrap();
    let newer = ca.issue("us").unwrap();
    config.update(newer.material()).unwrap();
    config.reload().unwrap();
    assert_eq!(config.bind("c", "us").unwrap().current().chain(), newer.chain());
}

#[test]
fn secrets_follow_the_key() {
    let ca = ca();
    let own = ca.issue("us").unwrap();
    let config = own.tls_config().unwrap();
    let node = config.bind("c", "us").unwrap();
    let secret = node.secret(b"reset");
    assert_ne!(secret, node.secret(b"other"));
    assert_ne!(secret, [0; 32]);
    let renewed = ca.issue_with(IssueOptions::new("us").key_of(&own)).unwrap();
    assert_ne!(renewed.chain(), own.chain());
    config.update(renewed.material()).unwrap();
    assert_eq!(epochs(&node), (1, 1));
    assert_eq!(node.secret(b"reset"), secret, "the same key");
    let restarted = own.tls_config().unwrap().bind("c", "us").unwrap();
    assert_eq!(restarted.secret(b"reset"), secret, "the same over restarts");
    config.update(ca.issue("us").unwrap().material()).unwrap();
    assert_ne!(node.secret(b"reset"), secret, "another key");
    let shown = format!("{node:?} {config:?} {own:?} {ca:?}");
    assert!(!shown.contains("PRIVATE") && shown.contains("chitchat://c/us"), "{shown}");
}

/// Runs a node, and hands out its events.
struct Running {
    events: mpsc::UnboundedReceiver<CredentialsEvent>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(node: &NodeTls) -> Running {
        let (sender, events) = mpsc::unbounded_channel();
        let node = node.clone();
        let task = tokio::spawn(async move {
            node.run(|event| sender.send(event).unwrap()).await;
        });
        Running { events, task }
    }

    async fn next(&mut self) -> CredentialsEvent {
        self.events.recv().await.unwrap()
    }

    /// Whether nothing happens for a (virtual) time.
    async fn is_quiet(&mut self) -> bool {
        tokio::time::timeout(Duration::from_secs(120), self.events.recv()).await.is_err()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn changed_files_are_noticed() {
    let disk = OnDisk::new();
    let node = disk.config().bind("c", "us").unwrap();
    let mut running = Running::start(&node);
    assert!(running.is_quiet().await);
    disk.issue(IssueOptions::new("us"));
    let not_after = match running.next().await {
        CredentialsEvent::Reloaded { not_after } => not_after,
        other => panic!("{other:?}"),
    };
    assert_eq!((epochs(&node), node.current().not_after()), ((1, 1), not_after));
    // Written again without a change.
    fs::write(&disk.files.cert, fs::read(&disk.files.cert).unwrap()).unwrap();
    assert!(running.is_quiet().await);
}

/// A task may begin to run some time after it was started.
#[tokio::test(start_paused = true)]
async fn what_is_replaced_before_anybody_looks_is_news_all_the_same() {
    let ca = ca();
    let config = ca.issue("us").unwrap().tls_config().unwrap();
    let node = config.bind("c", "us").unwrap();
    config.update(ca.issue("us").unwrap().material()).unwrap();
    let mut running = Running::start(&node);
    assert!(matches!(running.next().await, CredentialsEvent::Reloaded { .. }));
    assert!(running.is_quiet().await);
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn a_swapped_link_is_noticed() {
    let (ca, folder) = (ca(), Folder::new());
    let folder = folder.path();
    for version in ["one", "two"] {
        ca.issue("us").unwrap().write_pem_files(folder.join(version)).unwrap();
    }
    std::os::unix::fs::symlink("one", folder.join("data")).unwrap();
    let file = |name| folder.join("data").join(name);
    let config = TlsConfig::from_pem_files(file("ca.pem"), file("cert.pem"), file("key.pem"));
    let node = config.unwrap().bind("c", "us").unwrap();
    let mut running = Running::start(&node);
    assert!(running.is_quiet().await);
    std::os::unix::fs::symlink("two", folder.join("new")).unwrap();
    fs::rename(folder.join("new"), folder.join("data")).unwrap();
    assert!(matches!(running.next().await, CredentialsEvent::Reloaded { .. }));
    assert_eq!(epochs(&node), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_half_done_replacement_is_reported_once_and_then_taken() {
    let disk = OnDisk::new();
    let node = disk.config().bind("c", "us").unwrap();
    let mut running = Running::start(&node);
    let new = disk.ca.issue("us").unwrap();
    fs::write(&disk.files.cert, new.chain_pem()).unwrap();
    let CredentialsEvent::ReloadFailed { reason } = running.next().await else { panic!() };
    assert!(reason.contains("does not belong"), "{reason}");
    assert!(running.is_quiet().await, "once");
    assert_eq!(epochs(&node), (0, 0));
    // Another failure is told.
    fs::remove_file(&disk.files.key).unwrap();
    let CredentialsEvent::ReloadFailed { reason } = running.next().await else { panic!() };
    assert!(reason.contains("key.pem"), "{reason}");
    fs::write(&disk.files.key, new.key_pem()).unwrap();
    assert!(matches!(running.next().await, CredentialsEvent::Reloaded { .. }));
    assert_eq!(node.current().chain(), new.chain());
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_being_written_is_waited_for() {
    let disk = OnDisk::new();
    let node = disk.config().bind("c", "us").unwrap();
    let mut running = Running::start(&node);
    let [one, two] = [ca(), ca()];
    let bundle = |cas: &[&ClusterCa]| {
        let pems = cas.iter().map(|ca| ca.certificate_pem());
        fs::write(&disk.files.ca, pems.collect::<String>()).unwrap();
    };
    // Looks are at 10 s, and half a second after one that saw something new.
    tokio::time::sleep(Duration::from_millis(9_900)).await;
    bundle(&[&disk.ca, &one]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(epochs(&node), (0, 0), "seen once");
    bundle(&[&disk.ca, &one, &two]);
    assert!(matches!(running.next().await, CredentialsEvent::Reloaded { .. }));
    assert_eq!(epochs(&node), (1, 0));
    let peer = two.issue("peer").unwrap();
    assert!(node.current().authorize(peer.chain(), PeerRole::Dialler, now(), None).is_ok());
    assert!(running.is_quiet().await, "the whole file at once");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_taken_back_is_none() {
    let disk = OnDisk::new();
    let node = disk.config().bind("c", "us").unwrap();
    let mut running = Running::start(&node);
    let before = fs::read(&disk.files.ca).unwrap();
    fs::write(&disk.files.ca, "").unwrap();
    assert!(matches!(running.next().await, CredentialsEvent::ReloadFailed { .. }));
    fs::write(&disk.files.ca, before).unwrap();
    assert!(running.is_quiet().await);
    fs::write(&disk.files.ca, "").unwrap();
    assert!(matches!(running.next().await, CredentialsEvent::ReloadFailed { .. }), "anew");
    assert_eq!(epochs(&node), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn files_are_left_alone_if_so_wished_and_calls_are_reported() {
    let disk = OnDisk::new();
    let config = disk.builder().watch_files(false).build().unwrap();
    let node = config.bind("c", "us").unwrap();
    let mut running = Running::start(&node);
    assert!(running.is_quiet().await);
    disk.issue(IssueOptions::new("us"));
    assert!(running.is_quiet().await);
    config.reload().unwrap();
    assert!(matches!(running.next().await, CredentialsEvent::Reloaded { .. }));
    assert!(running.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn what_grows_old_is_told() {
    let ca = ca();
    let options = IssueOptions::new("us").validity(days_ago(8), in_days(2));
    let own = ca.issue_with(options).unwrap();
    let stale = RevocationListOptions::default().updates(days_ago(9), days_ago(1));
    let list = ca.revoke_with(&[], stale).unwrap();
    let config = own.tls_config_builder().crls([list.der().clone()]).build().unwrap();
    let node = config.bind("c", "us").unwrap();
    let mut running = Running::start(&node);
    let expiring = CredentialsEvent::Expiring { not_after: config.not_after() };
    assert_eq!(running.next().await, expiring);
    let CredentialsEvent::StaleRevocationList { issuer, next_update } = running.next().await else {
        panic!()
    };
    assert!(issuer.contains("chitchat CA c") && next_update < now());
    assert!(running.is_quiet().await, "once a day");
    // Renewed in time, and the list as well.
    let fresh = ca.revoke(&[]).unwrap();
    let renewed = ca.issue("us").unwrap().material().with_crls(vec![fresh.der().clone()]);
    config.update(renewed).unwrap();
    assert!(matches!(running.next().await, CredentialsEvent::Reloaded { .. }));
    assert!(running.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_the_warning_can_be_set() {
    let ca = ca();
    let builder = ca.issue("us").unwrap().tls_config_builder().warn_before_expiry(DAY * 400);
    let node = builder.build().unwrap().bind("c", "us").unwrap();
    assert!(matches!(Running::start(&node).next().await, CredentialsEvent::Expiring { .. }));
}

#[test]
fn readers_never_see_half_a_reload() {
    let ca = ca();
    // Each generation trusts a CA of its own beside the common one, and comes with a list.
    let generations: Vec<_> = (0..4).map(|_| (common::ca(), ca.issue("us").unwrap())).collect();
    let material = |index: usize| {
        let (extra, own) = &generations[index];
        let anchors = vec![ca.certificate().clone(), extra.certificate().clone()];
        TlsMaterial::new(anchors, own.chain().to_vec(), own.private_key())
    };
    let peers: Vec<_> = generations.iter().map(|(ca, _)| ca.issue("peer").unwrap()).collect();
    let config = TlsConfig::builder().der(material(0)).build().unwrap();
    let node = config.bind("c", "us").unwrap();
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..200 {
                config.update(material(round % 4)).unwrap();
            }
            done.store(true, std::sync::atomic::Ordering::Release);
        });
        while !done.load(std::sync::atomic::Ordering::Acquire) {
            let current = node.current();
            let index = usize::try_from(current.epoch()).unwrap() % 4;
            assert_eq!(current.chain(), generations[index].1.chain());
            for (other, peer) in peers.iter().enumerate() {
                let judged = current.authorize(peer.chain(), PeerRole::Dialler, now(), None);
                assert_eq!(judged.is_ok(), other == index);
            }
        }
    });
    assert_eq!(epochs(&node), (199, 199));
}
