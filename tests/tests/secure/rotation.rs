//! Leaf certificates and then the CA are replaced while five nodes write all the time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chitchat::tls::{ClusterCa, TlsConfig};
use chitchat::transport::{Destination, OpenOptions, Transport, TransportSender};
use chitchat::{ChitchatConfig, ChitchatHandle, Event};
use chitchat_tests::net::Wire;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::stage::{CLUSTER, material, until};

const NODES: usize = 5;

struct Member {
    node: ChitchatHandle,
    papers: TlsConfig,
    written: Arc<AtomicU64>,
}

fn name(index: usize) -> String {
    format!("node-{index}")
}

/// What every node had written when this began is on all others.
async fn all_agree(members: &[Member]) {
    for writer in members {
        let written = writer.written.load(Ordering::SeqCst).to_string();
        let id = writer.node.id().node_id;
        for reader in members {
            until("the writes are everywhere", || {
                let state = reader.node.snapshot();
                let value = state.node(&id).and_then(|state| state.get("count")).map(str::parse);
                value
                    .is_some_and(|value: Result<u64, _>| value.unwrap() >= written.parse().unwrap())
            })
            .await;
        }
    }
}

pub(crate) async fn certificates_and_then_the_ca_are_rotated_under_load<W: Wire>(wire: W) {
    let old = ClusterCa::generate(CLUSTER).unwrap();
    let new = ClusterCa::generate(CLUSTER).unwrap();
    let mut members = Vec::new();
    let mut seeds = Vec::new();
    for index in 0..NODES {
        let papers = TlsConfig::builder().der(material(&old, &name(index), &[])).build().unwrap();
        // With the intervals of production, where nobody is dead after a second: whoever runs this
        // beside others may wait that long for a processor.
        let config = ChitchatConfig::builder(CLUSTER, name(index)).listen(["127.0.0.1:0"]);
        let config = config.seeds(&seeds).build().unwrap();
        let node = chitchat::spawn(config, wire.transport(papers.clone())).await.unwrap();
        if index == 0 {
            seeds = node.local_addrs().to_vec();
        }
        members.push(Member { node, papers, written: Arc::default() });
    }
    for member in &members {
        until("all see all", || member.node.snapshot().live_nodes().count() == NODES).await;
    }
    let failed = Arc::new(Mutex::new(Vec::new()));
    let mut watchers = JoinSet::new();
    for member in &members {
        let (mut events, failed) = (member.node.events().1, Arc::clone(&failed));
        watchers.spawn(async move {
            while let Some(event) = events.next().await {
                if let Event::Failed { id } = event.expect("this reader is too slow") {
                    failed.lock().unwrap().push(id);
                }
            }
        });
    }

    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = members
        .iter()
        .map(|member| {
            let (node, written) = (member.node.clone(), Arc::clone(&member.written));
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                let mut count = 0;
                while !stop.load(Ordering::SeqCst) {
                    count += 1;
                    node.set("count", count.to_string()).unwrap();
                    node.set(format!("key-{count}"), "kept").unwrap();
                    written.store(count, Ordering::SeqCst);
                    sleep(Duration::from_millis(5)).await;
                }
            })
        })
        .collect();

    // Leaves: each node gets a new certificate of the same CA.
    rotate(&members, |index| material(&old, &name(index), &[])).await;
    // The CA, overlapping: first everybody trusts both, then gets a certificate of the new one.
    rotate(&members, |index| material(&old, &name(index), &[&new])).await;
    rotate(&members, |index| material(&new, &name(index), &[&old])).await;
    // And then trusts the new one alone.
    rotate(&members, |index| material(&new, &name(index), &[])).await;

    // A certificate of the removed CA gets nobody in.
    let outsider = TlsConfig::builder().der(material(&old, "outsider", &[&new])).build().unwrap();
    let options = OpenOptions::new(CLUSTER, "outsider", vec!["127.0.0.1:0".parse().unwrap()]);
    let (sender, _receiver) = wire.transport(outsider).open(options).await.unwrap();
    for member in &members {
        let to = Destination::addr(member.node.local_addrs()[0]);
        until("the removed CA's certificate is refused", || {
            let _ = sender.send(&to, Bytes::from_static(b"let me in"));
            let refused = member.node.stats().transport.identities_refused;
            refused.get("unknown_issuer").is_some_and(|count| *count > 0)
        })
        .await;
    }

    stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    all_agree(&members).await;
    for (index, reader) in members.iter().enumerate() {
        let state = reader.node.snapshot();
        for writer in &members {
            let written = writer.written.load(Ordering::SeqCst);
            let keys = state.node(&writer.node.id().node_id).unwrap();
            for count in 1..=written {
                let key = format!("key-{count}");
                assert_eq!(keys.get(&key), Some("kept"), "{} lost {key}", name(index));
            }
        }
    }
    assert!(watchers.try_join_next().is_none(), "a watcher has ended");
    assert_eq!(*failed.lock().unwrap(), [], "nodes were declared dead");
}

/// Gives every node new material, one after the other, and waits until all connections have
/// followed.
async fn rotate(members: &[Member], new: impl Fn(usize) -> chitchat::tls::TlsMaterial) {
    for (index, member) in members.iter().enumerate() {
        member.papers.update(new(index)).unwrap();
    }
    let opened = |member: &Member| member.node.stats().transport.connections_opened;
    let before: Vec<u64> = members.iter().map(opened).collect();
    for (member, before) in members.iter().zip(before) {
        until("connections are renewed", || opened(member) > before).await;
    }
    // Those of former certificates have ten seconds to end.
    sleep(Duration::from_secs(10)).await;
    all_agree(members).await;
}
