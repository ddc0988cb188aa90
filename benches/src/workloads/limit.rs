//! Nodes come and go until many members are known.

use std::time::Duration;

use crate::args::Limit;
use crate::report::Line;
use crate::subject::Subject;
use crate::workloads::steady::settled;
use crate::world::World;

/// Nodes that stay.
const STAY: usize = 5;

/// Dead members are listed for a day by default, in both libraries, and gossiped for half of it: a
/// cluster in which nodes come and go comes to know many of them while few live.
pub(crate) fn limit<S: Subject>(args: &Limit) -> anyhow::Result<Line> {
    let members = args.members[0] as usize;
    let mut line = Line::new("limit", S::NAME, format!("{members} members"));
    let mut world = settled::<S>(&args.common, STAY, 1)?;
    let mut known = STAY;
    while known < members {
        let batch = (args.batch as usize).min(members - known);
        world.start(batch, 1)?;
        known += batch;
        let told = world.until(world.interval / 2, world.interval * 30, async |world| {
            least_known(world).await >= known
        });
        for _ in 0..batch {
            world.kill_last();
        }
        if told.is_none() {
            break;
        }
    }
    // The last ones are noticed as dead.
    world.pass(world.interval * 30);
    let before = S::traffic(&world.network, &world.nodes);
    let length = world.interval * 10;
    let cost = world.cost(length);
    let ended = world.run(count(&world.nodes, async |node| S::has_ended(node).await));
    let mut seen = 0;
    let owner = world.peers[0].clone();
    world.run(S::set(&world.nodes[0], World::<S>::key(0), "w".to_owned()));
    world.pass(world.interval * 20);
    let version = world.run(S::version(&world.nodes[0], &owner));
    for node in &world.nodes[1..] {
        seen += usize::from(world.run(S::version(node, &owner)) >= version);
    }
    // One more.
    world.spawn(Vec::new())?;
    let newcomer = world.peers[STAY].clone();
    let welcome = world.until(world.interval / 2, world.interval * 30, async |world| {
        count(&world.nodes[..STAY], async |node| S::is_live(node, &newcomer).await).await == STAY
            && S::live(&world.nodes[STAY]).await == STAY + 1
    });
    let ended_after = world.run(count(&world.nodes, async |node| S::has_ended(node).await));
    let errors = S::traffic(&world.network, &world.nodes).since(before).errors;
    let works = ended_after == 0 && seen == STAY - 1 && welcome.is_some();
    line.count("works", u64::from(works));
    line.count("members_known", world.run(least_known(&world)) as u64);
    line.count("nodes_that_ended", ended as u64);
    line.count("nodes_that_ended_after_one_more", ended_after as u64);
    line.count("others_that_saw_a_write", seen as u64);
    line.figure(
        "one_more_is_live_after_s",
        welcome.map_or(f64::NAN, |it: Duration| it.as_secs_f64()),
    );
    line.count("messages_not_sent", errors);
    line.count("longest_message", cost.traffic.longest);
    line.figure("bytes_per_node_s", cost.traffic.bytes as f64 / STAY as f64 / length.as_secs_f64());
    Ok(line)
}

/// How many members those know that stay, at least.
async fn least_known<S: Subject>(world: &World<S>) -> usize {
    let mut least = usize::MAX;
    for node in &world.nodes[..STAY] {
        least = least.min(S::known(node).await);
    }
    least
}

async fn count<T>(nodes: &[T], mut holds: impl AsyncFnMut(&T) -> bool) -> usize {
    let mut count = 0;
    for node in nodes {
        count += usize::from(holds(node).await);
    }
    count
}
