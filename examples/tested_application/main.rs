//! An application that puts shards on nodes, and how it is tested.
//!
//! ```text
//! cargo run --example tested_application
//! cargo test -p chitchat-examples --test tested_application
//! ```
//!
//! The application is in `placement.rs`, and its tests in `examples/tests/tested_application.rs`:
//! crashes, partitions, rolling restarts and lost messages over many seeds, in virtual time.
//! `docs/testing.md` explains them. Here it runs in earnest, over UDP.

mod placement;

use std::collections::BTreeSet;
use std::future::pending;
use std::io::Write;
use std::time::{Duration, Instant};

use chitchat::udp::PlainUdpTransport;
use chitchat::{ChitchatConfig, ChitchatHandle};
use placement::{Placement, Rules, SHARDS};

const INTERVAL: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(60);

async fn start(
    name: &str,
    seed: Option<&ChitchatHandle>,
) -> Result<(ChitchatHandle, Placement), Box<dyn std::error::Error>> {
    let config = ChitchatConfig::builder("tested-application", name)
        .listen(["127.0.0.1:0"])
        .seeds(seed.map(|seed| seed.local_addrs()[0]))
        .gossip_interval(INTERVAL)
        .build()?;
    let node = chitchat::spawn(config, PlainUdpTransport::new()).await?;
    let placement = Placement::default();
    tokio::spawn(placement.clone().run(node.clone(), Rules::new(INTERVAL), pending()));
    Ok((node, placement))
}

/// Whether every shard is served by exactly one of these.
fn is_complete(nodes: &[(ChitchatHandle, Placement)]) -> bool {
    let served: Vec<u32> = nodes.iter().flat_map(|(_, placement)| placement.serving()).collect();
    let different: BTreeSet<&u32> = served.iter().collect();
    served.len() == different.len() && (0..SHARDS).all(|shard| different.contains(&shard))
}

async fn until_complete(
    nodes: &[(ChitchatHandle, Placement)],
) -> Result<(), Box<dyn std::error::Error>> {
    let begin = Instant::now();
    let wait = async {
        while !is_complete(nodes) {
            tokio::time::sleep(INTERVAL / 10).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await?;
    let mut out = std::io::stdout();
    writeln!(out, "{} ms later:", begin.elapsed().as_millis())?;
    for (node, placement) in nodes {
        writeln!(out, "  {} serves {:?}", node.id().node_id, placement.serving())?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut nodes = vec![start("node-0", None).await?];
    for name in ["node-1", "node-2"] {
        let node = start(name, Some(&nodes[0].0)).await?;
        nodes.push(node);
    }
    writeln!(std::io::stdout(), "three nodes start")?;
    until_complete(&nodes).await?;
    if let Some((node, _)) = nodes.pop() {
        // Without leaving: the others see a failure.
        node.shutdown().await?;
    }
    writeln!(std::io::stdout(), "node-2 is gone, without a word")?;
    until_complete(&nodes).await
}
