//! The steps, and what each of them cost.

use std::io::Write;
use std::time::{Duration, Instant};

use chitchat::ChitchatHandle;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;

use crate::HEAP;
use crate::args::Args;
use crate::machine::{cpu_time, peak_resident};
use crate::nodes::{Cluster, Failure, OWNER, until_it_has, version_of_owner};
use crate::probe::{Probe, Waits};

/// A prime, so that its multiples are a permutation of the numbers of any state.
const STRIDE: u64 = 982_451_653;

/// Keys that the owner sets at a time.
const BATCH: u64 = 1_000;

/// What random values are made of, so that they are text and do not compress.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The line that `--json` prints.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Figures {
    transport: &'static str,
    nodes: u8,
    keys: u64,
    /// Of keys and values.
    bytes: u64,
    /// The owner sets all keys, while it is alone.
    load_ms: u128,
    load_cpu_ms: Option<u128>,
    /// What the owner's copy takes.
    owner_heap_bytes: usize,
    /// From the call to `spawn` until every key can be read on the joiner.
    joined_ms: u128,
    /// Of all nodes, probes included.
    join_cpu_ms: Option<u128>,
    /// What all nodes sent meanwhile.
    wire_bytes: u64,
    wire_messages: u64,
    deltas_parked: u64,
    deltas_stale: u64,
    /// Most that the heap grew while the joiner fetched, in all nodes together.
    peak_heap_bytes: usize,
    /// What it had grown by afterwards.
    joiner_heap_bytes: usize,
    peak_resident_bytes: Option<u64>,
    snapshot_reads: usize,
    max_snapshot_read_us: u128,
    p99_snapshot_read_us: u128,
    /// Of a reader without a node: what the machine itself makes a thread wait.
    max_idle_us: u128,
    p99_set_us: u128,
    max_set_us: u128,
    rounds: Vec<Rounds>,
}

/// Rounds of gossip of one node while the joiner fetched.
#[derive(Debug, Serialize)]
struct Rounds {
    node: String,
    rounds_expected: u64,
    rounds_missed: u64,
}

/// Tells a person what happens.
struct Teller {
    silent: bool,
}

impl Teller {
    fn tell(&self, what: &str) {
        if !self.silent {
            // A closed pipe is no reason to end.
            let _ = writeln!(std::io::stdout(), "{what}");
        }
    }
}

fn megabytes(bytes: impl TryInto<u64>) -> f64 {
    bytes.try_into().map_or(0.0, |bytes| bytes as f64 / 1e6)
}

fn cpu_since(before: Option<Duration>) -> Option<u128> {
    Some(cpu_time()?.saturating_sub(before?).as_millis())
}

pub(crate) async fn run(args: &Args) -> Result<Figures, Failure> {
    let teller = Teller { silent: args.json };
    let mut cluster = Cluster::new(args)?;
    let mut figures = Figures {
        transport: args.transport.name(),
        nodes: args.nodes,
        keys: u64::from(args.megabytes) * 1_000_000 / u64::from(args.value_bytes),
        ..Figures::default()
    };
    let owner = cluster.start(OWNER).await?;
    load(args, &owner, &mut figures)?;
    teller.tell(&format!(
        "owner    {} keys, {:.1} MB, set in {} ms; they take {:.1} MB in memory",
        figures.keys,
        megabytes(figures.bytes),
        figures.load_ms,
        megabytes(figures.owner_heap_bytes as u64),
    ));
    let version = version_of_owner(&owner);
    let mut nodes = vec![owner];
    for number in 2..args.nodes {
        let since = Instant::now();
        let node = cluster.start(&format!("copy-{number}")).await?;
        until_it_has(&node, version, |_| {}).await?;
        teller.tell(&format!("copy-{number}   has all of it after {:?}", since.elapsed()));
        nodes.push(node);
    }
    join(args, &mut cluster, &mut nodes, &teller, &mut figures).await?;
    for node in nodes {
        // The demonstration is over: how each node ends does not matter any more.
        let _ = node.shutdown().await;
    }
    Ok(figures)
}

/// Sets all keys of the owner.
fn load(args: &Args, owner: &ChitchatHandle, figures: &mut Figures) -> Result<(), Failure> {
    let mut rng = SmallRng::seed_from_u64(1);
    let heap = HEAP.current_usage();
    let (since, cpu) = (Instant::now(), cpu_time());
    let mut random = || {
        let value: String =
            (0..args.value_bytes).map(|_| char::from(LETTERS[rng.random_range(0..64)])).collect();
        value
    };
    let stride = if args.shuffled { STRIDE } else { 1 };
    let name = |number: u64| format!("key-{:07}", number * stride % figures.keys);
    let mut number = 0;
    while number < figures.keys {
        let end = (number + BATCH).min(figures.keys);
        let batch: Vec<_> = (number..end).map(|it| (name(it), random())).collect();
        figures.bytes += batch.iter().map(|(key, it)| (key.len() + it.len()) as u64).sum::<u64>();
        owner.set_many(batch)?;
        number = end;
    }
    figures.load_ms = since.elapsed().as_millis();
    figures.load_cpu_ms = cpu_since(cpu);
    figures.owner_heap_bytes = HEAP.current_usage().saturating_sub(heap);
    Ok(())
}

/// Starts the joiner and waits until it has everything, with readers and writers all the while.
async fn join(
    args: &Args,
    cluster: &mut Cluster,
    nodes: &mut Vec<ChitchatHandle>,
    teller: &Teller,
    figures: &mut Figures,
) -> Result<(), Failure> {
    let owner = nodes.first().cloned().ok_or("there is no owner")?;
    let version = version_of_owner(&owner);
    let idle = Probe::idle();
    let probe = |node| (Probe::reader(node), Probe::writer(node));
    let mut probes: Vec<(Probe, Probe)> = Vec::new();
    if !args.quiet {
        probes.extend(nodes.iter().map(probe));
    }
    let sent = |node: &ChitchatHandle| {
        let stats = node.stats();
        (stats.transport.bytes_sent, stats.transport.messages_sent, stats.protocol.rounds)
    };
    let before: Vec<_> = nodes.iter().map(sent).collect();
    let heap = HEAP.current_usage();
    HEAP.reset_peak_usage();
    let (since, cpu) = (Instant::now(), cpu_time());
    let joiner = cluster.start("joiner").await?;
    if !args.quiet {
        probes.push(probe(&joiner));
    }
    let mut tenths = 0;
    until_it_has(&joiner, version, |has| {
        if has * 10 / version > tenths {
            tenths = has * 10 / version;
            teller.tell(&format!("joiner   {tenths}0 % after {:?}", since.elapsed()));
        }
    })
    .await?;
    let took = since.elapsed();
    figures.joined_ms = took.as_millis();
    figures.join_cpu_ms = cpu_since(cpu);
    figures.peak_heap_bytes = HEAP.peak_usage().saturating_sub(heap);
    nodes.push(joiner);
    let before = before.into_iter().chain([(0, 0, 0)]);
    for (node, (bytes, messages, rounds)) in nodes.iter().zip(before) {
        let now = sent(node);
        figures.wire_bytes += now.0 - bytes;
        figures.wire_messages += now.1 - messages;
        let expected = (took.as_nanos() / cluster.interval().as_nanos()) as u64;
        let missed = expected.saturating_sub(now.2 - rounds);
        let node = node.id().node_id.to_string();
        figures.rounds.push(Rounds { node, rounds_expected: expected, rounds_missed: missed });
    }
    figures.max_idle_us = idle.stop().max_us();
    take_waits(probes, figures);
    figures.joiner_heap_bytes = HEAP.current_usage().saturating_sub(heap);
    figures.peak_resident_bytes = peak_resident();
    if let Some(joiner) = nodes.last() {
        let counters = joiner.stats().protocol;
        figures.deltas_parked = counters.deltas_parked;
        figures.deltas_stale = counters.deltas_stale;
        verify(joiner, figures.keys)?;
    }
    tell_result(teller, figures);
    Ok(())
}

fn take_waits(probes: Vec<(Probe, Probe)>, figures: &mut Figures) {
    let (mut reads, mut writes) = (Waits::default(), Waits::default());
    for (reader, writer) in probes {
        reads.append(reader.stop());
        writes.append(writer.stop());
    }
    figures.snapshot_reads = reads.len();
    figures.max_snapshot_read_us = reads.max_us();
    figures.p99_snapshot_read_us = reads.p99_us();
    figures.p99_set_us = writes.p99_us();
    figures.max_set_us = writes.max_us();
}

/// That the joiner has what the owner has set, and not only its number.
fn verify(joiner: &ChitchatHandle, keys: u64) -> Result<(), Failure> {
    let snapshot = joiner.snapshot();
    let state = snapshot.node(OWNER).ok_or("the joiner does not know the owner")?;
    let readable = state.iter_prefix("key-").count() as u64;
    if readable == keys && state.get("key-0000000").is_some() {
        Ok(())
    } else {
        Err(format!("the joiner reads {readable} of {keys} keys").into())
    }
}

fn tell_result(teller: &Teller, figures: &Figures) {
    teller.tell(&format!(
        "joiner   has all of it after {} ms; {:.1} MB on the wire; the heap grew by {:.1} MB, \
         {:.1} MB at the peak",
        figures.joined_ms,
        megabytes(figures.wire_bytes),
        megabytes(figures.joiner_heap_bytes as u64),
        megabytes(figures.peak_heap_bytes as u64),
    ));
    teller.tell(&format!(
        "meanwhile  longest read of a snapshot {} us (a thread that reads nothing: {} us); \
         99 of 100 sets within {} us",
        figures.max_snapshot_read_us, figures.max_idle_us, figures.p99_set_us,
    ));
    for rounds in &figures.rounds {
        teller.tell(&format!(
            "meanwhile  {} missed {} of {} rounds",
            rounds.node, rounds.rounds_missed, rounds.rounds_expected
        ));
    }
}
