//! The arguments of what needs no cluster.

use clap::Args;

#[derive(Clone, Debug, Args)]
pub(crate) struct Compression {
    /// Bytes of the bodies with deltas; several numbers with commas.
    #[arg(long, value_delimiter = ',', default_value = "256,1400,16384,262144",
          value_parser = clap::value_parser!(u32).range(256..=1 << 20))]
    pub(crate) lengths: Vec<u32>,

    /// Members that a node asks about; several numbers with commas.
    #[arg(long, value_delimiter = ',', default_value = "100,1000",
          value_parser = clap::value_parser!(u32).range(10..=4_000))]
    pub(crate) members: Vec<u32>,

    /// Decides names, values and ages.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// Print a line of JSON for each measurement, and nothing else on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}
