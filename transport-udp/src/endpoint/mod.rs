//! The task that owns one socket. It reads, sends what is queued, and survives every error.

mod health;
#[cfg(all(test, unix))]
mod log_tests;
#[cfg(all(test, unix))]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chitchat_transport::{
    Inbound, InboundMessage, InboxSender, ReplyPath, Report, UnreachableReason, canonical,
};
use health::Health;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::config::MAX_DATAGRAM;
use crate::queue::{Outgoing, SendQueue};
use crate::shared::{Phase, Shared};
use crate::socket::{Datagrams, OpenSocket};
use chitchat_transport::errno::{Class, Failure, classify};

/// Datagrams that are handled in one direction before it is the other one's turn.
const BATCH: usize = 64;
/// A datagram that failed this often is given up.
const MAX_ATTEMPTS: u8 = 4;
/// Longer than any datagram, so that one that fills it was cut.
const BUFFER: usize = 65_536;

/// How a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Batch {
    /// Nothing is left to do.
    Drained,
    /// The socket is not ready.
    Blocked,
    /// There is more.
    More,
}

pub(crate) struct Endpoint<O: OpenSocket> {
    index: usize,
    local: SocketAddr,
    shared: Arc<Shared>,
    inbox: InboxSender,
    opener: Arc<O>,
    buffer: Vec<u8>,
    sending: Health,
    receiving: Health,
    /// Says how long to wait before the socket is opened anew.
    opening: Health,
}

/// Counts itself out when the task ends, however it ends.
struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.send_modify(|running| *running -= 1);
    }
}

impl<O: OpenSocket> Endpoint<O> {
    pub(crate) fn spawn(
        index: usize,
        socket: O::Socket,
        local: SocketAddr,
        shared: Arc<Shared>,
        inbox: InboxSender,
        opener: Arc<O>,
    ) {
        shared.running.send_modify(|running| *running += 1);
        let running = Running(Arc::clone(&shared));
        let endpoint = Self {
            index,
            local,
            shared,
            inbox,
            opener,
            buffer: vec![0; BUFFER],
            sending: Health::default(),
            receiving: Health::default(),
            opening: Health::default(),
        };
        tokio::spawn(async move {
            endpoint.run(socket).await;
            drop(running);
        });
    }

    async fn run(mut self, socket: O::Socket) {
        let mut phase = self.shared.phase.subscribe();
        let mut socket = Some(socket);
        while let Some(open) = socket.take() {
            self.serve(&open, &mut phase).await;
            // The port must be free before it can be bound again.
            drop(open);
            socket = self.reopen(&mut phase).await;
        }
        if let Some(queue) = self.shared.queues.get(self.index) {
            queue.close();
            self.shared.counters.dropped_sending.add(queue.clear() as u64);
        }
    }

    /// Until the transport closes or the socket is no good any more.
    async fn serve(&mut self, socket: &O::Socket, phase: &mut watch::Receiver<Phase>) {
        let shared = Arc::clone(&self.shared);
        let Some(queue) = shared.queues.get(self.index) else { return };
        let mut blocked_writes = 0_u32;
        loop {
            let now = Instant::now();
            let deadline = match *phase.borrow_and_update() {
                Phase::Open => None,
                Phase::Flushing(deadline) if now < deadline && !queue.is_empty() => Some(deadline),
                Phase::Flushing(_) | Phase::Closed => return,
            };
            self.learn_late_errors(socket, now);
            let mut read = Batch::Drained;
            if self.receiving.may_go(now) {
                read = self.read_batch(socket, now);
            }
            let mut written = Batch::Drained;
            if self.sending.may_go(now) {
                written = self.write_batch(socket, queue, now);
            }
            if self.receiving.is_broken() || self.sending.is_broken() {
                return;
            }
            self.shared.log_failures(now);
            blocked_writes = if written == Batch::Blocked { blocked_writes + 1 } else { 0 };
            if blocked_writes > 2 {
                // An ICMP error can leave the runtime in the belief that there is room to write.
                self.sending.pause(now + Duration::from_millis(2));
            }
            if read == Batch::More || written == Batch::More {
                tokio::task::yield_now().await;
                continue;
            }
            let (read_at, write_at) = (self.receiving.resumes(now), self.sending.resumes(now));
            let write = written == Batch::Blocked && write_at.is_none();
            let timer = [read_at, write_at, deadline].into_iter().flatten().min();
            tokio::select! {
                ready = socket.ready(read_at.is_none(), write), if read_at.is_none() || write => {
                    if let Err(error) = ready {
                        self.shared.failure(&classify(&error));
                        self.receiving.failed(1, Instant::now());
                    }
                }
                () = queue.filled.notified(), if write_at.is_none() && !write => {}
                _ = phase.changed() => {}
                () = sleep_until(timer.unwrap_or(now)), if timer.is_some() => {}
            }
        }
    }

    /// Binds the same port again, for as long as it takes. `None` when the transport closes.
    async fn reopen(&mut self, phase: &mut watch::Receiver<Phase>) -> Option<O::Socket> {
        loop {
            if *phase.borrow_and_update() != Phase::Open {
                return None;
            }
            let now = Instant::now();
            match self.opening.resumes(now) {
                Some(at) => {
                    tokio::select! {
                        () = sleep_until(at) => {}
                        _ = phase.changed() => {}
                    }
                }
                None => {
                    // Also when it works: a socket that keeps breaking is not opened in a loop.
                    self.opening.failed(1, now);
                    match self.opener.open(self.local) {
                        Ok((socket, _)) => {
                            self.shared.counters.reopened.add(1);
                            tracing::debug!(local = %self.local, "udp: socket opened anew");
                            self.sending = Health::default();
                            self.receiving = Health::default();
                            return Some(socket);
                        }
                        Err(error) => {
                            self.shared.failure(&classify(&error));
                            self.shared.log_failures(now);
                        }
                    }
                }
            }
        }
    }

    fn read_batch(&mut self, socket: &O::Socket, now: Instant) -> Batch {
        for _ in 0..BATCH {
            match socket.try_recv_from(&mut self.buffer) {
                Ok((len, from)) => {
                    self.receiving.succeeded();
                    self.opening.succeeded();
                    self.take_in(len, canonical(from), now);
                }
                Err(error) => {
                    let failure = classify(&error);
                    match failure.class {
                        Class::WouldBlock => return Batch::Drained,
                        Class::Interrupted => self.shared.counters.failure(failure.name),
                        _ => {
                            self.shared.failure(&failure);
                            let class = &failure.class;
                            tracing::trace!(local = %self.local, ?class, "udp: cannot receive");
                            self.learn_late_errors(socket, now);
                            self.receiving.failed(weight(&failure.class), now);
                            if !self.receiving.may_go(now) {
                                return Batch::Drained;
                            }
                        }
                    }
                }
            }
        }
        Batch::More
    }

    fn take_in(&self, len: usize, from: SocketAddr, now: Instant) {
        let counters = &self.shared.counters;
        let Some(datagram) = self.buffer.get(..len).filter(|bytes| bytes.len() <= MAX_DATAGRAM)
        else {
            counters.dropped_malformed.add(1);
            return;
        };
        self.shared.paths().heard(from, now);
        let path = ReplyPath::new(from, self.index as u64);
        let message = InboundMessage::new(Bytes::copy_from_slice(datagram), path);
        counters.arrived(len, self.inbox.push(Inbound::Message(message)));
    }

    fn write_batch(&mut self, socket: &O::Socket, queue: &SendQueue, now: Instant) -> Batch {
        for _ in 0..BATCH {
            let Some(outgoing) = queue.pop() else { return Batch::Drained };
            match socket.try_send_to(&outgoing.bytes, outgoing.to) {
                Ok(_) => {
                    self.sending.succeeded();
                    self.shared.counters.sent(outgoing.bytes.len());
                    self.shared.paths().sent(outgoing.to);
                }
                Err(error) => {
                    let failure = classify(&error);
                    match failure.class {
                        Class::WouldBlock => {
                            queue.put_back(outgoing);
                            return Batch::Blocked;
                        }
                        Class::Interrupted => {
                            self.shared.counters.failure(failure.name);
                            queue.put_back(outgoing);
                        }
                        _ => self.send_failed(socket, queue, outgoing, failure, now),
                    }
                    if !self.sending.may_go(now) {
                        return Batch::Drained;
                    }
                }
            }
        }
        Batch::More
    }

    fn send_failed(
        &mut self,
        socket: &O::Socket,
        queue: &SendQueue,
        mut outgoing: Outgoing,
        failure: Failure,
        now: Instant,
    ) {
        self.shared.failure(&failure);
        let class = failure.class;
        tracing::trace!(local = %self.local, to = %outgoing.to, ?class, "udp: cannot send");
        self.learn_late_errors(socket, now);
        self.sending.failed(weight(&class), now);
        outgoing.attempts += 1;
        // The first error may be about an earlier datagram to somebody else: the kernel hands out
        // what ICMP told it with whatever is done next. A family that is not known is certain.
        let again = match class {
            Class::Local | Class::Socket => outgoing.attempts < MAX_ATTEMPTS,
            Class::Family => false,
            _ => outgoing.attempts == 1,
        };
        if again {
            queue.put_back(outgoing);
            return;
        }
        let whole_family = class == Class::Family;
        let reason = match class {
            Class::Peer(reason) => reason,
            Class::Route | Class::Family => UnreachableReason::NetworkUnreachable,
            _ => {
                self.shared.counters.dropped_sending.add(1);
                return;
            }
        };
        let addr = outgoing.to;
        let trouble = {
            let mut paths = self.shared.paths();
            match reason {
                UnreachableReason::NetworkUnreachable => paths.refused(addr, whole_family, now),
                _ => paths.failed(addr, now),
            }
        };
        let other_path = usize::from(outgoing.attempts) <= 2 * outgoing.destination.addrs().len()
            && self.shared.reroute(outgoing);
        if !other_path {
            self.shared.counters.dropped_sending.add(1);
        }
        self.report(trouble, addr, reason);
    }

    /// Takes in what ICMP said about datagrams sent earlier.
    fn learn_late_errors(&self, socket: &O::Socket, now: Instant) {
        for _ in 0..BATCH {
            let Some(late) = socket.try_late_error() else { return };
            let failure = classify(&late.error);
            self.shared.failure(&failure);
            let class = failure.class;
            tracing::trace!(local = %self.local, to = %late.addr, ?class, "udp: icmp error");
            let reason = match class {
                Class::Peer(reason) => reason,
                Class::Route => UnreachableReason::NetworkUnreachable,
                _ => continue,
            };
            let trouble = self.shared.paths().failed(late.addr, now);
            self.report(trouble, late.addr, reason);
        }
    }

    fn report(&self, trouble: crate::paths::Trouble, addr: SocketAddr, reason: UnreachableReason) {
        let report = Report::Unreachable { node_id: trouble.node_id, addr, reason };
        if !trouble.report || self.inbox.push(Inbound::Report(report)).is_err() {
            self.shared.counters.reports_suppressed.add(1);
        }
    }
}

/// How much a failure says about the socket itself.
fn weight(class: &Class) -> u32 {
    match class {
        Class::WouldBlock | Class::Interrupted => 0,
        Class::TooLong | Class::Peer(_) | Class::Route | Class::Family => 0,
        Class::Local => 1,
        Class::Socket => 8,
    }
}
