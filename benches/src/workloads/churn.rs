//! All nodes write all the time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::Rng;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::args::Churn;
use crate::report::{Line, quantile};
use crate::subject::Subject;
use crate::workloads::cost_per_node;
use crate::workloads::steady::settled;
use crate::world::{PREFIX, World};

/// What is known of the writes.
#[derive(Default)]
struct Book(Mutex<HashMap<u64, Write>>);

struct Write {
    at: Instant,
    /// How many others have seen it, and when the last one did.
    seen: usize,
    last: Instant,
}

impl Book {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<u64, Write>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn written(&self, number: u64) {
        let now = Instant::now();
        self.with(|writes| writes.insert(number, Write { at: now, seen: 0, last: now }));
    }

    fn seen(&self, number: u64) {
        self.with(|writes| {
            if let Some(write) = writes.get_mut(&number) {
                write.seen += 1;
                write.last = Instant::now();
            }
        });
    }
}

pub(crate) fn churn<S: Subject>(args: &Churn) -> anyhow::Result<Line> {
    let (nodes, keys) = (args.nodes[0] as usize, args.keys as usize);
    let mut line = Line::new("churn", S::NAME, format!("{nodes} nodes"));
    let mut world = settled::<S>(&args.common, nodes, keys)?;

    let book = Arc::new(Book::default());
    for (node, peer) in world.nodes.iter().zip(&world.peers) {
        let (book, own) = (book.clone(), peer.node_id.clone());
        let seen = move |owner: &str, _key: &str, value: &str| {
            if owner != own
                && let Some(Ok(number)) = value.strip_prefix('w').map(str::parse)
            {
                book.seen(number);
            }
        };
        world.run(S::on_change(node, PREFIX, Box::new(seen)));
    }
    let period = Duration::from_secs(1) / args.writes;
    let phases: Vec<Duration> = (0..nodes).map(|_| period.mul_f64(world.rng.random())).collect();
    let world = world;
    let length = world.interval * args.rounds;
    // Writes that are not booked, until the load is the usual one.
    let warm = world.interval * 5;
    world.run(write(&world, None, keys, period, &phases, warm));
    let cost =
        world.cost_of(|world| world.run(write(world, Some(&book), keys, period, &phases, length)));
    // The last ones are under way.
    world.pass(world.interval * 15);

    let mut taken: Vec<f64> = book.with(|writes| {
        let complete = writes.values().filter(|write| write.seen >= nodes - 1);
        complete.map(|write| (write.last - write.at).div_duration_f64(world.interval)).collect()
    });
    taken.sort_by(f64::total_cmp);
    cost_per_node(&mut line, &world, &cost);
    let cpu_ms = cost.cpu.as_secs_f64() * 1e3;
    line.figure("cpu_ms_per_node_s", cpu_ms / nodes as f64 / cost.length.as_secs_f64());
    line.count("writes", book.with(|writes| writes.len() as u64));
    line.count("writes_seen_by_all", taken.len() as u64);
    line.figure("intervals_until_all_saw_p50", quantile(&taken, 0.5));
    line.figure("intervals_until_all_saw_p99", quantile(&taken, 0.99));
    line.figure("intervals_until_all_saw_max", quantile(&taken, 1.0));
    Ok(line)
}

/// Writes on all nodes for so long.
async fn write<S: Subject>(
    world: &World<S>,
    book: Option<&Book>,
    keys: usize,
    period: Duration,
    phases: &[Duration],
    length: Duration,
) {
    let mut order: Vec<(Duration, usize)> = phases.iter().copied().zip(0..).collect();
    order.sort();
    let begin = Instant::now();
    let mut number: u64 = 0;
    let mut tick = interval(period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for turn in 0.. {
        let at = tick.tick().await;
        if begin.elapsed() >= length {
            return;
        }
        for (phase, index) in &order {
            sleep((at + *phase).saturating_duration_since(Instant::now())).await;
            let mark = match book {
                Some(book) => {
                    book.written(number);
                    'w'
                }
                None => 'v',
            };
            let key = World::<S>::key(turn % keys);
            S::set(&world.nodes[*index], key, format!("{mark}{number:019}")).await;
            number += 1;
        }
    }
}
