//! The same three nodes over every transport of the build. What differs is one line each, below.
//!
//! ```text
//! cargo run --example pick_a_transport
//! cargo run --example pick_a_transport --no-default-features --features tcp-tls
//! ```
//!
//! In a program of your own, the feature in `Cargo.toml` and this line are all that you change:
//!
//! ```toml
//! chitchat = { version = "0.1", default-features = false, features = ["tcp-tls"] }
//! ```

#![allow(clippy::print_stdout, reason = "the lines are what it is for")]

use std::time::{Duration, Instant};

use chitchat::transport::Transport;
use chitchat::transport::memory::MemoryNetwork;
use chitchat::{ChitchatConfig, ChitchatHandle};

type Failure = Box<dyn std::error::Error>;

const CLUSTER_ID: &str = "pick-a-transport";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    // Within one process: for tests of applications.
    let network = MemoryNetwork::new(1);
    cluster("memory", |_| Ok(network.transport())).await?;

    // Plain datagrams, for networks that keep strangers out.
    #[cfg(feature = "udp")]
    cluster("udp", |_| Ok(chitchat::udp::PlainUdpTransport::new())).await?;

    // Plain connections, for the same networks.
    #[cfg(feature = "tcp")]
    cluster("tcp", |_| Ok(chitchat::tcp::PlainTcpTransport::new())).await?;

    // In earnest, `TlsConfig::from_pem_files` instead of an authority that lives in this program.
    #[cfg(any(feature = "tcp-tls", feature = "quic"))]
    let ca = chitchat::tls::ClusterCa::generate(CLUSTER_ID)?;

    // Mutual TLS, where nothing but TCP gets through.
    #[cfg(feature = "tcp-tls")]
    cluster("tcp-tls", |node| {
        Ok(chitchat::tcp::TlsTcpTransport::new(ca.issue(node)?.tls_config()?))
    })
    .await?;

    // Mutual TLS over QUIC: the one to take if nothing speaks against it.
    #[cfg(feature = "quic")]
    cluster("quic", |node| Ok(chitchat::quic::QuicTransport::new(ca.issue(node)?.tls_config()?)))
        .await?;

    Ok(())
}

/// Runs three nodes, until a key of the first one is at the last one.
async fn cluster<T: Transport>(
    name: &str,
    transport: impl Fn(&str) -> Result<T, Failure>,
) -> Result<(), Failure> {
    let since = Instant::now();
    let mut nodes: Vec<ChitchatHandle> = Vec::new();
    for node in ["node-0", "node-1", "node-2"] {
        let seed = nodes.first().map(|seed| seed.local_addrs()[0]);
        let config = ChitchatConfig::builder(CLUSTER_ID, node)
            .listen(["127.0.0.1:0"])
            .seeds(seed)
            .gossip_interval(Duration::from_millis(100))
            .build()?;
        nodes.push(chitchat::spawn(config, transport(node)?).await?);
    }
    nodes[0].set("picked", name)?;
    let has_it = async {
        let mut watcher = nodes[2].live_nodes_watcher();
        watcher.wait_for(|seen| seen.live_nodes().count() == 3).await?;
        while nodes[2].snapshot().node("node-0").and_then(|state| state.get("picked")).is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok::<_, Failure>(())
    };
    tokio::time::timeout(Duration::from_secs(30), has_it).await??;
    println!("{name:8} 3 nodes, and a key at all of them, after {:?}", since.elapsed());
    for node in nodes {
        node.shutdown().await?;
    }
    Ok(())
}
