//! What the subjects are put through.

pub(crate) mod churn;
pub(crate) mod converge;
pub(crate) mod detect;
pub(crate) mod join;
pub(crate) mod limit;
pub(crate) mod memory;
pub(crate) mod pause;
pub(crate) mod quic_overhead;
pub(crate) mod steady;

use std::time::Duration;

/// Nothing here takes longer, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(600);

use crate::report::Line;
use crate::subject::Subject;
use crate::world::{Cost, World};

/// What it costs each node in each second and in each round.
fn cost_per_node<S: Subject>(line: &mut Line, world: &World<S>, cost: &Cost) {
    let nodes = world.nodes.len() as f64;
    let seconds = cost.length.as_secs_f64();
    let rounds = seconds / world.interval.as_secs_f64();
    line.figure("bytes_per_node_s", cost.traffic.bytes as f64 / nodes / seconds);
    line.figure("messages_per_node_s", cost.traffic.messages as f64 / nodes / seconds);
    line.count("longest_message", cost.traffic.longest);
    line.count("messages_not_sent", cost.traffic.errors);
    line.figure("cpu_ms_per_node_round", cost.cpu.as_secs_f64() * 1e3 / nodes / rounds);
    if let Some((before, after)) = cost.heap {
        let allocations = (after.allocations - before.allocations) as f64;
        let kib = (after.bytes - before.bytes) as f64 / 1_024.0;
        line.figure("allocations_per_node_round", allocations / nodes / rounds);
        line.figure("allocated_kib_per_node_round", kib / nodes / rounds);
    }
}
