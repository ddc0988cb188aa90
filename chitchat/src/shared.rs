//! What the handles and the driver have in common.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwap;
use chitchat_protocol::{
    ClusterStateSnapshot, Event, LeaveOutcome, Node, Timestamp, diff, diff_members,
};
use chitchat_transport::{TransportSender, TransportStats};
use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use crate::error::CloseReason;
use crate::journal;
use crate::ring::RingWriter;
use crate::stats::{Stats, Tallies};
use crate::stream::{OperatorNotice, Published};
use crate::watch::is_about_members;

/// Notices that wait for a slow reader.
const NOTICE_CAPACITY: usize = 1_024;

/// What is asked of the driver, in ascending order of urgency.
const RUN: u8 = 0;
const STOP_DROPPED: u8 = 1;
const STOP_SHUTDOWN: u8 = 2;

/// What somebody may wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// A seed has answered, or there is none but this node.
    pub(crate) joined: bool,
    pub(crate) left: Option<LeaveOutcome>,
}

/// The counters of a transport, whatever its type.
pub(crate) trait TransportGauge: Send + Sync {
    fn transport_stats(&self) -> TransportStats;
}

impl<S: TransportSender> TransportGauge for S {
    fn transport_stats(&self) -> TransportStats {
        self.stats()
    }
}

/// What is to be done about a publication without the lock.
#[derive(Default)]
pub(crate) struct Publication {
    /// The changes of who is there, for the log.
    pub(crate) news: Vec<Event>,
    /// The snapshot that is out of date. The last to let go of it frees what only it had, which
    /// takes as long as writing that did.
    pub(crate) before: Option<Arc<ClusterStateSnapshot>>,
}

/// What is behind the lock. No code of the application or of a transport runs under it, and
/// nothing waits.
pub(crate) struct Core {
    pub(crate) node: Node,
    /// When the driver will wake by itself.
    pub(crate) wakes_at: Timestamp,
    events: RingWriter<Published>,
    notices: RingWriter<OperatorNotice>,
    members: Option<watch::Sender<Arc<ClusterStateSnapshot>>>,
}

pub(crate) struct Shared {
    core: Mutex<Core>,
    /// Held by whoever is next to take the core. The driver takes it again as soon as it has let it
    /// go, and without this would be there before a waiting thread has woken up, again and again.
    next: Mutex<()>,
    snapshot: ArcSwap<ClusterStateSnapshot>,
    pub(crate) clock: Clock,
    pub(crate) wake: Notify,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) closed: watch::Sender<Option<CloseReason>>,
    pub(crate) tallies: Tallies,
    pub(crate) span: tracing::Span,
    pub(crate) local_addrs: Vec<SocketAddr>,
    stop: AtomicU8,
    /// The driver owns the transport, so that it closes with the driver.
    transport: Weak<dyn TransportGauge>,
    /// For the time after that.
    final_transport_stats: Mutex<TransportStats>,
}

impl Shared {
    pub(crate) fn new(
        node: Node,
        clock: Clock,
        event_capacity: usize,
        local_addrs: Vec<SocketAddr>,
        transport: Weak<dyn TransportGauge>,
        span: tracing::Span,
    ) -> Shared {
        let snapshot = Arc::new(node.snapshot().clone());
        let tallies = Tallies::default();
        let core = Core {
            node,
            wakes_at: Timestamp::MIN,
            events: RingWriter::new(event_capacity, Arc::clone(&tallies.missed)),
            notices: RingWriter::new(NOTICE_CAPACITY, Arc::clone(&tallies.missed)),
            members: Some(watch::Sender::new(Arc::clone(&snapshot))),
        };
        Shared {
            core: Mutex::new(core),
            next: Mutex::new(()),
            snapshot: ArcSwap::new(snapshot),
            clock,
            wake: Notify::new(),
            progress: watch::Sender::new(Progress::default()),
            closed: watch::Sender::new(None),
            tallies,
            span,
            local_addrs,
            stop: AtomicU8::new(RUN),
            transport,
            final_transport_stats: Mutex::default(),
        }
    }

    /// The core of a node that runs.
    pub(crate) fn core(&self) -> Result<MutexGuard<'_, Core>, CloseReason> {
        if let Some(reason) = self.closed.borrow().clone() {
            return Err(reason);
        }
        let _next = self.next();
        self.core
            .lock()
            .map_err(|_| CloseReason::Panicked("a call on the node panicked earlier".into()))
    }

    /// The core, running or not: for reading plain counters, and for streams, which then end.
    pub(crate) fn core_or_remains(&self) -> MutexGuard<'_, Core> {
        let _next = self.next();
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> MutexGuard<'_, ()> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn snapshot(&self) -> Arc<ClusterStateSnapshot> {
        self.snapshot.load_full()
    }

    /// Runs `action` on the node and publishes what came of it. Afterwards, without the lock: wakes
    /// the driver if it sleeps too long now, and writes the log.
    pub(crate) fn with_node<T>(
        &self,
        action: impl FnOnce(&mut Node, Timestamp) -> T,
    ) -> Result<T, CloseReason> {
        let (outcome, publication, wake) = {
            let mut core = self.core()?;
            let now = self.clock.now();
            let outcome = action(&mut core.node, now);
            let publication = core.publish_own(self);
            (outcome, publication, core.node.poll_timeout() < core.wakes_at)
        };
        if wake {
            self.wake.notify_one();
        }
        self.span.in_scope(|| journal::write_events(&publication.news));
        Ok(outcome)
    }

    pub(crate) fn stats(&self) -> Stats {
        let counters = self.core_or_remains().node.counters();
        self.tallies.stats(counters, self.transport_stats())
    }

    fn transport_stats(&self) -> TransportStats {
        match self.transport.upgrade() {
            Some(transport) => transport.transport_stats(),
            None => self.final_stats().clone(),
        }
    }

    fn final_stats(&self) -> MutexGuard<'_, TransportStats> {
        self.final_transport_stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the counters of a transport that is about to go.
    pub(crate) fn keep_transport_stats(&self) {
        if let Some(transport) = self.transport.upgrade() {
            *self.final_stats() = transport.transport_stats();
        }
    }

    /// Asks the driver to end, because of `shutdown`, or because nobody is left to use it.
    pub(crate) fn request_stop(&self, shutdown: bool) {
        let request = if shutdown { STOP_SHUTDOWN } else { STOP_DROPPED };
        self.stop.fetch_max(request, Ordering::AcqRel);
        self.wake.notify_one();
    }

    /// Whether, and why, the driver is to end.
    pub(crate) fn stop_requested(&self) -> Option<CloseReason> {
        match self.stop.load(Ordering::Acquire) {
            RUN => None,
            STOP_DROPPED => Some(CloseReason::HandlesDropped),
            _ => Some(CloseReason::Shutdown),
        }
    }

    /// The node is no more: tells everybody who waits. The first reason counts.
    pub(crate) fn close(&self, reason: CloseReason) {
        let first = self.closed.send_if_modified(|closed| {
            let first = closed.is_none();
            if first {
                *closed = Some(reason.clone());
            }
            first
        });
        if !first {
            return;
        }
        self.core_or_remains().end_streams();
        self.span.in_scope(|| journal::write_end(&reason));
    }
}

impl Core {
    /// Publishes the state if it has changed: first the snapshot, then the events that lead to it.
    ///
    /// Wakers of readers are called under the lock; they only schedule tasks.
    #[must_use = "write its news to the log, and let go of it without the lock"]
    pub(crate) fn publish(&mut self, shared: &Shared) -> Publication {
        let after = self.node.publish().map(|snapshot| Arc::new(snapshot.clone()));
        after.map(|after| self.replace(shared, after)).unwrap_or_default()
    }

    /// The same for the own state only: after a write.
    #[must_use = "write its news to the log, and let go of it without the lock"]
    pub(crate) fn publish_own(&mut self, shared: &Shared) -> Publication {
        let after = self.node.publish_own().map(|snapshot| Arc::new(snapshot.clone()));
        after.map(|after| self.replace(shared, after)).unwrap_or_default()
    }

    fn replace(&mut self, shared: &Shared, after: Arc<ClusterStateSnapshot>) -> Publication {
        let before = shared.snapshot.swap(Arc::clone(&after));
        // Without readers nobody asks which keys changed, and there can be many.
        let has_readers = self.events.has_readers();
        let events =
            if has_readers { diff(&before, &after) } else { diff_members(&before, &after) };
        shared.tallies.publications.add(1);
        shared.tallies.events.add(events.len() as u64);
        let members_changed = events.iter().any(is_about_members);
        if let Some(members) = &self.members {
            members.send_if_modified(|newest| {
                newest.clone_from(&after);
                members_changed
            });
        }
        let news = if members_changed {
            events.iter().filter(|event| is_about_members(event)).cloned().collect()
        } else {
            Vec::new()
        };
        if has_readers {
            let removed = |event: &Event| match event {
                Event::Removed { id } => before.node(&id.node_id).cloned(),
                _ => None,
            };
            let publish = |event| Published { removed: removed(&event), event };
            self.events.push(events.into_iter().map(publish).collect());
        }
        Publication { news, before: Some(before) }
    }

    pub(crate) fn publish_notices(&mut self, notices: Vec<OperatorNotice>) {
        self.notices.push(notices);
    }

    pub(crate) fn events(&self) -> crate::ring::RingReader<Published> {
        self.events.subscribe()
    }

    pub(crate) fn notices(&self) -> crate::ring::RingReader<OperatorNotice> {
        self.notices.subscribe()
    }

    /// A receiver that is marked as up to date.
    pub(crate) fn members(
        &self,
        snapshot: Arc<ClusterStateSnapshot>,
    ) -> watch::Receiver<Arc<ClusterStateSnapshot>> {
        match &self.members {
            Some(members) => members.subscribe(),
            // Closed: a receiver whose sender is gone.
            None => watch::channel(snapshot).1,
        }
    }

    fn end_streams(&mut self) {
        self.events.close();
        self.notices.close();
        self.members = None;
    }
}

#[cfg(test)]
mod tests {
    use chitchat_protocol::{Config, LinkLimits};
    use chitchat_transport::memory::MemorySender;

    use super::*;
    use crate::error::Error;
    use crate::handle::ChitchatHandle;

    #[test]
    fn after_a_panic_in_the_core_the_handle_answers_with_errors_and_never_panics() {
        let config = Config::new("cluster", "node");
        let node = Node::new(config, LinkLimits::default(), 1, Timestamp::ZERO).unwrap();
        let (clock, span) = (Clock::system(), tracing::Span::none());
        let gone: Weak<MemorySender> = Weak::new();
        let shared = Arc::new(Shared::new(node, clock, 16, Vec::new(), gone, span));
        let handle = ChitchatHandle::new(Arc::clone(&shared));
        handle.set("k", "v").unwrap();
        let poison = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.with_node(|_, _| panic!("a bug"))
        });
        assert!(poison.join().is_err());
        let error = handle.set("k", "w").unwrap_err();
        assert!(matches!(error, Error::Closed { reason: CloseReason::Panicked(_) }), "{error:?}");
        assert!(handle.node_health("x").is_err());
        assert_eq!(handle.get("k").as_deref(), Some("v"));
        assert_eq!(handle.stats().publications, 1);
        let (_, mut events) = handle.events();
        shared.close(CloseReason::Panicked("a bug".into()));
        assert_eq!(events.try_next(), None);
        assert_eq!(handle.close_reason(), Some(CloseReason::Panicked("a bug".into())));
    }
}
