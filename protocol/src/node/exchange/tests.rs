use std::net::SocketAddr;

use super::*;
use crate::node::Target;
use crate::node::versions::Written;
use crate::wire::Version;

const LIFETIME: Duration = Duration::from_secs(10);
const WINDOW: usize = 4 << 20;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn pull(attempt: u8, now: Timestamp) -> Pending {
    let target = Target::addr(SocketAddr::from(([10, 0, 0, 1], 7_280)));
    let written = Written { version: Version::V2, again: false };
    let range = ((String::new(), None), None);
    Pending::new(target, Purpose::Pull { attempt }, written, range, 0, 1_200, now)
}

#[test]
fn a_pull_is_repeated_and_later_each_time_from_the_second_on() {
    let mut exchanges = Exchanges::new(WINDOW);
    let (mut now, mut next) = (at(0), pull(0, at(0)));
    let mut waits = Vec::new();
    for nonce in 1.. {
        exchanges.open(nonce, next, 100);
        let due = exchanges.due_of(nonce, LIFETIME);
        assert!(exchanges.tend(LIFETIME, due - Duration::from_micros(1)).is_empty());
        let again = exchanges.tend(LIFETIME, due).pop();
        waits.push(due.since(now));
        now = due;
        match again {
            Some((pending, true)) => next = Pending { last_activity: now, started: now, ..pending },
            Some((_, false)) => panic!("it was not answered"),
            None => break,
        }
    }
    let first = FIRST_ROUND_TRIP * 4;
    assert_eq!(waits, [first, first, first * 2, first * 4]);
}

#[test]
fn an_answer_to_a_pull_that_was_repeated_is_still_known() {
    let mut exchanges = Exchanges::new(WINDOW);
    exchanges.open(1, pull(0, at(0)), 100);
    let due = exchanges.due_of(1, LIFETIME);
    assert_eq!(exchanges.tend(LIFETIME, due).len(), 1);
    assert!(exchanges.is_pending(1));
    assert!(exchanges.tend(LIFETIME, due + LIFETIME).is_empty());
    assert!(!exchanges.is_pending(1), "not for ever");
}
