//! The transport and its two halves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
#[cfg(feature = "tls")]
use chitchat_tls::TlsConfig;
use chitchat_transport::{
    Destination, Inbound, Inbox, InboxLimits, OpenError, OpenOptions, SendError, Transport,
    TransportReceiver, TransportSender, TransportStats, canonical, inbox,
};
use chitchat_transport_links::CloseCode;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::accept::{self, Ear};
use crate::config::{TcpConfig, TcpConfigError};
use crate::janitor;
use crate::preface::MAX_NODE_ID_LEN;
use crate::security::Security;
use crate::shared::Shared;

/// As many as a node can advertise.
const MAX_LISTEN_ADDRS: usize = 8;
/// For sending what is queued when the transport closes.
const FLUSH_FOR: Duration = Duration::from_secs(1);
/// For peers to be told. It takes a round trip where there is somebody at the other end.
const TELL_FOR: Duration = Duration::from_millis(300);
/// For the runtime to let go of the sockets.
const RELEASE_FOR: Duration = Duration::from_secs(5);

/// TCP without authentication and without encryption. See the [crate's documentation](crate) for
/// where that is acceptable.
///
/// It has to be opened in a tokio runtime with I/O and time enabled.
#[derive(Debug, Clone, Default)]
pub struct PlainTcpTransport {
    config: TcpConfig,
}

impl PlainTcpTransport {
    /// With the default settings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With settings of your own.
    ///
    /// # Errors
    ///
    /// [`TcpConfigError`] names the setting that is out of its limits.
    pub fn with_config(config: TcpConfig) -> Result<Self, TcpConfigError> {
        config.validate()?;
        Ok(Self { config })
    }
}

/// TCP with mutual TLS 1.3, over IPv4 and IPv6.
///
/// ```no_run
/// use chitchat_tls::TlsConfig;
/// use chitchat_transport_tcp::TlsTcpTransport;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let identity = TlsConfig::from_pem_files("ca.pem", "node.pem", "node.key")?;
/// let transport = TlsTcpTransport::new(identity);
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "tls")]
#[derive(Debug, Clone)]
pub struct TlsTcpTransport {
    identity: TlsConfig,
    config: TcpConfig,
}

#[cfg(feature = "tls")]
impl TlsTcpTransport {
    /// With the default settings. `identity` is this node's certificate and what it trusts.
    #[must_use]
    pub fn new(identity: TlsConfig) -> Self {
        Self { identity, config: TcpConfig::default() }
    }

    /// With settings of your own.
    ///
    /// # Errors
    ///
    /// [`TcpConfigError`] names the setting that is out of its limits.
    pub fn with_config(identity: TlsConfig, config: TcpConfig) -> Result<Self, TcpConfigError> {
        config.validate()?;
        Ok(Self { identity, config })
    }
}

/// The node id does not fit into what ends of connections say of themselves.
#[derive(Debug, thiserror::Error)]
#[error("the node id has {0} bytes; give it 1 to {MAX_NODE_ID_LEN}")]
struct BadNodeId(usize);

fn open(
    config: TcpConfig,
    security: Security,
    options: &OpenOptions,
) -> Result<(TcpSender, TcpReceiver), OpenError> {
    let count = options.listen.len();
    if count == 0 {
        return Err(OpenError::NoListenAddress);
    }
    if count > MAX_LISTEN_ADDRS {
        return Err(OpenError::TooManyListenAddresses { count, limit: MAX_LISTEN_ADDRS });
    }
    let node_id = Arc::clone(&options.node_id);
    if !(1..=MAX_NODE_ID_LEN).contains(&node_id.len()) {
        return Err(OpenError::Config(Box::new(BadNodeId(node_id.len()))));
    }
    let listeners = watch::Sender::new(0);
    let mut ears = Vec::with_capacity(count);
    for addr in options.listen.iter().copied().map(canonical) {
        let ear = Ear::open(addr, &listeners);
        ears.push(ear.map_err(|source| OpenError::Bind { addr, source })?);
    }
    let locals: Vec<SocketAddr> = ears.iter().map(Ear::local).collect();
    let (inbox_sender, inbox) = inbox(InboxLimits {
        entries: config.receive_queue_messages,
        bytes: config.receive_queue_bytes,
    });
    let shared = Arc::new(Shared::new(config, security, node_id, locals, listeners, inbox_sender));
    for ear in ears {
        shared.hub.spawn(accept::listen(Arc::clone(&shared), ear));
    }
    shared.hub.spawn(janitor::tend(Arc::clone(&shared)));
    #[cfg(feature = "tls")]
    if let Some(tls) = shared.security.tls().cloned() {
        let teller = Arc::clone(&shared);
        shared.hub.spawn(async move {
            tls.run(move |event| {
                if let Some(report) = chitchat_transport_links::credentials_report(event) {
                    teller.hub.news.tell(chitchat_transport::Report::Credentials(report));
                }
            })
            .await;
        });
    }
    tracing::debug!(node_id = %options.node_id, listening = ?shared.hub.locals, "tcp: open");
    Ok((TcpSender { shared }, TcpReceiver { inbox }))
}

impl Transport for PlainTcpTransport {
    type Sender = TcpSender;
    type Receiver = TcpReceiver;

    async fn open(self, options: OpenOptions) -> Result<(TcpSender, TcpReceiver), OpenError> {
        open(self.config, Security::None, &options)
    }
}

#[cfg(feature = "tls")]
impl Transport for TlsTcpTransport {
    type Sender = TcpSender;
    type Receiver = TcpReceiver;

    async fn open(self, options: OpenOptions) -> Result<(TcpSender, TcpReceiver), OpenError> {
        let tls = self.identity.bind(&options.cluster_id, &options.node_id);
        let tls = tls.map_err(|error| OpenError::Config(Box::new(error)))?;
        open(self.config, Security::Tls(tls), &options)
    }
}

/// The sending half.
#[derive(Debug)]
pub struct TcpSender {
    shared: Arc<Shared>,
}

impl TransportSender for TcpSender {
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
        self.shared.hub.locals.clone()
    }

    fn peer_capacity(&self) -> Option<usize> {
        Some(self.shared.config.max_connections)
    }

    fn stats(&self) -> TransportStats {
        self.shared.stats()
    }

    async fn close(&self) {
        let hub = &self.shared.hub;
        if hub.close(FLUSH_FOR).await {
            hub.end(CloseCode::ShuttingDown);
            let told = async {
                while !hub.connections().is_empty() {
                    sleep(Duration::from_millis(2)).await;
                }
            };
            // Those that are not there are not told.
            let _ = timeout(TELL_FOR, told).await;
            hub.end_tasks();
        }
        let mut listeners = self.shared.listeners.subscribe();
        // Ends at once if the sockets are closed already.
        let _ = timeout(RELEASE_FOR, listeners.wait_for(|open| *open == 0)).await;
    }
}

impl Drop for TcpSender {
    fn drop(&mut self) {
        self.shared.end();
    }
}

/// The receiving half.
#[derive(Debug)]
pub struct TcpReceiver {
    inbox: Inbox,
}

impl TransportReceiver for TcpReceiver {
    async fn recv(&mut self) -> Option<Inbound> {
        self.inbox.recv().await
    }

    fn try_recv(&mut self) -> Option<Inbound> {
        self.inbox.try_recv()
    }
}

#[cfg(test)]
mod tests;
