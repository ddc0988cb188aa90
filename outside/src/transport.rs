//! The contract: opening, sending, closing.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chitchat_transport::{
    Destination, Inbox, InboxLimits, News, OpenError, OpenOptions, SendError, Transport,
    TransportSender, TransportStats, inbox,
};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::connection;
use crate::frame::MAX_MESSAGE;
use crate::queue::{Queue, queue};
use crate::switchboard::{Listener, Switchboard};

/// Connections of both directions. Memory is what they take, so that strangers get no more.
const MAX_CONNECTIONS: usize = 1_024;
/// For writing what is queued when the transport is closed.
const FLUSH_FOR: Duration = Duration::from_secs(1);

/// Framed messages over streams.
#[derive(Debug, Clone)]
pub struct PipeTransport {
    switchboard: Switchboard,
}

impl PipeTransport {
    /// A transport for one node of this network.
    #[must_use]
    pub fn new(switchboard: &Switchboard) -> Self {
        Self { switchboard: switchboard.clone() }
    }
}

/// The sending half.
#[derive(Debug)]
pub struct PipeSender {
    shared: Arc<Shared>,
}

/// What the tasks and the sending half have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) switchboard: Switchboard,
    pub(crate) news: News,
    locals: Vec<SocketAddr>,
    /// `None` once it is closed.
    open: Mutex<Option<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    listeners: JoinSet<()>,
    tasks: JoinSet<()>,
    /// Counts up, so that the way back along a connection that is gone leads nowhere.
    last_id: u64,
    connections: HashMap<u64, Queue>,
    /// The connection that we dialled to whoever has these addresses.
    dialled: HashMap<Arc<[SocketAddr]>, u64>,
}

impl Transport for PipeTransport {
    type Sender = PipeSender;
    type Receiver = Inbox;

    async fn open(self, options: OpenOptions) -> Result<(PipeSender, Inbox), OpenError> {
        if options.listen.is_empty() {
            return Err(OpenError::NoListenAddress);
        }
        let mut listeners = Vec::new();
        for addr in options.listen {
            let bound = self.switchboard.listen(addr);
            listeners.push(bound.map_err(|source| OpenError::Bind { addr, source })?);
        }
        let (sender, receiver) = inbox(InboxLimits::default());
        let shared = Arc::new(Shared {
            switchboard: self.switchboard,
            news: News::new(sender),
            locals: listeners.iter().map(Listener::addr).collect(),
            open: Mutex::new(Some(Open::default())),
        });
        if let Some(open) = shared.open().as_mut() {
            for listener in listeners {
                open.listeners.spawn(listen(Arc::clone(&shared), listener));
            }
        }
        Ok((PipeSender { shared }, receiver))
    }
}

async fn listen(shared: Arc<Shared>, mut listener: Listener) {
    while let Some((from, stream)) = listener.accept().await {
        let mut open = shared.open();
        let Some(open) = open.as_mut().filter(|open| open.connections.len() < MAX_CONNECTIONS)
        else {
            shared.news.failure("too many connections");
            continue;
        };
        let (id, queue, waiting) = open.next();
        open.connections.insert(id, queue);
        open.spawn(connection::accepted(Arc::clone(&shared), id, from, stream, waiting));
    }
}

impl Open {
    fn next(&mut self) -> (u64, Queue, crate::queue::Waiting) {
        self.last_id += 1;
        let (queue, waiting) = queue();
        (self.last_id, queue, waiting)
    }

    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        // Those that have ended, so that they do not pile up.
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(task);
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection is over. What was queued for it may be taken out afterwards.
    pub(crate) fn forget(&self, id: u64) {
        if let Some(open) = self.open().as_mut() {
            open.connections.remove(&id);
            open.dialled.retain(|_, dialled| *dialled != id);
        }
    }

    /// Pairs of an address of ours and one of theirs, of one family.
    fn ways(&self, to: &Destination) -> Vec<(SocketAddr, SocketAddr)> {
        let own = |addr: &SocketAddr| {
            let own = self.locals.iter().find(|own| own.is_ipv4() == addr.is_ipv4())?;
            Some((*own, *addr))
        };
        to.addrs().iter().filter_map(own).collect()
    }

    fn send(self: &Arc<Self>, to: &Destination, message: Bytes) -> Result<(), SendError> {
        let mut open = self.open();
        let open = open.as_mut().ok_or(SendError::Closed)?;
        let back = to.reply_path().and_then(|path| open.connections.get(&path.token()));
        if let Some(queue) = back {
            return queue.push(message);
        }
        let dialled = open.dialled.get(to.addrs()).and_then(|id| open.connections.get(id));
        if let Some(queue) = dialled {
            return queue.push(message);
        }
        let ways = self.ways(to);
        if ways.is_empty() {
            return Err(SendError::NoUsableAddress);
        }
        if open.connections.len() >= MAX_CONNECTIONS {
            return Err(SendError::QueueFull);
        }
        let (id, queue, waiting) = open.next();
        queue.push(message)?;
        open.connections.insert(id, queue);
        open.dialled.insert(Arc::clone(to.addrs()), id);
        let node_id = to.node_id().cloned();
        open.spawn(connection::dial(Arc::clone(self), id, node_id, ways, waiting));
        Ok(())
    }
}

impl TransportSender for PipeSender {
    fn send(&self, to: &Destination, message: Bytes) -> Result<(), SendError> {
        self.shared.news.may_send(message.len(), MAX_MESSAGE)?;
        let sent = self.shared.send(to, message);
        sent.inspect_err(|error| self.shared.news.counters.refused(error))
    }

    fn preferred_message_len(&self) -> usize {
        64 << 10
    }

    fn max_message_len(&self) -> usize {
        MAX_MESSAGE
    }

    /// Half of them for those that we dial, and half for those that dial us.
    fn peer_capacity(&self) -> Option<usize> {
        Some(MAX_CONNECTIONS / 2)
    }

    fn local_addrs(&self) -> Vec<SocketAddr> {
        self.shared.locals.clone()
    }

    fn stats(&self) -> TransportStats {
        let mut stats = self.shared.news.stats();
        if let Some(open) = self.shared.open().as_ref() {
            stats.connections = open.connections.len();
            stats.send_queue_bytes = open.connections.values().map(Queue::bytes).sum();
        }
        stats
    }

    async fn close(&self) {
        self.shared.news.close();
        let Some(Open { mut listeners, mut tasks, .. }) = self.shared.open().take() else { return };
        // Now the addresses are free, and the queues end: what is in them is written.
        listeners.shutdown().await;
        let _ = timeout(FLUSH_FOR, async { while tasks.join_next().await.is_some() {} }).await;
        tasks.shutdown().await;
    }
}

impl Drop for PipeSender {
    /// Nothing is waited for: the tasks end with what holds them.
    fn drop(&mut self) {
        self.shared.news.close();
        drop(self.shared.open().take());
    }
}
