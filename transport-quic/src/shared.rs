//! What the two halves of the transport and all its tasks have in common.

mod news;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chitchat_tls::{Credentials, NodeTls};
use chitchat_transport::{Destination, InboxSender, SendError, TransportStats, UnreachableReason};
use chitchat_transport_links::{
    AdmissionLimits, CloseCode, Hub, HubOptions, Link as _, Linked as _, Peer,
};
use quinn::ConnectionError;
use tokio::sync::watch;

use crate::code::varint;
use crate::config::QuicConfig;
use crate::dial;
use crate::ending::{Cause, cause};
use crate::link::{Established, QuicLink, drive};
use crate::quinn_tasks::QuinnTasks;
use crate::setup::Setup;

/// One socket that is listened on.
#[derive(Debug, Clone)]
pub(crate) struct Ear {
    pub(crate) local: SocketAddr,
    pub(crate) endpoint: quinn::Endpoint,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) hub: Hub<QuicLink>,
    pub(crate) config: QuicConfig,
    pub(crate) tls: NodeTls,
    pub(crate) setup: Setup,
    /// How many sockets are open.
    pub(crate) sockets: watch::Sender<usize>,
    /// Changes when a datagram could not be sent, for those who wait for an answer to it.
    pub(crate) send_failures: watch::Sender<Option<(SocketAddr, UnreachableReason)>>,
    /// Where datagrams could not be sent because there is no way from the address that they have to
    /// come from; looked at by the janitor.
    unroutable: Mutex<HashSet<SocketAddr>>,
    ears: Mutex<Vec<Ear>>,
    pub(crate) quinn_tasks: Arc<QuinnTasks>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is done under these locks leaves nothing half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(
        config: QuicConfig,
        tls: NodeTls,
        locals: Vec<SocketAddr>,
        inbox: InboxSender,
        sockets: watch::Sender<usize>,
    ) -> Self {
        let hub = HubOptions {
            own_id: tls.node_id().into(),
            locals,
            max_message_len: config.max_message_len,
            send_queue_bytes: config.send_queue_bytes,
            send_queue_bytes_total: config.send_queue_bytes_total,
            admission: AdmissionLimits {
                unproven: config.max_unproven_handshakes,
                total: config.max_handshakes,
                per_network: config.max_handshakes_per_network,
            },
        };
        Self {
            hub: Hub::new(hub, inbox),
            setup: Setup::new(&config),
            config,
            tls,
            sockets,
            send_failures: watch::Sender::new(None),
            unroutable: Mutex::default(),
            ears: Mutex::default(),
            quinn_tasks: Arc::default(),
        }
    }

    pub(crate) fn set_ears(&self, ears: Vec<Ear>) {
        *lock(&self.ears) = ears;
    }

    pub(crate) fn ears(&self) -> Vec<Ear> {
        lock(&self.ears).clone()
    }

    /// Ends everything of ours at once. The sockets close when quinn's tasks have ended.
    pub(crate) fn end(&self, code: CloseCode) {
        self.hub.end(code);
        self.hub.end_tasks();
        for ear in lock(&self.ears).drain(..) {
            ear.endpoint.close(varint(code), b"");
        }
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

    /// Takes in a connection whose peer's identity was verified, and drives it.
    pub(crate) fn admit(self: &Arc<Self>, established: Established, reached: Option<&Peer>) {
        let (token, queue) = self.hub.new_link();
        let link = Arc::new(QuicLink::new(token, established, queue));
        if !self.hub.admit(&link, reached) {
            return;
        }
        let (peer, remote) = (link.node_id(), link.remote());
        let dialled = link.dialled().is_some();
        tracing::debug!(%peer, %remote, dialled, token, "quic: connected");
        let shared = Arc::clone(self);
        self.hub.spawn(async move {
            let (error, unsent) = drive(Arc::clone(&link), Arc::clone(&shared)).await;
            shared.ended(&link, &error, unsent);
        });
    }

    /// A connection has ended.
    fn ended(self: &Arc<Self>, link: &Arc<QuicLink>, error: &ConnectionError, unsent: Vec<Bytes>) {
        self.hub.connections().remove(link.token());
        let (node_id, remote) = (link.node_id(), link.remote());
        let by_us = link.dialled().is_some();
        let cause = cause(error, link.is_confirmed(), by_us);
        tracing::debug!(peer = %node_id, %remote, %error, token = link.token(), "quic: connection ended");
        let news = &self.hub.news;
        match cause {
            Cause::Orderly => {}
            Cause::Rejected(reason) => {
                self.hub.rejected(link.dialled().unwrap_or(remote), Some(node_id), reason);
                news.counters.dropped_sending.add(unsent.len() as u64);
                return;
            }
            Cause::Lost(name) => {
                news.failure(name);
                let reason = UnreachableReason::ConnectionLost;
                news.unreachable(remote, Some(Arc::clone(node_id)), reason);
            }
        }
        let to_dial = self.hub.reroute(link, unsent);
        self.dial(to_dial);
    }

    pub(crate) fn credentials(&self) -> Arc<Credentials> {
        self.tls.current()
    }

    pub(crate) fn stats(&self) -> TransportStats {
        let mut stats = self.hub.stats();
        stats.credentials_expire_at = Some(self.credentials().not_after());
        stats
    }
}
