//! What the two halves of the transport and all its tasks have in common.

mod news;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chitchat_tls::{Credentials, NodeTls};
use chitchat_transport::{
    AddressFamily, Destination, InboxGauge, InboxSender, SendError, TransportCounters,
    TransportStats, UnreachableReason,
};
use quinn::ConnectionError;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::admission::Admission;
use crate::backoff::Backoffs;
use crate::bucket::Buckets;
use crate::code::CloseCode;
use crate::config::QuicConfig;
use crate::dial;
use crate::ending::{Cause, cause};
use crate::link::{Ending, Established, Link, drive};
use crate::queue::{SendQueue, TotalBytes};
use crate::quinn_tasks::QuinnTasks;
use crate::registry::{Fate, Linked as _, Registry};
use crate::reports::Reports;
use crate::setup::Setup;
use crate::waiting::{Peer, WaitingRoom};

/// A connection that drains is closed after this at the latest.
const DRAIN_FOR: Duration = Duration::from_secs(10);
/// For whoever did not dial it: the one that did is to have closed it by then. The two ends may
/// disagree about which of two that were dialled at once is the newer one, and must not close both.
const PEER_DRAINS_FOR: Duration = Duration::from_secs(15);

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
pub(crate) struct Connections {
    pub(crate) registry: Registry<Link>,
    pub(crate) waiting: WaitingRoom,
    pub(crate) backoffs: Backoffs,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: QuicConfig,
    pub(crate) locals: Vec<SocketAddr>,
    pub(crate) tls: NodeTls,
    pub(crate) setup: Setup,
    pub(crate) admission: Admission,
    pub(crate) counters: TransportCounters,
    pub(crate) reports: Reports,
    pub(crate) buckets: Buckets,
    pub(crate) phase: watch::Sender<Phase>,
    /// How many sockets are open.
    pub(crate) sockets: watch::Sender<usize>,
    /// Changes when a datagram could not be sent, for those who wait for an answer to it.
    pub(crate) send_failures: watch::Sender<Option<(SocketAddr, UnreachableReason)>>,
    /// Where datagrams could not be sent because there is no way from the address that they have to
    /// come from; looked at by the janitor.
    unroutable: Mutex<HashSet<SocketAddr>>,
    connections: Mutex<Connections>,
    ears: Mutex<Vec<Ear>>,
    tasks: Mutex<JoinSet<()>>,
    pub(crate) quinn_tasks: Arc<QuinnTasks>,
    /// Taken away on closing, so that the receiving half ends.
    inbox: Mutex<Option<InboxSender>>,
    gauge: InboxGauge,
    queued: Arc<TotalBytes>,
    next_token: AtomicU64,
    runtime: Handle,
    span: tracing::Span,
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
        let connections = Connections {
            registry: Registry::new(tls.node_id().into()),
            waiting: WaitingRoom::new(config.send_queue_bytes, Arc::clone(&queued)),
            backoffs: Backoffs::default(),
        };
        Self {
            setup: Setup::new(&config),
            admission: Admission::new(&config),
            config,
            locals,
            tls,
            counters: TransportCounters::default(),
            reports: Reports::default(),
            buckets: Buckets::default(),
            phase: watch::Sender::new(Phase::Open),
            sockets,
            send_failures: watch::Sender::new(None),
            unroutable: Mutex::default(),
            connections: Mutex::new(connections),
            ears: Mutex::default(),
            tasks: Mutex::default(),
            quinn_tasks: Arc::default(),
            gauge: inbox.gauge(),
            inbox: Mutex::new(Some(inbox)),
            queued,
            next_token: AtomicU64::new(1),
            runtime: Handle::current(),
            span: tracing::Span::current(),
        }
    }

    pub(crate) fn connections(&self) -> MutexGuard<'_, Connections> {
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
        let mut tasks = lock(&self.tasks);
        // Those that have ended, so that they do not pile up.
        while tasks.try_join_next().is_some() {}
        if *self.phase.borrow() != Phase::Closed {
            tasks.spawn_on(task.instrument(self.span.clone()), &self.runtime);
        }
    }

    /// Ends everything of ours at once. The sockets close when quinn's tasks have ended.
    pub(crate) fn end(&self, code: CloseCode) {
        self.phase.send_replace(Phase::Closed);
        lock(&self.tasks).abort_all();
        let unsent = {
            let mut connections = self.connections();
            let mut unsent = connections.waiting.clear();
            for (link, _) in connections.registry.iter() {
                unsent += link.queue.close().len();
                link.close(code, "");
            }
            unsent
        };
        self.counters.dropped_sending.add(unsent as u64);
        for ear in lock(&self.ears).drain(..) {
            ear.endpoint.close(code.varint(), b"");
        }
        *lock(&self.inbox) = None;
    }

    /// Forgets all connections, whose tasks have been ended.
    pub(crate) fn forget_connections(&self) {
        let mut connections = self.connections();
        let tokens: Vec<u64> = connections.registry.iter().map(|(link, _)| link.token()).collect();
        for token in tokens {
            connections.registry.remove(token);
        }
    }

    pub(crate) fn send(self: &Arc<Self>, to: &Destination, bytes: Bytes) -> Result<(), SendError> {
        let result = self.try_send(to, bytes);
        if let Err(error) = &result {
            self.counters.refused(error);
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
        let mut connections = self.connections();
        let mut message = bytes;
        while let Some(link) = connections.serving(to).map(Arc::clone) {
            match link.queue.push(message) {
                Ok(()) => return Ok(()),
                Err((SendError::Closed, back)) => {
                    // It has just ended, and its task has not told yet.
                    connections.remove(link.token());
                    message = back;
                }
                Err((error, _)) => return Err(error),
            }
        }
        let (peer, addrs) = self.whom(to).ok_or(SendError::NoUsableAddress)?;
        if connections.waiting.push(&peer, addrs, message)? {
            drop(connections);
            self.spawn(dial::reach(Arc::clone(self), peer));
        }
        Ok(())
    }

    /// Whom to dial for a destination, and where.
    fn whom(&self, to: &Destination) -> Option<(Peer, Vec<SocketAddr>)> {
        let mut addrs: Vec<SocketAddr> =
            to.addrs().iter().copied().filter(|addr| self.has_family(*addr)).collect();
        if addrs.is_empty() {
            // The peer may listen where it once spoke from. It has to prove who it is.
            let remote = to.reply_path().map(|path| path.remote());
            addrs.extend(remote.filter(|addr| to.node_id().is_some() && self.has_family(*addr)));
        }
        let peer = match to.node_id() {
            Some(node_id) => Peer::Node(Arc::clone(node_id)),
            None => Peer::Addr(*addrs.first()?),
        };
        (!addrs.is_empty()).then_some((peer, addrs))
    }

    fn has_family(&self, addr: SocketAddr) -> bool {
        let family = AddressFamily::of(addr);
        self.locals.iter().any(|local| AddressFamily::of(*local) == family)
    }

    /// Takes in a connection whose peer's identity was verified, and drives it.
    pub(crate) fn admit(self: &Arc<Self>, established: Established, reached: Option<&Peer>) {
        let token = self.next_token.fetch_add(1, Ordering::Relaxed);
        let queue = SendQueue::new(self.config.send_queue_bytes, Arc::clone(&self.queued));
        let link = Arc::new(Link::new(token, established, queue));
        let node_id = Arc::clone(link.node_id());
        let remote = link.remote();
        let dialled = link.dialled().is_some();
        self.counters.connections_opened.add(1);
        let mut connections = self.connections();
        if !self.is_open() {
            drop(connections);
            link.close(CloseCode::ShuttingDown, "");
            return;
        }
        let fates = connections.registry.admit(Arc::clone(&link));
        let now = Instant::now();
        for fate in fates {
            match fate {
                Fate::Drains(token) => {
                    if let Some(link) = connections.registry.get(token) {
                        let by_us = link.dialled().is_some();
                        let deadline = now + if by_us { DRAIN_FOR } else { PEER_DRAINS_FOR };
                        link.set_ending(Ending { code: CloseCode::Duplicate, by_us, deadline });
                    }
                }
                Fate::Closes(token) => {
                    if let Some(link) = connections.registry.get(token) {
                        link.close(CloseCode::Duplicate, "");
                    }
                }
            }
        }
        let serving = connections.registry.of_token(token).map_or(&link, |link| link);
        let serving = Arc::clone(serving);
        let mut messages = connections.waiting.take_messages(&Peer::Node(Arc::clone(&node_id)));
        if let Some(peer) = reached {
            messages.extend(connections.waiting.remove(peer));
        }
        for message in messages {
            if serving.queue.push(message).is_err() {
                self.counters.dropped_sending.add(1);
            }
        }
        drop(connections);
        tracing::debug!(peer = %node_id, %remote, dialled, token, "quic: connected");
        let shared = Arc::clone(self);
        self.spawn(async move {
            let (error, unsent) = drive(Arc::clone(&link), Arc::clone(&shared)).await;
            shared.ended(&link, &error, unsent);
        });
    }

    /// A connection has ended.
    fn ended(self: &Arc<Self>, link: &Arc<Link>, error: &ConnectionError, unsent: Vec<Bytes>) {
        self.connections().remove(link.token());
        let (node_id, remote) = (link.node_id(), link.remote());
        let by_us = link.dialled().is_some();
        let cause = cause(error, link.is_confirmed(), by_us);
        tracing::debug!(peer = %node_id, %remote, %error, token = link.token(), "quic: connection ended");
        match cause {
            Cause::Orderly => {}
            Cause::Rejected(reason) => {
                self.rejected(link.dialled().unwrap_or(remote), Some(node_id), reason);
                self.counters.dropped_sending.add(unsent.len() as u64);
                return;
            }
            Cause::Lost(name) => {
                self.failure(name);
                let reason = UnreachableReason::ConnectionLost;
                self.unreachable(remote, Some(Arc::clone(node_id)), reason);
            }
        }
        // What was not begun to be sent may go another way.
        let to = Destination::node(Arc::clone(node_id), [link.dialled().unwrap_or(remote)]);
        for message in unsent {
            if self.try_send(&to, message).is_err() {
                self.counters.dropped_sending.add(1);
            }
        }
    }

    pub(crate) fn credentials(&self) -> Arc<Credentials> {
        self.tls.current()
    }

    pub(crate) fn stats(&self) -> TransportStats {
        let mut stats = self.counters.snapshot();
        stats.send_queue_bytes = self.queued.get();
        stats.receive_queue_bytes = self.gauge.queued_bytes();
        stats.connections = self.connections().registry.len();
        stats.credentials_expire_at = Some(self.credentials().not_after());
        stats
    }
}

impl Connections {
    /// A connection has ended.
    fn remove(&mut self, token: u64) {
        if let Some(link) = self.registry.remove(token) {
            link.set_serving();
        }
    }

    /// The connection that serves for a destination.
    fn serving(&self, to: &Destination) -> Option<&Arc<Link>> {
        // Also while it drains: the peer has shown that this way works, of another one that is not known.
        let by_path = to.reply_path().and_then(|path| self.registry.get(path.token()));
        let meant = |link: &&Arc<Link>| to.node_id().is_none_or(|id| id == link.node_id());
        if let Some(link) = by_path.filter(meant) {
            return Some(link);
        }
        match to.node_id() {
            Some(node_id) => self.registry.of_node(node_id),
            None => to.addrs().first().and_then(|addr| self.registry.of_addr(*addr)),
        }
    }
}
