//! What chitchat costs, measured beside the original.
//!
//! ```text
//! cargo run --release -p chitchat-benches -- --help
//! cargo run --release -p chitchat-benches -- steady --nodes 10,100
//! cargo run --release -p chitchat-benches -- churn --subject all --json
//! cargo run --release -p chitchat-benches -- plot --figure bytes_per_node_s --out bytes.svg <lines
//! ```

mod apart;
mod args;
mod compression;
mod heap;
mod machine;
mod original;
mod ours;
mod plot;
mod report;
mod samples;
mod subject;
mod workloads;
mod world;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use args::{Bench, Cli, Command, Which};
use original::Original;
use ours::Ours;
use report::Line;
use subject::Subject;

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "chitchat-benches: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Bench(mut bench) => {
            bench.complete();
            if apart::is_child() { measure_here(bench) } else { measure_all(&bench) }
        }
        Command::Compression(args) => compression::compression(&args),
        Command::Plot(args) => plot::plot(&args),
    }
}

/// Measures everything that was asked for. What fails is told, and the rest measured.
fn measure_all(bench: &Bench) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let runs = bench.runs();
    anyhow::ensure!(!runs.is_empty(), "the original has no such transport");
    let json = bench.common().json;
    let (mut lines, mut failed) = (Vec::new(), 0);
    for run in &runs {
        match apart::measure(run) {
            Ok(line) => {
                if json {
                    line.print(&mut out)?;
                    out.flush()?;
                }
                lines.push(line);
            }
            Err(error) => {
                failed += 1;
                writeln!(std::io::stderr(), "{}: {error:#}", run.args.join(" "))?;
            }
        }
    }
    if !json {
        report::table(&lines, &mut out)?;
    }
    anyhow::ensure!(failed == 0, "{failed} of {} measurements failed", runs.len());
    Ok(())
}

/// Measures one subject in one case. Never starts a process.
fn measure_here(mut bench: Bench) -> anyhow::Result<()> {
    // The lists of the command line are there too.
    bench.keep_last();
    let [subject] = bench.common().subject.each() else { anyhow::bail!("which of the subjects?") };
    let line = match subject {
        Which::Original => measure::<Original<false>>(&bench),
        Which::OriginalV1 => measure::<Original<true>>(&bench),
        _ => measure::<Ours>(&bench),
    }?;
    line.print(&mut std::io::stdout().lock())?;
    Ok(())
}

fn measure<S: Subject>(bench: &Bench) -> anyhow::Result<Line> {
    match bench {
        Bench::Steady(args) => workloads::steady::steady::<S>(args),
        Bench::ScaleKeys(args) => workloads::steady::scale_keys::<S>(args),
        Bench::Churn(args) => workloads::churn::churn::<S>(args),
        Bench::Join(args) => workloads::join::join::<S>(args),
        Bench::Limit(args) => workloads::limit::limit::<S>(args),
        Bench::Detect(args) => workloads::detect::detect::<S>(args),
        Bench::Converge(args) => workloads::converge::converge::<S>(args),
        Bench::Pause(args) => workloads::pause::pause::<S>(args),
        Bench::Memory(args) => workloads::memory::memory::<S>(args),
        Bench::QuicOverhead(args) => workloads::quic_overhead::quic_overhead::<S>(args),
    }
}
