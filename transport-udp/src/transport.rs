//! The contract, implemented over UDP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chitchat_transport::{
    Destination, Inbound, Inbox, InboxLimits, OpenError, OpenOptions, SendError, Transport,
    TransportReceiver, TransportSender, TransportStats, canonical, inbox,
};
use tokio::time::Instant;

use crate::config::{PlainUdpConfig, PlainUdpConfigError};
use crate::endpoint::Endpoint;
use crate::shared::{Phase, Shared};
use crate::socket::{OpenSocket, RealSockets};

/// As many addresses as a node can advertise.
const MAX_LISTEN_ADDRS: usize = 8;
/// For sending what is queued when the transport is closed.
const FLUSH_FOR: Duration = Duration::from_secs(1);

/// UDP without authentication and without encryption. See the [crate's documentation](crate) for
/// where that is acceptable.
///
/// It has to be opened in a tokio runtime with I/O and time enabled.
#[derive(Debug, Clone, Default)]
pub struct PlainUdpTransport {
    config: PlainUdpConfig,
}

impl PlainUdpTransport {
    /// With the default configuration.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With this configuration.
    ///
    /// # Errors
    ///
    /// If a setting is out of its limits.
    pub fn with_config(config: PlainUdpConfig) -> Result<Self, PlainUdpConfigError> {
        config.validate()?;
        Ok(Self { config })
    }

    /// Opens with sockets of any making, so that tests can inject errors.
    pub(crate) fn open_with<O: OpenSocket>(
        self,
        opener: O,
        options: &OpenOptions,
    ) -> Result<(PlainUdpSender, PlainUdpReceiver), OpenError> {
        match options.listen.len() {
            0 => return Err(OpenError::NoListenAddress),
            count if count > MAX_LISTEN_ADDRS => {
                return Err(OpenError::TooManyListenAddresses { count, limit: MAX_LISTEN_ADDRS });
            }
            _ => {}
        }
        let mut sockets = Vec::new();
        for addr in options.listen.iter().copied().map(canonical) {
            let opened = opener.open(addr).map_err(|source| OpenError::Bind { addr, source })?;
            sockets.push(opened);
        }
        let (inbox_sender, inbox) = inbox(InboxLimits {
            entries: self.config.receive_queue_messages,
            bytes: self.config.receive_queue_bytes,
        });
        let locals = sockets.iter().map(|(_, local)| *local).collect();
        let shared = Arc::new(Shared::new(self.config, locals, inbox_sender.gauge()));
        let opener = Arc::new(opener);
        for (index, (socket, local)) in sockets.into_iter().enumerate() {
            let (shared, inbox, opener) =
                (Arc::clone(&shared), inbox_sender.clone(), Arc::clone(&opener));
            Endpoint::spawn(index, socket, local, shared, inbox, opener);
        }
        tracing::debug!(node_id = %options.node_id, listening = ?shared.locals, "udp: open");
        Ok((PlainUdpSender { shared }, PlainUdpReceiver { inbox }))
    }
}

impl Transport for PlainUdpTransport {
    type Sender = PlainUdpSender;
    type Receiver = PlainUdpReceiver;

    async fn open(self, options: OpenOptions) -> Result<(Self::Sender, Self::Receiver), OpenError> {
        let opener = RealSockets { buffer_bytes: self.config.socket_buffer_bytes };
        self.open_with(opener, &options)
    }
}

/// The sending half.
#[derive(Debug)]
pub struct PlainUdpSender {
    shared: Arc<Shared>,
}

impl TransportSender for PlainUdpSender {
    fn send(&self, to: &Destination, message: Bytes) -> Result<(), SendError> {
        self.shared.send(to, message)
    }

    fn preferred_message_len(&self) -> usize {
        self.shared.config.preferred_message_len
    }

    fn max_message_len(&self) -> usize {
        self.shared.config.max_message_len
    }

    fn local_addrs(&self) -> Vec<SocketAddr> {
        self.shared.locals.clone()
    }

    fn stats(&self) -> TransportStats {
        self.shared.stats()
    }

    async fn close(&self) {
        let flushing = Phase::Flushing(Instant::now() + FLUSH_FOR);
        self.shared.phase.send_if_modified(|phase| {
            let open = *phase == Phase::Open;
            if open {
                *phase = flushing;
            }
            open
        });
        let mut running = self.shared.running.subscribe();
        // It cannot fail while we hold the sender of this watch.
        let _ = running.wait_for(|running| *running == 0).await;
    }
}

impl Drop for PlainUdpSender {
    fn drop(&mut self) {
        self.shared.phase.send_replace(Phase::Closed);
    }
}

/// The receiving half.
#[derive(Debug)]
pub struct PlainUdpReceiver {
    inbox: Inbox,
}

impl TransportReceiver for PlainUdpReceiver {
    async fn recv(&mut self) -> Option<Inbound> {
        self.inbox.recv().await
    }

    fn try_recv(&mut self) -> Option<Inbound> {
        self.inbox.try_recv()
    }
}
