//! What the two halves of the transport and all its tasks have in common.

mod news;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chitchat_tls::{Credentials, NodeTls};
use chitchat_transport::{Destination, InboxSender, SendError, TransportStats, UnreachableReason};
use chitchat_transport_links::{
    Admission, AdmissionLimits, Buckets, CloseCode, Connections, HandOver, Link as _, Linked as _,
    News, Peer, SendQueue, Tasks, TotalBytes,
};
use quinn::ConnectionError;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::code::varint;
use crate::config::QuicConfig;
use crate::dial;
use crate::ending::{Cause, cause};
use crate::link::{Established, QuicLink, drive};
use crate::quinn_tasks::QuinnTasks;
use crate::setup::Setup;

/// Whether the transport goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    /// What is queued is sent; nothing new is taken.
    Closing,
    Closed,
}

/// One socket that is listened on.
#[derive(Debug, Clone)]
pub(crate) struct Ear {
    pub(crate) local: SocketAddr,
    pub(crate) endpoint: quinn::Endpoint,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: QuicConfig,
    pub(crate) locals: Vec<SocketAddr>,
    pub(crate) tls: NodeTls,
    pub(crate) setup: Setup,
    pub(crate) admission: Admission,
    pub(crate) news: News,
    pub(crate) buckets: Buckets,
    pub(crate) phase: watch::Sender<Phase>,
    /// How many sockets are open.
    pub(crate) sockets: watch::Sender<usize>,
    /// Changes when a datagram could not be sent, for those who wait for an answer to it.
    pub(crate) send_failures: watch::Sender<Option<(SocketAddr, UnreachableReason)>>,
    /// Where datagrams could not be sent because there is no way from the address that they have to
    /// come from; looked at by the janitor.
    unroutable: Mutex<HashSet<SocketAddr>>,
    connections: Mutex<Connections<QuicLink>>,
    ears: Mutex<Vec<Ear>>,
    tasks: Tasks,
    pub(crate) quinn_tasks: Arc<QuinnTasks>,
    queued: Arc<TotalBytes>,
    next_token: AtomicU64,
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
        let queued = TotalBytes::new(config.send_queue_bytes_total);
        let own_id = tls.node_id().into();
        let connections = Connections::new(own_id, config.send_queue_bytes, Arc::clone(&queued));
        Self {
            setup: Setup::new(&config),
            admission: Admission::new(AdmissionLimits {
                unproven: config.max_unproven_handshakes,
                total: config.max_handshakes,
                per_network: config.max_handshakes_per_network,
            }),
            config,
            locals,
            tls,
            news: News::new(inbox),
            buckets: Buckets::default(),
            phase: watch::Sender::new(Phase::Open),
            sockets,
            send_failures: watch::Sender::new(None),
            unroutable: Mutex::default(),
            connections: Mutex::new(connections),
            ears: Mutex::default(),
            tasks: Tasks::new(),
            quinn_tasks: Arc::default(),
            queued,
            next_token: AtomicU64::new(1),
        }
    }

    pub(crate) fn connections(&self) -> MutexGuard<'_, Connections<QuicLink>> {
        lock(&self.connections)
    }

    pub(crate) fn set_ears(&self, ears: Vec<Ear>) {
        *lock(&self.ears) = ears;
    }

    pub(crate) fn ears(&self) -> Vec<Ear> {
        lock(&self.ears).clone()
    }

    pub(crate) fn is_open(&self) -> bool {
        *self.phase.borrow() == Phase::Open
    }

    /// Starts a task that ends with the transport.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Ends everything of ours at once. The sockets close when quinn's tasks have ended.
    pub(crate) fn end(&self, code: CloseCode) {
        self.phase.send_replace(Phase::Closed);
        self.tasks.end();
        let unsent = self.connections().close(code);
        self.news.counters.dropped_sending.add(unsent as u64);
        for ear in lock(&self.ears).drain(..) {
            ear.endpoint.close(varint(code), b"");
        }
        self.news.close();
    }

    pub(crate) fn send(self: &Arc<Self>, to: &Destination, bytes: Bytes) -> Result<(), SendError> {
        let result = self.try_send(to, bytes);
        if let Err(error) = &result {
            self.news.counters.refused(error);
        }
        result
    }

    fn try_send(self: &Arc<Self>, to: &Destination, bytes: Bytes) -> Result<(), SendError> {
        if !self.is_open() {
            return Err(SendError::Closed);
        }
        let (len, limit) = (bytes.len(), self.config.max_message_len);
        if len > limit {
            return Err(SendError::TooLarge { len, limit });
        }
        let handed = self.connections().hand_over(to, bytes, &self.locals)?;
        if let HandOver::Dial(peer) = handed {
            self.spawn(dial::reach(Arc::clone(self), peer));
        }
        Ok(())
    }

    /// Takes in a connection whose peer's identity was verified, and drives it.
    pub(crate) fn admit(self: &Arc<Self>, established: Established, reached: Option<&Peer>) {
        let token = self.next_token.fetch_add(1, Ordering::Relaxed);
        let queue = SendQueue::new(self.config.send_queue_bytes, Arc::clone(&self.queued));
        let link = Arc::new(QuicLink::new(token, established, queue));
        let node_id = Arc::clone(link.node_id());
        let remote = link.remote();
        let dialled = link.dialled().is_some();
        self.news.counters.connections_opened.add(1);
        let mut connections = self.connections();
        if !self.is_open() {
            drop(connections);
            link.close(CloseCode::ShuttingDown, "");
            return;
        }
        let dropped = connections.admit(&link, reached, Instant::now());
        drop(connections);
        self.news.counters.dropped_sending.add(dropped as u64);
        tracing::debug!(peer = %node_id, %remote, dialled, token, "quic: connected");
        let shared = Arc::clone(self);
        self.spawn(async move {
            let (error, unsent) = drive(Arc::clone(&link), Arc::clone(&shared)).await;
            shared.ended(&link, &error, unsent);
        });
    }

    /// A connection has ended.
    fn ended(self: &Arc<Self>, link: &Arc<QuicLink>, error: &ConnectionError, unsent: Vec<Bytes>) {
        self.connections().remove(link.token());
        let (node_id, remote) = (link.node_id(), link.remote());
        let by_us = link.dialled().is_some();
        let cause = cause(error, link.is_confirmed(), by_us);
        tracing::debug!(peer = %node_id, %remote, %error, token = link.token(), "quic: connection ended");
        match cause {
            Cause::Orderly => {}
            Cause::Rejected(reason) => {
                self.rejected(link.dialled().unwrap_or(remote), Some(node_id), reason);
                self.news.counters.dropped_sending.add(unsent.len() as u64);
                return;
            }
            Cause::Lost(name) => {
                self.news.failure(name);
                let reason = UnreachableReason::ConnectionLost;
                self.news.unreachable(remote, Some(Arc::clone(node_id)), reason);
            }
        }
        // What was not begun to be sent may go another way.
        let to = Destination::node(Arc::clone(node_id), [link.dialled().unwrap_or(remote)]);
        for message in unsent {
            if self.try_send(&to, message).is_err() {
                self.news.counters.dropped_sending.add(1);
            }
        }
    }

    pub(crate) fn credentials(&self) -> Arc<Credentials> {
        self.tls.current()
    }

    pub(crate) fn stats(&self) -> TransportStats {
        let mut stats = self.news.stats();
        stats.send_queue_bytes = self.queued.get();
        stats.connections = self.connections().len();
        stats.credentials_expire_at = Some(self.credentials().not_after());
        stats
    }
}
