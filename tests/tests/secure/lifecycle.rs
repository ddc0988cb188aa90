//! Certificates that end, are revoked or replaced, and nodes that restart and move, while
//! everything runs.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use chitchat::NodeStatus;
use chitchat::tls::{ClusterCa, TlsConfig};
use chitchat::transport::{
    Destination, Inbound, OpenOptions, Report, Transport, TransportReceiver, TransportSender,
};
use chitchat_tests::net::Wire;
use tokio::time::{sleep, timeout};

use super::stage::{CLUSTER, GUARD, Stage, identity, material, start, until};

type SenderOf<W> = <<W as Wire>::Transport as Transport>::Sender;
type ReceiverOf<W> = <<W as Wire>::Transport as Transport>::Receiver;

struct End<W: Wire> {
    sender: SenderOf<W>,
    receiver: ReceiverOf<W>,
}

async fn open<W: Wire>(wire: &W, node_id: &str, identity: TlsConfig, listen: SocketAddr) -> End<W> {
    let options = OpenOptions::new(CLUSTER, node_id, vec![listen]);
    let mut attempts = 0;
    loop {
        match wire.transport(identity.clone()).open(options.clone()).await {
            Ok((sender, receiver)) => return End { sender, receiver },
            // The port of a node that was just killed is free a moment later.
            Err(error) if attempts > 200 => panic!("{error}"),
            Err(_) => {
                attempts += 1;
                sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

fn any() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

impl<W: Wire> End<W> {
    fn addr(&self) -> SocketAddr {
        self.sender.local_addrs()[0]
    }

    /// Sends until it arrives, as gossip does.
    async fn reaches(&self, to: &Destination, other: &mut End<W>, content: &'static str) {
        let arrives = async {
            loop {
                let _ = self.sender.send(to, Bytes::from_static(content.as_bytes()));
                let inbound = timeout(Duration::from_millis(50), other.receiver.recv()).await;
                if let Ok(Some(Inbound::Message(message))) = inbound
                    && message.bytes == content
                {
                    return;
                }
            }
        };
        timeout(GUARD, arrives).await.unwrap_or_else(|_| panic!("{content} does not arrive"));
    }
}

/// A peer that is killed and comes back on its port is noticed by its first answer, not by waiting.
pub(crate) async fn a_peer_that_restarts_on_its_port_is_reached_again<W: Wire>(wire: W) {
    let ca = ClusterCa::generate(CLUSTER).unwrap();
    let alice = open(&wire, "alice", identity(&ca, "alice"), any()).await;
    let papers = identity(&ca, "bob");
    let mut bob = open(&wire, "bob", papers.clone(), any()).await;
    let addr = bob.addr();
    let to = Destination::node("bob", [addr]);
    alice.reaches(&to, &mut bob, "before").await;
    for run in ["after one restart", "after two", "after three"] {
        drop(bob);
        bob = open(&wire, "bob", papers.clone(), addr).await;
        alice.reaches(&to, &mut bob, run).await;
    }
    let failures = alice.sender.stats().failures;
    assert_eq!(failures.get("unanswered"), None, "it was noticed too late: {failures:?}");
}

pub(crate) async fn a_listener_that_moves_is_reached_at_its_new_address<W: Wire>(wire: W) {
    let ca = ClusterCa::generate(CLUSTER).unwrap();
    let alice = open(&wire, "alice", identity(&ca, "alice"), any()).await;
    let papers = identity(&ca, "bob");
    let mut bob = open(&wire, "bob", papers.clone(), any()).await;
    let before = bob.addr();
    alice.reaches(&Destination::node("bob", [before]), &mut bob, "before").await;
    bob.sender.close().await;
    let mut bob = open(&wire, "bob", papers, any()).await;
    let both = Destination::node("bob", [before, bob.addr()]);
    alice.reaches(&both, &mut bob, "at the new address").await;
}

/// Both dial at the same moment, and send at once: nothing is lost, and one connection stays.
pub(crate) async fn simultaneous_open_loses_nothing<W: Wire>(wire: W) {
    const MESSAGES: u8 = 40;
    let ca = ClusterCa::generate(CLUSTER).unwrap();
    for round in 0..6 {
        let mut alice = open(&wire, "alice", identity(&ca, "alice"), any()).await;
        let mut bob = open(&wire, "bob", identity(&ca, "bob"), any()).await;
        let to_bob = Destination::node("bob", [bob.addr()]);
        let to_alice = Destination::node("alice", [alice.addr()]);
        for number in 0..MESSAGES {
            alice.sender.send(&to_bob, Bytes::from(vec![number; 100])).unwrap();
            bob.sender.send(&to_alice, Bytes::from(vec![number; 100])).unwrap();
            // Over the time that the handshakes take, and the end of one of the two connections.
            sleep(Duration::from_millis(u64::from(number) * round / 2)).await;
        }
        for end in [&mut alice, &mut bob] {
            let mut missing: Vec<u8> = (0..MESSAGES).collect();
            let all = async {
                while !missing.is_empty() {
                    if let Some(Inbound::Message(message)) = end.receiver.recv().await {
                        missing.retain(|number| *number != message.bytes[0]);
                    }
                }
            };
            let arrived = timeout(GUARD, all).await;
            assert!(arrived.is_ok(), "round {round}: lost {missing:?}");
        }
        until("one connection is left", || {
            alice.sender.stats().connections == 1 && bob.sender.stats().connections == 1
        })
        .await;
        alice.reaches(&to_bob, &mut bob, "still there").await;
    }
}

/// Alice does not trust the CA that carol's certificate is from; carol trusts both.
pub(crate) async fn the_dialler_learns_why_it_was_refused<W: Wire>(wire: W) {
    let mut stage = Stage::new(wire).await;
    let other = ClusterCa::generate(CLUSTER).unwrap();
    let papers = TlsConfig::builder().der(material(&other, "carol", &[&stage.ca])).build().unwrap();
    let mut carol = open(&stage.wire, "carol", papers, any()).await;
    let to = Destination::addr(stage.addr());
    let learns = async {
        loop {
            let _ = carol.sender.send(&to, Bytes::from_static(b"let me in"));
            let inbound = timeout(Duration::from_millis(50), carol.receiver.recv()).await;
            if let Ok(Some(Inbound::Report(Report::RejectedUs { addr, reason, .. }))) = inbound {
                return (addr, reason);
            }
        }
    };
    let (addr, reason) = timeout(GUARD, learns).await.expect("it is not told");
    assert_eq!(addr, stage.addr());
    assert!(reason.to_lowercase().contains("unknown"), "{reason}");
    stage.refused("unknown_issuer").await;
    stage.gossips_on().await;
}

pub(crate) async fn a_revoked_member_is_cut_off_by_a_reload<W: Wire>(wire: W) {
    let ca = ClusterCa::generate(CLUSTER).unwrap();
    let of_bob = ca.issue("bob").unwrap();
    let papers = TlsConfig::builder().der(material(&ca, "alice", &[])).build().unwrap();
    let alice = start(&wire, "alice", papers.clone(), &[]).await;
    let seeds = alice.local_addrs().to_vec();
    let bob = start(&wire, "bob", of_bob.tls_config().unwrap(), &seeds).await;
    let carol = start(&wire, "carol", identity(&ca, "carol"), &seeds).await;
    for node in [&alice, &bob, &carol] {
        until("all see all", || node.snapshot().live_nodes().count() == 3).await;
    }
    let revoked = super::stage::revocation_list(&ca, &[&of_bob], 1);
    papers.update(material(&ca, "alice", &[]).with_crls(vec![revoked])).unwrap();
    until("bob is refused", || {
        alice.stats().transport.identities_refused.get("revoked").is_some_and(|count| *count > 0)
    })
    .await;
    // Bob still gossips with carol, so alice goes on hearing of him; but from him she hears nothing.
    let before = alice.stats().transport.identities_refused.get("revoked").copied();
    until("bob is refused again", || {
        alice.stats().transport.identities_refused.get("revoked").copied() > before
    })
    .await;
    drop(carol);
    until("bob is dead for alice", || {
        let state = alice.snapshot();
        state.node("bob").is_some_and(|state| state.status() == NodeStatus::Dead)
    })
    .await;
}

/// webpki takes the first list of an issuer that it is given: the order must not matter.
pub(crate) async fn of_two_revocation_lists_the_newer_counts_in_any_order<W: Wire>(wire: W) {
    let mut stage = Stage::new(wire).await;
    let of_mallory = stage.ca.issue("mallory").unwrap();
    let older = super::stage::revocation_list(&stage.ca, &[], 1);
    let newer = super::stage::revocation_list(&stage.ca, &[&of_mallory], 2);
    for lists in [vec![older.clone(), newer.clone()], vec![newer, older]] {
        let papers = TlsConfig::builder()
            .der(material(&stage.ca, "carol", &[]).with_crls(lists))
            .build()
            .unwrap();
        let carol = start(&stage.wire, "carol", papers, &[]).await;
        let mallory = open(&stage.wire, "mallory", of_mallory.tls_config().unwrap(), any());
        let mallory = mallory.await;
        let to = Destination::addr(carol.local_addrs()[0]);
        until("mallory is refused", || {
            let _ = mallory.sender.send(&to, Bytes::from_static(b"let me in"));
            let refused = carol.stats().transport.identities_refused;
            refused.get("revoked").is_some_and(|count| *count > 0)
        })
        .await;
        carol.shutdown().await.unwrap();
    }
    stage.gossips_on().await;
}

pub(crate) async fn a_connection_ends_when_the_certificate_of_its_peer_expires<W: Wire>(wire: W) {
    let stage = Stage::new(wire).await;
    let seeds = [stage.addr()];
    // Long enough to join on a slow machine.
    let brief = super::stage::brief_identity(&stage.ca, "carol", Duration::from_secs(6));
    let carol = start(&stage.wire, "carol", brief, &seeds).await;
    let live = || {
        let state = stage.alice.snapshot();
        state.node("carol").is_some_and(|state| state.status() == NodeStatus::Alive)
    };
    until("carol is live", live).await;
    stage.refused("expired").await;
    until("carol is dead", || !live()).await;
    drop(carol);
}
