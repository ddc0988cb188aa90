//! All nodes start within one interval.

use crate::args::Converge;
use crate::report::{Line, quantile};
use crate::subject::Subject;
use crate::workloads::PATIENCE;
use crate::world::World;

pub(crate) fn converge<S: Subject>(args: &Converge) -> anyhow::Result<Line> {
    let nodes = args.nodes[0] as usize;
    let mut line = Line::new("converge", S::NAME, format!("{nodes} nodes"));
    let (mut seen, mut had) = (Vec::new(), Vec::new());
    for repeat in 0..args.repeats {
        let mut common = args.common.clone();
        common.seed = common.seed.wrapping_add(u64::from(repeat));
        let mut world = World::<S>::new(&common)?;
        let begin = world.now();
        world.start(nodes, args.keys)?;
        let in_rounds = |world: &World<S>| (world.now() - begin).div_duration_f64(world.interval);
        let poll = world.interval / 50;
        if world.until(poll, PATIENCE, async |world| world.all_see_all().await).is_some() {
            seen.push(in_rounds(&world));
            if world.converge(args.keys, PATIENCE).is_some() {
                had.push(in_rounds(&world));
            }
        }
    }
    seen.sort_by(f64::total_cmp);
    had.sort_by(f64::total_cmp);
    line.count("clusters", u64::from(args.repeats));
    line.count("clusters_converged", had.len() as u64);
    line.figure("rounds_until_all_see_all_p50", quantile(&seen, 0.5));
    line.figure("rounds_until_all_see_all_max", quantile(&seen, 1.0));
    line.figure("rounds_until_all_have_all_p50", quantile(&had, 0.5));
    line.figure("rounds_until_all_have_all_max", quantile(&had, 1.0));
    Ok(line)
}
