//! A transport around another one, which looks at what passes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use chitchat_protocol::DecodeError;
use chitchat_protocol::message::Body;
use chitchat_protocol::wire::{DecodeLimits, Frame, Kind};
use chitchat_transport::{
    Destination, Inbound, OpenError, OpenOptions, SendError, Transport, TransportReceiver,
    TransportSender, TransportStats,
};

/// How many messages there were of each kind; what is none of chitchat's is `not a message`.
pub type Kinds = BTreeMap<&'static str, u64>;

/// What has passed through the transports that share it. Clones are the same tally.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    sent: Kinds,
    received: Kinds,
    entries: u64,
}

impl Tally {
    /// Messages that were accepted for sending.
    #[must_use]
    pub fn sent(&self) -> Kinds {
        self.with(|counts| counts.sent.clone())
    }

    /// Messages that were handed to a node.
    #[must_use]
    pub fn received(&self) -> Kinds {
        self.with(|counts| counts.received.clone())
    }

    /// Key-values, deletions included, in the messages that were received.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.with(|counts| counts.entries)
    }

    fn with<T>(&self, look: impl FnOnce(&mut Counts) -> T) -> T {
        look(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note_received(&self, inbound: &Inbound) {
        if let Inbound::Message(message) = inbound {
            let (kind, entries) = look_at(&message.bytes);
            self.with(|counts| {
                *counts.received.entry(kind).or_default() += 1;
                counts.entries += entries;
            });
        }
    }
}

/// The kind of a message, and how many key-values it carries.
fn look_at(bytes: &[u8]) -> (&'static str, u64) {
    read(bytes).unwrap_or(("not a message", 0))
}

fn read(bytes: &[u8]) -> Result<(&'static str, u64), DecodeError> {
    let frame = Frame::parse(bytes, &DecodeLimits::default())?;
    if frame.kind() == Kind::Unsupported {
        return Ok(("unsupported", 0));
    }
    let body = frame.message()?.body;
    let deltas = match &body {
        Body::SynAck { deltas, .. } | Body::Ack { deltas, .. } | Body::Push { deltas } => {
            &deltas[..]
        }
        _ => &[],
    };
    let entries = deltas.iter().map(|delta| delta.entries.len() as u64).sum();
    Ok((body.kind(), entries))
}

/// A transport that counts what passes through another one, and changes nothing.
#[derive(Debug, Clone)]
pub struct Inspected<T> {
    inner: T,
    tally: Tally,
}

impl<T> Inspected<T> {
    /// Counts into this tally.
    pub fn new(inner: T, tally: &Tally) -> Self {
        Self { inner, tally: tally.clone() }
    }
}

impl<T: Transport> Transport for Inspected<T> {
    type Sender = InspectedSender<T::Sender>;
    type Receiver = InspectedReceiver<T::Receiver>;

    async fn open(self, options: OpenOptions) -> Result<(Self::Sender, Self::Receiver), OpenError> {
        let (sender, receiver) = self.inner.open(options).await?;
        let tally = self.tally.clone();
        let sender = InspectedSender { inner: sender, tally: self.tally };
        Ok((sender, InspectedReceiver { inner: receiver, tally }))
    }
}

/// The sending half.
#[derive(Debug)]
pub struct InspectedSender<S> {
    inner: S,
    tally: Tally,
}

impl<S: TransportSender> TransportSender for InspectedSender<S> {
    fn send(&self, to: &Destination, message: Bytes) -> Result<(), SendError> {
        let (kind, _) = look_at(&message);
        self.inner.send(to, message)?;
        self.tally.with(|counts| *counts.sent.entry(kind).or_default() += 1);
        Ok(())
    }

    fn preferred_message_len(&self) -> usize {
        self.inner.preferred_message_len()
    }

    fn max_message_len(&self) -> usize {
        self.inner.max_message_len()
    }

    fn peer_capacity(&self) -> Option<usize> {
        self.inner.peer_capacity()
    }

    fn local_addrs(&self) -> Vec<SocketAddr> {
        self.inner.local_addrs()
    }

    fn stats(&self) -> TransportStats {
        self.inner.stats()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

/// The receiving half.
#[derive(Debug)]
pub struct InspectedReceiver<R> {
    inner: R,
    tally: Tally,
}

impl<R: TransportReceiver> TransportReceiver for InspectedReceiver<R> {
    async fn recv(&mut self) -> Option<Inbound> {
        // Nothing waits between taking it and handing it out, so nothing is lost on cancelling.
        let inbound = self.inner.recv().await?;
        self.tally.note_received(&inbound);
        Some(inbound)
    }

    fn try_recv(&mut self) -> Option<Inbound> {
        let inbound = self.inner.try_recv()?;
        self.tally.note_received(&inbound);
        Some(inbound)
    }
}
