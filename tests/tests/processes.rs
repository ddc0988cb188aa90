//! Real processes over real sockets and each transport: found, killed with SIGKILL, stopped, started
//! again, gone on purpose. Row S5.

mod node_process;

use std::net::{Ipv6Addr, UdpSocket};
use std::time::{Duration, Instant};

use node_process::{Here, Process, Starter, until};

macro_rules! over_each_transport {
    ($($module:ident: $transport:literal;)+) => {
        $(
            mod $module {
                #[test]
                fn processes_find_each_other_and_notice_a_kill_a_return_and_a_leave() {
                    super::processes_find_each_other_and_notice_a_kill_a_return_and_a_leave(
                        $transport,
                    );
                }

                #[test]
                fn a_process_that_was_stopped_is_itself_again_and_takes_nobody_for_dead() {
                    super::a_process_that_was_stopped_is_itself_again_and_takes_nobody_for_dead(
                        $transport,
                    );
                }

                #[test]
                fn fifty_processes_are_one_cluster() {
                    super::fifty_processes_are_one_cluster($transport);
                }
            }
        )+
    };
}

over_each_transport! {
    over_quic: "quic";
    over_tcp_with_tls: "tcp-tls";
    over_tcp: "tcp";
    over_udp: "udp";
}

/// Both loopback addresses, or the first alone on a machine without IPv6.
fn listen() -> Vec<&'static str> {
    let mut listen = vec!["--listen", "127.0.0.1:0"];
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        listen.extend(["--listen", "[::1]:0"]);
    }
    listen
}

/// Nodes with these names; the first one is the seed of all.
fn start(starter: &Starter, names: &[&str], interval: &str) -> Vec<Process> {
    let mut nodes: Vec<Process> = Vec::new();
    for name in names {
        nodes.push(start_one(starter, name, nodes.first(), interval));
    }
    nodes
}

fn start_one(starter: &Starter, name: &str, seed: Option<&Process>, interval: &str) -> Process {
    let seed = seed.map(|seed| seed.addr().to_string());
    let mut args = listen();
    args.extend(["--interval", interval]);
    args.extend(seed.iter().flat_map(|seed| ["--seed", &**seed]));
    starter.start(&Here, name, &args)
}

#[track_caller]
fn expect_live(nodes: &[&Process], live: &str) {
    until(live, nodes, || nodes.iter().all(|node| node.sees(live)));
}

fn processes_find_each_other_and_notice_a_kill_a_return_and_a_leave(transport: &'static str) {
    let starter = Starter::new(transport);
    let [a, b, c]: [Process; 3] =
        start(&starter, &["a", "b", "c"], "100").try_into().ok().expect("three");
    expect_live(&[&a, &b, &c], "a b c");
    c.kill();
    expect_live(&[&a, &b], "a b");

    let c = start_one(&starter, "c", Some(&a), "100");
    let all = [&a, &b, &c];
    expect_live(&all, "a b c");
    until("the new run's key", &all, || {
        all.iter().all(|node| node.value("c", "pid") == Some(c.pid()))
    });
    c.leave();
    expect_live(&[&a, &b], "a b");
    for node in [&a, &b] {
        assert_eq!(node.all("left c ").len(), 1, "{}", node.story());
    }
}

/// A machine that was suspended, or a debugger: ten seconds, which are twenty rounds at the interval
/// of production. With shorter ones a machine that is busy might be blamed rightly.
fn a_process_that_was_stopped_is_itself_again_and_takes_nobody_for_dead(transport: &'static str) {
    let starter = Starter::new(transport);
    let nodes = start(&starter, &["a", "b", "c"], "500");
    let [a, b, c] = &nodes[..] else { panic!("three") };
    expect_live(&[a, b, c], "a b c");
    let (before, mark) = (c.id(), c.mark());
    c.set_stopped(true);
    let stopped = Instant::now();
    expect_live(&[a, b], "a b");
    a.set("meanwhile", "yes");
    while stopped.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(100));
    }
    c.set_stopped(false);
    expect_live(&[a, b, c], "a b c");
    until("what was written meanwhile", &[c], || c.value("a", "meanwhile").is_some());
    assert_eq!(c.id(), before, "{}", c.story());
    assert_eq!(c.count(mark, "failed "), 0, "{}", c.story());
}

fn fifty_processes_are_one_cluster(transport: &'static str) {
    let starter = Starter::new(transport);
    let names: Vec<String> = (10..60).map(|number| format!("n{number}")).collect();
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    let nodes = start(&starter, &names, "1000");
    let all: Vec<&Process> = nodes.iter().collect();
    expect_live(&all, &names.join(" "));
    nodes[49].set("word", "of-the-last-one");
    until("the word", &all, || {
        all.iter().all(|node| node.value("n59", "word").as_deref() == Some("of-the-last-one"))
    });
    // That nobody was declared dead on the way is not asserted: fifty processes on few cores may wait
    // for seconds. The simulation says how patient they are.
    expect_live(&all, &names.join(" "));
}
