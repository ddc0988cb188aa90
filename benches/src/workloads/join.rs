//! A node joins one that has a large state.

use std::time::Duration;

use rand::Rng;

use crate::args::Join;
use crate::machine::{cpu_time, forget_peak, peak_resident, resident};
use crate::report::Line;
use crate::subject::Subject;
use crate::world::World;

/// Length of a value. Each key is 20 bytes.
const VALUE: usize = 100;

pub(crate) fn join<S: Subject>(args: &Join) -> anyhow::Result<Line> {
    let megabytes = args.megabytes[0];
    let mut line = Line::new("join", S::NAME, format!("{megabytes} MB"));
    let mut world = World::<S>::new(&args.common)?;
    let memory = resident();
    let count = megabytes as usize * 1_000_000 / (VALUE + 20);
    let mut key_values = Vec::new();
    for index in 0..count {
        let value = (0..VALUE).map(|_| char::from(world.rng.random_range(b'!'..=b'~'))).collect();
        key_values.push((World::<S>::key(index), value));
    }
    world.spawn(key_values)?;
    world.pass(world.interval / 2);
    let owner = world.peers[0].clone();
    let version = world.run(S::version(&world.nodes[0], &owner));
    forget_peak();
    let begin = world.now();
    let traffic = S::traffic(&world.network, &world.nodes);
    let cpu = cpu_time();
    world.spawn(Vec::new())?;
    let limit = Duration::from_secs(args.limit);
    let complete = world.until(Duration::from_millis(20), limit, async |world| {
        S::version(&world.nodes[1], &owner).await >= version
    });
    let seconds = (world.now() - begin).as_secs_f64();
    let cpu = cpu_time() - cpu;
    let traffic = S::traffic(&world.network, &world.nodes).since(traffic);
    line.count("keys", count as u64);
    line.count("complete", u64::from(complete.is_some()));
    line.figure("seconds", seconds);
    line.figure("rounds", seconds / world.interval.as_secs_f64());
    line.figure("cpu_s", cpu.as_secs_f64());
    line.figure("wire_mb", traffic.bytes as f64 / 1e6);
    line.count("messages", traffic.messages);
    line.count("longest_message", traffic.longest);
    line.figure("peak_rss_mb", peak_resident().saturating_sub(memory) as f64 / 1e6);
    Ok(line)
}
