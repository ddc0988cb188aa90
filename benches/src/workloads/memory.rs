//! Memory for each peer and each key that a node knows.

use crate::args::{Common, Memory, MemoryOf};
use crate::heap::Heap;
use crate::machine::resident;
use crate::report::Line;
use crate::subject::Subject;
use crate::workloads::steady::settled;

/// What all nodes together hold, in bytes.
#[derive(Clone, Copy)]
struct Held {
    heap: Option<u64>,
    resident: u64,
}

/// The difference of two clusters, so that what a node needs of its own does not count.
pub(crate) fn memory<S: Subject>(args: &Memory) -> anyhow::Result<Line> {
    // Nodes and keys of the small and of the large cluster.
    let ((small_nodes, small_keys), (nodes, keys), case) = match args.of[0] {
        MemoryOf::Peer => ((50, 1), (100, 1), "for each peer"),
        MemoryOf::Key => ((20, 10), (20, 1_010), "for each key"),
    };
    let mut line = Line::new("memory", S::NAME, case.to_owned());
    let before = resident();
    let small = held::<S>(&args.common, small_nodes, small_keys, before)?;
    // Takes the place of the small one, which is gone, and more.
    let large = held::<S>(&args.common, nodes, keys, before)?;
    let per_node = |held: u64, nodes: usize| held as f64 / nodes as f64;
    let more = match args.of[0] {
        MemoryOf::Peer => nodes - small_nodes,
        MemoryOf::Key => nodes * (keys - small_keys),
    } as f64;
    if let (Some(small), Some(large)) = (small.heap, large.heap) {
        let heap = per_node(large, nodes) - per_node(small, small_nodes);
        line.figure("heap_bytes", heap / more);
    }
    let rss = per_node(large.resident, nodes) - per_node(small.resident, small_nodes);
    line.figure("rss_bytes", rss / more);
    line.figure("rss_mib_of_all", large.resident as f64 / f64::from(1 << 20));
    Ok(line)
}

fn held<S: Subject>(
    common: &Common,
    nodes: usize,
    keys: usize,
    resident_before: u64,
) -> anyhow::Result<Held> {
    let before = Heap::now();
    let world = settled::<S>(common, nodes, keys)?;
    world.pass(world.interval * 20);
    let heap = before.zip(Heap::now()).map(|(before, now)| now.live - before.live);
    Ok(Held { heap, resident: resident().saturating_sub(resident_before) })
}
