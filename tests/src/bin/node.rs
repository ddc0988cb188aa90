//! A node in a process of its own, for the tests that kill processes.
//!
//! `chitchat-test-node NODE_ID [SEED…]`, over UDP on 127.0.0.1 and a free port. Prints `addr ADDR`,
//! then `live ID…` whenever the set of live nodes changes, and `key OWNER KEY VALUE` for each key
//! that is set. Leaves and ends when its standard input ends.

use std::io::Write;
use std::time::Duration;

use chitchat::udp::PlainUdpTransport;
use chitchat::{ChitchatConfig, KeyEvent};
use tokio::io::AsyncReadExt;

/// A closed pipe means that the test is over.
fn print(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let node_id = args.next().ok_or("usage: chitchat-test-node NODE_ID [SEED…]")?;
    let config = ChitchatConfig::builder("processes", node_id.clone())
        .listen(["127.0.0.1:0"])
        .seeds(args)
        .gossip_interval(Duration::from_millis(100))
        .initial_key_values([("pid", std::process::id().to_string())])
        .build()?;
    let node = chitchat::spawn(config, PlainUdpTransport::new()).await?;
    print(&format!("addr {}", node.local_addrs()[0]))?;

    let mut watcher = node.live_nodes_watcher();
    let mut keys = node.subscribe("").with_existing();
    let mut stdin = tokio::io::stdin();
    let mut byte = [0];
    let mut last = String::new();
    loop {
        let state = watcher.current();
        let live: Vec<&str> = state.live_nodes().map(|node| &*node.id().node_id).collect();
        let line = format!("live {}", live.join(" "));
        if line != last {
            print(&line)?;
            last = line;
        }
        tokio::select! {
            changed = watcher.changed() => changed.map(|_| ())?,
            event = keys.next() => {
                let Some(event) = event else { return Err("the node has ended".into()) };
                if let KeyEvent::Set { owner, key, value, .. } = event? {
                    print(&format!("key {} {key} {value}", owner.node_id))?;
                }
            }
            read = stdin.read(&mut byte) => {
                if read? == 0 {
                    break;
                }
            }
        }
    }
    node.leave().await?;
    node.shutdown().await?;
    Ok(())
}
