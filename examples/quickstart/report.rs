//! What a person sees.

use std::io::{IsTerminal, Write, stdout};
use std::time::Duration;

use crate::args::Args;
use crate::cluster::{Cluster, name};

/// Nodes that are shown one by one in the table.
const SHOWN: usize = 12;

/// Where the steps are told: a table that is drawn anew on a terminal, lines elsewhere, nothing
/// with `--json`.
pub(crate) struct Report {
    style: Style,
    done: Vec<(String, Duration)>,
    current: Option<String>,
    lines_drawn: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Silent,
    Lines,
    Table,
}

impl Report {
    pub(crate) fn new(args: &Args) -> Report {
        let style = match (args.json, stdout().is_terminal()) {
            (true, _) => Style::Silent,
            (false, true) => Style::Table,
            (false, false) => Style::Lines,
        };
        Report { style, done: Vec::new(), current: None, lines_drawn: 0 }
    }

    pub(crate) fn begin(&mut self, cluster: &Cluster, what: &str) {
        self.current = Some(what.to_owned());
        self.draw(cluster);
    }

    pub(crate) fn end(&mut self, cluster: &Cluster, took: Duration) {
        let Some(what) = self.current.take() else { return };
        if self.style == Style::Lines {
            let mut out = stdout().lock();
            // A closed pipe is no reason to end: the steps are what counts.
            let _ = writeln!(out, "{:>7} ms  {what}", took.as_millis());
        }
        self.done.push((what, took));
        self.draw(cluster);
    }

    fn draw(&mut self, cluster: &Cluster) {
        if self.style != Style::Table {
            return;
        }
        let mut lines =
            vec![format!("{:<10} {:>5} {:>5} {:>5}  keys seen", "node", "live", "dead", "left")];
        for (index, node) in cluster.running().take(SHOWN) {
            let state = node.snapshot();
            let left = state.with_status(chitchat::NodeStatus::Left).count();
            let keys: usize = state.nodes().map(|node| node.num_key_values()).sum();
            let (live, dead) = (state.live_nodes().count(), state.dead_nodes().count());
            lines.push(format!("{:<10} {live:>5} {dead:>5} {left:>5}  {keys}", name(index)));
        }
        let count = cluster.running().count();
        if count > SHOWN {
            lines.push(format!("… and {} more", count - SHOWN));
        }
        lines.push(String::new());
        for (what, took) in &self.done {
            lines.push(format!("{:>7} ms  {what}", took.as_millis()));
        }
        if let Some(what) = &self.current {
            lines.push(format!("      … ms  {what}"));
        }
        let mut text = String::new();
        if self.lines_drawn > 0 {
            // Up to where the last table began, and clear from there.
            text.push_str(&format!("\x1b[{}A\x1b[J", self.lines_drawn));
        }
        self.lines_drawn = lines.len();
        text.push_str(&lines.join("\n"));
        let mut out = stdout().lock();
        let _ = writeln!(out, "{text}");
    }
}
