//! A node with a large state, and one that joins it: how long that takes, what it costs, and that
//! nothing else waits for it meanwhile.
//!
//! ```text
//! cargo run --release --example large_state
//! cargo run --release --example large_state -- --megabytes 10 --json
//! ```

mod args;
mod machine;
mod nodes;
mod probe;
mod run;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use peak_alloc::PeakAlloc;

use args::Args;

/// Counts what is allocated, so that the peak can be told. It takes a few nanoseconds per
/// allocation, which are part of the figures.
#[global_allocator]
pub(crate) static HEAP: PeakAlloc = PeakAlloc;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let mut out = std::io::stdout();
    match run::run(&args).await {
        Ok(figures) if args.json => {
            let line = serde_json::to_string(&figures).unwrap_or_default();
            let written = writeln!(out, "{line}");
            if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}
