//! Eager push (rules N1 to N4): how fast, to whom, how much at most, and that rounds do without it.

use std::time::Duration;

use super::net::{INTERVAL, Net, Sent, range};
use crate::wire::Kind;

/// Until then a push has gone around, with the list that finds those whom no push has reached.
const SOON: Duration = Duration::from_millis(150);

/// A cluster in which all know all, and have nothing to tell.
fn settled(seed: u64, hosts: usize) -> Net {
    let mut net = Net::with(seed, &vec![range(1, 2); hosts]);
    net.settle();
    net.sent.clear();
    net
}

fn news(net: &Net) -> impl Iterator<Item = &Sent> {
    net.sent.iter().filter(|sent| sent.is(Kind::News))
}

/// How many nodes have this value of the first one's key.
fn having(net: &Net, key: &str, value: &str) -> usize {
    let running = net.hosts.iter().filter_map(|host| host.node.as_ref());
    let state = |node: &crate::Node| {
        node.snapshot().node("node-0").and_then(|it| it.get(key).map(str::to_owned))
    };
    running.filter(|node| state(node).as_deref() == Some(value)).count()
}

/// Writes so often, and says how many nodes had it soon, on average.
fn reached_soon(net: &mut Net, writes: u32) -> f64 {
    let mut reached = 0;
    for number in 0..writes {
        let value = number.to_string();
        net.write(0, "key", Some(&value));
        net.run_for(SOON);
        reached += having(net, "key", &value);
        net.run_for(INTERVAL * 3);
    }
    f64::from(u32::try_from(reached).unwrap()) / f64::from(writes)
}

#[test]
fn a_write_reaches_all_long_before_the_next_round() {
    let refused = |net: &Net| -> u64 {
        let counters = (0..40).map(|host| net.node(host).counters());
        counters.map(|it| it.refused_foreign_writes + it.deltas_invalid + it.refused_pushes).sum()
    };
    let mut net = settled(1, 40);
    let before = refused(&net);
    let reached = reached_soon(&mut net, 20);
    assert!(reached > 39.5, "{reached} of 40");
    assert_eq!(refused(&net), before, "what comes back to its owner is no offence");
}

#[test]
fn lost_pushes_are_made_up_for_by_the_list() {
    let mut net = settled(2, 40);
    net.loss = 0.2;
    let reached = reached_soon(&mut net, 20);
    assert!(reached > 35.0, "{reached} of 40");
}

#[test]
fn without_pushes_a_write_waits_for_rounds_and_comes() {
    let mut net = settled(3, 40);
    for host in &mut net.hosts {
        host.node.as_mut().unwrap().config.push_fanout = 0;
    }
    let reached = reached_soon(&mut net, 10);
    assert!(reached < 20.0, "{reached} of 40");
    net.expect_within(10, "the last write has come", |net| having(net, "key", "9") == 40);
    assert_eq!(news(&net).count(), 0);
}

#[test]
fn what_rounds_have_taught_is_not_passed_on() {
    let mut net = settled(4, 20);
    net.node_mut(0).config.push_fanout = 0;
    net.write(0, "key", Some("value"));
    net.expect_within(10, "all have it", |net| having(net, "key", "value") == 20);
    assert_eq!(news(&net).count(), 0);
}

#[test]
fn a_quiet_cluster_tells_nothing_and_one_write_costs_a_few_messages_of_each() {
    let mut net = settled(5, 30);
    net.run_for(INTERVAL * 20);
    assert_eq!(news(&net).count(), 0);
    net.write(0, "key", Some("value"));
    net.run_for(INTERVAL * 20);
    let sent = news(&net).count();
    // Three pushes and six lists.
    assert!((30..=30 * 9).contains(&sent), "{sent}");
}

#[test]
fn peers_of_version_1_are_left_to_the_rounds() {
    let mut ranges = vec![range(1, 2); 12];
    ranges[3] = range(1, 1);
    ranges[7] = range(1, 1);
    let mut net = Net::with(6, &ranges);
    net.settle();
    net.sent.clear();
    net.write(0, "key", Some("value"));
    net.expect_within(10, "all have it", |net| having(net, "key", "value") == 12);
    assert!(news(&net).count() > 0);
    assert!(news(&net).all(|sent| ![3, 7].contains(&sent.from) && ![3, 7].contains(&sent.to)));
    for host in 0..12 {
        assert_eq!(net.node(host).counters().refused_malformed, 0);
    }
}

#[test]
fn no_node_spends_more_on_pushes_than_it_may() {
    let seconds = 4;
    let mut net = settled(7, 15);
    for host in &mut net.hosts {
        let node = host.node.as_mut().unwrap();
        node.config.push_bytes_per_second = 4_096;
        node.news = crate::node::news::News::new(&node.config, net.now);
    }
    let text = "x".repeat(100);
    for number in 0..seconds * 100 {
        let host = usize::try_from(number % 15).unwrap();
        net.write(host, &format!("key-{}", number % 40), Some(&format!("{number} {text}")));
        net.run_for(Duration::from_millis(10));
    }
    for host in 0..15 {
        let of_host = net.sent.iter().filter(|sent| sent.from == host && sent.is(Kind::News));
        let spent: usize = of_host.map(|sent| sent.len).sum();
        // What is there at first, and what comes in that time.
        let allowed = 4_096 * (1 + usize::try_from(seconds).unwrap());
        assert!(spent <= allowed, "{spent} of {allowed}");
        assert!(spent > allowed / 2, "{spent} of {allowed}");
        assert!(net.node(host).counters().pushes_withheld > 0);
    }
    net.expect_within(20, "all is everywhere", Net::is_converged);
}

#[test]
fn news_of_somebody_unknown_or_dead_are_refused() {
    let mut net = settled(8, 4);
    net.write(3, "key", Some("value"));
    let push = {
        let node = net.node_mut(3);
        let due = node.poll_timeout();
        node.handle_timeout(due + Duration::from_millis(25));
        std::iter::from_fn(|| node.poll_transmit()).map(|it| it.bytes)
    };
    let is_news = |bytes: &Vec<u8>| bytes[3] == Kind::News as u8;
    let push = push.into_iter().find(is_news).expect("a push");
    net.stop(3);
    net.expect_within(40, "it is dead", |net| {
        net.hosts[..3].iter().all(|host| host.node.as_ref().unwrap().members.live() == 2)
    });
    let from = net.hosts[3].addr;
    net.inject(1, from, &push);
    assert_eq!(net.node(1).counters().refused_pushes, 1);
    net.stop(2);
    net.start(2, range(1, 2));
    net.inject(2, from, &push);
    assert_eq!(net.node(2).counters().refused_pushes, 1);
}

#[test]
fn a_node_that_has_left_tells_nothing_more() {
    let mut net = settled(9, 8);
    net.write(0, "key", Some("value"));
    let now = net.now;
    net.node_mut(0).leave(now);
    net.run_for(INTERVAL * 10);
    assert!(news(&net).all(|sent| sent.from != 0));
    let knows =
        |host: usize| net.node(host).snapshot().node("node-0").unwrap().get("key") == Some("value");
    assert!((1..8).all(knows), "the write comes with the leave");
}

/// Deletions, watermarks and cuts do not care by which way changes come.
#[test]
fn storms_end_in_the_same_state_with_pushes() {
    for seed in 0..20 {
        let mut net = settled(100 + seed, 8);
        net.loss = 0.3;
        for number in 0..300_u32 {
            let host = usize::try_from(number % 8).unwrap();
            let value = number.to_string();
            let value = (number % 3 > 0).then_some(&*value);
            net.write(host, &format!("key-{}", number % 5), value);
            net.run_for(Duration::from_millis(7));
            if number == 150 {
                net.stop(5);
                net.start(5, range(1, 2));
            }
        }
        net.loss = 0.0;
        net.expect_within(40, &format!("all agree, seed {seed}"), Net::is_converged);
    }
}

#[test]
fn a_large_state_is_left_to_rounds_and_single_writes_do_not_wait_behind_it() {
    let mut net = settled(10, 20);
    for number in 0..5_000 {
        net.write(1, &format!("key-{number}"), Some("a value of some length"));
    }
    net.run_for(Duration::from_millis(100));
    net.write(0, "key", Some("single"));
    net.run_for(SOON);
    assert!(having(&net, "key", "single") > 18);
    let spent: usize = news(&net).filter(|sent| sent.from == 1).map(|sent| sent.len).sum();
    assert!(spent < 50_000, "{spent} of 200,000");
    net.expect_within(20, "all is everywhere", Net::is_converged);
    net.run_for(INTERVAL * 4);
    net.sent.clear();
    net.run_for(INTERVAL * 20);
    assert_eq!(news(&net).count(), 0, "it is over");
}
