//! chitchat 0.13 as it is published.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chitchat_original::transport::{
    ChannelTransport, RecvOutcome, SendOutcome, Socket, Transport, UdpTransport,
};
use chitchat_original::{
    ChitchatConfig, ChitchatEnvelope, ChitchatHandle, ChitchatId, FailureDetectorConfig,
    ProtocolVersion, spawn_chitchat,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::subject::{NodeSpec, OnChange, Peer, Subject, Traffic, TransportKind};

/// The limit of a datagram over IPv4.
const MAX_DATAGRAM: usize = 65_507;
/// As by default in what it is built into, and in ours.
const DEAD_GRACE: Duration = Duration::from_secs(24 * 3_600);
const TOMBSTONE_GRACE: Duration = Duration::from_secs(2 * 3_600);

/// With the wire format that it has by default, or with its compressed one.
pub(crate) struct Original<const COMPRESSED: bool>;

#[derive(Default)]
struct Counters {
    messages: AtomicU64,
    bytes: AtomicU64,
    longest: AtomicU64,
    errors: AtomicU64,
}

/// Decides which messages are lost.
struct Loss {
    share: f64,
    dice: StdRng,
}

impl Loss {
    fn strikes(&mut self) -> bool {
        self.share > 0.0 && self.dice.random_bool(self.share)
    }
}

/// A transport of the library, and what goes through it.
#[derive(Clone)]
pub(crate) struct Counted {
    inner: Arc<dyn Transport>,
    counters: Arc<Counters>,
    loss: Arc<Mutex<Loss>>,
}

struct CountedSocket {
    inner: Box<dyn Socket>,
    counters: Arc<Counters>,
    loss: Arc<Mutex<Loss>>,
}

#[async_trait]
impl Transport for Counted {
    async fn open(&self, addr: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let inner = self.inner.open(addr).await?;
        Ok(Box::new(CountedSocket {
            inner,
            counters: self.counters.clone(),
            loss: self.loss.clone(),
        }))
    }
}

#[async_trait]
impl Socket for CountedSocket {
    fn local_addr(&self) -> anyhow::Result<SocketAddr> {
        self.inner.local_addr()
    }

    async fn send(
        &mut self,
        to: SocketAddr,
        envelope: ChitchatEnvelope,
    ) -> anyhow::Result<SendOutcome> {
        let lost = lock(&self.loss).strikes();
        let outcome = if lost {
            // Its length is known to nobody but the library.
            Ok(SendOutcome { num_bytes_sent: 0 })
        } else {
            self.inner.send(to, envelope).await
        };
        match &outcome {
            Ok(sent) => {
                let bytes = sent.num_bytes_sent as u64;
                self.counters.messages.fetch_add(1, Relaxed);
                self.counters.bytes.fetch_add(bytes, Relaxed);
                self.counters.longest.fetch_max(bytes, Relaxed);
            }
            Err(_) => {
                self.counters.errors.fetch_add(1, Relaxed);
            }
        }
        outcome
    }

    async fn recv(&mut self) -> anyhow::Result<RecvOutcome> {
        self.inner.recv().await
    }
}

fn lock(loss: &Mutex<Loss>) -> MutexGuard<'_, Loss> {
    loss.lock().unwrap_or_else(PoisonError::into_inner)
}

fn id_of(peer: &Peer) -> ChitchatId {
    ChitchatId::new(peer.node_id.as_str(), peer.generation, peer.addr)
}

impl<const COMPRESSED: bool> Subject for Original<COMPRESSED> {
    const NAME: &'static str = if COMPRESSED { "chitchat 0.13.0, V1" } else { "chitchat 0.13.0" };
    type Network = Counted;
    type Node = ChitchatHandle;

    fn network(kind: TransportKind, seed: u64) -> anyhow::Result<Counted> {
        let inner: Arc<dyn Transport> = match kind {
            TransportKind::Memory => Arc::new(ChannelTransport::with_mtu(MAX_DATAGRAM)),
            TransportKind::Udp => Arc::new(UdpTransport),
            TransportKind::Quic => anyhow::bail!("the original has no QUIC"),
        };
        let loss = Loss { share: 0.0, dice: StdRng::seed_from_u64(seed) };
        Ok(Counted { inner, counters: Arc::default(), loss: Arc::new(Mutex::new(loss)) })
    }

    fn traffic(network: &Counted, _nodes: &[ChitchatHandle]) -> Traffic {
        let Counters { messages, bytes, longest, errors, .. } = &*network.counters;
        Traffic {
            messages: messages.load(Relaxed),
            bytes: bytes.load(Relaxed),
            longest: longest.load(Relaxed),
            errors: errors.load(Relaxed),
        }
    }

    fn set_loss(network: &Counted, share: f64) {
        lock(&network.loss).share = share;
    }

    fn connections(_nodes: &[ChitchatHandle]) -> usize {
        0
    }

    fn preparations(_network: &Counted) -> Duration {
        Duration::ZERO
    }

    async fn spawn(network: &Counted, spec: NodeSpec) -> anyhow::Result<ChitchatHandle> {
        let config = ChitchatConfig {
            chitchat_id: id_of(&spec.peer),
            cluster_id: "benches".to_owned(),
            gossip_interval: spec.interval,
            listen_addr: spec.peer.addr,
            seed_nodes: spec.seeds.iter().map(SocketAddr::to_string).collect(),
            failure_detector_config: FailureDetectorConfig {
                initial_interval: spec.interval,
                dead_node_grace_period: DEAD_GRACE,
                ..FailureDetectorConfig::default()
            },
            marked_for_deletion_grace_period: TOMBSTONE_GRACE,
            catchup_callback: None,
            extra_liveness_predicate: None,
            protocol_version: if COMPRESSED { ProtocolVersion::V1 } else { ProtocolVersion::V0 },
        };
        spawn_chitchat(config, spec.key_values, network).await
    }

    async fn kill(node: ChitchatHandle) {
        node.abort();
    }

    async fn live(node: &ChitchatHandle) -> usize {
        node.with_chitchat(|chitchat| chitchat.live_nodes().count()).await
    }

    async fn dead(node: &ChitchatHandle) -> usize {
        node.with_chitchat(|chitchat| chitchat.dead_nodes().count()).await
    }

    async fn known(node: &ChitchatHandle) -> usize {
        node.with_chitchat(|chitchat| chitchat.node_states().len()).await
    }

    async fn has_ended(node: &ChitchatHandle) -> bool {
        // Comes to an end only once the server has, panics included.
        tokio::time::timeout(Duration::from_millis(1), node.termination_watcher()).await.is_ok()
    }

    async fn is_live(node: &ChitchatHandle, peer: &Peer) -> bool {
        let id = id_of(peer);
        node.with_chitchat(|chitchat| chitchat.live_nodes().any(|live| *live == id)).await
    }

    async fn keys(node: &ChitchatHandle) -> usize {
        node.with_chitchat(|chitchat| {
            chitchat.node_states().values().map(|state| state.num_key_values()).sum()
        })
        .await
    }

    async fn version(node: &ChitchatHandle, peer: &Peer) -> u64 {
        let id = id_of(peer);
        node.with_chitchat(|chitchat| {
            chitchat.node_state(&id).map_or(0, |state| state.max_version())
        })
        .await
    }

    async fn set(node: &ChitchatHandle, key: String, value: String) {
        let chitchat = node.chitchat();
        chitchat.lock().await.self_node_state().set(key, value);
    }

    async fn on_change(node: &ChitchatHandle, prefix: &str, callback: OnChange) {
        let chitchat = node.chitchat();
        let chitchat = chitchat.lock().await;
        // The key comes without the prefix.
        let listener = chitchat.subscribe_event(prefix, move |event| {
            callback(&event.node.node_id, event.key, event.value);
        });
        listener.forever();
    }
}
