//! The contract, implemented by the network in memory.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::MemoryNetwork;
use super::endpoint::Next;
use super::network::EndpointId;
use crate::contract::{OpenOptions, Transport, TransportReceiver, TransportSender};
use crate::destination::Destination;
use crate::error::{OpenError, SendError};
use crate::inbound::Inbound;
use crate::inbox::InboxLimits;
use crate::stats::TransportStats;

/// One node's access to a [`MemoryNetwork`].
///
/// Message lengths are those of UDP by default: 1,400 bytes preferred, 65,507 at most.
#[derive(Debug, Clone)]
pub struct MemoryTransport {
    network: MemoryNetwork,
    host_ips: Vec<IpAddr>,
    preferred: usize,
    max: usize,
    queue: InboxLimits,
}

impl MemoryTransport {
    pub(super) fn new(network: MemoryNetwork) -> Self {
        Self {
            network,
            host_ips: Vec::new(),
            preferred: 1_400,
            max: 65_507,
            queue: InboxLimits::default(),
        }
    }

    /// With these preferred and maximum message lengths. The maximum is at least 1, and the
    /// preferred length is cut to it.
    #[must_use]
    pub fn with_message_lens(self, preferred: usize, max: usize) -> Self {
        let max = max.max(1);
        Self { preferred: preferred.clamp(1, max), max, ..self }
    }

    /// What an unspecified listen address stands for on this host: the first IP address of the
    /// same family.
    #[must_use]
    pub fn with_host_ips(self, ips: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { host_ips: ips.into_iter().map(|ip| ip.to_canonical()).collect(), ..self }
    }

    /// With this limit on what is under way to the node or waits to be read.
    #[must_use]
    pub fn with_receive_queue(self, limits: InboxLimits) -> Self {
        Self { queue: limits, ..self }
    }
}

impl Transport for MemoryTransport {
    type Sender = MemorySender;
    type Receiver = MemoryReceiver;

    async fn open(self, options: OpenOptions) -> Result<(Self::Sender, Self::Receiver), OpenError> {
        let Self { network, host_ips, preferred, max, queue } = self;
        let (id, wake) = {
            let mut state = network.lock();
            let id = state.bind(&options.listen, &host_ips, max, queue)?;
            let wake = state.endpoint(id).map(|endpoint| Arc::clone(&endpoint.wake));
            (id, wake.unwrap_or_default())
        };
        let receiver = MemoryReceiver { network: network.clone(), id, wake };
        Ok((MemorySender { network, id, preferred, max }, receiver))
    }
}

/// The sending half.
#[derive(Debug)]
pub struct MemorySender {
    network: MemoryNetwork,
    id: EndpointId,
    preferred: usize,
    max: usize,
}

impl MemorySender {
    /// The addresses at which the rest of the network sees this node, in the order of
    /// [`local_addrs`](TransportSender::local_addrs). They differ from those where the node
    /// listens on an unspecified address. Empty once the transport is closed and unread.
    #[must_use]
    pub fn network_addrs(&self) -> Vec<SocketAddr> {
        let mut state = self.network.lock();
        state.endpoint(self.id).map(|endpoint| endpoint.network.clone()).unwrap_or_default()
    }
}

impl TransportSender for MemorySender {
    fn send(&self, to: &Destination, message: Bytes) -> Result<(), SendError> {
        self.network.lock().send(self.id, to, message)
    }

    fn preferred_message_len(&self) -> usize {
        self.preferred
    }

    fn max_message_len(&self) -> usize {
        self.max
    }

    fn local_addrs(&self) -> Vec<SocketAddr> {
        let mut state = self.network.lock();
        state.endpoint(self.id).map(|endpoint| endpoint.bound.clone()).unwrap_or_default()
    }

    fn stats(&self) -> TransportStats {
        let mut state = self.network.lock();
        let Some(endpoint) = state.endpoint(self.id) else { return TransportStats::default() };
        let mut stats = endpoint.stats.clone();
        stats.receive_queue_bytes = endpoint.queued_bytes();
        stats
    }

    async fn close(&self) {
        self.network.lock().close(self.id);
    }
}

impl Drop for MemorySender {
    fn drop(&mut self) {
        self.network.lock().close(self.id);
    }
}

/// The receiving half.
#[derive(Debug)]
pub struct MemoryReceiver {
    network: MemoryNetwork,
    id: EndpointId,
    wake: Arc<Notify>,
}

impl TransportReceiver for MemoryReceiver {
    async fn recv(&mut self) -> Option<Inbound> {
        loop {
            let next = self.network.lock().next(self.id, Instant::now());
            match next {
                Next::Ready(inbound) => return Some(inbound),
                Next::Closed => return None,
                Next::Empty => self.wake.notified().await,
                // Either way there may be something to read: a message that is due earlier than
                // the one we wait for ends the wait too.
                Next::Later(at) => {
                    let _ = timeout_at(at, self.wake.notified()).await;
                }
            }
        }
    }

    fn try_recv(&mut self) -> Option<Inbound> {
        match self.network.lock().next(self.id, Instant::now()) {
            Next::Ready(inbound) => Some(inbound),
            Next::Later(_) | Next::Empty | Next::Closed => None,
        }
    }
}

impl Drop for MemoryReceiver {
    fn drop(&mut self) {
        self.network.lock().stop_reading(self.id);
    }
}
