//! Real processes over QUIC, TCP with TLS, and UDP, in networks of their own, which lose addresses, change them, and have
//! dead ones. Rows S12, S20, S24. Skipped where network namespaces are not permitted.

mod netns;
mod node_process;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chitchat_tests::net::{LinkProfile, UdpRelay};
use netns::Network;
use node_process::{Here, Process, Starter, until};

macro_rules! over_each_transport {
    ($($test:ident)+) => {
        mod over_quic {
            $(#[test] fn $test() { super::$test("quic"); })+
        }
        mod over_tcp {
            $(#[test] fn $test() { super::$test("tcp-tls"); })+
        }
        mod over_udp {
            $(#[test] fn $test() { super::$test("udp"); })+
        }
    };
}

over_each_transport! {
    nodes_of_one_family_each_go_on_through_one_of_both_when_it_loses_ipv4
    nodes_of_one_family_each_go_on_through_one_of_both_when_it_loses_ipv6
    nodes_that_listen_in_a_family_that_their_host_lacks_go_on_all_the_same
    a_process_that_moves_is_found_by_those_it_dials
    a_process_that_moves_is_found_by_those_who_dial_it
    a_process_that_was_taken_for_dead_while_it_moved_is_itself_again
    a_newcomer_at_a_former_address_is_not_taken_for_the_process_that_moved
    a_peer_whose_ipv6_address_is_dead_is_reached_over_ipv4
    a_peer_whose_ipv4_address_is_dead_is_reached_over_ipv6
}

const BOTH: [&str; 4] = ["--listen", "0.0.0.0:7280", "--listen", "[::]:7280"];
const V4: [&str; 2] = ["--listen", "0.0.0.0:7280"];
const V6: [&str; 2] = ["--listen", "[::]:7280"];
/// Nodes are taken for dead after some six intervals.
const SLOW: [&str; 2] = ["--interval", "1000"];
const FREE_PORT: [&str; 2] = ["--listen", "0.0.0.0:0"];

/// That all see each other, and what each writes reaches all.
#[track_caller]
fn expect_agreement(nodes: &[&Process], value: &str) {
    let ids: Vec<&str> = nodes.iter().map(|node| &*node.node_id).collect();
    let all = ids.join(" ");
    until("all see all", nodes, || nodes.iter().all(|node| node.sees(&all)));
    nodes.iter().for_each(|node| node.set("key", value));
    until("all have all keys", nodes, || {
        let has = |node: &Process, owner| node.value(owner, "key").as_deref() == Some(value);
        nodes.iter().all(|node| ids.iter().all(|owner| has(node, owner)))
    });
}

/// Waits until each of the nodes has gossiped so many times.
#[track_caller]
fn pass_rounds(nodes: &[&Process], count: u64) {
    let rounds = |node: &Process| node.stats()["protocol"]["rounds"].as_u64().expect("a number");
    let before: Vec<u64> = nodes.iter().map(|node| rounds(node)).collect();
    until("rounds", nodes, || {
        nodes.iter().zip(&before).all(|(node, before)| rounds(node) >= before + count)
    });
}

#[track_caller]
fn expect_at(nodes: &[&Process], node_id: &str, addrs: &[&str]) {
    let what = format!("{node_id} is at {addrs:?} for all");
    until(&what, nodes, || nodes.iter().all(|node| node.addrs_of(node_id) == addrs));
}

/// That no node ever gave out, of itself or of others, an address that leads nowhere from elsewhere.
#[track_caller]
fn expect_no_useless_addrs(nodes: &[&Process]) {
    for node in nodes {
        let of_others = node.all("addrs ");
        let addrs = of_others.iter().flat_map(|line| line.split_whitespace().skip(1));
        for addr in addrs.map(|addr| addr.parse::<SocketAddr>().expect("an address")) {
            let useless = addr.ip().is_loopback() || addr.ip().is_unspecified();
            assert!(!useless, "{addr}: {}", node.story());
        }
    }
}

#[track_caller]
fn expect_no_word_of_unusable_families(nodes: &[&Process]) {
    for node in nodes {
        let complains = |line: &String| {
            line.contains("EAFNOSUPPORT") || line.to_lowercase().contains("address family")
        };
        assert!(!node.log().iter().any(complains), "{}", node.story());
        let failures = &node.stats()["transport"]["failures"];
        assert_eq!(failures.get("EAFNOSUPPORT"), None, "{}: {failures}", node.node_id);
    }
}

/// A has both families and loses the one of `lost`; B has only that one, C only the other. What B
/// and C listen on is given.
fn a_family_comes_and_goes(
    transport: &'static str,
    lost: &str,
    addr_c: &str,
    listen_b: &[&str],
    listen_c: &[&str],
) {
    let Some(mut network) = Network::new() else { return };
    let starter = Starter::new(transport);
    let host_a = network.host("a", &["10.77.0.1", "fd77::1"]);
    let host_b = network.host("b", &[if lost == "10.77.0.1" { "10.77.0.2" } else { "fd77::2" }]);
    let host_c = network.host("c", &[addr_c]);
    let seeds = ["--seed", "10.77.0.1:7280", "--seed", "[fd77::1]:7280"];
    let a = starter.start(&host_a, "a", &BOTH);
    let b = starter.start(&host_b, "b", &[listen_b, &seeds].concat());
    let c = starter.start(&host_c, "c", &[listen_c, &seeds].concat());
    let all = [&a, &b, &c];
    expect_agreement(&all, "calm");
    let both = ["10.77.0.1:7280", "[fd77::1]:7280"];
    expect_at(&all, "a", &both);
    let before = all.map(Process::id);
    let marks = all.map(Process::mark);

    host_a.del_addr(lost);
    until("B is dead for both", &all, || a.sees("a c") && c.sees("a c"));
    // Connections to the lost address are given up meanwhile, and dialled again in vain.
    pass_rounds(&all, 30);
    expect_agreement(&[&a, &c], "with-one-family");

    host_a.add_addr(lost);
    expect_agreement(&all, "again");
    expect_at(&all, "a", &both);
    assert_eq!(a.count(marks[0], "failed c"), 0, "{}", a.story());
    assert_eq!(c.count(marks[2], "failed a"), 0, "{}", c.story());
    for (node, before) in all.iter().zip(before) {
        assert_eq!(node.id(), before);
    }
    expect_no_useless_addrs(&all);
    expect_no_word_of_unusable_families(&all);
}

fn nodes_of_one_family_each_go_on_through_one_of_both_when_it_loses_ipv4(transport: &'static str) {
    a_family_comes_and_goes(transport, "10.77.0.1", "fd77::3", &V4, &V6);
}

fn nodes_of_one_family_each_go_on_through_one_of_both_when_it_loses_ipv6(transport: &'static str) {
    a_family_comes_and_goes(transport, "fd77::1", "10.77.0.3", &V6, &V4);
}

fn nodes_that_listen_in_a_family_that_their_host_lacks_go_on_all_the_same(transport: &'static str) {
    a_family_comes_and_goes(transport, "10.77.0.1", "fd77::3", &BOTH, &BOTH);
}

/// How a node moves.
#[derive(Clone, Copy, PartialEq)]
enum Move {
    AtOnce,
    /// It has no address until the others take it for dead.
    WithGap,
    /// At its former address a node begins that the cluster does not know yet.
    WithSuccessor,
}

/// A node moves to another address of its network. Whether the others dial it or it dials them is
/// a matter of its name and of the seeds.
fn a_node_moves(transport: &'static str, mover: &str, mover_is_seed: bool, how: Move) {
    let Some(mut network) = Network::new() else { return };
    let starter = Starter::new(transport);
    let host = network.host("mover", &["10.77.0.9"]);
    let hosts = [network.host("x", &["10.77.0.1"]), network.host("y", &["10.77.0.2"])];
    let seed = if mover_is_seed { "10.77.0.9:7280" } else { "10.77.0.1:7280" };
    // Only the port of the seed has to be known.
    let listen = |is_seed: bool| if is_seed { V4 } else { FREE_PORT };
    let seeds = ["--seed", seed];
    // A TCP connection does not move with its end. It takes three seconds to find out.
    let slow = if transport == "tcp-tls" && how == Move::AtOnce { &SLOW[..] } else { &[] };
    let args = |is_seed: bool| [&listen(is_seed)[..], &seeds, slow].concat();
    let moving = starter.start(&host, mover, &args(mover_is_seed));
    let x = starter.start(&hosts[0], "m", &args(!mover_is_seed));
    let y = starter.start(&hosts[1], "n", &args(false));
    let mut all = [&moving, &x, &y];
    all.sort_by(|left, right| left.node_id.cmp(&right.node_id));
    expect_agreement(&all, "calm");
    let port = moving.addr().port();
    expect_at(&all, mover, &[&format!("10.77.0.9:{port}")]);
    let before = all.map(Process::id);
    let marks = all.map(Process::mark);

    host.del_addr("10.77.0.9");
    if how == Move::WithGap {
        until("it is dead for the others", &all, || x.sees("m n") && y.sees("m n"));
    }
    host.add_addr("10.77.0.99");
    let successor = (how == Move::WithSuccessor).then(|| {
        let host = network.host("successor", &["10.77.0.9"]);
        let listen = ["--listen", &format!("0.0.0.0:{port}"), "--seed", "10.77.0.1:7280"];
        starter.start(&host, "zz", &listen)
    });
    let mut everybody = all.to_vec();
    everybody.extend(&successor);
    expect_agreement(&everybody, "moved");
    expect_at(&everybody, mover, &[&format!("10.77.0.99:{port}")]);
    if successor.is_some() {
        expect_at(&everybody, "zz", &[&format!("10.77.0.9:{port}")]);
    }
    for (node, before) in all.iter().zip(before) {
        assert_eq!(node.id(), before);
    }
    if how == Move::AtOnce {
        for (node, mark) in all.iter().zip(marks) {
            assert_eq!(node.count(mark, "failed"), 0, "{}", node.story());
        }
    }
    expect_no_useless_addrs(&everybody);
}

fn a_process_that_moves_is_found_by_those_it_dials(transport: &'static str) {
    a_node_moves(transport, "a", false, Move::AtOnce);
}

fn a_process_that_moves_is_found_by_those_who_dial_it(transport: &'static str) {
    a_node_moves(transport, "z", true, Move::AtOnce);
}

fn a_process_that_was_taken_for_dead_while_it_moved_is_itself_again(transport: &'static str) {
    a_node_moves(transport, "a", true, Move::WithGap);
    a_node_moves(transport, "z", false, Move::WithGap);
}

fn a_newcomer_at_a_former_address_is_not_taken_for_the_process_that_moved(transport: &'static str) {
    a_node_moves(transport, "a", false, Move::WithSuccessor);
    a_node_moves(transport, "z", false, Move::WithSuccessor);
}

/// P advertises two addresses; nobody has one of them, which is 10.77.9.9 or fd77::9.
fn one_address_is_dead(transport: &'static str, advertised: [&str; 2]) {
    let Some(mut network) = Network::new() else { return };
    let starter = Starter::new(transport);
    let host_m = network.host("m", &["10.77.0.1", "fd77::1"]);
    let host_p = network.host("p", &["10.77.0.2", "fd77::2"]);
    let hosts = ["10", "11", "12"]
        .map(|at| network.host(at, &[&format!("10.77.0.{at}"), &format!("fd77::{at}")]));
    // What is sent there vanishes without a word; is refused by the kernel at once; and is looked
    // for in vain for a while.
    let [silent, refused, _] = &hosts;
    for dead in ["10.77.9.9", "fd77::9"] {
        silent.ip(&format!("neigh add {dead} lladdr 02:00:00:00:00:99 nud permanent dev eth0"));
    }
    refused.ip("route add blackhole 10.77.9.9");
    refused.ip("-6 route add blackhole fd77::9");
    // Those who dial cannot be dialled.
    let nowhere = ["--advertise", "10.77.8.8:7280"];
    let advertised = ["--advertise", advertised[0], "--advertise", advertised[1]];
    let start = |host, node_id, advertise: &[&str]| {
        let seed = ["--seed", "10.77.0.1:7280"];
        starter.start(host, node_id, &[&BOTH[..], &seed, advertise].concat())
    };
    let m = start(&host_m, "m", &[]);
    let p = start(&host_p, "p", &advertised);
    let names = ["a", "b", "c"];
    let [a, b, c] = [0, 1, 2].map(|at| start(&hosts[at], names[at], &nowhere));
    expect_agreement(&[&a, &b, &c, &m, &p], "with-m");

    // Without the node that all know, all that is left is whom they reach themselves, which is P.
    m.kill();
    let all = [&a, &b, &c, &p];
    expect_agreement(&all, "without-m");
    expect_no_word_of_unusable_families(&all);
}

fn a_peer_whose_ipv6_address_is_dead_is_reached_over_ipv4(transport: &'static str) {
    one_address_is_dead(transport, ["[fd77::9]:7280", "10.77.0.2:7280"]);
}

fn a_peer_whose_ipv4_address_is_dead_is_reached_over_ipv6(transport: &'static str) {
    one_address_is_dead(transport, ["10.77.9.9:7280", "[fd77::2]:7280"]);
}

/// Lets the nodes find each other, and then looks whether any of them takes another one for dead
/// during 30 rounds of all.
fn expect_no_false_death(nodes: &[Process]) {
    let nodes: Vec<&Process> = nodes.iter().collect();
    expect_agreement(&nodes, "value");
    let marks: Vec<_> = nodes.iter().map(|node| node.mark()).collect();
    pass_rounds(&nodes, 30);
    for (node, mark) in nodes.iter().zip(marks) {
        assert_eq!(node.count(mark, "failed "), 0, "{}", node.story());
    }
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

#[test]
fn five_processes_on_bad_links_of_the_kernel_take_nobody_for_dead() {
    let Some(mut network) = Network::new() else { return };
    let starter = Starter::new("quic");
    let hosts =
        [1, 2, 3, 4, 5].map(|at| network.host(&at.to_string(), &[&format!("10.77.0.{at}")]));
    if !hosts.iter().all(|host| host.impair("loss 20% delay 50ms")) {
        return;
    }
    let args = [&V4[..], &["--seed", "10.77.0.1:7280"]].concat();
    let nodes = [0, 1, 2, 3, 4].map(|at| starter.start(&hosts[at], NAMES[at], &args));
    expect_no_false_death(&nodes);
}

#[test]
fn five_processes_behind_bad_relays_take_nobody_for_dead() {
    ["quic", "udp"].into_iter().for_each(five_processes_behind_bad_relays);
}

/// The same without the kernel's help: each node is reached through a relay only.
fn five_processes_behind_bad_relays(transport: &'static str) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let starter = Starter::new(transport);
    let bad = LinkProfile { delay: Duration::from_millis(50), loss: 0.2, ..LinkProfile::default() };
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    let relays = [0, 1, 2, 3, 4]
        .map(|seed| runtime.block_on(UdpRelay::new(nobody, bad, seed)).expect("a relay starts"));
    let seed = relays[0].addr().to_string();
    let nodes = [0, 1, 2, 3, 4].map(|at| {
        let advertise = relays[at].addr().to_string();
        let args = ["--listen", "127.0.0.1:0", "--advertise", &advertise, "--seed", &seed];
        let node = starter.start(&Here, NAMES[at], &args);
        relays[at].set_target(node.addr());
        node
    });
    expect_no_false_death(&nodes);
}

#[test]
fn a_network_is_taken_down_with_a_test_that_panics() {
    let Some(mut network) = Network::new() else { return };
    let prefix = network.prefix().to_owned();
    assert!(Network::namespaces().contains(&prefix));
    let test = std::thread::spawn(move || {
        let host = network.host("a", &["10.77.0.1"]);
        let _node = Starter::new("quic").start(&host, "a", &V4);
        // Panics without a word, which would only confuse those who read the output.
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(test.join().is_err());
    assert!(!Network::namespaces().contains(&prefix));
}
