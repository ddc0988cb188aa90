//! Rounds: the exchanges of one are opened one after the other (rule P2).

use super::net::{INTERVAL, Net, range};
use crate::node::Node;
use crate::time::Timestamp;
use crate::wire::Kind;

/// How many questions a node has to send.
fn questions(node: &mut Node) -> usize {
    let messages = std::iter::from_fn(|| node.poll_transmit());
    messages.filter(|it| it.bytes[3] == Kind::ColumnSyn as u8).count()
}

/// A node of a cluster in which all know all, at the moment at which its next round has begun.
fn in_round(net: &mut Net) -> (&mut Node, Timestamp) {
    net.settle();
    let node = net.node_mut(0);
    let rounds = node.counters().rounds;
    loop {
        while node.poll_transmit().is_some() {}
        let now = node.poll_timeout();
        node.handle_timeout(now);
        if node.counters().rounds > rounds {
            return (node, now);
        }
    }
}

#[test]
fn a_peer_that_does_not_answer_holds_up_the_others_for_a_tenth_of_an_interval() {
    let mut net = Net::with(1, &[range(1, 2); 8]);
    let (node, now) = in_round(&mut net);
    assert_eq!(questions(node), 1);
    node.handle_timeout(now + INTERVAL / 11);
    assert_eq!(questions(node), 0);
    node.handle_timeout(now + INTERVAL / 10);
    assert_eq!(questions(node), 1);
    node.handle_timeout(now + INTERVAL / 5);
    assert_eq!(questions(node), 1, "the third and last");
    node.handle_timeout(now + INTERVAL / 2);
    assert_eq!(questions(node), 0);
}

#[test]
fn all_are_asked_within_half_an_interval_however_many_they_are() {
    let mut net = Net::with(2, &[range(1, 2); 20]);
    net.node_mut(0).config.fanout = 16;
    let (node, now) = in_round(&mut net);
    let mut asked = questions(node);
    while node.poll_timeout() <= now + INTERVAL / 2 {
        node.handle_timeout(node.poll_timeout());
        asked += questions(node);
    }
    assert_eq!(asked, 16);
}

#[test]
fn whoever_leaves_asks_nobody_more() {
    let mut net = Net::with(3, &[range(1, 2); 8]);
    let (node, now) = in_round(&mut net);
    assert_eq!(questions(node), 1);
    node.leave(now);
    node.handle_timeout(now + INTERVAL / 2);
    assert_eq!(questions(node), 0);
}

/// Without pushes: what one peer has told, the next one hears at once.
#[test]
fn what_is_heard_of_one_peer_is_told_to_the_next() {
    let mut net = Net::with(4, &[range(1, 2); 4]);
    for host in 0..4 {
        net.node_mut(host).config.push_fanout = 0;
    }
    net.expect_within(40, "all see all", Net::is_converged);
    let mut rounds = 0;
    for number in 0..20_u32 {
        net.run_for(INTERVAL * 3);
        net.write(1, "key", Some(&number.to_string()));
        let before = net.node(0).counters().rounds;
        let begun = |net: &Net| net.node(0).counters().rounds > before;
        while !begun(&net) {
            net.run_for(INTERVAL / 100);
        }
        // It asks all three of them: whoever was asked before the writer may lack it, nobody after.
        net.run_for(INTERVAL / 5);
        let having = (0..4).filter(|host| {
            let snapshot = net.node(*host).snapshot();
            snapshot.node("node-1").unwrap().get("key") == Some(&*number.to_string())
        });
        rounds += usize::from(having.count() >= 3);
    }
    assert!(rounds >= 12, "{rounds} of 20");
}
