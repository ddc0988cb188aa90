//! The transport of the example passes the suite that every transport runs, and is as short as the
//! documentation says.
#![cfg(unix)]

#[path = "../custom_transport/unix.rs"]
mod unix;

use std::any::Any;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;

use chitchat_transport::conformance::ConformanceFactory;
use chitchat_transport::{
    AddressFamily, Destination, Inbound, OpenOptions, Transport, TransportReceiver, TransportSender,
};
use tempfile::TempDir;
use unix::UnixTransport;

struct OverUnixSockets(TempDir);

impl OverUnixSockets {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder for the sockets"))
    }
}

impl ConformanceFactory for OverUnixSockets {
    type Transport = UnixTransport;

    fn transport(&self, _node_id: &str) -> UnixTransport {
        UnixTransport(self.0.path().into())
    }

    /// Both families are names of files, whatever the host has.
    fn listen_addr(&self, family: AddressFamily) -> Option<SocketAddr> {
        let addr = match family {
            AddressFamily::V4 => "127.0.0.1:0",
            AddressFamily::V6 => "[::1]:0",
        };
        addr.parse().ok()
    }

    fn reports_unreachable(&self) -> bool {
        true
    }

    /// There is no such file, and nobody but these tests makes any.
    fn dead_addr(&self) -> Option<(SocketAddr, Box<dyn Any + Send>)> {
        Some((SocketAddr::from(([127, 0, 0, 1], 60_000)), Box::new(())))
    }

    /// 8 MiB for the node; what else there is depends on the host's `net.unix.max_dgram_qlen`.
    fn queue_bound(&self) -> usize {
        20 << 20
    }

    async fn inject_garbage(&self, to: SocketAddr, bytes: &[u8]) -> bool {
        let path = self.0.path().join(to.to_string());
        UnixDatagram::unbound().and_then(|socket| socket.send_to(bytes, path)).is_ok()
    }
}

chitchat_transport::conformance_suite!(|| async { OverUnixSockets::new() });

fn options(listen: &str) -> OpenOptions {
    OpenOptions::new("c", "n", vec![listen.parse().expect("an address")])
}

#[tokio::test]
async fn the_file_of_a_process_that_was_killed_is_no_obstacle() {
    let network = OverUnixSockets::new();
    let path = network.0.path().join("127.0.0.1:7");
    // Closing a socket leaves its file, as a kill does.
    drop(UnixDatagram::bind(&path).expect("a socket"));
    assert!(path.exists());
    let opened = network.transport("n").open(options("127.0.0.1:7")).await;
    let (sender, _receiver) = opened.expect("the file is in nobody's use");
    let other = network.transport("n").open(options("127.0.0.1:7")).await;
    assert!(other.is_err(), "now it is in use");
    sender.close().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_peer_that_does_not_read_holds_up_nobody_else() {
    let network = OverUnixSockets::new();
    let (sender, _inbox) = network.transport("n").open(options("127.0.0.1:0")).await.expect("open");
    let (live, mut received) =
        network.transport("n").open(options("127.0.0.1:0")).await.expect("open");
    // Sockets that nobody reads from, as of processes that were stopped.
    let stopped: Vec<(UnixDatagram, Destination)> = (1_000..1_004)
        .map(|port| {
            let addr = SocketAddr::from(([127, 0, 0, 1], port));
            let path = network.0.path().join(addr.to_string());
            (UnixDatagram::bind(path).expect("a socket"), Destination::addr(addr))
        })
        .collect();
    let long = vec![7; sender.preferred_message_len()];
    for (_socket, destination) in &stopped {
        let mut taken = 0;
        while sender.send(destination, long.clone().into()).is_ok() {
            taken += 1;
            assert!(taken < 10_000, "the queue of a peer has no bound");
        }
        assert!(taken > 0);
    }
    let to = Destination::addr(live.local_addrs()[0]);
    sender.send(&to, long.clone().into()).expect("there is room for others");
    let Some(Inbound::Message(message)) = received.recv().await else { panic!("no message") };
    assert_eq!(message.bytes, long);
    assert_eq!(message.peer, None, "nothing was proved");
}

#[test]
fn the_example_is_shorter_than_150_lines_of_code() {
    let sources =
        [include_str!("../custom_transport/main.rs"), include_str!("../custom_transport/unix.rs")];
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
    let lines: usize = sources.iter().map(|source| source.lines().filter(is_code).count()).sum();
    assert!((50..150).contains(&lines), "{lines} lines of code");
}

#[test]
fn the_guide_quotes_the_example_as_it_is() {
    let source = include_str!("../custom_transport/unix.rs");
    let guide = include_str!("../../docs/custom-transports.md");
    let mut quotes = 0;
    for quote in guide.split("```rs\n").skip(1) {
        let (quote, _) = quote.split_once("```").expect("a quote ends");
        assert!(source.contains(quote), "this is not in unix.rs:\n{quote}");
        quotes += 1;
    }
    assert!(quotes >= 4, "only {quotes} quotes were found");
}

#[test]
fn the_guide_says_of_every_check_what_its_failure_means() {
    let suite = include_str!("../../transport/src/conformance/mod.rs");
    let guide = include_str!("../../docs/custom-transports.md");
    let (_, list) = suite.split_once("@tests $factory;").expect("the list of checks");
    let (list, _) = list.split_once(");").expect("its end");
    let checks: Vec<&str> = list.split_whitespace().collect();
    assert!(checks.len() >= 17, "only {} checks were found", checks.len());
    for check in checks {
        assert!(guide.contains(&format!("| `{check}` | ")), "the guide does not explain {check}");
    }
}
