//! A cluster over a transport that is not chitchat's own: Unix datagram sockets, in `unix.rs`.
//!
//! ```text
//! cargo run --example custom_transport
//! cargo run --example custom_transport -- --json
//! ```
//!
//! `docs/custom-transports.md` goes through it step by step, and `examples/tests` runs the
//! conformance suite on it.

#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
fn main() {
    panic!("this example needs Unix datagram sockets; the example quickstart runs anywhere");
}

/// Three nodes find each other through the first of them, and a key spreads.
#[cfg(unix)]
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::{io::Write, time::Duration, time::Instant};
    let (dir, patience) = (tempfile::tempdir()?, Duration::from_secs(60));
    let (mut nodes, start) = (Vec::<chitchat::ChitchatHandle>::new(), Instant::now());
    for node_id in ["node-0", "node-1", "node-2"] {
        let config = chitchat::ChitchatConfig::builder("custom-transport", node_id)
            .listen(["127.0.0.1:0"])
            .seeds(nodes.first().map(|seed| seed.local_addrs()[0]))
            .build()?;
        nodes.push(chitchat::spawn(config, unix::UnixTransport(dir.path().into())).await?);
    }
    for node in &nodes {
        let mut watcher = node.live_nodes_watcher();
        let all_live = watcher.wait_for(|state| state.live_nodes().count() == nodes.len());
        tokio::time::timeout(patience, all_live).await??;
    }
    let (converged, start) = (start.elapsed().as_millis(), Instant::now());
    nodes[1].set("colour", "blue")?;
    for node in &nodes {
        let mut colours = node.subscribe("colour").with_existing();
        tokio::time::timeout(patience, colours.next()).await?.ok_or("the node has ended")??;
    }
    let spread = start.elapsed().as_millis();
    let line = if std::env::args().any(|arg| arg == "--json") {
        serde_json::json!({ "transport": "unix", "nodes": nodes.len(), "converged_ms": converged,
            "propagated_ms": spread })
        .to_string()
    } else {
        format!("{converged} ms: 3 nodes see each other; {spread} ms later all have node-1's key")
    };
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
