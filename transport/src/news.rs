//! What the node, the operator and the log are told.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::counters::TransportCounters;
use crate::destination::Destination;
use crate::errno::{Class, Failure, classify};
use crate::error::SendError;
use crate::failure_log::FailureLog;
use crate::inbound::{Inbound, InboundMessage, Report, UnreachableReason};
use crate::inbox::{InboxFull, InboxGauge, InboxSender, InboxShare};
use crate::reports::Reports;
use crate::stats::TransportStats;

/// The way from the tasks of a transport to its node: messages, reports, counters, and the
/// summary of failures for the log.
///
/// Share it between the tasks and the sending half, and [close](Self::close) it with the
/// transport.
///
/// ```
/// use chitchat_transport::{InboundMessage, InboxLimits, News, ReplyPath, TransportReceiver, inbox};
///
/// let (sender, mut receiver) = inbox(InboxLimits::default());
/// let news = News::new(sender);
/// let from = ReplyPath::new("192.0.2.1:7280".parse()?, 0);
/// news.deliver(InboundMessage::new(b"hello".as_slice().into(), from));
/// assert!(receiver.try_recv().is_some());
/// assert_eq!((news.stats().messages_received, news.stats().bytes_received), (1, 5));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug)]
pub struct News {
    /// The figures of the transport.
    pub counters: TransportCounters,
    reports: Reports,
    log: Mutex<FailureLog>,
    /// Taken away on closing, so that the receiving half ends.
    inbox: Mutex<Option<InboxSender>>,
    gauge: InboxGauge,
}

impl News {
    /// Everything goes to this queue.
    #[must_use]
    pub fn new(inbox: InboxSender) -> Self {
        Self {
            counters: TransportCounters::default(),
            reports: Reports::default(),
            log: Mutex::default(),
            gauge: inbox.gauge(),
            inbox: Mutex::new(Some(inbox)),
        }
    }

    /// Hands a message to the node. One that finds the queue full is dropped and counted.
    pub fn deliver(&self, message: InboundMessage) {
        let len = message.bytes.len();
        let queued = match self.inbox().as_ref() {
            Some(inbox) => inbox.push(Inbound::Message(message)),
            None => Err(InboxFull),
        };
        self.counters.arrived(len, queued);
    }

    /// The part of the queue towards the node that one connection may fill; `None` when the
    /// transport is closed.
    #[must_use]
    pub fn share_of_inbox(&self) -> Option<InboxShare> {
        self.inbox().as_ref().map(InboxSender::share)
    }

    /// Hands a message to the node by the share of the connection that it came from. One that
    /// finds the share full is dropped and counted.
    pub fn deliver_by(&self, share: &InboxShare, message: InboundMessage) {
        let len = message.bytes.len();
        self.counters.arrived(len, share.push(Inbound::Message(message)));
    }

    /// Hands a report to the node; too many about one address are counted instead.
    pub fn tell(&self, report: Report) {
        if let Some(inbox) = self.inbox().as_ref() {
            self.reports.tell(report, inbox, &self.counters);
        }
    }

    /// Nothing gets through to an address. The second is the node that was to be reached there.
    pub fn unreachable(
        &self,
        addr: SocketAddr,
        node_id: Option<Arc<str>>,
        reason: UnreachableReason,
    ) {
        self.tell(Report::Unreachable { node_id, addr, reason });
    }

    /// The peer will not have us, in its own words: cut and escape them.
    pub fn rejected(&self, addr: SocketAddr, node_id: Option<Arc<str>>, reason: Arc<str>) {
        self.failure("rejected by a peer");
        self.tell(Report::RejectedUs { node_id, addr, reason });
    }

    /// Sends a message of `len` bytes back the way that its question came, or else to the first of
    /// the addresses that takes it: for a transport that has no queue of its own, because its
    /// network takes or refuses a message at once. `attempt` sends to one address, and must not
    /// wait.
    ///
    /// It counts what was sent, refused and dropped, and tells the node of addresses that cannot be
    /// reached. If there are only such, the message is dropped, which is not an error.
    ///
    /// # Errors
    ///
    /// [`SendError::QueueFull`] if the network has no room ([`Class::WouldBlock`]),
    /// [`SendError::NoUsableAddress`] if there is none.
    pub fn send_to_any(
        &self,
        to: &Destination,
        len: usize,
        mut attempt: impl FnMut(SocketAddr) -> io::Result<()>,
    ) -> Result<(), SendError> {
        let back = to.reply_path().map(|path| path.remote());
        let mut outcome = Err(SendError::NoUsableAddress);
        for addr in back.into_iter().chain(to.addrs().iter().copied()) {
            let Err(error) = attempt(addr) else {
                self.counters.sent(len);
                return Ok(());
            };
            let Failure { name, class } = classify(&error);
            outcome = match class {
                Class::WouldBlock => Err(SendError::QueueFull),
                _ => Ok(()),
            };
            match class {
                Class::WouldBlock => {}
                Class::Peer(reason) => self.unreachable(addr, to.node_id().cloned(), reason),
                _ => self.failure(name),
            }
        }
        match &outcome {
            Ok(()) => self.counters.dropped_sending.add(1),
            Err(error) => self.counters.refused(error),
        }
        outcome
    }

    /// Counts a failure that was survived, for the stats and for the summary in the log. Names
    /// stand in the source, so that their number is bounded.
    pub fn failure(&self, name: &'static str) {
        self.counters.failure(name);
        lock(&self.log).record(name);
    }

    /// The summary of failures for the log, if it is due: at most once a minute.
    #[must_use]
    pub fn summary(&self) -> Option<String> {
        lock(&self.log).due(Instant::now())
    }

    /// What every `send` begins with: whether a message of this length may go out at all. A
    /// refusal is counted.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`], [`SendError::TooLarge`].
    pub fn may_send(&self, len: usize, limit: usize) -> Result<(), SendError> {
        if self.is_closed() {
            return Err(SendError::Closed);
        }
        if len > limit {
            self.counters.refused_too_large.add(1);
            return Err(SendError::TooLarge { len, limit });
        }
        Ok(())
    }

    /// The counters, and how much waits for the node.
    #[must_use]
    pub fn stats(&self) -> TransportStats {
        let mut stats = self.counters.snapshot();
        stats.receive_queue_bytes = self.gauge.queued_bytes();
        stats
    }

    /// The receiving half ends when it has read what is there, and all shares are dropped.
    pub fn close(&self) {
        *self.inbox() = None;
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inbox().is_none()
    }

    fn inbox(&self) -> MutexGuard<'_, Option<InboxSender>> {
        lock(&self.inbox)
    }
}

/// Nothing that is done under these locks can be left half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::contract::TransportReceiver;
    use crate::destination::ReplyPath;
    use crate::inbox::{InboxLimits, inbox};

    fn message(len: usize) -> InboundMessage {
        let from = ReplyPath::new(SocketAddr::from(([127, 0, 0, 1], 1)), 0);
        InboundMessage::new(Bytes::from(vec![0; len]), from)
    }

    #[tokio::test]
    async fn what_the_node_has_no_room_for_is_counted() {
        let (sender, mut receiver) = inbox(InboxLimits { entries: 1, bytes: 1_000 });
        let news = News::new(sender);
        news.deliver(message(10));
        news.deliver(message(10));
        let stats = news.stats();
        assert_eq!((stats.messages_received, stats.bytes_received), (1, 10));
        assert_eq!((stats.dropped_receive_queue_full, stats.receive_queue_bytes), (1, 74));
        assert!(receiver.recv().await.is_some());
        let share = news.share_of_inbox().unwrap();
        news.deliver_by(&share, message(20));
        news.deliver_by(&share, message(20));
        let stats = news.stats();
        assert_eq!((stats.messages_received, stats.dropped_receive_queue_full), (2, 2));
    }

    #[tokio::test]
    async fn the_receiving_half_ends_when_it_is_closed_and_the_shares_are_gone() {
        let (sender, mut receiver) = inbox(InboxLimits::default());
        let news = News::new(sender);
        let share = news.share_of_inbox().unwrap();
        news.deliver(message(1));
        news.close();
        assert!(news.is_closed() && news.share_of_inbox().is_none());
        news.deliver(message(2));
        assert_eq!(news.stats().dropped_receive_queue_full, 1, "it came too late");
        drop(share);
        assert!(receiver.recv().await.is_some());
        assert!(receiver.recv().await.is_none());
    }

    #[tokio::test]
    async fn a_message_goes_to_the_first_address_that_takes_it() {
        let (sender, mut receiver) = inbox(InboxLimits::default());
        let news = News::new(sender);
        let addrs = [1, 2, 3].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let to = Destination::node("node-1", addrs).with_reply(ReplyPath::new(addrs[2], 0));
        let mut tried = Vec::new();
        let sent = news.send_to_any(&to, 5, |addr| {
            tried.push(addr.port());
            if addr.port() == 2 { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
        });
        assert_eq!((sent, tried), (Ok(()), vec![3, 1, 2]), "the way that it came goes first");
        assert_eq!((news.stats().messages_sent, news.stats().bytes_sent), (1, 5));
        for addr in [addrs[2], addrs[0]] {
            let Some(Inbound::Report(report)) = receiver.try_recv() else { panic!("no report") };
            let (node_id, reason) = (Some("node-1".into()), UnreachableReason::Refused);
            assert_eq!(report, Report::Unreachable { node_id, addr, reason });
        }
    }

    #[tokio::test]
    async fn a_message_that_nobody_takes_is_refused_or_dropped_and_counted() {
        let (sender, mut receiver) = inbox(InboxLimits::default());
        let news = News::new(sender);
        let send =
            |to: &Destination, kind: io::ErrorKind| news.send_to_any(to, 5, |_| Err(kind.into()));
        let somewhere = Destination::addr(SocketAddr::from(([127, 0, 0, 1], 1)));
        let nowhere = Destination::node("node-1", []);
        assert_eq!(send(&nowhere, io::ErrorKind::NotFound), Err(SendError::NoUsableAddress));
        assert_eq!(send(&somewhere, io::ErrorKind::WouldBlock), Err(SendError::QueueFull));
        assert_eq!(send(&somewhere, io::ErrorKind::NetworkDown), Ok(()));
        assert!(receiver.try_recv().is_none(), "none of these is about the peer");
        let stats = news.stats();
        assert_eq!((stats.refused_no_usable_address, stats.refused_queue_full), (1, 1));
        assert_eq!((stats.dropped_sending, stats.messages_sent), (1, 0));
        assert_eq!(stats.failures, [("ENETDOWN", 1)].into());
    }

    #[tokio::test]
    async fn a_message_may_go_out_up_to_the_limit_and_until_it_is_closed() {
        let (sender, _receiver) = inbox(InboxLimits::default());
        let news = News::new(sender);
        assert_eq!(news.may_send(5, 5), Ok(()));
        assert_eq!(news.may_send(6, 5), Err(SendError::TooLarge { len: 6, limit: 5 }));
        assert_eq!(news.stats().refused_too_large, 1);
        news.close();
        assert_eq!(news.may_send(6, 5), Err(SendError::Closed));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_counted_and_told_to_the_log_once_a_minute() {
        let (sender, mut receiver) = inbox(InboxLimits::default());
        let news = News::new(sender);
        let addr = SocketAddr::from(([127, 0, 0, 1], 1));
        news.rejected(addr, None, "busy".into());
        news.failure("ENOBUFS");
        assert_eq!(news.summary().as_deref(), Some("1 x ENOBUFS, 1 x rejected by a peer"));
        news.failure("ENOBUFS");
        assert_eq!(news.summary(), None);
        assert_eq!(news.stats().failures.get("ENOBUFS"), Some(&2));
        assert!(matches!(receiver.try_recv(), Some(Inbound::Report(Report::RejectedUs { .. }))));
    }
}
