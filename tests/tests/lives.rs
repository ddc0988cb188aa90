//! What judges lives, bounds and owners in the simulations complains where it must, and links do to
//! messages what they are told.

use std::collections::BTreeMap;
use std::time::Duration;

use chitchat_protocol::{Footprint, Incarnation, Limits, NodeId, NodeStatus, Timestamp};
use chitchat_tests::sim::{
    Checker, LONGEST_DELAY, Lives, Observer, Seen, Sim, Tail, View, exceeded,
};

const ENDED: Timestamp = Timestamp::from_millis(5_000);
const WAIT: Duration = Duration::from_secs(3);
const TRANSIT: Duration = Duration::from_secs(2);
const RUN: Incarnation = Incarnation { generation_id: 1, boot: 1 };

fn complaint(old: Option<NodeStatus>, new: NodeStatus, after_end: u64) -> Option<String> {
    let node_id = NodeId::from("owner");
    let mut lives = Lives::new(TRANSIT);
    lives.ended(ENDED, node_id.clone(), RUN);
    let at = ENDED + Duration::from_millis(after_end);
    let judged = lives.turn(at, &node_id, RUN, old, new, WAIT);
    // Another run of the node is another life.
    let other = Incarnation { generation_id: 2, ..RUN };
    assert!(lives.turn(at, &node_id, other, None, NodeStatus::Alive, WAIT).is_ok());
    judged.err()
}

#[test]
fn a_process_that_turns_live_long_after_its_end_is_noticed() {
    use NodeStatus::{Alive, Dead};
    for old in [None, Some(Dead)] {
        assert_eq!(complaint(old, Alive, 4_900), None, "still under way");
        let said = complaint(old, Alive, 5_100).expect("a complaint");
        assert!(said.contains("turns live"), "{said}");
    }
    // Not to be noticed yet is another matter; that is judged when the faults are over.
    assert_eq!(complaint(Some(Alive), Alive, 60_000), None);
    assert_eq!(complaint(Some(Alive), Dead, 60_000), None);
}

#[test]
fn a_node_that_left_and_is_something_else_again_is_noticed() {
    use NodeStatus::{Alive, Dead, Left, ScheduledForDeletion};
    for new in [Alive, Dead] {
        let said = complaint(Some(Left), new, 0).expect("a complaint");
        assert!(said.contains("after it left"), "{said}");
    }
    for new in [Left, ScheduledForDeletion] {
        assert_eq!(complaint(Some(Left), new, 0), None);
    }
}

#[test]
fn a_node_that_holds_more_than_its_bounds_is_noticed() {
    let limits = Limits::default();
    let sim = Sim::cluster(1, 3);
    let honest = sim.host(0).running().footprint();
    assert_eq!(exceeded(&honest, &limits, 3), None);
    type Break = fn(&mut Footprint);
    let broken: [(&str, Break); 8] = [
        ("nodes", |held| held.nodes = 4),
        ("removed nodes", |held| held.removed = 4),
        ("entries of one node", |held| held.most_entries = usize::MAX),
        ("bytes of one node", |held| held.most_bytes = usize::MAX),
        ("parked bytes", |held| held.parked_bytes = (16 << 20) + 1),
        ("pending exchanges", |held| held.pending = 4_097),
        ("unsent messages", |held| held.unsent = 1),
        ("notices", |held| held.notices = 1),
    ];
    for (what, spoil) in broken {
        let mut held = honest;
        spoil(&mut held);
        let said = exceeded(&held, &limits, 3).unwrap_or_else(|| panic!("no complaint: {what}"));
        assert!(said.contains(what), "{said}");
    }
}

fn view(max_version: u64, last_gc_version: u64, deadline: Option<Timestamp>) -> View {
    let seen = Seen { version: 4, value: "a".to_owned(), deadline };
    let keys = BTreeMap::from([("a".to_owned(), seen)]);
    View { incarnation: RUN, max_version, last_gc_version, keys }
}

#[test]
fn a_watermark_that_falls_or_runs_ahead_of_its_owner_is_noticed() {
    // I4.
    let (owner, reader) = (NodeId::from("owner"), Observer { host: 1, run: 1 });
    let mut checker = Checker::default();
    checker.own(&owner, view(6, 3, None)).expect("an honest owner");
    checker.shown(ENDED, reader, &owner, view(6, 3, None)).expect("an honest reader");
    let ahead = checker.shown(ENDED, reader, &owner, view(6, 5, None)).expect_err("a complaint");
    assert!(ahead.contains("is not its owner's yet"), "{ahead}");
    for (max_version, gc) in [(6, 2), (6, 7)] {
        let said = checker.own(&owner, view(max_version, gc, None)).expect_err("a complaint");
        assert!(said.contains("watermark went from 3"), "{said}");
    }
}

#[test]
fn a_lease_may_go_at_its_first_deadline_and_not_before() {
    // The owner's clock stands still for a while: others do not know.
    let (owner, reader) = (NodeId::from("owner"), Observer { host: 1, run: 1 });
    let deadline = ENDED + WAIT;
    let mut checker = Checker::default();
    checker.own(&owner, view(4, 0, Some(deadline))).expect("an honest owner");
    checker.own(&owner, view(4, 0, Some(deadline + WAIT))).expect("an honest owner");
    let gone = || View { keys: BTreeMap::new(), ..view(4, 0, None) };
    let early = checker.shown(ENDED, reader, &owner, gone()).expect_err("a complaint");
    assert!(early.contains("is missing"), "{early}");
    checker.shown(deadline, reader, &owner, gone()).expect("in order");
}

/// How many of 2,000 messages are under way for longer than so many times the usual delay.
fn late(tail: Option<Tail>, times: u32) -> usize {
    let usual = Duration::from_millis(10);
    let mut sim = Sim::new(3);
    sim.links.delay = usual..usual + Duration::from_micros(1);
    sim.links.tail = tail;
    let delays: Vec<Duration> = (0..2_000).map(|_| sim.draw_delay()).collect();
    assert!(delays.iter().all(|delay| *delay <= LONGEST_DELAY));
    delays.iter().filter(|delay| **delay > usual * times).count()
}

#[test]
fn tails_are_as_heavy_as_they_say() {
    assert_eq!(late(None, 2), 0);
    // Half of the factors are above 1, and one in 44 is above the square of e.
    let normal = (late(Some(Tail::LogNormal(1.0)), 1), late(Some(Tail::LogNormal(1.0)), 7));
    assert!((900..1_100).contains(&normal.0) && (25..85).contains(&normal.1), "{normal:?}");
    // One in ten above 10, one in a hundred above 100.
    let pareto = (late(Some(Tail::Pareto(1.0)), 10), late(Some(Tail::Pareto(1.0)), 100));
    assert!((150..250).contains(&pareto.0) && (8..40).contains(&pareto.1), "{pareto:?}");
}

#[test]
fn links_that_flap_open_and_close_in_one_direction_or_both() {
    for one_way in [false, true] {
        let mut sim = Sim::cluster(4, 2);
        sim.run_rounds(10);
        let period = Duration::from_millis(800);
        sim.links.flap(&[0], period, Duration::from_millis(300), one_way);
        let mut passes = [[0, 0], [0, 0]];
        for _ in 0..80 {
            for (from, to) in [(0, 1), (1, 0)] {
                passes[from][to] += usize::from(sim.would_pass(from, to));
            }
            sim.run_for(Duration::from_millis(10));
        }
        assert_eq!(passes[0][1], 50);
        assert_eq!(passes[1][0], if one_way { 80 } else { 50 });
        sim.links.heal();
        assert!(sim.would_pass(0, 1) && sim.would_pass(1, 0));
    }
}

#[test]
fn a_suspended_machine_loses_what_arrives_and_its_clock_jumps_or_stands_still() {
    let pause = Duration::from_secs(5);
    for counted in [true, false] {
        let mut sim = Sim::cluster(5, 4);
        sim.run_rounds(20);
        let received = |sim: &Sim| sim.host(0).running().counters().messages_received;
        sim.suspend_for(0, pause, counted);
        let before = received(&sim);
        sim.run_for(pause - Duration::from_millis(1));
        assert!(sim.is_stopped(0) && received(&sim) == before);
        assert!(sim.host(1).status_of("node-0") == Some(NodeStatus::Dead));
        sim.run_for(Duration::from_millis(200));
        // Nothing had queued.
        assert!(received(&sim) < before + 10, "{} after {before}", received(&sim));
        sim.expect_within(6, "all see all again", Sim::all_see_all);
        let paused = |notice: &chitchat_protocol::Notice| {
            matches!(notice, chitchat_protocol::Notice::Paused { .. })
        };
        let told = sim.host(0).notices.iter().any(|(_, notice)| paused(notice));
        assert_eq!(told, counted, "only a clock that jumps says so");
    }
}

#[test]
fn a_starved_process_handles_everything_later() {
    let mut sim = Sim::cluster(6, 3);
    sim.run_rounds(20);
    sim.starve(0, Some(Duration::from_millis(600)));
    let begin = sim.host(0).running().counters();
    sim.run_rounds(40);
    let end = sim.host(0).running().counters();
    // 300 ms for each of the messages and ticks: more than there is time for.
    let rounds = end.rounds - begin.rounds;
    assert!(rounds > 0 && rounds < 30, "{rounds} rounds in the time of 40");
    sim.starve(0, None);
    sim.expect_within(20, "all see all again", Sim::all_see_all);
}
