//! Draws what was measured.

mod axis;
mod chart;
mod curves;

use std::fs;
use std::io::Read as _;

use anyhow::Context as _;

use crate::args::Plot;
use curves::Plotted;

/// Reads measurements, and writes a picture of one of their figures.
pub(crate) fn plot(args: &Plot) -> anyhow::Result<()> {
    let mut plotted = Plotted::new(&args.figure);
    for file in &args.files {
        let text = fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
        plotted.read(&text).with_context(|| format!("{}", file.display()))?;
    }
    if args.files.is_empty() {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input")?;
        plotted.read(&text).context("standard input")?;
    }
    let svg = chart::draw(&plotted, args)?;
    fs::write(&args.out, svg).with_context(|| format!("{}", args.out.display()))
}
