//! What the two halves of a transport and all its tasks have in common.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chitchat_transport::{Destination, InboxSender, News, SendError, TransportStats};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::admission::{Admission, AdmissionLimits};
use crate::bucket::Buckets;
use crate::code::CloseCode;
use crate::connections::{Connections, HandOver, NextDial};
use crate::ending::Link;
use crate::queue::{SendQueue, TotalBytes};
use crate::tasks::Tasks;
use crate::waiting::Peer;

/// Whether a transport goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "there are no others")]
pub enum Phase {
    /// It does.
    Open,
    /// What is queued is sent; nothing new is taken.
    Closing,
    /// Everything has ended.
    Closed,
}

/// What a [`Hub`] has to know.
#[derive(Debug)]
#[allow(clippy::exhaustive_structs, reason = "made by the transports")]
pub struct HubOptions {
    /// The node that the transport is for.
    pub own_id: Arc<str>,
    /// Where it listens, ports filled in.
    pub locals: Vec<SocketAddr>,
    /// Longest message that is sent.
    pub max_message_len: usize,
    /// Bytes that may wait to be sent to one peer.
    pub send_queue_bytes: usize,
    /// Bytes that may wait to be sent to all peers together.
    pub send_queue_bytes_total: usize,
    /// How many newcomers are taken in at once.
    pub admission: AdmissionLimits,
}

/// The middle of a transport: its connections, its tasks, and the way to its node.
#[derive(Debug)]
pub struct Hub<L> {
    /// Where the transport listens.
    pub locals: Vec<SocketAddr>,
    /// What the node, the counters and the log are told.
    pub news: News,
    /// How many messages of one peer.
    pub buckets: Buckets,
    /// How many newcomers.
    pub admission: Admission,
    max_message_len: usize,
    send_queue_bytes: usize,
    phase: watch::Sender<Phase>,
    connections: Mutex<Connections<L>>,
    tasks: Tasks,
    queued: Arc<TotalBytes>,
    next_token: AtomicU64,
}

impl<L: Link> Hub<L> {
    /// Open, without connections. To be called inside a runtime.
    #[must_use]
    pub fn new(options: HubOptions, inbox: InboxSender) -> Self {
        let HubOptions { own_id, locals, max_message_len, send_queue_bytes, .. } = options;
        let queued = TotalBytes::new(options.send_queue_bytes_total);
        Self {
            locals,
            news: News::new(inbox),
            buckets: Buckets::default(),
            admission: Admission::new(options.admission),
            max_message_len,
            send_queue_bytes,
            phase: watch::Sender::new(Phase::Open),
            connections: Mutex::new(Connections::new(
                own_id,
                send_queue_bytes,
                Arc::clone(&queued),
            )),
            tasks: Tasks::new(),
            queued,
            next_token: AtomicU64::new(1),
        }
    }

    /// All connections, locked: not to be held for long, and not while waiting.
    pub fn connections(&self) -> MutexGuard<'_, Connections<L>> {
        // What is done under the lock leaves nothing half changed.
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether new messages are taken.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self.phase.borrow() == Phase::Open
    }

    /// Starts a task that ends with the transport.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Queues a message. Returns whom to dial for it, if nobody does so yet.
    ///
    /// # Errors
    ///
    /// [`SendError`], which is counted.
    pub fn send(&self, to: &Destination, message: Bytes) -> Result<Option<Peer>, SendError> {
        let result = self.try_send(to, message);
        if let Err(error) = &result {
            self.news.counters.refused(error);
        }
        result
    }

    fn try_send(&self, to: &Destination, message: Bytes) -> Result<Option<Peer>, SendError> {
        if !self.is_open() {
            return Err(SendError::Closed);
        }
        let (len, limit) = (message.len(), self.max_message_len);
        if len > limit {
            return Err(SendError::TooLarge { len, limit });
        }
        Ok(match self.connections().hand_over(to, message, &self.locals)? {
            HandOver::Queued => None,
            HandOver::Dial(peer) => Some(peer),
        })
    }

    /// What a connection that has ended did not begin to send may go another way. Returns whom to
    /// dial for it, if nobody does so yet.
    pub fn reroute(&self, link: &L, unsent: Vec<Bytes>) -> Option<Peer> {
        let addr = link.dialled().unwrap_or_else(|| link.remote());
        let to = Destination::node(Arc::clone(link.node_id()), [addr]);
        let mut to_dial = None;
        for message in unsent {
            match self.try_send(&to, message) {
                Ok(peer) => to_dial = to_dial.or(peer),
                Err(_) => self.news.counters.dropped_sending.add(1),
            }
        }
        to_dial
    }

    /// Waits until a peer may be dialled. Returns where; `None` if nothing waits for it any longer.
    pub async fn addrs_to_dial(&self, peer: &Peer) -> Option<Vec<SocketAddr>> {
        loop {
            // The lock is not held while waiting.
            let next = self.connections().next_dial(peer, Instant::now());
            match next? {
                NextDial::At(at) => sleep_until(at).await,
                NextDial::Now(addrs) => return Some(addrs),
            }
        }
    }

    /// A peer was not reached at any of its addresses. Its messages are dropped: gossip brings newer
    /// ones.
    pub fn give_up(&self, peer: &Peer) {
        let dropped = self.connections().give_up(peer);
        self.news.counters.dropped_sending.add(dropped as u64);
    }

    /// The peer will not have us. Asking again at once would not help.
    pub fn rejected(&self, addr: SocketAddr, node_id: Option<&Arc<str>>, reason: Arc<str>) {
        self.connections().backoffs.failed(addr, None, true, Instant::now());
        self.news.rejected(addr, node_id.cloned(), reason);
    }

    /// A token and a queue for a new connection.
    #[must_use]
    pub fn new_link(&self) -> (u64, SendQueue) {
        let token = self.next_token.fetch_add(1, Ordering::Relaxed);
        (token, SendQueue::new(self.send_queue_bytes, Arc::clone(&self.queued)))
    }

    /// Takes in a connection; `reached` is whom it was dialled for. False if it was closed instead,
    /// because the transport does.
    #[must_use]
    pub fn admit(&self, link: &Arc<L>, reached: Option<&Peer>) -> bool {
        self.news.counters.connections_opened.add(1);
        let mut connections = self.connections();
        let is_wanted = match *self.phase.borrow() {
            Phase::Open => true,
            // What waits for it is sent yet.
            Phase::Closing => reached.is_some(),
            Phase::Closed => false,
        };
        if !is_wanted {
            drop(connections);
            link.close(CloseCode::ShuttingDown, "");
            return false;
        }
        let dropped = connections.admit(link, reached, Instant::now());
        drop(connections);
        self.news.counters.dropped_sending.add(dropped as u64);
        true
    }

    /// Nothing new is taken from now on, and for so long at most, what is queued is sent. True
    /// if the transport is to be [ended](Self::end) now, false if it was already.
    pub async fn close(&self, within: Duration) -> bool {
        self.phase.send_if_modified(|phase| {
            let open = *phase == Phase::Open;
            if open {
                *phase = Phase::Closing;
            }
            open
        });
        // Not only for the first caller: it may have given up waiting.
        let closing = *self.phase.borrow() == Phase::Closing;
        if closing {
            let flushed = async {
                while !self.connections().is_flushed() {
                    sleep(Duration::from_millis(2)).await;
                }
            };
            // Those that do not take it in time do not get it.
            let _ = timeout(within, flushed).await;
        }
        closing
    }

    /// Closes all connections and takes in nothing more from peers. Its tasks go on until they are
    /// [ended](Self::end_tasks).
    pub fn end(&self, code: CloseCode) {
        self.phase.send_replace(Phase::Closed);
        let unsent = self.connections().close(code);
        self.news.counters.dropped_sending.add(unsent as u64);
        self.news.close();
    }

    /// Ends all tasks, and forgets the connections, which were theirs.
    pub fn end_tasks(&self) {
        self.tasks.end();
        self.connections().forget();
    }

    /// The figures of the transport.
    #[must_use]
    pub fn stats(&self) -> TransportStats {
        let mut stats = self.news.stats();
        stats.send_queue_bytes = self.queued.get();
        stats.connections = self.connections().len();
        stats
    }
}
