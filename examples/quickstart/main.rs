//! A cluster on this machine, from the first hello to the last goodbye.
//!
//! ```text
//! cargo run --example quickstart
//! cargo run --example quickstart -- --nodes 25 --json
//! cargo run --example quickstart -- --transport tcp-tls
//! cargo run --example quickstart -- --transport udp
//! ```

mod args;
mod cluster;
mod report;
mod steps;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use args::Args;
use steps::{Demonstration, Failure};

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match Demonstration::new(&args) {
        Ok(demonstration) => demonstration.run().await,
        Err(error) => Err(Failure { step: "prepare", error }),
    };
    match outcome {
        Ok(figures) if args.json => {
            let line = serde_json::to_string(&figures).unwrap_or_default();
            let written = writeln!(std::io::stdout(), "{line}");
            if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Ok(_) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "step {}: {}", failure.step, failure.error);
            ExitCode::FAILURE
        }
    }
}
