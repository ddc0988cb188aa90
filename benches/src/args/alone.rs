//! The arguments of what needs no cluster.

use std::path::PathBuf;

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

#[derive(Clone, Debug, Args)]
pub(crate) struct Plot {
    /// Files with lines of JSON, as --json has them printed; without any, standard input is read.
    pub(crate) files: Vec<PathBuf>,

    /// Which figure, such as bytes_per_node_s.
    #[arg(long)]
    pub(crate) figure: String,

    /// Where to write the picture.
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) out: PathBuf,

    /// What stands above it. [default: what was measured]
    #[arg(long)]
    pub(crate) title: Option<String>,

    /// What stands below the horizontal axis. [default: what the number in the case counts]
    #[arg(long, value_name = "TEXT")]
    pub(crate) x_label: Option<String>,

    /// What stands beside the vertical axis. [default: the figure]
    #[arg(long, value_name = "TEXT")]
    pub(crate) y_label: Option<String>,
}
