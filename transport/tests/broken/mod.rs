//! A transport with one fault, of a choice of them: the memory transport, spoilt.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chitchat_transport::conformance::ConformanceFactory;
use chitchat_transport::memory::{MemoryNetwork, MemoryReceiver, MemorySender, MemoryTransport};
use chitchat_transport::{
    AddressFamily, Destination, Inbound, InboundMessage, InboxLimits, OpenError, OpenOptions,
    ReplyPath, Report, SendError, Transport, TransportReceiver, TransportSender, TransportStats,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    MergesMessages,
    SplitsMessages,
    LosesEmptyMessages,
    IgnoresItsLimit,
    HidesItsLimit,
    PrefersMoreThanItsMaximum,
    CannotCarryItsMaximum,
    BlocksOnADeadPeer,
    DiesWithADeadPeer,
    PanicsOnADeadPeer,
    TakesBeforeItCanHandOut,
    HandsOutOnlyToThoseWhoWait,
    AnswersToTheWrongAddress,
    NamesTheWrongPeer,
    FailsOnIpv6,
    QueuesWithoutBound,
    DropsWithoutCounting,
    RefusesWithoutCounting,
    CountsNothing,
    HidesItsPort,
    OpensTakenAddresses,
    LeavesHalfOpen,
    KeepsItsPort,
    KeepsItsPortWhenDropped,
    OutlivesItsSender,
    NeverEnds,
    HangsInClose,
    ReadsOnAfterClose,
    DeliversGarbledBytes,
    NeverReports,
    BlamesTheWrongAddress,
    DiesOfGarbage,
    EndsAfterGarbage,
}

pub(crate) struct Factory {
    pub(crate) network: MemoryNetwork,
    pub(crate) fault: Fault,
}

impl ConformanceFactory for Factory {
    type Transport = Broken;

    fn transport(&self, _node_id: &str) -> Broken {
        let mut inner = self.network.transport().with_message_lens(1_400, 60_000);
        if self.fault == Fault::QueuesWithoutBound {
            let limits = InboxLimits { entries: usize::MAX, bytes: usize::MAX };
            inner = inner.with_receive_queue(limits);
        }
        Broken { inner, network: self.network.clone(), fault: self.fault }
    }

    fn listen_addr(&self, family: AddressFamily) -> Option<SocketAddr> {
        match family {
            AddressFamily::V4 => "127.0.0.1:0".parse().ok(),
            AddressFamily::V6 => "[::1]:0".parse().ok(),
        }
    }

    fn reports_unreachable(&self) -> bool {
        true
    }

    async fn inject_garbage(&self, to: SocketAddr, bytes: &[u8]) -> bool {
        let options = OpenOptions::new("c", "stranger", vec!["127.0.0.1:0".parse().unwrap()]);
        let (sender, _) = self.network.transport().open(options).await.unwrap();
        sender.send(&Destination::addr(to), Bytes::copy_from_slice(bytes)).is_ok()
    }

    /// Short, since here it is the failure that is expected.
    fn patience(&self) -> Duration {
        if self.fault == Fault::None { Duration::from_secs(20) } else { Duration::from_secs(2) }
    }
}

pub(crate) struct Broken {
    inner: MemoryTransport,
    network: MemoryNetwork,
    fault: Fault,
}

impl Transport for Broken {
    type Sender = BrokenSender;
    type Receiver = BrokenReceiver;

    async fn open(self, options: OpenOptions) -> Result<(Self::Sender, Self::Receiver), OpenError> {
        let Self { inner, network, fault } = self;
        let mut options = options;
        let first = options.listen[0];
        if fault == Fault::OpensTakenAddresses {
            // Makes do with what it gets.
            options.listen.truncate(1);
        }
        let opened = inner.open(options).await;
        if opened.is_err() && fault == Fault::LeavesHalfOpen {
            hold(&network, vec![first]).await;
        }
        let (sender, receiver) = opened?;
        let sender = BrokenSender {
            inner: Some(sender),
            network,
            fault,
            held_back: Mutex::default(),
            is_dead: AtomicBool::new(false),
        };
        Ok((sender, BrokenReceiver { inner: receiver, fault, is_dead: false }))
    }
}

/// Takes addresses for good.
async fn hold(network: &MemoryNetwork, addrs: Vec<SocketAddr>) {
    let options = OpenOptions::new("c", "leak", addrs);
    if let Ok(leaked) = network.transport().open(options).await {
        std::mem::forget(leaked);
    }
}

pub(crate) struct BrokenSender {
    /// `None` only while it is dropped.
    inner: Option<MemorySender>,
    network: MemoryNetwork,
    fault: Fault,
    held_back: Mutex<BytesMut>,
    is_dead: AtomicBool,
}

impl BrokenSender {
    fn inner(&self) -> &MemorySender {
        self.inner.as_ref().unwrap()
    }

    fn send_to_a_dead_peer(&self) -> Result<(), SendError> {
        match self.fault {
            // For good, as far as the suite is concerned.
            Fault::BlocksOnADeadPeer => std::thread::park_timeout(Duration::from_secs(60)),
            Fault::PanicsOnADeadPeer => panic!("nobody listens there"),
            _ => self.is_dead.store(true, Ordering::SeqCst),
        }
        Ok(())
    }
}

impl TransportSender for BrokenSender {
    fn send(&self, to: &Destination, message: Bytes) -> Result<(), SendError> {
        let inner = self.inner();
        let goes_to_a_dead_peer = to.node_id().is_some_and(|id| &**id == "node-3");
        match self.fault {
            Fault::MergesMessages => {
                // A stream without frames: two writes, one read.
                let mut held_back = self.held_back.lock().unwrap();
                if held_back.is_empty() {
                    held_back.extend_from_slice(&message);
                    return Ok(());
                }
                held_back.extend_from_slice(&message);
                inner.send(to, held_back.split().freeze())
            }
            Fault::SplitsMessages => {
                let (first, second) = message.split_at(message.len() / 2);
                inner.send(to, Bytes::copy_from_slice(first))?;
                inner.send(to, Bytes::copy_from_slice(second))
            }
            Fault::LosesEmptyMessages if message.is_empty() => Ok(()),
            Fault::IgnoresItsLimit if message.len() > self.max_message_len() => Ok(()),
            Fault::HidesItsLimit => inner.send(to, message).map_err(|error| match error {
                SendError::TooLarge { len, .. } => SendError::TooLarge { len, limit: 0 },
                other => other,
            }),
            Fault::CannotCarryItsMaximum if message.len() == self.max_message_len() => Ok(()),
            Fault::BlocksOnADeadPeer | Fault::DiesWithADeadPeer | Fault::PanicsOnADeadPeer
                if goes_to_a_dead_peer =>
            {
                self.send_to_a_dead_peer()
            }
            Fault::DiesWithADeadPeer if self.is_dead.load(Ordering::SeqCst) => Ok(()),
            Fault::FailsOnIpv6 if to.addrs().iter().any(SocketAddr::is_ipv6) => Ok(()),
            Fault::AnswersToTheWrongAddress => match to.reply_path() {
                Some(path) => {
                    let wrong = SocketAddr::new(path.remote().ip(), 9);
                    inner.send(&Destination::reply(ReplyPath::new(wrong, 0)), message)
                }
                None => inner.send(to, message),
            },
            Fault::DeliversGarbledBytes => {
                inner.send(to, message.iter().map(|byte| byte ^ 1).collect())
            }
            _ => inner.send(to, message),
        }
    }

    fn preferred_message_len(&self) -> usize {
        match self.fault {
            Fault::PrefersMoreThanItsMaximum => self.max_message_len() + 1,
            _ => self.inner().preferred_message_len(),
        }
    }

    fn max_message_len(&self) -> usize {
        self.inner().max_message_len()
    }

    fn local_addrs(&self) -> Vec<SocketAddr> {
        let mut addrs = self.inner().local_addrs();
        if self.fault == Fault::HidesItsPort {
            addrs.iter_mut().for_each(|addr| addr.set_port(0));
        }
        addrs
    }

    fn stats(&self) -> TransportStats {
        let mut stats = self.inner().stats();
        match self.fault {
            Fault::CountsNothing => stats = TransportStats::default(),
            Fault::DropsWithoutCounting => stats.dropped_receive_queue_full = 0,
            Fault::RefusesWithoutCounting => stats.refused_too_large = 0,
            _ => {}
        }
        stats
    }

    async fn close(&self) {
        let addrs = self.inner().local_addrs();
        if self.fault == Fault::HangsInClose {
            // For a peer that is to confirm everything first.
            std::future::pending::<()>().await;
        }
        if self.fault != Fault::NeverEnds {
            self.inner().close().await;
        }
        if self.fault == Fault::KeepsItsPort {
            hold(&self.network, addrs).await;
        }
    }
}

impl Drop for BrokenSender {
    fn drop(&mut self) {
        let outlives = [Fault::OutlivesItsSender, Fault::KeepsItsPortWhenDropped];
        if outlives.contains(&self.fault) {
            // A task that holds the socket, and that nobody tells.
            std::mem::forget(self.inner.take());
        }
    }
}

pub(crate) struct BrokenReceiver {
    inner: MemoryReceiver,
    fault: Fault,
    is_dead: bool,
}

impl BrokenReceiver {
    fn spoil(&mut self, inbound: Inbound) -> Option<Inbound> {
        match (self.fault, inbound) {
            (Fault::NeverReports, Inbound::Report(_)) => None,
            (
                Fault::BlamesTheWrongAddress,
                Inbound::Report(Report::Unreachable { node_id, mut addr, reason }),
            ) => {
                addr.set_port(9);
                Some(Inbound::Report(Report::Unreachable { node_id, addr, reason }))
            }
            (Fault::NamesTheWrongPeer, Inbound::Message(message)) => {
                Some(Inbound::Message(message.with_peer("somebody".into())))
            }
            (
                Fault::DiesOfGarbage | Fault::EndsAfterGarbage,
                Inbound::Message(InboundMessage { bytes, .. }),
            ) if bytes.starts_with(b"GET") => {
                self.is_dead = true;
                None
            }
            (Fault::DiesOfGarbage, _) if self.is_dead => None,
            (_, inbound) => Some(inbound),
        }
    }
}

impl TransportReceiver for BrokenReceiver {
    async fn recv(&mut self) -> Option<Inbound> {
        loop {
            if self.is_dead && self.fault == Fault::EndsAfterGarbage {
                return None;
            }
            let inbound = match self.inner.recv().await {
                // A task of its own still holds the other end of the queue.
                None if self.fault == Fault::ReadsOnAfterClose => std::future::pending().await,
                inbound => inbound?,
            };
            if self.fault == Fault::TakesBeforeItCanHandOut {
                tokio::task::yield_now().await;
            }
            if let Some(inbound) = self.spoil(inbound) {
                return Some(inbound);
            }
        }
    }

    fn try_recv(&mut self) -> Option<Inbound> {
        if self.fault == Fault::HandsOutOnlyToThoseWhoWait {
            return None;
        }
        self.inner.try_recv()
    }
}
