//! The task that drives a node: the only place that waits for more than one thing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chitchat_protocol::{Counters, Node, NodeId, Origin, Path, Target, Transmit};
use chitchat_transport::{
    Destination, Inbound, InboundMessage, ReplyPath, Report, SendError, TransportReceiver,
    TransportSender,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};
use tracing::Instrument as _;

use crate::error::CloseReason;
use crate::journal::{self, Rate};
use crate::log_limit::{FailureSummary, LogLimiter};
use crate::retired::Retired;
use crate::seeds::{Resolver, SeedAddrs, SeedFailure};
use crate::shared::{Progress, Publication, Shared};
use crate::stream::OperatorNotice;

/// Messages that are handled before their effects are published together, and their bytes, so that
/// a node that fetches a large state is not late for its rounds and its own questions.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 128 << 10;
/// Bytes of messages that are taken from the node before it is let go: a long answer is made while
/// they are taken, and others want the node too.
const TAKEN_AT_ONCE: usize = 64 << 10;
/// For a transport to send what is queued. They have bounds of their own; this one is for those
/// that do not keep to the contract.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Drives a node until it is told to stop, or cannot go on.
pub(crate) struct Driver<S, R> {
    shared: Arc<Shared>,
    sender: Arc<S>,
    receiver: R,
    seeds: watch::Receiver<SeedAddrs>,
    seeds_open: bool,
    seed_failures: mpsc::Receiver<SeedFailure>,
    failures_open: bool,
    /// Ends with the driver.
    _resolver: JoinSet<()>,
    limiter: LogLimiter,
    /// Former snapshots that readers still use.
    retired: Retired,
    send_failures: FailureSummary,
    refusals: FailureSummary,
    /// What was refused until the last look.
    refused: [(&'static str, u64); 5],
    #[cfg(feature = "metrics")]
    meter: crate::metrics::Meter,
}

/// What ended a wait.
enum Woken {
    Inbound(Option<Inbound>),
    Seeds(bool),
    SeedFailure(Option<SeedFailure>),
    TimerOrWake,
}

impl<S: TransportSender, R: TransportReceiver> Driver<S, R> {
    pub(crate) fn new(
        shared: Arc<Shared>,
        sender: Arc<S>,
        receiver: R,
        seeds: &[String],
        seeds_interval: Duration,
    ) -> Self {
        let (failure_sender, seed_failures) = mpsc::channel(seeds.len().max(1));
        let (resolver, mut seeds) =
            Resolver::new(seeds, seeds_interval, failure_sender, Arc::clone(&shared));
        // Those that need no lookup are to be taken in at once.
        seeds.mark_changed();
        let mut tasks = JoinSet::new();
        if let Some(resolver) = resolver {
            tasks.spawn(resolver.run().instrument(shared.span.clone()));
        }
        Self {
            #[cfg(feature = "metrics")]
            meter: crate::metrics::Meter::new(&shared.snapshot()),
            shared,
            sender,
            receiver,
            seeds,
            seeds_open: true,
            seed_failures,
            failures_open: true,
            _resolver: tasks,
            limiter: LogLimiter::default(),
            retired: Retired::default(),
            send_failures: FailureSummary::default(),
            refusals: FailureSummary::default(),
            refused: Counters::default().suspicious(),
        }
    }

    /// Runs until the node ends. The transport is closed when this returns.
    pub(crate) async fn run(mut self) -> CloseReason {
        let reason = match self.drive().await {
            Ok(reason) | Err(reason) => reason,
        };
        if timeout(CLOSE_TIMEOUT, self.sender.close()).await.is_err() {
            tracing::warn!("the transport did not close within {CLOSE_TIMEOUT:?}; dropped it");
        }
        self.shared.keep_transport_stats();
        reason
    }

    async fn drive(&mut self) -> Result<CloseReason, CloseReason> {
        loop {
            self.settle()?;
            if let Some(reason) = self.shared.stop_requested() {
                return Ok(reason);
            }
            match self.wait().await? {
                Woken::Inbound(None) => {
                    // It may be closed because we are told to stop.
                    let stopped = self.shared.stop_requested();
                    return Ok(stopped.unwrap_or(CloseReason::TransportClosed));
                }
                Woken::Inbound(Some(inbound)) => self.take_batch(inbound)?,
                Woken::Seeds(open) => {
                    self.seeds_open = open;
                    let seeds = self.seeds.borrow_and_update().clone();
                    self.shared.core()?.node.set_seed_addrs(seeds.addrs.to_vec());
                }
                Woken::SeedFailure(failure) => self.take_seed_failure(failure)?,
                Woken::TimerOrWake => {}
            }
            // A transport that always has something ready must not starve the other tasks.
            tokio::task::consume_budget().await;
        }
    }

    /// The only `select!`. Every branch is cancel-safe.
    ///
    /// The order is fixed, so that a test with paused time is the same in each run. It starves
    /// nothing: seeds change rarely, and whatever ends a wait, what is due is done next.
    async fn wait(&mut self) -> Result<Woken, CloseReason> {
        let due = {
            let mut core = self.shared.core()?;
            core.wakes_at = core.node.poll_timeout();
            core.wakes_at
        };
        let woken = tokio::select! {
            biased;
            changed = self.seeds.changed(), if self.seeds_open => Woken::Seeds(changed.is_ok()),
            failure = self.seed_failures.recv(), if self.failures_open => {
                Woken::SeedFailure(failure)
            }
            () = self.shared.wake.notified() => Woken::TimerOrWake,
            inbound = self.receiver.recv() => Woken::Inbound(inbound),
            () = sleep_until(self.shared.clock.instant(due)) => Woken::TimerOrWake,
        };
        Ok(woken)
    }

    /// Handles what has arrived and what waits behind it. The lock is let go after each message, so
    /// that local writes do not wait for all.
    fn take_batch(&mut self, first: Inbound) -> Result<(), CloseReason> {
        let mut next = Some(first);
        let mut bytes = 0;
        for taken in 1..=BATCH {
            let Some(inbound) = next else { break };
            match inbound {
                Inbound::Message(message) => {
                    bytes += message.bytes.len();
                    self.take_message(message)?;
                }
                Inbound::Report(report) => self.take_report(report)?,
                _ => tracing::debug!("the transport hands out something that is not known here"),
            }
            let goes_on = taken < BATCH && bytes < BATCH_BYTES;
            next = if goes_on { self.receiver.try_recv() } else { None };
        }
        Ok(())
    }

    fn take_message(&mut self, message: InboundMessage) -> Result<(), CloseReason> {
        let path = Path { remote: message.from.remote(), token: message.from.token() };
        let origin = Origin { path, peer: message.peer.map(NodeId::new) };
        tracing::trace!(remote = %path.remote, len = message.bytes.len(), "received");
        let mut core = self.shared.core()?;
        let now = self.shared.clock.now();
        core.node.handle_message(&origin, &message.bytes, now);
        Ok(())
    }

    fn take_report(&mut self, report: Report) -> Result<(), CloseReason> {
        self.shared.tallies.report(&report);
        tracing::debug!(?report, "report of the transport");
        if let Some(Rate { kind, burst }) = journal::report_rate(&report)
            && let Some(left_out) = self.limiter.allow(kind, burst, self.shared.clock.now())
        {
            journal::write_report(&report, left_out);
        }
        self.shared.core()?.publish_notices(vec![OperatorNotice::Transport(report)]);
        Ok(())
    }

    fn take_seed_failure(&mut self, failure: Option<SeedFailure>) -> Result<(), CloseReason> {
        match failure {
            None => self.failures_open = false,
            Some(SeedFailure { seed, error }) => {
                let notice = OperatorNotice::SeedUnresolved { seed, error };
                self.shared.core()?.publish_notices(vec![notice]);
            }
        }
        Ok(())
    }

    /// Does what is due, publishes, sends, and tells what is to be told. What is code of others
    /// (the transport, the log) runs without the lock.
    fn settle(&mut self) -> Result<(), CloseReason> {
        let now = self.shared.clock.now();
        let mut transmits = Vec::new();
        let mut notices = Vec::new();
        let refused;
        let Publication { news, before } = {
            let mut core = self.shared.core()?;
            if core.node.poll_timeout() <= now {
                core.node.handle_timeout(now);
            }
            take_transmits(&mut core.node, &mut transmits);
            notices.extend(std::iter::from_fn(|| core.node.poll_notice()));
            let publication = core.publish(&self.shared);
            core.publish_notices(notices.iter().cloned().map(OperatorNotice::Node).collect());
            self.tell_progress(&core.node);
            refused = core.node.counters().suspicious();
            publication
        };
        self.retired.add(before);
        let former = std::mem::replace(&mut self.refused, refused);
        for ((kind, count), (_, before)) in refused.into_iter().zip(former) {
            self.refusals.record_many(kind, count - before);
        }
        while !transmits.is_empty() {
            for transmit in transmits.drain(..) {
                self.send(transmit);
            }
            take_transmits(&mut self.shared.core()?.node, &mut transmits);
        }
        journal::write_events(&news);
        for notice in notices {
            let Rate { kind, burst } = journal::notice_rate(&notice);
            if let Some(left_out) = self.limiter.allow(kind, burst, now) {
                journal::write_notice(&notice, left_out);
            }
        }
        if let Some(refusals) = self.refusals.due(now) {
            tracing::warn!(%refusals, "messages refused since the last summary");
        }
        if let Some(failures) = self.send_failures.due(now) {
            tracing::warn!(%failures, "messages that could not be sent since the last summary");
        }
        #[cfg(feature = "metrics")]
        if self.meter.is_due(now) {
            let interval = self.shared.core()?.node.config().gossip_interval;
            self.meter.update(&self.shared, now + interval);
        }
        Ok(())
    }

    fn send(&mut self, transmit: Transmit) {
        let destination = destination(transmit.target);
        let len = transmit.bytes.len();
        tracing::trace!(?destination, len, "sending");
        if let Err(error) = self.sender.send(&destination, Bytes::from(transmit.bytes)) {
            let kind = self.shared.tallies.send_error(&error);
            tracing::debug!(?destination, len, %error, "a message could not be sent");
            // When the transport is closed, the end of the node says so.
            if error != SendError::Closed {
                self.send_failures.record(kind);
            }
        }
    }

    /// Lets those know who wait for joining or leaving. Runs under the lock.
    fn tell_progress(&self, node: &Node) {
        let last = *self.shared.progress.borrow();
        let joined = last.joined || self.has_joined(node);
        let left = last.left.or_else(|| node.leave_outcome());
        let progress = Progress { joined, left };
        if progress != last {
            self.shared.progress.send_replace(progress);
        }
    }

    /// Whether a seed has answered, or there is none but this node.
    fn has_joined(&self, node: &Node) -> bool {
        if node.answered_seeds().next().is_some() {
            return true;
        }
        let seeds = self.seeds.borrow();
        if !seeds.complete {
            return false;
        }
        let advertised = node.snapshot().self_state().map(|state| state.advertise_addrs().clone());
        let is_own = |addr: &&SocketAddr| {
            self.shared.local_addrs.contains(addr)
                || advertised.as_ref().is_some_and(|own| own.contains(addr))
        };
        let others = seeds.addrs.iter().filter(|addr| !is_own(addr)).count();
        // A node that listens on an unspecified address recognises itself by its own messages that
        // come back.
        others == 0 || others == 1 && node.counters().refused_own > 0
    }
}

/// Takes what the node has to send, not all of it if it is much.
fn take_transmits(node: &mut Node, transmits: &mut Vec<Transmit>) {
    let mut taken = 0;
    while taken < TAKEN_AT_ONCE
        && let Some(transmit) = node.poll_transmit()
    {
        taken += transmit.bytes.len();
        transmits.push(transmit);
    }
}

/// The same in the transport's terms.
fn destination(target: Target) -> Destination {
    let reply = target.reply.map(|path| ReplyPath::new(path.remote, path.token));
    let to = match (target.node_id, reply) {
        (Some(node_id), _) => {
            Destination::node(Arc::clone(node_id.as_arc()), target.addrs.iter().copied())
        }
        (None, Some(path)) if target.addrs.is_empty() => return Destination::reply(path),
        // Seeds are asked one address at a time.
        (None, _) => match target.addrs.first() {
            Some(addr) => Destination::addr(*addr),
            None => Destination::node("", []),
        },
    };
    match reply {
        Some(path) => to.with_reply(path),
        None => to,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_transport_is_told_the_node_all_its_addresses_and_the_way_back() {
        let addrs = [addr("10.0.0.1:7280"), addr("[2001:db8::1]:7280")];
        let path = Path { remote: addr("10.0.0.9:4000"), token: 7 };
        let target =
            Target { node_id: Some("peer".into()), addrs: addrs.into(), reply: Some(path) };
        let told = destination(target);
        assert_eq!(told.node_id().map(|id| &**id), Some("peer"));
        assert_eq!(**told.addrs(), addrs);
        assert_eq!(told.reply_path(), Some(ReplyPath::new(path.remote, 7)));

        // An answer to somebody whose identity was verified, and of whom nothing else is known.
        let target = Target { node_id: Some("peer".into()), addrs: [].into(), reply: Some(path) };
        let told = destination(target);
        assert_eq!(told.node_id().map(|id| &**id), Some("peer"));
        assert_eq!(told.reply_path().map(|path| path.token()), Some(7));

        // An answer to a stranger, and a seed.
        let target = Target { node_id: None, addrs: [].into(), reply: Some(path) };
        assert_eq!(destination(target), Destination::reply(ReplyPath::new(path.remote, 7)));
        let target = Target { node_id: None, addrs: [addrs[0]].into(), reply: None };
        assert_eq!(destination(target), Destination::addr(addrs[0]));
    }
}
