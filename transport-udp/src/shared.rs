//! What the two halves of a transport and the tasks of its sockets have in common.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chitchat_transport::{
    Destination, FailureLog, InboxGauge, SendError, TransportCounters, TransportStats,
};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::PlainUdpConfig;
use crate::paths::PathTable;
use crate::queue::{Outgoing, SendQueue};
use chitchat_transport::errno::{Class, Failure};

/// Whether the tasks go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    /// Send what is queued, until then at the latest.
    Flushing(Instant),
    /// Stop now.
    Closed,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: PlainUdpConfig,
    pub(crate) locals: Vec<SocketAddr>,
    /// One for each socket, in the order of `locals`.
    pub(crate) queues: Vec<SendQueue>,
    pub(crate) counters: TransportCounters,
    pub(crate) phase: watch::Sender<Phase>,
    /// How many tasks hold a socket.
    pub(crate) running: watch::Sender<usize>,
    paths: Mutex<PathTable>,
    log: Mutex<FailureLog>,
    inbox: InboxGauge,
}

impl Shared {
    pub(crate) fn new(config: PlainUdpConfig, locals: Vec<SocketAddr>, inbox: InboxGauge) -> Self {
        Self {
            queues: locals.iter().map(|_| SendQueue::new(config.send_queue_bytes)).collect(),
            paths: Mutex::new(PathTable::new(locals.clone())),
            config,
            locals,
            counters: TransportCounters::default(),
            phase: watch::Sender::new(Phase::Open),
            running: watch::Sender::new(0),
            log: Mutex::default(),
            inbox,
        }
    }

    pub(crate) fn paths(&self) -> MutexGuard<'_, PathTable> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn send(&self, to: &Destination, bytes: Bytes) -> Result<(), SendError> {
        let result = self.try_send(to, bytes);
        if let Err(error) = &result {
            self.counters.refused(error);
        }
        result
    }

    fn try_send(&self, to: &Destination, bytes: Bytes) -> Result<(), SendError> {
        if *self.phase.borrow() != Phase::Open {
            return Err(SendError::Closed);
        }
        let (len, limit) = (bytes.len(), self.config.max_message_len);
        if len > limit {
            return Err(SendError::TooLarge { len, limit });
        }
        let path = self.paths().choose(to, Instant::now()).ok_or(SendError::NoUsableAddress)?;
        let queue = self.queues.get(path.socket).ok_or(SendError::NoUsableAddress)?;
        let destination = to.clone();
        queue.push(Outgoing { bytes, to: path.addr, destination, attempts: 0 })
    }

    /// Sends a datagram to another address of its destination, after this one was refused. False
    /// if there is none.
    pub(crate) fn reroute(&self, mut outgoing: Outgoing) -> bool {
        let Some(path) = self.paths().choose(&outgoing.destination, Instant::now()) else {
            return false;
        };
        if path.addr == outgoing.to {
            return false;
        }
        outgoing.to = path.addr;
        self.queues.get(path.socket).is_some_and(|queue| queue.push(outgoing).is_ok())
    }

    /// Counts a failure, and lets the log know. A family that the host does not have is no news:
    /// it is told once, when it is found out.
    pub(crate) fn failure(&self, failure: &Failure) {
        self.counters.failure(failure.name);
        if failure.class != Class::Family {
            self.log.lock().unwrap_or_else(PoisonError::into_inner).record(failure.name);
        }
    }

    /// Writes the summary of failures if it is due.
    pub(crate) fn log_failures(&self, now: Instant) {
        let due = self.log.lock().unwrap_or_else(PoisonError::into_inner).due(now);
        if let Some(failures) = due {
            tracing::warn!(
                listening = ?self.locals,
                %failures,
                "udp: failures since the last summary; peers or the network are down, or this \
                 host is short of buffers"
            );
        }
    }

    pub(crate) fn stats(&self) -> TransportStats {
        let mut stats = self.counters.snapshot();
        stats.send_queue_bytes = self.queues.iter().map(SendQueue::bytes).sum();
        stats.receive_queue_bytes = self.inbox.queued_bytes();
        stats
    }
}
