//! What the tests share.
#![allow(dead_code, reason = "each test file uses its part")]

use std::time::Duration;

use chitchat::transport::memory::MemoryNetwork;
use chitchat::{ChitchatConfig, ChitchatConfigBuilder, ChitchatHandle, ClusterStateSnapshot};

/// Against tests that hang. Not an expectation of how long anything takes.
const GUARD: Duration = Duration::from_secs(120);

/// Waits for something that has to come.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(GUARD, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited too long until {what}"),
    }
}

/// Waits until the node's snapshot is as wanted.
pub(crate) async fn until(
    node: &ChitchatHandle,
    what: &str,
    condition: impl Fn(&ClusterStateSnapshot) -> bool,
) {
    let wait = async {
        while !condition(&node.snapshot()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(GUARD, wait).await.is_err() {
        let state = serde_json::to_string_pretty(&*node.snapshot()).unwrap();
        panic!("{} waited too long until {what}; its state:\n{state}", node.id());
    }
}

/// A node in virtual time, on a network in memory.
pub(crate) fn virtual_node(name: &str) -> ChitchatConfigBuilder {
    ChitchatConfig::builder("test", name)
        .listen(["0.0.0.0:7280"])
        .tokio_clock()
        .random_seed(name.bytes().map(u64::from).sum())
}

/// Starts a node at a fixed address of the network, so that it can be a seed.
pub(crate) async fn spawn_at(
    network: &MemoryNetwork,
    ip: &str,
    builder: ChitchatConfigBuilder,
) -> ChitchatHandle {
    let config = builder.listen([format!("{ip}:7280")]).build().unwrap();
    chitchat::spawn(config, network.transport()).await.unwrap()
}

pub(crate) fn value(snapshot: &ClusterStateSnapshot, node: &str, key: &str) -> Option<String> {
    snapshot.node(node)?.get(key).map(str::to_owned)
}

pub(crate) fn live(snapshot: &ClusterStateSnapshot) -> usize {
    snapshot.live_nodes().count()
}
