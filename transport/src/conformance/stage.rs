//! What the checks have in common: opening nodes, and getting a message through.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::{ConformanceFactory, ConformanceFailure};
use crate::addr::AddressFamily;
use crate::contract::{OpenOptions, Transport, TransportReceiver, TransportSender};
use crate::destination::Destination;
use crate::error::SendError;
use crate::inbound::{Inbound, InboundMessage};

/// A lost message is sent again after this time.
pub(super) const RESEND_AFTER: Duration = Duration::from_millis(200);

type SenderOf<F> = <<F as ConformanceFactory>::Transport as Transport>::Sender;
type ReceiverOf<F> = <<F as ConformanceFactory>::Transport as Transport>::Receiver;

pub(super) struct Node<F: ConformanceFactory> {
    pub(super) id: Arc<str>,
    pub(super) sender: Arc<SenderOf<F>>,
    pub(super) receiver: ReceiverOf<F>,
}

impl<F: ConformanceFactory> Node<F> {
    pub(super) fn destination(&self) -> Destination {
        Destination::node(Arc::clone(&self.id), self.sender.local_addrs())
    }

    pub(super) fn addr(&self) -> Result<SocketAddr, ConformanceFailure> {
        let addrs = self.sender.local_addrs();
        match addrs[..] {
            [addr] if addr.port() != 0 => Ok(addr),
            _ => Err(ConformanceFailure::new(format_args!(
                "local_addrs() is {addrs:?}, expected the one bound address with its \
                 real port: ask the socket after binding it"
            ))),
        }
    }
}

/// One run of one check. Knows all that was sent, so that whatever arrives must be one of these.
pub(super) struct Stage<'a, F> {
    pub(super) factory: &'a F,
    sent: Vec<Bytes>,
    pub(super) tolerates_garbage: bool,
    pub(super) deadline: Instant,
}

impl<'a, F: ConformanceFactory> Stage<'a, F> {
    pub(super) fn new(factory: &'a F) -> Self {
        let deadline = Instant::now() + factory.patience();
        Self { factory, sent: Vec::new(), tolerates_garbage: false, deadline }
    }

    pub(super) fn listen_addr(&self) -> Result<SocketAddr, ConformanceFailure> {
        let family = self.factory.family();
        self.factory.listen_addr(family).ok_or_else(|| {
            ConformanceFailure::new(format_args!(
                "no {family} address to run the suite on: let listen_addr of the factory give one"
            ))
        })
    }

    pub(super) async fn open(&self, id: &str) -> Result<Node<F>, ConformanceFailure> {
        self.open_at(id, self.listen_addr()?).await
    }

    pub(super) async fn open_at(
        &self,
        id: &str,
        addr: SocketAddr,
    ) -> Result<Node<F>, ConformanceFailure> {
        let id: Arc<str> = id.into();
        let options = OpenOptions::new("conformance", Arc::clone(&id), vec![addr]);
        let (sender, receiver) =
            self.factory.transport(&id).open(options).await.map_err(|error| {
                ConformanceFailure::new(format_args!(
                    "cannot open: {error}; a port that was closed or dropped before has to be free \
                     again"
                ))
            })?;
        Ok(Node { id, sender: Arc::new(sender), receiver })
    }

    /// An address where nobody listens, as long as the second value is kept.
    pub(super) async fn dead_addr(
        &self,
        id: &str,
    ) -> Result<(SocketAddr, Option<Box<dyn Any + Send>>), ConformanceFailure> {
        if let Some((addr, keep)) = self.factory.dead_addr() {
            return Ok((addr, Some(keep)));
        }
        let node = self.open(id).await?;
        let addr = node.addr()?;
        node.sender.close().await;
        Ok((addr, None))
    }

    /// Notes that a message was sent, and so may arrive.
    pub(super) fn note(&mut self, message: &Bytes) {
        if !self.sent.contains(message) {
            self.sent.push(message.clone());
        }
    }

    /// The next message, whatever it is; `None` after `wait`.
    pub(super) async fn receive(
        &self,
        node: &mut Node<F>,
        wait: Duration,
    ) -> Result<Option<InboundMessage>, ConformanceFailure> {
        loop {
            match timeout(wait, node.receiver.recv()).await {
                Err(_) => return Ok(None),
                Ok(None) => {
                    return Err(ended_early());
                }
                Ok(Some(Inbound::Message(message))) => {
                    self.check_known(&message)?;
                    return Ok(Some(message));
                }
                Ok(Some(Inbound::Report(_))) => {}
            }
        }
    }

    pub(super) fn check_known(&self, message: &InboundMessage) -> Result<(), ConformanceFailure> {
        if self.tolerates_garbage || self.sent.contains(&message.bytes) {
            return Ok(());
        }
        Err(ConformanceFailure::new(format_args!(
            "a message of {} bytes arrived that nobody sent like this: boundaries or contents \
             are not kept; one send is one message at the other end, byte by byte",
            message.bytes.len()
        )))
    }

    /// Sends until the message has arrived.
    pub(super) async fn deliver(
        &mut self,
        from: &Node<F>,
        to: &Destination,
        receiver: &mut Node<F>,
        message: Bytes,
    ) -> Result<InboundMessage, ConformanceFailure> {
        self.note(&message);
        while Instant::now() < self.deadline {
            self.send_off_thread(from, to, &message).await?;
            while let Some(arrived) = self.receive(receiver, RESEND_AFTER).await? {
                if arrived.bytes == message {
                    check_peer(&arrived, &from.id)?;
                    return Ok(arrived);
                }
            }
        }
        Err(ConformanceFailure::new(format_args!(
            "a message of {} bytes from {} to {} did not arrive, though it was sent again and \
             again; nothing that happens to others may stop it",
            message.len(),
            from.id,
            receiver.id
        )))
    }

    /// Sends on a thread of its own, so that a `send` that blocks is a failure and not a hang. A
    /// full queue is all right.
    pub(super) async fn send_off_thread(
        &self,
        from: &Node<F>,
        to: &Destination,
        message: &Bytes,
    ) -> Result<(), ConformanceFailure> {
        let (done, returned) = oneshot::channel();
        let (sender, to, message) = (Arc::clone(&from.sender), to.clone(), message.clone());
        let runtime = tokio::runtime::Handle::current();
        std::thread::spawn(move || {
            let _context = runtime.enter();
            let result = sender.send(&to, message);
            // Before the check goes on, since it may be about to drop the sender.
            drop(sender);
            // Nobody waits any more if this took too long.
            let _ = done.send(result);
        });
        match timeout(self.factory.patience(), returned).await {
            Ok(Ok(Ok(()) | Err(SendError::QueueFull))) => Ok(()),
            Ok(Ok(Err(error))) => Err(ConformanceFailure::new(format_args!(
                "send was refused: {error}; queue what can be sent, and drop it later if nobody \
                     is there"
            ))),
            Ok(Err(_)) => Err(ConformanceFailure::new(
                "send panicked; it may be called from any thread that is inside the runtime",
            )),
            Err(_) => Err(ConformanceFailure::new(
                "send blocked; it must only enqueue, and say QueueFull where there is no room",
            )),
        }
    }

    /// Both directions between two nodes.
    pub(super) async fn exchange(
        &mut self,
        one: &mut Node<F>,
        other: &mut Node<F>,
    ) -> Result<(), ConformanceFailure> {
        let (to_other, to_one) = (other.destination(), one.destination());
        self.deliver(one, &to_other, other, pattern(100, 1)).await?;
        self.deliver(other, &to_one, one, pattern(100, 2)).await?;
        Ok(())
    }

    /// Where to listen for IPv4 and for IPv6, if at all.
    pub(super) fn listen_addrs(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let of = |family| self.factory.listen_addr(family);
        (of(AddressFamily::V4), of(AddressFamily::V6))
    }
}

/// `recv` gave `None` without a reason.
pub(super) fn ended_early() -> ConformanceFailure {
    ConformanceFailure::new(
        "recv ended though nobody closed: no error and no peer may end it, only close or the \
         drop of the sending half",
    )
}

/// Who is verified is the one who sent; a transport that verifies nobody says so.
fn check_peer(message: &InboundMessage, sender: &str) -> Result<(), ConformanceFailure> {
    match message.peer.as_deref() {
        Some(peer) if peer != sender => Err(ConformanceFailure::new(format_args!(
            "a message of {sender} came with the verified peer {peer}: set it to the node id that \
             the sender's credentials prove, or leave it out"
        ))),
        _ => Ok(()),
    }
}

/// `len` bytes that are the same for the same `salt`, and different at every place otherwise.
pub(super) fn pattern(len: usize, salt: u64) -> Bytes {
    let mut state = (len as u64).wrapping_add(salt << 32) | 1;
    (0..len)
        .map(|_| {
            // A multiplier from Knuth's MMIX generator; any mixing would do.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        })
        .collect()
}
