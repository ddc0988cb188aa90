//! The library of this workspace.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use chitchat::quic::QuicTransport;
use chitchat::tls::ClusterCa;
use chitchat::transport::memory::{Conditions, MemoryNetwork};
use chitchat::udp::PlainUdpTransport;
use chitchat::{ChitchatConfig, ChitchatHandle, KeyEvent, NodeStatus};

use crate::machine::thread_time;
use crate::subject::{NodeSpec, OnChange, Peer, Subject, Traffic, TransportKind};

pub(crate) struct Ours;

const CLUSTER: &str = "benches";

pub(crate) enum Network {
    Memory(MemoryNetwork),
    Udp,
    Quic {
        ca: Box<ClusterCa>,
        /// Processor time that certificates took, in nanoseconds.
        issuing: AtomicU64,
    },
}

impl Subject for Ours {
    const NAME: &'static str = "chitchat";
    type Network = Network;
    type Node = ChitchatHandle;

    fn network(kind: TransportKind, seed: u64) -> anyhow::Result<Network> {
        Ok(match kind {
            TransportKind::Memory => Network::Memory(MemoryNetwork::new(seed)),
            TransportKind::Udp => Network::Udp,
            TransportKind::Quic => {
                let ca = Box::new(ClusterCa::generate(CLUSTER)?);
                Network::Quic { ca, issuing: AtomicU64::new(0) }
            }
        })
    }

    fn traffic(network: &Network, nodes: &[ChitchatHandle]) -> Traffic {
        match network {
            Network::Memory(network) => {
                let stats = network.stats();
                Traffic {
                    messages: stats.messages_sent,
                    bytes: stats.bytes_sent,
                    longest: stats.longest_message as u64,
                    errors: stats.dropped_mtu + stats.dropped_queue_full,
                }
            }
            Network::Udp | Network::Quic { .. } => {
                nodes.iter().fold(Traffic::default(), |sum, node| {
                    let stats = node.stats();
                    let errors = stats.send_errors;
                    Traffic {
                        messages: sum.messages + stats.transport.messages_sent,
                        bytes: sum.bytes + stats.transport.bytes_sent,
                        // Not told by sockets.
                        longest: 0,
                        errors: sum.errors + errors.queue_full + errors.too_large + errors.other,
                    }
                })
            }
        }
    }

    fn set_loss(network: &Network, share: f64) {
        if let Network::Memory(network) = network {
            network.set_conditions(Conditions::default().with_loss(share));
        }
    }

    fn connections(nodes: &[ChitchatHandle]) -> usize {
        nodes.iter().map(|node| node.stats().transport.connections).sum()
    }

    fn preparations(network: &Network) -> Duration {
        match network {
            Network::Quic { issuing, .. } => Duration::from_nanos(issuing.load(Relaxed)),
            _ => Duration::ZERO,
        }
    }

    async fn spawn(network: &Network, spec: NodeSpec) -> anyhow::Result<ChitchatHandle> {
        let node_id = spec.peer.node_id;
        let builder = ChitchatConfig::builder(CLUSTER, &*node_id);
        let builder = match spec.push_fanout {
            Some(peers) => builder.push_fanout(peers),
            None => builder,
        };
        let config = builder
            .listen([spec.peer.addr])
            .seeds(spec.seeds.iter().map(SocketAddr::to_string))
            .gossip_interval(spec.interval)
            .generation_id(spec.peer.generation)
            .initial_key_values(spec.key_values)
            .tokio_clock()
            .build()?;
        Ok(match network {
            Network::Memory(network) => chitchat::spawn(config, network.transport()).await?,
            Network::Udp => chitchat::spawn(config, PlainUdpTransport::new()).await?,
            Network::Quic { ca, issuing } => {
                let begin = thread_time();
                let identity = ca.issue(&node_id)?.tls_config()?;
                let took = (thread_time() - begin).as_nanos();
                issuing.fetch_add(u64::try_from(took)?, Relaxed);
                chitchat::spawn(config, QuicTransport::new(identity)).await?
            }
        })
    }

    async fn kill(node: ChitchatHandle) {
        // Without leaving: nobody is told. Fails only if the node has ended already.
        let _ = node.shutdown().await;
    }

    async fn live(node: &ChitchatHandle) -> usize {
        node.snapshot().live_nodes().count()
    }

    async fn dead(node: &ChitchatHandle) -> usize {
        node.snapshot().dead_nodes().count()
    }

    async fn known(node: &ChitchatHandle) -> usize {
        node.snapshot().len()
    }

    async fn has_ended(node: &ChitchatHandle) -> bool {
        node.is_closed()
    }

    async fn is_live(node: &ChitchatHandle, peer: &Peer) -> bool {
        let snapshot = node.snapshot();
        snapshot.node(&peer.node_id).is_some_and(|state| {
            state.status() == NodeStatus::Alive && state.id().generation_id == peer.generation
        })
    }

    async fn keys(node: &ChitchatHandle) -> usize {
        node.snapshot().nodes().map(|state| state.num_key_values()).sum()
    }

    async fn version(node: &ChitchatHandle, peer: &Peer) -> u64 {
        node.snapshot().node(&peer.node_id).map_or(0, |state| state.max_version())
    }

    async fn set(node: &ChitchatHandle, key: String, value: String) {
        node.set(key, value).expect("a short value");
    }

    async fn on_change(node: &ChitchatHandle, prefix: &str, callback: OnChange) {
        let mut changes = node.subscribe(prefix);
        tokio::spawn(async move {
            while let Some(change) = changes.next().await {
                if let Ok(KeyEvent::Set { owner, key, value, .. }) = change {
                    callback(&owner.node_id, &key, &value);
                }
            }
        });
    }
}
