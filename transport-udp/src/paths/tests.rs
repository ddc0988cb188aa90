use std::net::Ipv4Addr;
use std::time::Duration;

use chitchat_transport::{Destination, ReplyPath};
use tokio::time::Instant;

use super::*;

const V4: &str = "192.0.2.1:7280";
const V6: &str = "[2001:db8::1]:7280";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn table(locals: &[&str]) -> PathTable {
    PathTable::new(locals.iter().map(|local| addr(local)).collect())
}

fn dual_stack() -> PathTable {
    table(&["0.0.0.0:1", "[::]:1"])
}

fn peer() -> Destination {
    Destination::node("peer", [addr(V4), addr(V6)])
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl PathTable {
    fn pick(&mut self, to: &Destination, now: Instant) -> Option<SocketAddr> {
        self.choose(to, now).map(|path| path.addr)
    }
}

#[test]
fn only_a_family_that_has_a_socket_is_used() {
    let now = Instant::now();
    assert_eq!(table(&["[::]:1"]).pick(&peer(), now), Some(addr(V6)));
    assert_eq!(table(&["0.0.0.0:1"]).pick(&peer(), now), Some(addr(V4)));
    assert_eq!(table(&["[::]:1"]).choose(&Destination::addr(addr(V4)), now), None);
    assert_eq!(table(&["[::]:1"]).choose(&Destination::node("nowhere", []), now), None);
}

#[test]
fn loopback_goes_by_the_loopback_socket() {
    let mut table = table(&["127.0.0.1:1", "192.0.2.9:1"]);
    let now = Instant::now();
    let to = |text| Destination::addr(addr(text));
    assert_eq!(table.choose(&to("127.0.0.1:5"), now).unwrap().socket, 0);
    assert_eq!(table.choose(&to("192.0.2.1:5"), now).unwrap().socket, 1);
}

#[test]
fn an_answer_goes_back_by_the_socket_that_the_question_came_to() {
    let mut table = table(&["0.0.0.0:1", "0.0.0.0:2"]);
    let remote = addr("198.51.100.7:999");
    let to = peer().with_reply(ReplyPath::new(remote, 1));
    assert_eq!(table.choose(&to, Instant::now()), Some(Path { socket: 1, addr: remote }));
    let stale = peer().with_reply(ReplyPath::new(remote, 9));
    assert_eq!(table.pick(&stale, Instant::now()), Some(addr(V4)), "falls back on the addresses");
    table.failed(remote, Instant::now());
    assert_eq!(table.pick(&to, Instant::now()), Some(addr(V4)), "also when the path is dead");
}

#[test]
fn a_quiet_address_gives_way_to_the_next_and_back() {
    let mut table = dual_stack();
    let start = Instant::now();
    let mut picked = Vec::new();
    for second in 0..8 {
        picked.push(table.pick(&peer(), start + secs(second)).unwrap());
    }
    let (v4, v6) = (addr(V4), addr(V6));
    assert_eq!(picked, [v4, v4, v4, v6, v6, v6, v4, v4]);
}

#[test]
fn few_messages_or_little_time_do_not_make_an_address_quiet() {
    let mut table = dual_stack();
    let start = Instant::now();
    for _ in 0..100 {
        assert_eq!(table.pick(&peer(), start), Some(addr(V4)), "a burst");
    }
    let mut table = dual_stack();
    for minute in 0..3 {
        let now = start + secs(60 * minute);
        assert_eq!(table.pick(&peer(), now), Some(addr(V4)), "seldom");
    }
}

#[test]
fn an_address_that_answers_is_kept() {
    let mut table = dual_stack();
    let start = Instant::now();
    for second in 0..100 {
        let now = start + secs(second);
        assert_eq!(table.pick(&peer(), now), Some(addr(V4)));
        table.heard(addr(V4), now);
    }
}

#[test]
fn the_address_last_heard_from_is_preferred() {
    let mut table = dual_stack();
    let now = Instant::now();
    table.choose(&Destination::addr(addr(V6)), now);
    table.heard(addr(V6), now);
    assert_eq!(table.pick(&peer(), now), Some(addr(V6)), "of a peer not sent to before");

    let mut table = dual_stack();
    assert_eq!(table.pick(&peer(), now), Some(addr(V4)));
    table.choose(&Destination::addr(addr(V6)), now);
    table.heard(addr(V6), now);
    assert_eq!(table.pick(&peer(), now), Some(addr(V6)), "of a peer that was silent on the other");
}

#[test]
fn an_unreachable_address_gives_way_at_once_and_is_reported_once() {
    let mut table = dual_stack();
    let now = Instant::now();
    assert_eq!(table.pick(&peer(), now), Some(addr(V4)));
    let node_id = Some("peer".into());
    assert_eq!(table.failed(addr(V4), now), Trouble { node_id: node_id.clone(), report: true });
    assert!(!table.failed(addr(V4), now + secs(9)).report);
    assert!(table.failed(addr(V4), now + secs(10)).report);
    assert_eq!(table.pick(&peer(), now), Some(addr(V6)));
    table.heard(addr(V4), now + secs(11));
    assert!(table.failed(addr(V4), now + secs(12)).report, "it was back in between");
    let stranger = table.failed(addr("203.0.113.1:1"), now);
    assert_eq!(stranger, Trouble { node_id: None, report: false });
}

#[test]
fn a_refused_address_is_tried_at_most_twice_a_minute_if_there_is_another() {
    let mut table = dual_stack();
    let start = Instant::now();
    let tries = (0..60).filter(|second| {
        let now = start + secs(*second);
        let tried = table.pick(&peer(), now) == Some(addr(V4));
        if tried {
            table.refused(addr(V4), false, now);
        }
        tried
    });
    assert!((1..=2).contains(&tries.count()));
    let alone = Destination::addr(addr(V4));
    assert_eq!(table.pick(&alone, start), Some(addr(V4)), "it is better than nothing");
}

#[test]
fn an_unknown_family_is_tried_at_most_twice_a_minute_however_many_peers_use_it() {
    let mut table = dual_stack();
    let start = Instant::now();
    let mut tries = 0;
    for tenth in 0..600 {
        let now = start + Duration::from_millis(100 * tenth);
        let v6 = addr(&format!("[2001:db8::{tenth:x}]:1"));
        if table.choose(&Destination::addr(v6), now).is_some() {
            tries += 1;
            table.refused(v6, true, now);
        }
    }
    assert_eq!(tries, 2);
    let v4 = addr(V4);
    assert_eq!(table.pick(&peer(), start), Some(v4), "the other family is not touched");
}

#[test]
fn one_network_without_a_route_does_not_cost_the_whole_family() {
    let mut table = dual_stack();
    let now = Instant::now();
    let far = addr("[2001:db8:ffff::1]:1");
    table.choose(&Destination::addr(far), now);
    table.refused(far, false, now);
    assert_eq!(table.pick(&Destination::addr(addr(V6)), now), Some(addr(V6)));
}

#[test]
fn a_family_without_any_route_is_left_alone_until_it_is_heard_from() {
    let mut table = dual_stack();
    let now = Instant::now();
    for n in 1..=3 {
        let v6 = addr(&format!("[2001:db8::{n}]:1"));
        assert!(table.choose(&Destination::addr(v6), now).is_some());
        table.refused(v6, false, now);
    }
    let fresh = Destination::addr(addr("[2001:db8::99]:1"));
    assert_eq!(table.choose(&fresh, now), None);
    let on_this_host = Destination::addr(addr("[::1]:1"));
    assert!(table.choose(&on_this_host, now).is_some(), "loopback needs no route");
    table.heard(addr("[2001:db8::42]:1"), now);
    assert!(table.choose(&fresh, now).is_some());
}

#[test]
fn strangers_do_not_fill_the_table() {
    let mut table = dual_stack();
    let now = Instant::now();
    for port in 1..=1_000 {
        let stranger = SocketAddr::new(addr(V4).ip(), port);
        table.heard(stranger, now);
        assert!(table.choose(&Destination::reply(ReplyPath::new(stranger, 0)), now).is_some());
    }
    assert!(table.addrs.is_empty());
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut table = dual_stack();
    let now = Instant::now();
    for n in 0..20_000_u32 {
        let addrs =
            [1, 2].map(|port| SocketAddr::new(Ipv4Addr::from(n | 0x0a00_0000).into(), port));
        table.choose(&Destination::node(n.to_string(), addrs), now);
    }
    assert_eq!((table.addrs.len(), table.peers.len()), (REMEMBERED_ADDRS, REMEMBERED_PEERS));
}
