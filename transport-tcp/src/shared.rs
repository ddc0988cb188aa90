//! What the two halves of the transport and all its tasks have in common.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chitchat_transport::{Destination, InboxSender, SendError, TransportStats, UnreachableReason};
use chitchat_transport_links::{
    AdmissionLimits, CloseCode, Hub, HubOptions, Link as _, Linked as _, Peer,
};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::TcpConfig;
use crate::dial;
use crate::ending::End;
use crate::link::{Established, TcpLink, drive};
use crate::preface::Preface;
use crate::security::Security;

/// A connection that we dialled and that ends before that is a dial that has failed.
const LASTS_FROM: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) hub: Hub<TcpLink>,
    pub(crate) config: TcpConfig,
    pub(crate) security: Security,
    /// How many sockets are listened on.
    pub(crate) listeners: watch::Sender<usize>,
    own_id: Arc<str>,
}

impl Shared {
    pub(crate) fn new(
        config: TcpConfig,
        security: Security,
        own_id: Arc<str>,
        locals: Vec<SocketAddr>,
        listeners: watch::Sender<usize>,
        inbox: InboxSender,
    ) -> Self {
        let hub = HubOptions {
            own_id: Arc::clone(&own_id),
            locals,
            max_message_len: config.max_message_len,
            send_queue_bytes: config.send_queue_bytes,
            send_queue_bytes_total: config.send_queue_bytes_total,
            admission: AdmissionLimits {
                // Whoever has connected receives what is sent to its address.
                unproven: 0,
                total: config.max_handshakes,
                per_network: config.max_handshakes_per_network,
            },
        };
        Self { hub: Hub::new(hub, inbox), config, security, listeners, own_id }
    }

    /// How we introduce ourselves where `local` is our end of a connection, or would be if we had
    /// been dialled.
    pub(crate) fn preface(&self, local: SocketAddr) -> Preface {
        Preface { node_id: Arc::clone(&self.own_id), listens_on: local.port() }
    }

    pub(crate) fn send(self: &Arc<Self>, to: &Destination, bytes: Bytes) -> Result<(), SendError> {
        let to_dial = self.hub.send(to, bytes)?;
        self.dial(to_dial);
        Ok(())
    }

    fn dial(self: &Arc<Self>, peer: Option<Peer>) {
        if let Some(peer) = peer {
            self.hub.spawn(dial::reach(Arc::clone(self), peer));
        }
    }

    /// Takes in a connection after its greeting, and drives it.
    pub(crate) fn admit(self: &Arc<Self>, established: Established, reached: Option<&Peer>) {
        let (token, queue) = self.hub.new_link();
        let (link, stream, came) = TcpLink::new(token, established, queue);
        let link = Arc::new(link);
        if !self.hub.admit(&link, reached) {
            return;
        }
        let (peer, remote) = (link.node_id(), link.remote());
        let dialled = link.dialled().is_some();
        tracing::debug!(%peer, %remote, dialled, token, "tcp: connected");
        let shared = Arc::clone(self);
        self.hub.spawn(async move {
            let (end, unsent) = drive(Arc::clone(&link), stream, came, Arc::clone(&shared)).await;
            shared.ended(&link, end, unsent);
        });
    }

    /// A connection has ended.
    fn ended(self: &Arc<Self>, link: &Arc<TcpLink>, end: End, unsent: Vec<Bytes>) {
        self.hub.connections().remove(link.token());
        let (node_id, remote) = (link.node_id(), link.remote());
        self.note_end(link, &end);
        tracing::debug!(peer = %node_id, %remote, ?end, token = link.token(), "tcp: connection ended");
        let news = &self.hub.news;
        match end {
            End::Ours | End::Theirs => {}
            End::Rejected(reason) => {
                self.hub.rejected(link.dialled().unwrap_or(remote), Some(node_id), reason);
                news.counters.dropped_sending.add(unsent.len() as u64);
                return;
            }
            End::Lost(name) => {
                news.failure(name);
                let reason = UnreachableReason::ConnectionLost;
                news.unreachable(remote, Some(Arc::clone(node_id)), reason);
            }
            End::Malformed(_) => {
                news.counters.dropped_malformed.add(1);
                news.failure("malformed frames");
            }
            End::TooSlow => news.failure("too slow"),
        }
        let to_dial = self.hub.reroute(link, unsent);
        self.dial(to_dial);
    }

    /// Whether an address may be dialled again at once. A peer that takes us in and hangs up would
    /// be dialled without a pause, for what it did not take.
    fn note_end(&self, link: &TcpLink, end: &End) {
        let Some(addr) = link.dialled() else { return };
        let now = Instant::now();
        let backoffs = &mut self.hub.connections().backoffs;
        if link.age(now) >= LASTS_FROM {
            backoffs.succeeded(addr, link.node_id());
        } else if !matches!(end, End::Ours | End::Rejected(_)) {
            backoffs.failed(addr, None, false, now);
        }
    }

    /// Ends everything of ours at once.
    pub(crate) fn end(&self) {
        self.hub.end(CloseCode::ShuttingDown);
        self.hub.end_tasks();
    }

    pub(crate) fn stats(&self) -> TransportStats {
        let mut stats = self.hub.stats();
        stats.credentials_expire_at = self.security.expires_at();
        stats
    }
}
