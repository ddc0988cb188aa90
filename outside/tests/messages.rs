//! Messages are read and written with the public codec, and a cluster runs on them.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use chitchat::ChitchatConfig;
use chitchat_outside::{Inspected, PipeTransport, Switchboard, Tally};
use chitchat_protocol::message::{Body, Header, Message, Refusal, SenderEntry};
use chitchat_protocol::wire::{DecodeLimits, VersionRange, cluster_id_hash, encode_unsupported};
use chitchat_protocol::{Digest, Incarnation};
use chitchat_transport::{
    Destination, Inbound, OpenOptions, Transport, TransportReceiver, TransportSender,
};

fn message(body: Body<'static>) -> Message<'static> {
    let sender = SenderEntry {
        node_id: Cow::Borrowed("somebody"),
        incarnation: Incarnation { generation_id: 7, boot: 8 },
        position: None,
        heartbeat: 1,
        age: Duration::ZERO,
        max_version: 0,
        last_gc_version: 0,
    };
    let header = Header {
        cluster_id_hash: cluster_id_hash("outside"),
        nonce: 1,
        echo: 0,
        versions: VersionRange::BUILD,
        gossip_interval: Duration::from_millis(200),
        sender,
        observer: false,
        observed: None,
        about_you: None,
    };
    Message { header, body }
}

fn options(node_id: &str) -> OpenOptions {
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    OpenOptions::new("outside", node_id, vec![any_port])
}

#[tokio::test]
async fn messages_come_out_as_they_were_put_in_and_are_counted_by_kind() {
    let (switchboard, tally) = (Switchboard::default(), Tally::default());
    let transport = || Inspected::new(PipeTransport::new(&switchboard), &tally);
    let (one, _) = transport().open(options("one")).await.expect("one opens");
    let (other, mut inbox) = transport().open(options("other")).await.expect("the other opens");
    let to = Destination::node("other", other.local_addrs());
    let syn = Body::Syn { budget: 1_000, digest: Digest::default() };
    let refused = Body::Refused { reason: Refusal::TooManyNodes };
    for sent in [message(syn), message(refused)] {
        one.send(&to, sent.encode().into()).expect("it is taken");
        let Some(Inbound::Message(arrived)) = inbox.recv().await else { panic!("no message") };
        let decoded = Message::decode(&arrived.bytes, &DecodeLimits::default());
        assert_eq!(decoded.expect("it is a message"), sent);
        assert_eq!(arrived.peer, None, "nobody has proved anything");
    }
    let unsupported = encode_unsupported(cluster_id_hash("outside"), 1);
    for bytes in [unsupported, b"something else".to_vec()] {
        one.send(&to, bytes.into()).expect("it is taken");
        assert!(inbox.recv().await.is_some());
    }
    let kinds = [("not a message", 1), ("refused", 1), ("syn", 1), ("unsupported", 1)].into();
    assert_eq!((tally.sent(), tally.received()), (kinds, tally.sent()));
}

#[tokio::test]
async fn a_cluster_runs_on_it_and_its_messages_can_be_read() {
    let (switchboard, tally) = (Switchboard::default(), Tally::default());
    let mut nodes = Vec::<chitchat::ChitchatHandle>::new();
    for node_id in ["node-0", "node-1", "node-2"] {
        let config = ChitchatConfig::builder("outside", node_id)
            .listen(["127.0.0.1:0"])
            .seeds(nodes.first().map(|seed| seed.local_addrs()[0]))
            .gossip_interval(Duration::from_millis(50))
            .build()
            .expect("a configuration");
        let transport = Inspected::new(PipeTransport::new(&switchboard), &tally);
        nodes.push(chitchat::spawn(config, transport).await.expect("a node"));
    }
    nodes[2].set("colour", "blue").expect("a write");
    let all_know = async {
        for node in &nodes {
            let mut colours = node.subscribe("colour").with_existing();
            assert!(matches!(colours.next().await, Some(Ok(_))));
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all_know).await.expect("the key spreads");
    for node in &nodes {
        node.shutdown().await.expect("an orderly end");
    }
    let received = tally.received();
    assert!(received.get("syn").is_some_and(|count| *count > 0), "{received:?}");
    assert!(received.get("syn-ack").is_some_and(|count| *count > 0), "{received:?}");
    assert_eq!(received.get("not a message"), None);
    assert!(tally.entries() >= 2, "the key has reached two others");
}
