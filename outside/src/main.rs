//! Three nodes over a transport from outside chitchat's workspace, and what they said to each
//! other. With `--json`, one line of figures.

use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

use chitchat::{ChitchatConfig, ChitchatHandle};
use chitchat_outside::{Inspected, PipeTransport, Switchboard, Tally};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (switchboard, tally) = (Switchboard::default(), Tally::default());
    let (mut nodes, start) = (Vec::<ChitchatHandle>::new(), Instant::now());
    for node_id in ["node-0", "node-1", "node-2"] {
        let config = ChitchatConfig::builder("outside", node_id)
            .listen(["127.0.0.1:0"])
            .seeds(nodes.first().map(|seed| seed.local_addrs()[0]))
            .gossip_interval(Duration::from_millis(200))
            .build()?;
        let transport = Inspected::new(PipeTransport::new(&switchboard), &tally);
        nodes.push(chitchat::spawn(config, transport).await?);
    }
    for node in &nodes {
        let mut watcher = node.live_nodes_watcher();
        let all_live = watcher.wait_for(|state| state.live_nodes().count() == nodes.len());
        timeout(PATIENCE, all_live).await??;
    }
    let (converged_ms, start) = (start.elapsed().as_millis(), Instant::now());
    nodes[1].set("colour", "blue")?;
    for node in &nodes {
        let mut colours = node.subscribe("colour").with_existing();
        timeout(PATIENCE, colours.next()).await?.ok_or("the node has ended")??;
    }
    let propagated_ms = start.elapsed().as_millis();
    for node in &nodes {
        node.shutdown().await?;
    }
    let mut out = std::io::stdout();
    if std::env::args().any(|arg| arg == "--json") {
        let figures = serde_json::json!({
            "transport": "pipes",
            "nodes": nodes.len(),
            "converged_ms": converged_ms,
            "propagated_ms": propagated_ms,
            "sent": tally.sent(),
            "received": tally.received(),
            "entries": tally.entries(),
        });
        writeln!(out, "{figures}")?;
    } else {
        writeln!(out, "{converged_ms:>7} ms  3 nodes over pipes see each other")?;
        writeln!(out, "{propagated_ms:>7} ms  each of them has the key that node-1 set")?;
        for (kind, count) in tally.received() {
            writeln!(out, "{count:>7}     {kind} received")?;
        }
        writeln!(out, "{:>7}     key-values in them", tally.entries())?;
    }
    Ok(())
}
