//! The nodes of the demonstration.

use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use chitchat::quic::QuicTransport;
use chitchat::tcp::{PlainTcpTransport, TlsTcpTransport};
use chitchat::tls::ClusterCa;
use chitchat::udp::PlainUdpTransport;
use chitchat::{ChitchatConfig, ChitchatHandle, ClusterStateSnapshot};

use crate::args::{Args, TransportKind};

/// Nothing here takes this long; a step that does has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nodes of one cluster do not talk to those of another, whatever certificates they have.
const CLUSTER_ID: &str = "quickstart";

/// The error of a step, in words.
pub(crate) type StepError = Box<dyn std::error::Error + Send + Sync>;

/// A cluster in this process. A node that was killed or has left is `None`.
pub(crate) struct Cluster {
    args: Args,
    /// Says who belongs to the cluster, where that has to be proved.
    ca: ClusterCa,
    listen: Vec<&'static str>,
    seed: Vec<SocketAddr>,
    nodes: Vec<Option<ChitchatHandle>>,
}

/// Both loopback addresses, or the first alone on a machine without IPv6.
fn loopback_addrs() -> Vec<&'static str> {
    let ipv6 = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if ipv6 { vec!["127.0.0.1:0", "[::1]:0"] } else { vec!["127.0.0.1:0"] }
}

/// Name of the node at a position.
pub(crate) fn name(index: usize) -> String {
    format!("node-{index}")
}

impl Cluster {
    pub(crate) fn new(args: &Args) -> Result<Cluster, StepError> {
        Ok(Cluster {
            args: args.clone(),
            ca: ClusterCa::generate(CLUSTER_ID)?,
            listen: loopback_addrs(),
            seed: Vec::new(),
            nodes: Vec::new(),
        })
    }

    pub(crate) fn listen(&self) -> &[&'static str] {
        &self.listen
    }

    /// Starts the node at a position. The first one becomes the seed of the others.
    pub(crate) async fn start(&mut self, index: usize) -> Result<(), StepError> {
        let config = ChitchatConfig::builder(CLUSTER_ID, name(index))
            .listen(self.listen.iter().copied())
            .seeds(self.seed.iter().map(SocketAddr::to_string))
            .gossip_interval(Duration::from_millis(self.args.interval))
            .initial_key_values([("role", if index == 0 { "seed" } else { "worker" })])
            .build()?;
        let node = match self.args.transport {
            TransportKind::Quic => {
                let identity = self.ca.issue(&name(index))?.tls_config()?;
                chitchat::spawn(config, QuicTransport::new(identity)).await?
            }
            TransportKind::TcpTls => {
                let identity = self.ca.issue(&name(index))?.tls_config()?;
                chitchat::spawn(config, TlsTcpTransport::new(identity)).await?
            }
            TransportKind::Tcp => chitchat::spawn(config, PlainTcpTransport::new()).await?,
            TransportKind::Udp => chitchat::spawn(config, PlainUdpTransport::new()).await?,
        };
        if index == 0 {
            self.seed = node.local_addrs().to_vec();
        }
        if index == self.nodes.len() {
            self.nodes.push(Some(node));
        } else if let Some(slot) = self.nodes.get_mut(index) {
            *slot = Some(node);
        }
        Ok(())
    }

    /// The running nodes with their positions.
    pub(crate) fn running(&self) -> impl Iterator<Item = (usize, &ChitchatHandle)> {
        self.nodes.iter().enumerate().filter_map(|(index, node)| Some((index, node.as_ref()?)))
    }

    pub(crate) fn node(&self, index: usize) -> Result<&ChitchatHandle, StepError> {
        let node = self.nodes.get(index).and_then(Option::as_ref);
        node.ok_or_else(|| format!("{} does not run", name(index)).into())
    }

    /// Takes the node at a position out of the cluster, to end it.
    pub(crate) fn take(&mut self, index: usize) -> Result<ChitchatHandle, StepError> {
        let node = self.nodes.get_mut(index).and_then(Option::take);
        node.ok_or_else(|| format!("{} does not run", name(index)).into())
    }

    /// Waits until every running node sees the cluster like that; returns how long it took.
    pub(crate) async fn until_all_see(
        &self,
        since: Instant,
        condition: impl Fn(&ClusterStateSnapshot) -> bool,
    ) -> Result<Duration, StepError> {
        loop {
            let waiting = self.running().find(|(_, node)| !condition(&node.snapshot()));
            let Some((index, node)) = waiting else { return Ok(since.elapsed()) };
            if node.is_closed() {
                return Err(format!("the driver of {} has ended", name(index)).into());
            }
            if since.elapsed() > PATIENCE {
                return Err(format!("{} has not seen it in {PATIENCE:?}", name(index)).into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Ends all nodes.
    pub(crate) async fn shutdown(&mut self) {
        for node in self.nodes.iter_mut().filter_map(Option::take) {
            // The demonstration is over: how each node ends does not matter any more.
            let _ = node.shutdown().await;
        }
    }
}
