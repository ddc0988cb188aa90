//! A cluster of separate processes, each with its own certificate in PEM files.
//!
//! ```text
//! cargo run --example secure_cluster                            # all of it, in a temporary folder
//!
//! cargo run --example secure_cluster -- issue --dir certs node-1 node-2 node-3
//! cargo run --example secure_cluster -- node --dir certs --id node-1 --listen 127.0.0.1:7280
//! cargo run --example secure_cluster -- node --dir certs --id node-2 --listen 127.0.0.1:0 --seed 127.0.0.1:7280
//! ```
//!
//! While a node runs, replace its certificate with `issue` again: it is noticed within seconds.

mod demo;
mod node;

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chitchat::tls::{CaOptions, ClusterCa};
use clap::{Parser, Subcommand};

/// Nodes of one cluster do not talk to those of another, even if one authority issued for both.
pub(crate) const CLUSTER_ID: &str = "secure-cluster";

#[derive(Parser)]
#[command(name = "secure_cluster", about = "A cluster of separate processes with mutual TLS")]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Issues certificates, and starts a process for each node: the default.
    Demo {
        /// Number of nodes.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=20))]
        nodes: u8,
    },
    /// Makes an authority if there is none, and issues a certificate for each node id.
    Issue {
        /// Where to keep the PEM files, a folder for each node.
        #[arg(long)]
        dir: PathBuf,
        /// The nodes.
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Runs one node until its standard input ends.
    Node {
        /// Where the folders with PEM files are.
        #[arg(long)]
        dir: PathBuf,
        /// The node's id.
        #[arg(long)]
        id: String,
        /// Where to listen: several times for several addresses.
        #[arg(long, required = true)]
        listen: Vec<SocketAddr>,
        /// Where the cluster is found.
        #[arg(long)]
        seed: Vec<String>,
    },
}

/// Issues a certificate for each node into a folder of its own, by the authority in the folder
/// `authority`, which is made if there is none. In earnest the authority's key is on no node.
pub(crate) fn issue(dir: &Path, ids: &[String]) -> Result<(), Box<dyn Error + Send + Sync>> {
    let authority = dir.join("authority");
    let ca = if authority.exists() {
        ClusterCa::read_pem_files(CLUSTER_ID, &authority, CaOptions::default())?
    } else {
        let ca = ClusterCa::generate(CLUSTER_ID)?;
        ca.write_pem_files(&authority)?;
        ca
    };
    for id in ids {
        ca.issue(id)?.write_pem_files(dir.join(id))?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Args::parse().command.unwrap_or(Command::Demo { nodes: 3 }) {
        Command::Demo { nodes } => demo::run(nodes).await,
        Command::Issue { dir, ids } => issue(&dir, &ids),
        Command::Node { dir, id, listen, seed } => node::run(&dir, &id, &listen, &seed).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "secure_cluster: {error}");
            ExitCode::FAILURE
        }
    }
}
