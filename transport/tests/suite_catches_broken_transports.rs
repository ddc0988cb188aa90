//! The suite is worth something only if a broken transport fails it: each of these has one fault,
//! and is caught by the check that is there for it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chitchat_transport::conformance::{self, ConformanceFactory, ConformanceFailure, Outcome};
use chitchat_transport::memory::{MemoryNetwork, MemoryReceiver, MemorySender, MemoryTransport};
use chitchat_transport::{
    AddressFamily, Destination, Inbound, InboundMessage, InboxLimits, OpenError, OpenOptions,
    ReplyPath, SendError, Transport, TransportReceiver, TransportSender, TransportStats,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    MergesMessages,
    LosesEmptyMessages,
    IgnoresItsLimit,
    HidesItsLimit,
    CannotCarryItsMaximum,
    BlocksOnADeadPeer,
    TakesBeforeItCanHandOut,
    AnswersToTheWrongAddress,
    QueuesWithoutBound,
    DropsWithoutCounting,
    KeepsItsPort,
    NeverEnds,
    DeliversGarbledBytes,
    NeverReports,
    DiesOfGarbage,
}

struct Factory {
    network: MemoryNetwork,
    fault: Fault,
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

struct Broken {
    inner: MemoryTransport,
    network: MemoryNetwork,
    fault: Fault,
}

impl Transport for Broken {
    type Sender = BrokenSender;
    type Receiver = BrokenReceiver;

    async fn open(self, options: OpenOptions) -> Result<(Self::Sender, Self::Receiver), OpenError> {
        let Self { inner, network, fault } = self;
        let (sender, receiver) = inner.open(options).await?;
        let sender = BrokenSender { inner: sender, network, fault, held_back: Mutex::default() };
        Ok((sender, BrokenReceiver { inner: receiver, fault, dead: false }))
    }
}

struct BrokenSender {
    inner: MemorySender,
    network: MemoryNetwork,
    fault: Fault,
    held_back: Mutex<BytesMut>,
}

impl TransportSender for BrokenSender {
    fn send(&self, to: &Destination, message: Bytes) -> Result<(), SendError> {
        match self.fault {
            Fault::MergesMessages => {
                // A stream without frames: two writes, one read.
                let mut held_back = self.held_back.lock().unwrap();
                if held_back.is_empty() {
                    held_back.extend_from_slice(&message);
                    return Ok(());
                }
                held_back.extend_from_slice(&message);
                self.inner.send(to, held_back.split().freeze())
            }
            Fault::LosesEmptyMessages if message.is_empty() => Ok(()),
            Fault::IgnoresItsLimit if message.len() > self.max_message_len() => Ok(()),
            Fault::HidesItsLimit => self.inner.send(to, message).map_err(|error| match error {
                SendError::TooLarge { len, .. } => SendError::TooLarge { len, limit: 0 },
                other => other,
            }),
            Fault::CannotCarryItsMaximum if message.len() == self.max_message_len() => Ok(()),
            Fault::BlocksOnADeadPeer if to.node_id().is_some_and(|id| &**id == "node-3") => {
                // For good, as far as the suite is concerned.
                std::thread::park_timeout(Duration::from_secs(60));
                Ok(())
            }
            Fault::AnswersToTheWrongAddress => match to.reply_path() {
                Some(path) => {
                    let wrong = SocketAddr::new(path.remote().ip(), 9);
                    self.inner.send(&Destination::reply(ReplyPath::new(wrong, 0)), message)
                }
                None => self.inner.send(to, message),
            },
            Fault::DeliversGarbledBytes => {
                self.inner.send(to, message.iter().map(|byte| byte ^ 1).collect())
            }
            _ => self.inner.send(to, message),
        }
    }

    fn preferred_message_len(&self) -> usize {
        self.inner.preferred_message_len()
    }

    fn max_message_len(&self) -> usize {
        self.inner.max_message_len()
    }

    fn local_addrs(&self) -> Vec<SocketAddr> {
        self.inner.local_addrs()
    }

    fn stats(&self) -> TransportStats {
        let mut stats = self.inner.stats();
        if self.fault == Fault::DropsWithoutCounting {
            stats.dropped_receive_queue_full = 0;
        }
        stats
    }

    async fn close(&self) {
        let addrs = self.inner.local_addrs();
        match self.fault {
            Fault::NeverEnds => {}
            Fault::KeepsItsPort => {
                self.inner.close().await;
                let options = OpenOptions::new("c", "leak", addrs);
                if let Ok(leaked) = self.network.transport().open(options).await {
                    std::mem::forget(leaked);
                }
            }
            _ => self.inner.close().await,
        }
    }
}

struct BrokenReceiver {
    inner: MemoryReceiver,
    fault: Fault,
    dead: bool,
}

impl BrokenReceiver {
    fn passes(&mut self, inbound: &Inbound) -> bool {
        match (self.fault, inbound) {
            (Fault::NeverReports, Inbound::Report(_)) => false,
            (Fault::DiesOfGarbage, Inbound::Message(InboundMessage { bytes, .. })) => {
                self.dead |= bytes.starts_with(b"GET");
                !self.dead
            }
            _ => true,
        }
    }
}

impl TransportReceiver for BrokenReceiver {
    async fn recv(&mut self) -> Option<Inbound> {
        loop {
            let inbound = self.inner.recv().await?;
            if self.fault == Fault::TakesBeforeItCanHandOut {
                tokio::task::yield_now().await;
            }
            if self.passes(&inbound) {
                return Some(inbound);
            }
        }
    }

    fn try_recv(&mut self) -> Option<Inbound> {
        self.inner.try_recv()
    }
}

type Verdict = Result<Outcome, ConformanceFailure>;

fn run<C: AsyncFnOnce(&Factory) -> Verdict>(fault: Fault, check: C) -> Verdict {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let factory = Factory { network: MemoryNetwork::new(1), fault };
    runtime.block_on(check(&factory))
}

/// One test per fault: the check passes without the fault and fails with it, saying so.
macro_rules! caught {
    ($($test:ident: $fault:ident by $check:ident saying $words:literal;)+) => {
        $(
            #[test]
            fn $test() {
                let check = async |factory: &Factory| conformance::$check(factory).await;
                assert_eq!(run(Fault::None, check), Ok(Outcome::Passed));
                let failure = run(Fault::$fault, check).expect_err("the fault was not noticed");
                assert!(failure.what.contains($words), "another failure: {failure}");
            }
        )+
    };
}

caught! {
    merged_messages_are_caught:
        MergesMessages by keeps_message_boundaries saying "boundaries";
    a_lost_empty_message_is_caught:
        LosesEmptyMessages by keeps_message_boundaries saying "of 0 bytes";
    garbled_bytes_are_caught:
        DeliversGarbledBytes by delivers_both_ways saying "contents";
    an_ignored_limit_is_caught:
        IgnoresItsLimit by refuses_a_message_that_is_too_large saying "gave Ok";
    a_refusal_without_the_limit_is_caught:
        HidesItsLimit by refuses_a_message_that_is_too_large saying "limit: 0";
    a_maximum_that_does_not_arrive_is_caught:
        CannotCarryItsMaximum by delivers_a_message_of_maximum_length saying "did not arrive";
    blocking_on_a_dead_peer_is_caught:
        BlocksOnADeadPeer by is_not_blocked_by_a_dead_peer saying "send blocked";
    a_recv_that_is_not_cancel_safe_is_caught:
        TakesBeforeItCanHandOut by loses_nothing_when_recv_is_cancelled saying "disappear";
    an_answer_that_goes_astray_is_caught:
        AnswersToTheWrongAddress by answers_by_the_reply_path saying "did not arrive";
    an_unbounded_queue_is_caught:
        QueuesWithoutBound by bounds_its_queues saying "more than its bound";
    drops_that_are_not_counted_are_caught:
        DropsWithoutCounting by bounds_its_queues saying "neither refused nor counted";
    a_port_that_is_kept_is_caught:
        KeepsItsPort by releases_its_port_when_closed saying "cannot open";
    a_close_that_does_not_close_is_caught:
        NeverEnds by ends_when_closed saying "expected Closed";
    silence_about_an_unreachable_peer_is_caught:
        NeverReports by reports_an_unreachable_peer saying "no report";
    dying_of_garbage_is_caught:
        DiesOfGarbage by survives_garbage saying "did not arrive";
}

#[test]
fn a_check_that_does_not_apply_is_skipped_with_a_reason() {
    struct Plain(Arc<MemoryNetwork>);

    impl ConformanceFactory for Plain {
        type Transport = MemoryTransport;

        fn transport(&self, _node_id: &str) -> MemoryTransport {
            self.0.transport()
        }
    }

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let plain = Plain(Arc::new(MemoryNetwork::new(1)));
    let outcome = runtime.block_on(conformance::survives_garbage(&plain)).unwrap();
    assert!(matches!(outcome, Outcome::Skipped(reason) if reason.contains("no way to inject")));
    let outcome = runtime.block_on(conformance::reports_an_unreachable_peer(&plain)).unwrap();
    assert!(matches!(outcome, Outcome::Skipped(_)));
}
