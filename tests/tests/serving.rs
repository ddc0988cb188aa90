//! Long answers: made piece by piece, taken in at leisure.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use chitchat_protocol::{
    Config, Event, LinkLimits, Node, NodeId, Origin, Timestamp, Transmit, diff, diff_members,
};
use chitchat_tests::sim::{Sim, text_of};

const STREAM: LinkLimits = LinkLimits::new(64 << 10, 1_100_000);

/// A node, and where it is.
struct Party {
    node: Node,
    addr: SocketAddr,
}

impl Party {
    fn new(name: &str, number: u16) -> Party {
        let config = Config::new("cluster", name);
        let node = Node::new(config, STREAM, u64::from(number), Timestamp::ZERO);
        let addr = SocketAddr::from(([10, 0, 0, 1], number));
        Party { node: node.expect("a valid configuration"), addr }
    }

    /// With a megabyte of its own.
    fn owner() -> Party {
        let mut owner = Party::new("owner", 1);
        let entries: Vec<_> =
            (0..10_000).map(|key| (format!("key-{key}"), text_of(100, key))).collect();
        let set = owner.node.set_many(&entries, Timestamp::ZERO);
        assert_eq!(set, Ok(10_000));
        owner
    }

    fn joiner(name: &str, number: u16, seed: &Party) -> Party {
        let mut joiner = Party::new(name, number);
        joiner.node.set_seed_addrs(vec![seed.addr]);
        joiner
    }

    fn hear(&mut self, from: &Party, message: &Transmit, now: Timestamp) {
        let origin = Origin::unverified(from.addr, 0);
        self.node.handle_message(&origin, &message.bytes, now);
    }

    fn version_of(&self, name: &str) -> u64 {
        self.node.snapshot().node(name).map_or(0, |state| state.max_version())
    }
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

#[test]
fn a_long_answer_leaves_room_for_writes_between_its_pieces() {
    let (mut owner, now) = (Party::owner(), at(1));
    let mut joiner = Party::joiner("joiner", 2, &owner);
    joiner.node.handle_timeout(now);
    let (mut longest, mut writes) = (0, 0);
    loop {
        let mut idle = true;
        while let Some(message) = joiner.node.poll_transmit() {
            owner.hear(&joiner, &message, now);
            idle = false;
        }
        let mut pieces = 0;
        while let Some(message) = owner.node.poll_transmit() {
            joiner.hear(&owner, &message, now);
            // Overwrites what is to come, and what has been sent.
            let key = format!("key-{}", (writes * 7_919) % 10_000);
            owner.node.set(&key, &format!("late-{writes}"), now).expect("a valid write");
            writes += 1;
            pieces += 1;
            idle = false;
        }
        longest = longest.max(pieces);
        joiner.node.publish();
        if idle {
            break;
        }
    }
    assert!(longest >= 4 && writes >= 16, "{longest} messages in an answer, {writes} in all");
    // What was written since the last answer comes with the next round.
    while joiner.node.poll_timeout() <= at(2_000) {
        let now = joiner.node.poll_timeout();
        joiner.node.handle_timeout(now);
        for _ in 0..4 {
            while let Some(message) = joiner.node.poll_transmit() {
                owner.hear(&joiner, &message, now);
            }
            while let Some(message) = owner.node.poll_transmit() {
                joiner.hear(&owner, &message, now);
            }
        }
    }
    joiner.node.publish();
    owner.node.publish();
    let theirs = owner.node.snapshot().self_state().expect("the own state");
    let ours = joiner.node.snapshot().node("owner").expect("fetched");
    assert!(ours.key_values().eq(theirs.key_values()));
    let counters = joiner.node.counters();
    assert_eq!((counters.deltas_invalid, counters.deltas_behind_floor), (0, 0));
}

#[test]
fn peers_that_fetch_at_the_same_time_take_turns() {
    let (mut owner, now) = (Party::owner(), at(1));
    let mut joiners = [Party::joiner("j2", 2, &owner), Party::joiner("j3", 3, &owner)];
    for joiner in &mut joiners {
        joiner.node.handle_timeout(now);
    }
    let mut alternations = 0;
    for _ in 0..40 {
        for joiner in &mut joiners {
            while let Some(message) = joiner.node.poll_transmit() {
                owner.hear(joiner, &message, now);
            }
        }
        let mut before = None;
        while let Some(message) = owner.node.poll_transmit() {
            let remote = message.target.reply.map(|path| path.remote);
            let joiner = joiners.iter_mut().find(|joiner| Some(joiner.addr) == remote);
            joiner.expect("an answer").hear(&owner, &message, now);
            alternations += usize::from(before.is_some() && before != remote);
            before = remote;
        }
    }
    for joiner in &mut joiners {
        joiner.node.publish();
        // With the three that every log begins with.
        assert_eq!(joiner.version_of("owner"), 10_003);
    }
    assert!(alternations >= 12, "{alternations}");
}

#[test]
fn a_backlog_is_shown_in_few_steps_and_at_once_when_it_is_complete() {
    let mut sim = Sim::cluster_with(5, 2, LinkLimits::new(1_400, 65_507), |_| {});
    sim.checker = None;
    let entries: Vec<_> = (0..20_000).map(|key| (format!("{key}"), text_of(500, key))).collect();
    sim.with(0, |node, now| node.set_many(&entries, now)).expect("a valid write");
    let joiner = sim.add_host(Sim::config("joiner"), &[0]);
    sim.start(joiner);
    let begin = sim.now();
    let complete = |sim: &Sim| {
        let own = sim.host(0).snapshot().self_state().expect("own").max_version();
        sim.host(joiner).state_of("node-0").is_some_and(|state| state.max_version() == own)
    };
    sim.expect_within(20, "all of it", complete);
    let took = sim.now().since(begin);
    let key_set = |event: &Event| matches!(event, Event::KeySet { id, .. } if id.node_id == NodeId::from("node-0"));
    let steps: BTreeSet<Timestamp> = sim.host(joiner).times_of(key_set).into_iter().collect();
    // It doubles less than 12 times from the first message, and waits half a second at most.
    let pauses = took.as_millis() / Duration::from_millis(500).as_millis();
    assert!(steps.len() as u128 <= 14 + pauses, "{} steps in {took:?}", steps.len());
    assert!(steps.len() >= 3, "{} steps", steps.len());
}

#[test]
fn changes_of_members_are_the_changes_without_those_of_keys() {
    let mut sim = Sim::cluster(6, 3);
    sim.run_rounds(10);
    let before = sim.host(0).snapshot().clone();
    sim.set(1, "key", "value");
    sim.kill(2);
    sim.run_rounds(30);
    let after = sim.host(0).snapshot().clone();
    let about_keys =
        |event: &Event| matches!(event, Event::KeySet { .. } | Event::KeyDeleted { .. });
    let (mut all, members) = (diff(&before, &after), diff_members(&before, &after));
    assert!(all.iter().any(about_keys) && !members.is_empty());
    all.retain(|event| !about_keys(event));
    assert_eq!(all, members);
}
