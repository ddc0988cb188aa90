//! Nodes of one cluster whose transports have different limits, over real sockets.

use std::time::Duration;

use chitchat::tcp::{PlainTcpTransport, TcpConfig};
use chitchat::transport::Transport;
use chitchat::udp::{PlainUdpConfig, PlainUdpTransport};
use chitchat::{ChitchatConfig, ChitchatHandle, Error, WriteError};
use tokio::time::{sleep, timeout};

/// Ends what would hang.
const GUARD: Duration = Duration::from_secs(60);
const KEYS: usize = 300;

async fn start(
    name: &str,
    seed: Option<&ChitchatHandle>,
    transport: impl Transport,
) -> ChitchatHandle {
    let config = ChitchatConfig::builder("mixed", name)
        .listen(["127.0.0.1:0"])
        .seeds(seed.map(|seed| seed.local_addrs()[0]))
        .gossip_interval(Duration::from_millis(50))
        .build()
        .unwrap();
    chitchat::spawn(config, transport).await.unwrap()
}

fn value(number: usize) -> String {
    number.to_string().repeat(200 / number.to_string().len())
}

fn has_all(node: &ChitchatHandle, owner: &str) -> bool {
    let snapshot = node.snapshot();
    let Some(state) = snapshot.node(owner) else { return false };
    (0..KEYS).all(|number| state.get(&format!("key-{number}")) == Some(&value(number)))
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(GUARD, wait).await.unwrap_or_else(|_| panic!("not so: {what}"));
}

/// The one with little room is in the middle: the others know its address only, at first.
async fn all_have_everything<T: Transport>(
    small: T,
    large: impl Fn() -> T,
    too_large_for_small: usize,
) {
    let middle = start("small", None, small).await;
    let one = start("large-1", Some(&middle), large()).await;
    let other = start("large-2", Some(&middle), large()).await;
    let nodes = [&middle, &one, &other];
    let long = "x".repeat(too_large_for_small);
    one.set("long", &long).unwrap();
    match middle.set("long", &long) {
        Err(Error::Refused(WriteError::ValueTooLong { .. })) => {}
        unexpected => panic!("its own transport cannot carry that: {unexpected:?}"),
    }
    for node in nodes {
        for number in 0..KEYS {
            node.set(format!("key-{number}"), value(number)).unwrap();
        }
    }
    for node in nodes {
        for owner in ["small", "large-1", "large-2"] {
            until(&format!("{} has the keys of {owner}", node.id()), || has_all(node, owner)).await;
        }
        let has_long = || {
            let snapshot = node.snapshot();
            snapshot.node("large-1").and_then(|state| state.get("long")) == Some(&long)
        };
        until(&format!("{} has the long value", node.id()), has_long).await;
    }
    for node in nodes {
        let stats = node.stats();
        assert_eq!(stats.transport.refused_too_large, 0, "{}", node.id());
        assert_eq!(stats.transport.dropped_malformed, 0, "{}", node.id());
        assert_eq!(stats.protocol.refused_malformed, 0, "{}", node.id());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datagrams_of_1200_bytes_and_of_65507_make_one_cluster() {
    let limited = |len| {
        let mut config = PlainUdpConfig::default();
        config.preferred_message_len = len;
        config.max_message_len = len;
        PlainUdpTransport::with_config(config).unwrap()
    };
    all_have_everything(limited(1_200), || limited(65_507), 40_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_messages_and_long_ones_over_tcp_make_one_cluster() {
    let limited = |preferred, max| {
        let mut config = TcpConfig::default();
        config.preferred_message_len = preferred;
        config.max_message_len = max;
        PlainTcpTransport::with_config(config).unwrap()
    };
    all_have_everything(limited(1_024, 4_096), || limited(65_507, 4 << 20), 1 << 20).await;
}
