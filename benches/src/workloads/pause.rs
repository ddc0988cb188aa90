//! The whole process stands still for a while.

use std::time::Duration;

use crate::args::Pause;
use crate::report::Line;
use crate::subject::Subject;
use crate::workloads::steady::settled;

/// Intervals in which the failure detectors learn what is usual.
const USUAL: u32 = 60;
/// How long afterwards it is looked for false deaths.
const WATCH: Duration = Duration::from_secs(10);
/// In which the messages are counted that everybody sends at once.
const BURST: Duration = Duration::from_millis(250);

pub(crate) fn pause<S: Subject>(args: &Pause) -> anyhow::Result<Line> {
    let nodes = args.nodes[0] as usize;
    let mut line = Line::new("pause", S::NAME, format!("{nodes} nodes"));
    let world = settled::<S>(&args.common, nodes, 1)?;
    world.pass(world.interval * USUAL);
    let usual = world.cost(BURST * 8).traffic.messages as f64 / 8.0;

    let before = S::traffic(&world.network, &world.nodes);
    world.stop(Duration::from_millis(args.pause));
    let resumed = world.now();
    let (mut dead, mut last, mut burst) = (vec![0; nodes], Duration::ZERO, None);
    let _ = world.until(Duration::from_millis(2), WATCH, async |world| {
        let elapsed = world.now() - resumed;
        for (node, most) in world.nodes.iter().zip(&mut dead) {
            let listed = S::dead(node).await;
            if listed > 0 {
                *most = listed.max(*most);
                last = elapsed;
            }
        }
        if burst.is_none() && elapsed >= BURST {
            let traffic = S::traffic(&world.network, &world.nodes);
            burst = Some(traffic.since(before).messages as f64);
        }
        false
    });
    line.count("nodes_that_list_false_deaths", dead.iter().filter(|it| **it > 0).count() as u64);
    line.count("false_deaths_listed_at_most", dead.iter().copied().max().unwrap_or(0) as u64);
    line.figure("last_listed_after_s", last.as_secs_f64());
    line.figure("messages_in_250_ms_after", burst.unwrap_or(f64::NAN));
    line.figure("messages_in_250_ms_usual", usual);
    line.figure("burst", burst.unwrap_or(f64::NAN) / usual);
    Ok(line)
}
