//! The command line.

use clap::{Parser, ValueEnum};

/// Starts a node with a large state in this process, lets other nodes copy it, and then measures a
/// last one that joins. Ends by itself: with 0 when the joiner has everything, else with 1.
#[derive(Clone, Debug, Parser)]
#[command(name = "large_state")]
pub(crate) struct Args {
    /// Size of the state: so many megabytes of random values.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=900))]
    pub(crate) megabytes: u32,

    /// Length of each value.
    #[arg(long, value_name = "BYTES", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) value_bytes: u32,

    /// Set the keys in no order, so that neighbours among the keys are not neighbours in the log.
    #[arg(long)]
    pub(crate) shuffled: bool,

    /// How the nodes talk to each other.
    #[arg(long, value_enum, default_value_t = TransportKind::Quic)]
    pub(crate) transport: TransportKind,

    /// Nodes together: the owner of the state, the joiner, and those that have a copy already.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=8))]
    pub(crate) nodes: u8,

    /// Time between two rounds of gossip, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 500,
          value_parser = clap::value_parser!(u64).range(10..=10_000))]
    pub(crate) interval: u64,

    /// Longest time that a message takes, in milliseconds; the shortest is half of it. Only with the
    /// transport in memory.
    #[arg(long, value_name = "MS", default_value_t = 0,
          value_parser = clap::value_parser!(u64).range(0..=1_000))]
    pub(crate) latency: u64,

    /// Share of the messages that later ones overtake, in percent. Only with the transport in
    /// memory.
    #[arg(long, value_name = "PERCENT", default_value_t = 0,
          value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) reordering: u8,

    /// Do not read snapshots and write keys while the joiner fetches: only how fast it is.
    #[arg(long)]
    pub(crate) quiet: bool,

    /// Print one line of JSON at the end, and nothing else on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The transports of this build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TransportKind {
    /// A network within the process, with the message lengths of a stream transport.
    Memory,
    /// QUIC with mutual TLS, certificates from an authority that lives as long as this program.
    Quic,
    /// TCP with mutual TLS, certificates as with QUIC.
    TcpTls,
    /// TCP, without authentication.
    Tcp,
    /// Datagrams, without authentication.
    Udp,
}

impl TransportKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            TransportKind::Memory => "memory",
            TransportKind::Quic => "quic",
            TransportKind::TcpTls => "tcp-tls",
            TransportKind::Tcp => "tcp",
            TransportKind::Udp => "udp",
        }
    }
}
