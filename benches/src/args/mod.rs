//! The command line.

mod alone;
mod each;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::subject::TransportKind;
pub(crate) use alone::{Compression, Plot};
pub(crate) use each::{
    Churn, Converge, Detect, Join, Limit, Memory, MemoryOf, Pause, QuicOverhead, ScaleKeys, Steady,
};

/// Measures what chitchat costs, beside the original, chitchat 0.13 from crates.io.
///
/// Each measurement runs in a process of its own, one after the other, so that none finds the
/// memory that another one has left. The result is a table, or with --json a line for each. Where
/// times are virtual, they are exact, and do not depend on the machine; processor time does, and
/// only its ratio within one run means something.
#[derive(Clone, Debug, Parser)]
#[command(name = "chitchat-benches", version, args_override_self = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Bench(Bench),
    /// What lz4 makes of the bodies of messages and what zstd would, and in what time.
    ///
    /// No cluster runs, and nothing is compared with the original: the subjects are lz4 as messages
    /// are compressed with it, zstd at levels 1 and 3, and none. Bodies are questions of a node that
    /// knows so many members, in columns (named by the set of all, or by hashes) and by names; and
    /// deltas of URLs, of JSON that tells of a state, and of random bytes in Base64, of so many
    /// bytes. Times are processor time for each KiB of the plain body, the least of some runs. zstd
    /// keeps its working memory from one body to the next, which is the best that can be done for it;
    /// four bytes of each of its frames, which say that it is one, are not counted.
    Compression(Compression),
    /// Draws a figure of what was measured, as SVG.
    ///
    /// Reads the lines that --json has printed. The horizontal axis is the number in their cases,
    /// such as 100 of 100 nodes, and each subject has a line. Both axes are logarithmic. The same
    /// lines give the same file.
    Plot(Plot),
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Bench {
    /// Nobody writes: bytes, processor time, allocations and memory for each node.
    Steady(Steady),
    /// As steady, with one number of keys after the other: the cost of a round should not depend on
    /// them.
    ScaleKeys(ScaleKeys),
    /// All nodes write all the time: what it costs, and how long it takes until all others see it.
    Churn(Churn),
    /// A node joins one that has a large state: how long until it has everything.
    Join(Join),
    /// Nodes come and go until so many members are known: whether gossip still works.
    Limit(Limit),
    /// A node dies: how long until the others list it as dead.
    Detect(Detect),
    /// All nodes start within one interval: how long until all see all.
    Converge(Converge),
    /// The whole process stands still: who is then taken for dead, and how many messages follow.
    ///
    /// In virtual time the clock jumps; in real time all threads of the runtime are blocked.
    Pause(Pause),
    /// Memory for each peer and each key that a node knows.
    Memory(Memory),
    /// The same cluster over QUIC with mutual TLS and over UDP, on sockets and in real time: what
    /// joining and staying costs.
    QuicOverhead(QuicOverhead),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Common {
    /// What is measured.
    #[arg(long, value_enum, default_value_t = Which::Both)]
    pub(crate) subject: Which,

    /// Whose clock counts. Sockets need the real one. [default: virtual]
    #[arg(long, value_enum, hide_default_value = true, default_value_t = Time::Virtual)]
    pub(crate) time: Time,

    /// What the nodes talk over.
    #[arg(long, value_enum, alias = "network", default_value_t = TransportKind::Memory)]
    pub(crate) transport: TransportKind,

    /// Time between two rounds of gossip, in milliseconds. [default: 1000; detect and pause: 300]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub(crate) interval: Option<u64>,

    /// Peers that a node of ours tells at once of what is written; with 0 all goes by rounds. The original
    /// has none. [default: the library's]
    #[arg(long, value_name = "PEERS", value_parser = clap::value_parser!(u8).range(0..=16))]
    pub(crate) push_fanout: Option<u8>,

    /// Decides ids, values, and when nodes start.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// Print a line of JSON for each measurement, and nothing else on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// The library of this workspace.
    Chitchat,
    /// chitchat 0.13.0.
    Original,
    /// chitchat 0.13.0 with the compressed wire format, which is not its default.
    OriginalV1,
    /// Ours and the original.
    Both,
    /// All three.
    All,
}

impl Which {
    /// The single ones.
    pub(crate) fn each(self) -> &'static [Which] {
        match self {
            Which::Chitchat => &[Which::Chitchat],
            Which::Original => &[Which::Original],
            Which::OriginalV1 => &[Which::OriginalV1],
            Which::Both => &[Which::Chitchat, Which::Original],
            Which::All => &[Which::Chitchat, Which::Original, Which::OriginalV1],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Time {
    /// One thread, and a clock that jumps to the next timer when nobody has anything to do.
    Virtual,
    /// The clock on the wall, and two threads.
    Real,
}

/// One measurement, for a process of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) subject: Which,
    pub(crate) transport: TransportKind,
    /// Narrows the command line down to it. What is said last counts.
    pub(crate) args: Vec<String>,
}

impl Run {
    fn new(subject: Which, transport: TransportKind, case: &str) -> Run {
        let args = vec![
            format!("--subject={}", name(subject)),
            format!("--transport={}", name(transport)),
            case.to_owned(),
        ];
        Run { subject, transport, args }
    }
}

/// As on the command line.
fn name(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// What all measurements have, borrowed as the measurement is.
macro_rules! common {
    ($bench:expr) => {
        match $bench {
            Bench::Steady(Steady { common, .. })
            | Bench::ScaleKeys(ScaleKeys { common, .. })
            | Bench::Churn(Churn { common, .. })
            | Bench::Join(Join { common, .. })
            | Bench::Limit(Limit { common, .. })
            | Bench::Detect(Detect { common, .. })
            | Bench::Converge(Converge { common, .. })
            | Bench::Pause(Pause { common, .. })
            | Bench::Memory(Memory { common, .. })
            | Bench::QuicOverhead(QuicOverhead { common, .. }) => common,
        }
    };
}

impl Bench {
    pub(crate) fn common(&self) -> &Common {
        common!(self)
    }

    /// Fills in what was left open.
    pub(crate) fn complete(&mut self) {
        let short = matches!(self, Bench::Detect(_) | Bench::Pause(_));
        let sockets = matches!(self, Bench::QuicOverhead(_));
        let common = common!(self);
        common.interval.get_or_insert(if short { 300 } else { 1_000 });
        if sockets {
            common.time = Time::Real;
        }
    }

    /// Keeps the last of the cases.
    pub(crate) fn keep_last(&mut self) {
        fn last<T>(list: &mut Vec<T>) {
            list.drain(..list.len().saturating_sub(1));
        }
        match self {
            Bench::Steady(args) => last(&mut args.nodes),
            Bench::ScaleKeys(args) => last(&mut args.keys),
            Bench::Churn(args) => last(&mut args.nodes),
            Bench::Join(args) => last(&mut args.megabytes),
            Bench::Limit(args) => last(&mut args.members),
            Bench::Detect(args) => last(&mut args.nodes),
            Bench::Converge(args) => last(&mut args.nodes),
            Bench::Pause(args) => last(&mut args.nodes),
            Bench::Memory(args) => last(&mut args.of),
            Bench::QuicOverhead(args) => last(&mut args.nodes),
        }
    }

    /// What is measured one after the other: arguments that narrow it down to one.
    fn cases(&self) -> Vec<String> {
        fn each<T: ToString>(name: &str, values: &[T]) -> Vec<String> {
            values.iter().map(|value| format!("--{name}={}", value.to_string())).collect()
        }
        match self {
            Bench::Steady(args) => each("nodes", &args.nodes),
            Bench::ScaleKeys(args) => each("keys", &args.keys),
            Bench::Churn(args) => each("nodes", &args.nodes),
            Bench::Join(args) => each("megabytes", &args.megabytes),
            Bench::Limit(args) => each("members", &args.members),
            Bench::Detect(args) => each("nodes", &args.nodes),
            Bench::Converge(args) => each("nodes", &args.nodes),
            Bench::Pause(args) => each("nodes", &args.nodes),
            Bench::Memory(args) => {
                each("of", &args.of.iter().map(|of| name(*of)).collect::<Vec<_>>())
            }
            Bench::QuicOverhead(args) => each("nodes", &args.nodes),
        }
    }

    /// All measurements, in their order.
    pub(crate) fn runs(&self) -> Vec<Run> {
        let common = self.common();
        let mut runs = Vec::new();
        for case in self.cases() {
            for subject in common.subject.each() {
                let overhead = matches!(self, Bench::QuicOverhead(_));
                let transports: &[TransportKind] = match (overhead, subject) {
                    (true, Which::Chitchat) => &[TransportKind::Quic, TransportKind::Udp],
                    (true, _) => &[TransportKind::Udp],
                    // The original has none of it.
                    (false, Which::Original | Which::OriginalV1)
                        if common.transport == TransportKind::Quic =>
                    {
                        &[]
                    }
                    (false, _) => &[common.transport],
                };
                runs.extend(transports.iter().map(|it| Run::new(*subject, *it, &case)));
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn parse(line: &str) -> Result<Bench, clap::Error> {
        match Cli::try_parse_from(line.split(' '))?.command {
            Command::Bench(mut bench) => {
                bench.complete();
                Ok(bench)
            }
            other => panic!("no cluster runs for {other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_process_that_measures_has_one_case_whatever_was_asked_for() {
        let asked = "chitchat-benches steady --nodes 10,20 --subject both --json";
        let runs = parse(asked).unwrap().runs();
        assert_eq!(runs.len(), 4);
        for run in runs {
            let mut bench = parse(&format!("{asked} --json {}", run.args.join(" "))).unwrap();
            bench.keep_last();
            assert_eq!(bench.runs(), [run]);
        }
    }

    #[test]
    fn lists_of_names_narrow_down_as_well() {
        let mut bench = parse("chitchat-benches memory --of=key").unwrap();
        assert_eq!(bench.runs().len(), 2);
        assert!(bench.runs().iter().all(|run| run.args.contains(&"--of=key".to_owned())));
        bench.keep_last();
        let Bench::Memory(memory) = bench else { panic!("another bench") };
        assert_eq!(memory.of, [MemoryOf::Key]);
    }

    #[test]
    fn the_interval_that_is_not_given_depends_on_what_is_measured() {
        let interval = |line: &str| parse(line).unwrap().common().interval;
        assert_eq!(interval("chitchat-benches steady"), Some(1_000));
        assert_eq!(interval("chitchat-benches detect"), Some(300));
        assert_eq!(interval("chitchat-benches detect --interval 500"), Some(500));
    }

    #[test]
    fn over_quic_there_is_no_original() {
        let runs = parse("chitchat-benches steady --time real --transport quic").unwrap().runs();
        assert_eq!(runs.iter().map(|run| run.subject).collect::<Vec<_>>(), [Which::Chitchat]);
        let runs = parse("chitchat-benches quic-overhead --nodes 20").unwrap().runs();
        let (quic, udp) = (TransportKind::Quic, TransportKind::Udp);
        assert_eq!(runs.iter().map(|run| run.transport).collect::<Vec<_>>(), [quic, udp, udp]);
    }

    #[test]
    fn mistakes_are_refused() {
        for wrong in [
            "steady --nodes 1",
            "steady --subject nobody",
            "steady --rounds 0",
            "steady --interval 0",
            "detect --loss 1",
            "detect --loss -0.1",
            "limit --members 9",
            "join --megabytes 0",
            "memory --of nothing",
            "compression --lengths 10",
            "compression --members 2",
            "plot --out a.svg",
            "plot --figure bytes",
        ] {
            assert!(parse(&format!("chitchat-benches {wrong}")).is_err(), "{wrong}");
        }
    }
}
