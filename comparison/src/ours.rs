//! The nodes of this workspace, in the simulation of its tests.

use std::time::Duration;

use chitchat_protocol::{Event, NodeStatus, Timestamp};
use chitchat_tests::sim::{HostId, Sim};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::conditions::{Condition, DELAY_US, INTERVAL, NODES, Outcome};

fn cluster(nodes: usize, seed: u64, loss: f64) -> Sim {
    let mut sim = Sim::cluster_with(seed, nodes, Default::default(), |config| {
        config.gossip_interval = INTERVAL;
    });
    sim.checker = None;
    sim.links.delay = Duration::from_micros(DELAY_US.start)..Duration::from_micros(DELAY_US.end);
    sim.links.loss = loss;
    sim
}

/// How often a node that was not held up was declared dead.
pub(crate) fn false_deaths(condition: &Condition, seed: u64) -> Outcome {
    let mut sim = cluster(condition.nodes, seed, condition.loss);
    sim.run_for(condition.warm_up);
    let begin = sim.now();
    sim.links.loss = condition.later_loss;
    let mut held: Vec<(String, Timestamp, Timestamp)> = Vec::new();
    if let Some(holds) = condition.holds {
        let mut host: HostId = 0;
        let mut rng = StdRng::seed_from_u64(seed);
        while sim.now().since(begin) + holds.every <= condition.length {
            let length = holds.draw(&mut rng);
            if holds.lossy {
                sim.suspend_for(host, length, true);
            } else {
                sim.stop_for(host, length);
            }
            let node_id = sim.host(host).node_id().to_owned();
            held.push((node_id, sim.now(), sim.now() + length));
            sim.run_for(holds.every);
            host = (host + 1) % condition.nodes;
        }
    } else {
        sim.run_for(condition.length);
    }
    let is_false = |at: Timestamp, event: &Event| match event {
        Event::Failed { id } => {
            let name = &*id.node_id;
            at >= begin
                && !held.iter().any(|(held, from, to)| held == name && (*from..*to).contains(&at))
        }
        _ => false,
    };
    let events = sim.hosts().flat_map(|host| &host.events);
    Outcome::of(condition, events.filter(|(at, event)| is_false(*at, event)).count())
}

/// How long after its death each of the others declares a node dead.
pub(crate) fn detection(loss: f64, seed: u64) -> Vec<Duration> {
    let mut sim = cluster(NODES, seed, loss);
    sim.run_for(Duration::from_secs(180));
    let victim = NODES - 1;
    let name = sim.host(victim).node_id().to_owned();
    sim.kill(victim);
    let died = sim.now();
    sim.run_for(Duration::from_secs(90));
    let mut taken = Vec::new();
    for (_, host) in sim.running() {
        assert_ne!(host.status_of(&name), Some(NodeStatus::Alive), "seed {seed}");
        let failed = |event: &Event| matches!(event, Event::Failed { id } if *id.node_id == *name);
        // The last one: it may have been declared dead before, falsely.
        let at = host.times_of(failed).last().copied().unwrap_or(died);
        taken.push(at.max(died).since(died));
    }
    taken
}
