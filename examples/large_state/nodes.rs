//! The nodes and the network between them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chitchat::quic::QuicTransport;
use chitchat::tcp::{PlainTcpTransport, TlsTcpTransport};
use chitchat::tls::ClusterCa;
use chitchat::transport::memory::{Conditions, MemoryNetwork};
use chitchat::udp::PlainUdpTransport;
use chitchat::{ChitchatConfig, ChitchatHandle};

use crate::args::{Args, TransportKind};

/// Nodes of one cluster do not talk to those of another, whatever certificates they have.
const CLUSTER_ID: &str = "large-state";

/// An error in words.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Nothing here takes this long.
const PATIENCE: Duration = Duration::from_secs(600);

/// Message lengths of a stream transport: whatever is longer than a value takes no more than that.
const STREAM_MESSAGE_LENS: (usize, usize) = (64 << 10, (1 << 20) + (64 << 10));

pub(crate) const OWNER: &str = "owner";

/// Starts nodes that find each other.
pub(crate) struct Cluster {
    args: Args,
    /// Says who belongs to the cluster, where that has to be proved.
    ca: ClusterCa,
    network: MemoryNetwork,
    seed: Vec<SocketAddr>,
}

impl Cluster {
    pub(crate) fn new(args: &Args) -> Result<Cluster, Failure> {
        let network = MemoryNetwork::new(1);
        let mut conditions = Conditions::default();
        let latency = Duration::from_millis(args.latency);
        conditions.latency = latency / 2..=latency;
        conditions.reordering = f64::from(args.reordering) / 100.0;
        network.set_conditions(conditions);
        let ca = ClusterCa::generate(CLUSTER_ID)?;
        Ok(Cluster { args: args.clone(), ca, network, seed: Vec::new() })
    }

    pub(crate) fn interval(&self) -> Duration {
        Duration::from_millis(self.args.interval)
    }

    /// Starts a node. The first one becomes the seed of the others.
    pub(crate) async fn start(&mut self, name: &str) -> Result<ChitchatHandle, Failure> {
        let config = ChitchatConfig::builder(CLUSTER_ID, name)
            .listen(["127.0.0.1:0"])
            .seeds(self.seed.iter().map(SocketAddr::to_string))
            .gossip_interval(self.interval())
            .build()?;
        let node = match self.args.transport {
            TransportKind::Memory => {
                let (preferred, max) = STREAM_MESSAGE_LENS;
                let transport = self.network.transport().with_message_lens(preferred, max);
                chitchat::spawn(config, transport).await?
            }
            TransportKind::Quic => {
                let identity = self.ca.issue(name)?.tls_config()?;
                chitchat::spawn(config, QuicTransport::new(identity)).await?
            }
            TransportKind::TcpTls => {
                let identity = self.ca.issue(name)?.tls_config()?;
                chitchat::spawn(config, TlsTcpTransport::new(identity)).await?
            }
            TransportKind::Tcp => chitchat::spawn(config, PlainTcpTransport::new()).await?,
            TransportKind::Udp => chitchat::spawn(config, PlainUdpTransport::new()).await?,
        };
        if self.seed.is_empty() {
            self.seed = node.local_addrs().to_vec();
        }
        Ok(node)
    }
}

/// How much of the owner's log a node has.
pub(crate) fn version_of_owner(node: &ChitchatHandle) -> u64 {
    node.snapshot().node(OWNER).map_or(0, |state| state.max_version())
}

/// Waits until a node has the owner's log up to a version.
pub(crate) async fn until_it_has(
    node: &ChitchatHandle,
    version: u64,
    mut progress: impl FnMut(u64),
) -> Result<(), Failure> {
    let since = Instant::now();
    loop {
        let has = version_of_owner(node);
        if has >= version {
            return Ok(());
        }
        if let Some(reason) = node.close_reason() {
            return Err(format!("{} has ended: {reason}", node.id()).into());
        }
        if since.elapsed() > PATIENCE {
            return Err(format!("{} has only {has} of {version} versions", node.id()).into());
        }
        progress(has);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
