//! The transport and its two halves.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use chitchat_tls::TlsConfig;
use chitchat_transport::errno::Failure;
use chitchat_transport::{
    Destination, Inbound, Inbox, InboxLimits, OpenError, OpenOptions, Report, SendError, Transport,
    TransportReceiver, TransportSender, TransportStats, inbox,
};
use chitchat_transport_links::{CloseCode, credentials_report};
use quinn::Endpoint;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::accept;
use crate::config::{QuicConfig, QuicConfigError};
use crate::janitor;
use crate::reset_key::ResetKey;
use crate::setup::NoCipherSuite;
use crate::shared::{Ear, Shared};
use crate::socket::{BoundSocket, SocketObserver, SteadySocket};

/// As many as a node can advertise.
const MAX_LISTEN_ADDRS: usize = 8;
/// For sending what is queued when the transport closes.
const FLUSH_FOR: Duration = Duration::from_secs(1);
/// For peers to be told. It takes three round trips where there is somebody at the other end.
const TELL_FOR: Duration = Duration::from_millis(300);
/// For quinn to let go of the sockets, after peers were told or could not be told.
const RELEASE_FOR: Duration = Duration::from_secs(5);
/// Derives the key of stateless resets from the node's private key.
const RESET_LABEL: &[u8] = b"chitchat quic stateless reset v1";

/// QUIC with mutual TLS, over IPv4 and IPv6.
///
/// ```no_run
/// use chitchat_tls::TlsConfig;
/// use chitchat_transport_quic::QuicTransport;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let identity = TlsConfig::from_pem_files("ca.pem", "node.pem", "node.key")?;
/// let transport = QuicTransport::new(identity);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct QuicTransport {
    identity: TlsConfig,
    config: QuicConfig,
}

impl QuicTransport {
    /// With the default settings. `identity` is this node's certificate and what it trusts.
    #[must_use]
    pub fn new(identity: TlsConfig) -> Self {
        Self { identity, config: QuicConfig::default() }
    }

    /// With settings of your own.
    ///
    /// # Errors
    ///
    /// [`QuicConfigError`] names the setting that is out of its limits.
    pub fn with_config(identity: TlsConfig, config: QuicConfig) -> Result<Self, QuicConfigError> {
        config.validate()?;
        Ok(Self { identity, config })
    }
}

/// Does not keep the transport alive.
struct Observer(Weak<Shared>);

impl SocketObserver for Observer {
    fn send_failed(&self, to: SocketAddr, failure: Failure) {
        if let Some(shared) = self.0.upgrade() {
            shared.send_failed(to, failure);
        }
    }

    fn recv_failed(&self, failure: Failure) {
        if let Some(shared) = self.0.upgrade() {
            shared.recv_failed(failure);
        }
    }
}

fn config_error(error: impl std::error::Error + Send + Sync + 'static) -> OpenError {
    OpenError::Config(Box::new(error))
}

impl QuicTransport {
    fn open_now(self, options: &OpenOptions) -> Result<(QuicSender, QuicReceiver), OpenError> {
        let count = options.listen.len();
        if count == 0 {
            return Err(OpenError::NoListenAddress);
        }
        if count > MAX_LISTEN_ADDRS {
            return Err(OpenError::TooManyListenAddresses { count, limit: MAX_LISTEN_ADDRS });
        }
        let tls =
            self.identity.bind(&options.cluster_id, &options.node_id).map_err(config_error)?;
        let credentials = tls.current();
        let provider = Arc::clone(credentials.client_config(b"").crypto_provider());
        let reset_key = ResetKey::new(&provider, &tls.secret(RESET_LABEL));
        let reset_key = Arc::new(reset_key.ok_or(NoCipherSuite).map_err(config_error)?);
        let mut bound = Vec::with_capacity(count);
        for addr in &options.listen {
            let socket = BoundSocket::bind(*addr, self.config.socket_buffer_bytes);
            bound.push(socket.map_err(|source| OpenError::Bind { addr: *addr, source })?);
        }
        let locals: Vec<SocketAddr> = bound.iter().map(|socket| socket.local).collect();
        let limits = InboxLimits {
            entries: self.config.receive_queue_messages,
            bytes: self.config.receive_queue_bytes,
        };
        let (inbox_sender, inbox) = inbox(limits);
        let sockets = watch::Sender::new(0);
        let shared =
            Arc::new(Shared::new(self.config, tls, locals.clone(), inbox_sender, sockets.clone()));
        let server = shared.setup.server(&credentials).map_err(config_error)?;
        let mut ears = Vec::with_capacity(count);
        for socket in bound {
            let local = socket.local;
            let bind_error = |source| OpenError::Bind { addr: local, source };
            let observer = Arc::new(Observer(Arc::downgrade(&shared)));
            let socket =
                SteadySocket::new(socket, observer, sockets.clone()).map_err(bind_error)?;
            let config = shared.setup.endpoint(Arc::clone(&reset_key));
            let endpoint = Endpoint::new_with_abstract_socket(
                config,
                Some(server.clone()),
                Arc::new(socket),
                shared.quinn_tasks.clone(),
            );
            ears.push(Ear { local, endpoint: endpoint.map_err(bind_error)? });
        }
        shared.set_ears(ears.clone());
        let server = Arc::new(server);
        for ear in ears {
            shared.hub.spawn(accept::listen(Arc::clone(&shared), ear, Arc::clone(&server)));
        }
        shared.hub.spawn(janitor::tend(Arc::clone(&shared)));
        let (tls, teller) = (shared.tls.clone(), Arc::clone(&shared));
        shared.hub.spawn(async move {
            tls.run(move |event| {
                if let Some(report) = credentials_report(event) {
                    teller.hub.news.tell(Report::Credentials(report));
                }
            })
            .await;
        });
        Ok((QuicSender { shared }, QuicReceiver { inbox }))
    }
}

impl Transport for QuicTransport {
    type Sender = QuicSender;
    type Receiver = QuicReceiver;

    async fn open(self, options: OpenOptions) -> Result<(QuicSender, QuicReceiver), OpenError> {
        self.open_now(&options)
    }
}

/// The sending half.
#[derive(Debug)]
pub struct QuicSender {
    shared: Arc<Shared>,
}

impl TransportSender for QuicSender {
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
        let shared = &self.shared;
        if shared.hub.close(FLUSH_FOR).await {
            let ears = shared.ears();
            shared.end(CloseCode::ShuttingDown);
            let idle = async {
                for ear in &ears {
                    ear.endpoint.wait_idle().await;
                }
            };
            let _ = timeout(TELL_FOR, idle).await;
            shared.quinn_tasks.abort();
        }
        let mut sockets = shared.sockets.subscribe();
        // Ends at once if the sockets are closed already.
        let _ = timeout(RELEASE_FOR, sockets.wait_for(|open| *open == 0)).await;
    }
}

impl Drop for QuicSender {
    fn drop(&mut self) {
        self.shared.end(CloseCode::ShuttingDown);
    }
}

/// The receiving half.
#[derive(Debug)]
pub struct QuicReceiver {
    inbox: Inbox,
}

impl TransportReceiver for QuicReceiver {
    async fn recv(&mut self) -> Option<Inbound> {
        self.inbox.recv().await
    }

    fn try_recv(&mut self) -> Option<Inbound> {
        self.inbox.try_recv()
    }
}

#[cfg(test)]
mod tests;
