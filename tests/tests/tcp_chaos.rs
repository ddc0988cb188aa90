//! What networks and middleboxes do to connections: TCP heals, and leaves nothing behind.

#![allow(clippy::print_stdout, reason = "the figures are of interest")]

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chitchat::tcp::{TcpReceiver, TcpSender};
use chitchat::tls::ClusterCa;
use chitchat::transport::{
    Destination, Inbound, OpenOptions, ReplyPath, Transport, TransportReceiver, TransportSender,
};
use chitchat_tests::net::{LinkProfile, TcpRelay, TlsTcp, Wire};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep, timeout};

/// CPU time is that of the process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Ends what would hang.
const GUARD: Duration = Duration::from_secs(60);

struct End {
    sender: TcpSender,
    receiver: TcpReceiver,
}

impl End {
    async fn open(ca: &ClusterCa, node_id: &str) -> End {
        let identity = ca.issue(node_id).unwrap().tls_config().unwrap();
        let options = OpenOptions::new("chaos", node_id, vec!["127.0.0.1:0".parse().unwrap()]);
        let (sender, receiver) = TlsTcp.transport(identity).open(options).await.unwrap();
        End { sender, receiver }
    }

    fn addr(&self) -> SocketAddr {
        self.sender.local_addrs()[0]
    }

    /// The next message with this content, within a moment.
    async fn hears(&mut self, content: &Bytes) -> Option<ReplyPath> {
        let heard = async {
            while let Some(inbound) = self.receiver.recv().await {
                if let Inbound::Message(message) = inbound
                    && message.bytes == *content
                {
                    return Some(message.from);
                }
            }
            None
        };
        timeout(Duration::from_millis(50), heard).await.ok()?
    }
}

/// Two nodes and the link between them. The relay has a runtime of its own, so that the tasks of
/// the nodes can be counted.
struct Link {
    relay: TcpRelay,
    a: End,
    b: End,
    to_b: Destination,
    rounds: u64,
}

impl Link {
    async fn new(elsewhere: &Runtime) -> Link {
        let ca = ClusterCa::generate("chaos").unwrap();
        let (a, b) = (End::open(&ca, "a").await, End::open(&ca, "b").await);
        let target = b.addr();
        let relay = elsewhere.spawn(TcpRelay::new(target, LinkProfile::default()));
        let relay = relay.await.unwrap().unwrap();
        let to_b = Destination::node("b", [relay.addr()]);
        let mut link = Link { relay, a, b, to_b, rounds: 0 };
        link.heals().await;
        link
    }

    /// A question gets through, and its answer comes back, sent again and again as gossip is.
    async fn heals(&mut self) {
        self.rounds += 1;
        let question = Bytes::from(format!("question {}", self.rounds));
        let answer = Bytes::from(format!("answer {}", self.rounds));
        let exchange = async {
            loop {
                let _ = self.a.sender.send(&self.to_b, question.clone());
                let Some(path) = self.b.hears(&question).await else { continue };
                let _ = self.b.sender.send(&Destination::reply(path), answer.clone());
                if self.a.hears(&answer).await.is_some() {
                    return;
                }
            }
        };
        timeout(GUARD, exchange).await.expect("it does not heal");
    }
}

fn runtimes() -> (Runtime, Runtime) {
    let runtime = || Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    (runtime(), runtime())
}

/// CPU time of this process so far.
#[cfg(target_os = "linux")]
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // Behind the name, which may have anything in it: utime and stime, in hundredths of a second.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

#[test]
fn connections_that_are_stalled_reset_or_half_closed_heal_and_leave_no_tasks() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (elsewhere, here) = runtimes();
    let at_first = here.metrics().num_alive_tasks();
    here.block_on(async {
        let mut link = Link::new(&elsewhere).await;
        let with_one_connection = here.metrics().num_alive_tasks();
        for _ in 0..30 {
            link.relay.half_close();
            link.heals().await;
        }
        for _ in 0..10 {
            link.relay.set_resetting(true);
            // They dial meanwhile, and are reset.
            let question = Bytes::from_static(b"nobody hears that");
            for _ in 0..20 {
                let _ = link.a.sender.send(&link.to_b, question.clone());
                sleep(Duration::from_millis(5)).await;
            }
            link.relay.set_resetting(false);
            link.heals().await;
        }
        let gone = link.relay.addr();
        link.relay.set_target("127.0.0.1:1".parse().unwrap());
        link.relay.half_close();
        for _ in 0..20 {
            let _ = link.a.sender.send(&link.to_b, Bytes::from_static(b"nobody is there"));
            sleep(Duration::from_millis(5)).await;
        }
        link.relay.set_target(link.b.addr());
        link.heals().await;
        assert_eq!(link.relay.addr(), gone);
        for _ in 0..2 {
            link.relay.set_stalled(true);
            let stalled = Instant::now();
            while stalled.elapsed() < Duration::from_secs(5) {
                let _ = link.a.sender.send(&link.to_b, Bytes::from_static(b"into a black hole"));
                sleep(Duration::from_millis(20)).await;
            }
            assert!(link.a.sender.stats().failures["unanswered"] > 0, "nobody noticed");
            link.relay.set_stalled(false);
            link.heals().await;
        }
        // What was replaced ends within seconds.
        let settled = async {
            loop {
                let connections = |end: &End| end.sender.stats().connections;
                if connections(&link.a) == 1
                    && connections(&link.b) == 1
                    && here.metrics().num_alive_tasks() <= with_one_connection
                {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        if timeout(GUARD, settled).await.is_err() {
            let tasks = here.metrics().num_alive_tasks();
            panic!("{tasks} tasks, {with_one_connection} at first: {:?}", link.a.sender.stats());
        }
        println!(
            "{} connections through the relay; failures of a: {:?}",
            link.relay.accepted(),
            link.a.sender.stats().failures
        );
        link.a.sender.close().await;
        link.b.sender.close().await;
    });
    here.block_on(async {
        let ended = async {
            while here.metrics().num_alive_tasks() > at_first {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(GUARD, ended).await.expect("tasks of a closed transport go on");
    });
}

/// Neither a stalled connection, nor one that is reset all the time, nor a peer that is gone makes
/// anybody spin.
#[cfg(target_os = "linux")]
#[test]
fn trouble_costs_little_cpu() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (elsewhere, here) = runtimes();
    here.block_on(async {
        let mut link = Link::new(&elsewhere).await;
        let mut used = Vec::new();
        for trouble in ["idle", "stalled", "resetting", "gone"] {
            match trouble {
                "idle" => {}
                "stalled" => link.relay.set_stalled(true),
                "resetting" => {
                    link.relay.set_stalled(false);
                    link.relay.set_resetting(true);
                }
                _ => {
                    link.relay.set_target("127.0.0.1:1".parse().unwrap());
                    link.relay.set_resetting(false);
                }
            }
            let (before, begin) = (cpu(), Instant::now());
            while begin.elapsed() < Duration::from_secs(4) {
                if trouble != "idle" {
                    let _ = link.a.sender.send(&link.to_b, Bytes::from_static(b"anybody?"));
                }
                sleep(Duration::from_millis(100)).await;
            }
            let share = (cpu() - before).as_secs_f64() / begin.elapsed().as_secs_f64();
            used.push((trouble, share));
        }
        println!("share of one CPU: {used:.3?}");
        assert!(used.iter().all(|(_, share)| *share < 0.3), "{used:.3?}");
        link.relay.set_target(link.b.addr());
        link.heals().await;
    });
}
