//! The command line.

use clap::{Parser, ValueEnum};

/// Starts a cluster in this process, on this machine's loopback addresses and free ports, and shows
/// what it does. Ends by itself: with 0 when every step has come about, else with 1 and the name of
/// the step that has not.
#[derive(Clone, Debug, Parser)]
#[command(name = "quickstart")]
pub(crate) struct Args {
    /// Number of nodes.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(3..=500))]
    pub(crate) nodes: u16,

    /// How the nodes talk to each other.
    #[arg(long, value_enum, default_value_t = TransportKind::Quic)]
    pub(crate) transport: TransportKind,

    /// Time between two rounds of gossip, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 200,
          value_parser = clap::value_parser!(u64).range(10..=10_000))]
    pub(crate) interval: u64,

    /// Print one line of JSON at the end, and nothing else on standard output. Each figure is the
    /// time until the last node saw it, in milliseconds: all nodes live (`converged_ms`), a new key
    /// (`propagated_ms`), its deletion (`deleted_ms`), a key's expiry, counted from the end of its
    /// time to live (`expired_ms`), a killed node listed as dead (`failed_ms`), the same node back
    /// with its keys (`rejoined_ms`), and a node that left (`left_ms`).
    #[arg(long)]
    pub(crate) json: bool,
}

/// The transports of this build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TransportKind {
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
            TransportKind::Quic => "quic",
            TransportKind::TcpTls => "tcp-tls",
            TransportKind::Tcp => "tcp",
            TransportKind::Udp => "udp",
        }
    }
}
