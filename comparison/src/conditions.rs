//! What both are put through.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

/// Nodes of a cluster, where nothing else is said.
pub(crate) const NODES: usize = 20;
/// The gossip interval of both.
pub(crate) const INTERVAL: Duration = Duration::from_millis(500);
/// One-way delay, in microseconds: a calm local network.
pub(crate) const DELAY_US: std::ops::Range<u64> = 200..800;

/// A run of a cluster in which nobody dies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Condition {
    pub(crate) name: &'static str,
    pub(crate) nodes: usize,
    /// Probability that a message is lost, from the start.
    pub(crate) loss: f64,
    /// Before anything is counted.
    pub(crate) warm_up: Duration,
    /// The loss from then on.
    pub(crate) later_loss: f64,
    /// How long it is counted.
    pub(crate) length: Duration,
    pub(crate) holds: Option<Holds>,
}

/// Processes that are held up, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holds {
    /// From one to the next.
    pub(crate) every: Duration,
    /// The shortest and the longest; each is drawn evenly between.
    pub(crate) lengths: (Duration, Duration),
    /// Whether what arrives meanwhile is lost (a machine that stands still) or waits (a process).
    pub(crate) lossy: bool,
}

impl Holds {
    /// How long the next one takes.
    pub(crate) fn draw(&self, rng: &mut StdRng) -> Duration {
        let (shortest, longest) = self.lengths;
        rng.random_range(shortest..=longest)
    }
}

const fn steady(name: &'static str, loss: f64) -> Condition {
    let (warm_up, length) = (Duration::from_secs(120), Duration::from_secs(900));
    Condition { name, nodes: NODES, loss, warm_up, later_loss: loss, length, holds: None }
}

/// The loss rises after five minutes without any.
const fn rising(name: &'static str, nodes: usize, later_loss: f64) -> Condition {
    let (warm_up, length) = (Duration::from_secs(300), Duration::from_secs(120));
    Condition { nodes, warm_up, later_loss, length, ..steady(name, 0.0) }
}

const fn held(name: &'static str, lossy: bool) -> Condition {
    let lengths = (Duration::from_secs(10), Duration::from_secs(10));
    let holds = Some(Holds { every: Duration::from_secs(15), lengths, lossy });
    Condition { holds, ..steady(name, 0.0) }
}

/// Machines that stand still for a moment, one after the other, so that each does about once in two minutes.
const fn paused(name: &'static str, nodes: usize) -> Condition {
    let lengths = (Duration::from_millis(500), Duration::from_secs(5));
    let every = Duration::from_secs(120 / nodes as u64);
    let holds = Some(Holds { every, lengths, lossy: true });
    Condition { nodes, holds, ..steady(name, 0.0) }
}

/// Those of the table.
pub(crate) const CONDITIONS: [Condition; 12] = [
    steady("no loss", 0.0),
    steady("10 % loss", 0.1),
    steady("30 % loss", 0.3),
    rising("the first two minutes after loss rose from 0 to 30 %", 20, 0.3),
    rising("the first two minutes after loss rose from 0 to 50 %", 20, 0.5),
    rising("the same, 10 nodes", 10, 0.5),
    rising("the same, 40 nodes", 40, 0.5),
    rising("the same, 100 nodes", 100, 0.5),
    held("every 15 s one process is stopped for 10 s", false),
    held("every 15 s one machine stands still for 10 s", true),
    paused("each machine stands still for 0.5 to 5 s once in two minutes, 10 nodes", 10),
    paused("the same, 40 nodes", 40),
];

/// What came of a condition in one run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    /// How often a node that ran was declared dead by another.
    pub(crate) false_deaths: usize,
    /// Hours that nodes have watched the others, added up.
    pub(crate) node_hours: f64,
}

impl Outcome {
    pub(crate) fn of(condition: &Condition, false_deaths: usize) -> Outcome {
        let node_hours = condition.nodes as f64 * condition.length.as_secs_f64() / 3600.0;
        Outcome { false_deaths, node_hours }
    }

    pub(crate) fn add(self, other: Outcome) -> Outcome {
        Outcome {
            false_deaths: self.false_deaths + other.false_deaths,
            node_hours: self.node_hours + other.node_hours,
        }
    }

    pub(crate) fn per_node_hour(&self) -> f64 {
        self.false_deaths as f64 / self.node_hours
    }
}
