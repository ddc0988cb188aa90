//! The arguments of each measurement.

use clap::{Args, ValueEnum};

use super::Common;

/// A number of nodes.
fn nodes() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(2..=10_000)
}

/// One or more.
fn some() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Steady {
    #[command(flatten)]
    pub(crate) common: Common,

    /// Nodes of the cluster; several numbers with commas.
    #[arg(long, value_delimiter = ',', default_value = "100", value_parser = nodes())]
    pub(crate) nodes: Vec<u32>,

    /// Keys of each node, of 20 bytes, with values of 20 bytes.
    #[arg(long, default_value_t = 10)]
    pub(crate) keys: usize,

    /// Intervals that are measured.
    #[arg(long, default_value_t = 20, value_parser = some())]
    pub(crate) rounds: u32,

    /// Seconds that are measured, in place of intervals.
    #[arg(long, value_name = "S", value_parser = some())]
    pub(crate) seconds: Option<u32>,

    /// Seconds within which the nodes start. In real time many joins at once take more than a machine
    /// has. [default: one interval]
    #[arg(long, value_name = "S", value_parser = some())]
    pub(crate) start_seconds: Option<u32>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ScaleKeys {
    #[command(flatten)]
    pub(crate) common: Common,

    /// Nodes of the cluster.
    #[arg(long, default_value_t = 20, value_parser = nodes())]
    pub(crate) nodes: u32,

    /// Keys of each node; several numbers with commas.
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000,10000")]
    pub(crate) keys: Vec<usize>,

    /// Intervals that are measured.
    #[arg(long, default_value_t = 20, value_parser = some())]
    pub(crate) rounds: u32,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Churn {
    #[command(flatten)]
    pub(crate) common: Common,

    /// Nodes of the cluster; several numbers with commas.
    #[arg(long, value_delimiter = ',', default_value = "50", value_parser = nodes())]
    pub(crate) nodes: Vec<u32>,

    /// Keys of each node, written one after the other.
    #[arg(long, default_value_t = 100, value_parser = some())]
    pub(crate) keys: u32,

    /// Writes of each node per second.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) writes: u32,

    /// Intervals that are measured.
    #[arg(long, default_value_t = 20, value_parser = some())]
    pub(crate) rounds: u32,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Join {
    #[command(flatten)]
    pub(crate) common: Common,

    /// Size of the state, keys of 20 and random values of 100 bytes; several numbers with commas.
    #[arg(long, value_delimiter = ',', default_value = "1,10",
          value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(crate) megabytes: Vec<u32>,

    /// Give up after so many seconds.
    #[arg(long, default_value_t = 600)]
    pub(crate) limit: u64,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Converge {
    #[command(flatten)]
    pub(crate) common: Common,

    /// Nodes of the cluster; several numbers with commas.
    #[arg(long, value_delimiter = ',', default_value = "10,50,100", value_parser = nodes())]
    pub(crate) nodes: Vec<u32>,

    /// Keys of each node.
    #[arg(long, default_value_t = 10)]
    pub(crate) keys: usize,

    /// Clusters that are started, one after the other.
    #[arg(long, default_value_t = 10, value_parser = some())]
    pub(crate) repeats: u32,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Detect {
    #[command(flatten)]
    pub(crate) common: Common,

    /// Nodes of the cluster; several numbers with commas.
    #[arg(long, value_delimiter = ',', default_value = "10,40,100", value_parser = nodes())]
    pub(crate) nodes: Vec<u32>,

    /// Nodes that die, each in a cluster of its own.
    #[arg(long, default_value_t = 5, value_parser = some())]
    pub(crate) repeats: u32,

    /// The share of messages that are lost, 0 to 0.9, from when the cluster has converged.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub(crate) loss: f64,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=0.9).contains(&share) => Ok(share),
        _ => Err("not a number from 0 to 0.9".to_owned()),
    }
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Limit {
    #[command(flatten)]
    pub(crate) common: Common,

    /// Members that the cluster comes to know; several numbers with commas.
    #[arg(long, value_delimiter = ',', default_value = "1000,1072,1073,2000",
          value_parser = clap::value_parser!(u32).range(10..=100_000))]
    pub(crate) members: Vec<u32>,

    /// How many of them come, and are gone again, at a time.
    #[arg(long, default_value_t = 50, value_parser = some())]
    pub(crate) batch: u32,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Pause {
    #[command(flatten)]
    pub(crate) common: Common,

    /// Nodes of the cluster; several numbers with commas.
    #[arg(long, value_delimiter = ',', default_value = "10,40,100", value_parser = nodes())]
    pub(crate) nodes: Vec<u32>,

    /// How long nothing runs, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 5_000,
          value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub(crate) pause: u64,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Memory {
    #[command(flatten)]
    pub(crate) common: Common,

    /// What is to be known; several with commas.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "peer,key")]
    pub(crate) of: Vec<MemoryOf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MemoryOf {
    /// A peer with one key: a cluster of 100 beside one of 50.
    Peer,
    /// A key of 20 bytes with a value of 20: 1,010 of each of 20 nodes beside 10.
    Key,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct QuicOverhead {
    #[command(flatten)]
    pub(crate) common: Common,

    /// Nodes of the cluster; several numbers with commas.
    #[arg(long, value_delimiter = ',', default_value = "20,50", value_parser = nodes())]
    pub(crate) nodes: Vec<u32>,

    /// Intervals that are measured once all is warm.
    #[arg(long, default_value_t = 20, value_parser = some())]
    pub(crate) rounds: u32,
}
