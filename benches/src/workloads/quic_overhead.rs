//! The same cluster over QUIC with mutual TLS, and over UDP.

use anyhow::Context as _;

use crate::apart;
use crate::args::QuicOverhead;
use crate::heap::Heap;
use crate::machine::{Loopback, cpu_time, resident};
use crate::report::Line;
use crate::subject::{Subject, TransportKind};
use crate::workloads::steady::settle;
use crate::world::World;

/// Keys of each node.
const KEYS: usize = 10;
/// Intervals until no more connections are opened than are closed.
const WARM: u32 = 30;

pub(crate) fn quic_overhead<S: Subject>(args: &QuicOverhead) -> anyhow::Result<Line> {
    let nodes = args.nodes[0] as usize;
    let over = if args.common.transport == TransportKind::Quic { "QUIC" } else { "UDP" };
    let name = format!("{} over {over}", S::NAME);
    let mut line = Line::new("quic-overhead", &name, format!("{nodes} nodes"));
    let mut world = World::<S>::new(&args.common)?;
    let (memory, heap, wire) = (resident(), Heap::now(), Loopback::now());
    let (begin, cpu) = (world.now(), cpu_time());
    settle(&mut world, nodes, KEYS).context(name)?;
    let seconds = (world.now() - begin).as_secs_f64();
    let cpu = cpu_time() - cpu - S::preparations(&world.network);
    let per_node = |figure: f64| figure / nodes as f64;
    let kib = |bytes: u64| per_node(bytes as f64 / 1_024.0);
    // Where others use the device, its counters say nothing.
    let on_wire = |before: Option<Loopback>| {
        let now = apart::has_own_loopback().then(Loopback::now).flatten();
        before.zip(now).map(|(before, now)| now.since(before))
    };
    line.figure("joining_s", seconds);
    line.figure("joining_cpu_ms_per_node", per_node(cpu.as_secs_f64() * 1e3));
    if let Some(wire) = on_wire(wire) {
        line.figure("joining_wire_kib_per_node", kib(wire.bytes));
    }

    world.pass(world.interval * WARM);
    let wire = Loopback::now();
    let cost = world.cost(world.interval * args.rounds);
    let seconds = cost.length.as_secs_f64();
    let rounds = cost.length.div_duration_f64(world.interval);
    let cpu_ms = cost.cpu.as_secs_f64() * 1e3;
    line.figure("warm_cpu_ms_per_node_round", per_node(cpu_ms) / rounds);
    line.figure("warm_payload_bytes_per_node_s", per_node(cost.traffic.bytes as f64) / seconds);
    line.figure("warm_messages_per_node_s", per_node(cost.traffic.messages as f64) / seconds);
    if let Some(wire) = on_wire(wire) {
        line.figure("warm_wire_bytes_per_node_s", per_node(wire.bytes as f64) / seconds);
        line.figure("warm_datagrams_per_node_s", per_node(wire.packets as f64) / seconds);
    }
    line.figure("connections_per_node", per_node(S::connections(&world.nodes) as f64));
    line.count("messages_not_sent", cost.traffic.errors);
    if let Some((before, now)) = heap.zip(Heap::now()) {
        line.figure("heap_kib_per_node", kib(now.live - before.live));
    }
    line.figure("rss_kib_per_node", kib(resident().saturating_sub(memory)));
    Ok(line)
}
