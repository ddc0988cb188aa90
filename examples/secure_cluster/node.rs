//! One node.

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

use chitchat::ChitchatConfig;
use chitchat::quic::QuicTransport;
use chitchat::tls::TlsConfig;
use tokio::io::AsyncReadExt;

use crate::CLUSTER_ID;

/// Prints `listening ADDR…`, then `live ID…` whenever the set of live nodes changes.
pub(crate) async fn run(
    dir: &Path,
    id: &str,
    listen: &[SocketAddr],
    seeds: &[String],
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let file = |name: &str| dir.join(id).join(name);
    // The files are watched: a certificate that is renewed is taken up without a restart.
    let identity = TlsConfig::from_pem_files(file("ca.pem"), file("cert.pem"), file("key.pem"))?;
    let config = ChitchatConfig::builder(CLUSTER_ID, id)
        .listen(listen)
        .seeds(seeds)
        .initial_key_values([("pid", std::process::id().to_string())])
        .build()?;
    let node = chitchat::spawn(config, QuicTransport::new(identity)).await?;
    let addrs: Vec<String> = node.local_addrs().iter().map(ToString::to_string).collect();
    print(&format!("listening {}", addrs.join(" ")))?;

    let mut watcher = node.live_nodes_watcher();
    let mut notices = node.notices();
    let mut stdin = tokio::io::stdin();
    let mut buffer = [0; 64];
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
            // Refused peers, certificates that expire, and other things to know.
            notice = notices.next() => print(&format!("notice {notice:?}"))?,
            read = stdin.read(&mut buffer) => if read? == 0 { break },
        }
    }
    node.leave().await?;
    node.shutdown().await?;
    Ok(())
}

/// An error means that nobody listens any more.
fn print(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
