//! Nobody writes.

use std::time::Duration;

use crate::args::{Common, ScaleKeys, Steady};
use crate::heap::Heap;
use crate::machine::{forget_peak, peak_resident, resident};
use crate::report::Line;
use crate::subject::Subject;
use crate::workloads::{PATIENCE, cost_per_node};
use crate::world::World;

pub(crate) fn steady<S: Subject>(args: &Steady) -> anyhow::Result<Line> {
    let nodes = args.nodes[0] as usize;
    let line = Line::new("steady", S::NAME, format!("{nodes} nodes"));
    let mut world = World::<S>::new(&args.common)?;
    if let Some(seconds) = args.start_seconds {
        world.start_within = Duration::from_secs(seconds.into());
    }
    let length = args
        .seconds
        .map_or(world.interval * args.rounds, |seconds| Duration::from_secs(seconds.into()));
    measure(line, &mut world, nodes, args.keys, length)
}

pub(crate) fn scale_keys<S: Subject>(args: &ScaleKeys) -> anyhow::Result<Line> {
    let keys = args.keys[0];
    let line = Line::new("scale-keys", S::NAME, format!("{keys} keys"));
    let mut world = World::<S>::new(&args.common)?;
    let length = world.interval * args.rounds;
    measure(line, &mut world, args.nodes as usize, keys, length)
}

fn measure<S: Subject>(
    mut line: Line,
    world: &mut World<S>,
    nodes: usize,
    keys: usize,
    length: Duration,
) -> anyhow::Result<Line> {
    let (resident_before, heap_before) = (resident(), Heap::now());
    settle(world, nodes, keys)?;
    // What was left over from the start is gone after this.
    world.pass((world.interval * 5).max(world.start_within / 2));
    forget_peak();
    let cost = world.cost(length);
    cost_per_node(&mut line, world, &cost);
    // Each node knows all of them, itself included.
    let kib_per_peer = |bytes: u64| bytes as f64 / 1_024.0 / (nodes * nodes) as f64;
    if let Some((before, now)) = heap_before.zip(Heap::now()) {
        line.figure("heap_kib_per_peer", kib_per_peer(now.live - before.live));
    }
    line.figure("rss_kib_per_peer", kib_per_peer(resident().saturating_sub(resident_before)));
    let peak = peak_resident().saturating_sub(resident_before);
    line.figure("peak_rss_kib_per_peer", kib_per_peer(peak));
    Ok(line)
}

/// Starts nodes, and waits until all have everything of all.
pub(crate) fn settle<S: Subject>(
    world: &mut World<S>,
    nodes: usize,
    keys: usize,
) -> anyhow::Result<()> {
    world.start(nodes, keys)?;
    let converged = world.converge(keys, PATIENCE);
    anyhow::ensure!(converged.is_some(), "{}: not converged within {PATIENCE:?}", S::NAME);
    Ok(())
}

/// A cluster that has settled.
pub(crate) fn settled<S: Subject>(
    common: &Common,
    nodes: usize,
    keys: usize,
) -> anyhow::Result<World<S>> {
    let mut world = World::<S>::new(common)?;
    settle(&mut world, nodes, keys)?;
    Ok(world)
}
