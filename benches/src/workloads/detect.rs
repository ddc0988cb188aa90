//! A node dies.

use std::time::Duration;

use crate::args::Detect;
use crate::report::{Line, quantile};
use crate::subject::{Subject, TransportKind};
use crate::workloads::steady::settled;

/// Intervals in which the failure detectors learn what is usual.
const USUAL: u32 = 60;
/// Longer than either takes to list a node as dead.
const WATCH: u32 = 300;

pub(crate) fn detect<S: Subject>(args: &Detect) -> anyhow::Result<Line> {
    let memory = args.common.transport == TransportKind::Memory;
    anyhow::ensure!(memory || args.loss == 0.0, "only the network in memory loses on demand");
    let nodes = args.nodes[0] as usize;
    let loss = args.loss * 100.0;
    let mut line = Line::new("detect", S::NAME, format!("{nodes} nodes, {loss:.0} % lost"));
    let mut taken: Vec<f64> = Vec::new();
    let (mut unnoticed, mut before) = (0, 0);
    for repeat in 0..args.repeats {
        let mut common = args.common.clone();
        common.seed = common.seed.wrapping_add(u64::from(repeat));
        let mut world = settled::<S>(&common, nodes, 1)?;
        S::set_loss(&world.network, args.loss);
        world.pass(world.interval * USUAL);
        // Not the seed of all others.
        let Some(peer) = world.kill_last() else { anyhow::bail!("no node can die") };
        let died = world.now();
        // Of those that took it for dead already, nothing is to be learnt.
        let mut watched = Vec::new();
        for node in &world.nodes {
            match world.run(S::is_live(node, &peer)) {
                true => watched.push((node, None)),
                false => before += 1,
            }
        }
        let _ = world.until(world.interval / 50, world.interval * WATCH, async |world| {
            for (node, noticed) in &mut watched {
                if noticed.is_none() && !S::is_live(node, &peer).await {
                    *noticed = Some(world.now() - died);
                }
            }
            watched.iter().all(|(_, noticed)| noticed.is_some())
        });
        let noticed: Vec<Duration> = watched.iter().filter_map(|(_, noticed)| *noticed).collect();
        unnoticed += watched.len() - noticed.len();
        taken.extend(noticed.iter().map(Duration::as_secs_f64));
    }
    taken.sort_by(f64::total_cmp);
    line.count("deaths", u64::from(args.repeats));
    line.count("listed_before_it_died", before);
    line.count("not_noticed", unnoticed as u64);
    line.figure("noticed_after_s_p50", quantile(&taken, 0.5));
    line.figure("noticed_after_s_p99", quantile(&taken, 0.99));
    line.figure("noticed_after_s_max", quantile(&taken, 1.0));
    Ok(line)
}
