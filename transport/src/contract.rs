//! The three traits of a transport.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::addr::canonical;
use crate::destination::Destination;
use crate::error::{OpenError, SendError};
use crate::inbound::Inbound;
use crate::stats::TransportStats;

/// What the node tells a transport when it opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenOptions {
    /// The cluster; a transport that verifies identities refuses peers of any other.
    pub cluster_id: Arc<str>,
    /// This node; a transport with certificates checks that its own one names this node.
    pub node_id: Arc<str>,
    /// Where to listen: one or more [`canonical`] addresses of one or both families. Port 0 picks
    /// a free port.
    pub listen: Vec<SocketAddr>,
}

impl OpenOptions {
    /// All there is to tell. Addresses are made canonical.
    #[must_use]
    pub fn new(
        cluster_id: impl Into<Arc<str>>,
        node_id: impl Into<Arc<str>>,
        listen: Vec<SocketAddr>,
    ) -> Self {
        Self {
            cluster_id: cluster_id.into(),
            node_id: node_id.into(),
            listen: listen.into_iter().map(canonical).collect(),
        }
    }
}

/// A way to carry messages between nodes, configured but not open yet.
///
/// A transport has a constructor of its own with a config of its own; the node opens it once and
/// gets a sending and a receiving half. Both halves hold the transport open: it closes on
/// [`TransportSender::close`], or when the sending half is dropped. Dropping the receiving half
/// alone leaves it open; whatever arrives is then dropped and counted.
pub trait Transport: Send + 'static {
    /// The sending half.
    type Sender: TransportSender;
    /// The receiving half.
    type Receiver: TransportReceiver;

    /// Binds all of [`OpenOptions::listen`], and starts.
    ///
    /// # Errors
    ///
    /// If one listen address cannot be bound, none is: nothing stays open.
    fn open(
        self,
        options: OpenOptions,
    ) -> impl Future<Output = Result<(Self::Sender, Self::Receiver), OpenError>> + Send;
}

/// The sending half of an open transport.
///
/// Its methods may be called from any thread that is inside the runtime's context.
pub trait TransportSender: Send + Sync + 'static {
    /// Hands over one message, without waiting: it goes to a bounded queue (per peer or per
    /// socket), and a dead or slow peer delays nobody else. `Ok` does not mean delivered.
    ///
    /// Messages may be lost, repeated or overtaken, but they arrive whole and separate. An empty
    /// message is a message too, and arrives as one.
    ///
    /// If the destination has a [reply path](Destination::reply_path), the message goes back that
    /// way.
    ///
    /// # Errors
    ///
    /// See [`SendError`]. Every refusal is counted in [`stats`](Self::stats).
    fn send(&self, to: &Destination, message: Bytes) -> Result<(), SendError>;

    /// The longest message that travels without extra cost (for example without IP fragments), in
    /// bytes, after the transport's own overhead. The node packs its messages up to this length
    /// and exceeds it only for a single entry that is larger. Constant, above 0, and at most
    /// [`max_message_len`](Self::max_message_len).
    fn preferred_message_len(&self) -> usize;

    /// The longest message that can be sent at all, in bytes, after the transport's own overhead.
    /// Constant. A limit for sending: peers may have other limits, and what they send is taken.
    fn max_message_len(&self) -> usize;

    /// How many peers it can hold connections with at once; `None`, the default: no limit.
    ///
    /// With more live peers than this, the node opens exchanges with a slowly changing set of half
    /// as many only, since others open exchanges with it too. Constant.
    fn peer_capacity(&self) -> Option<usize> {
        None
    }

    /// The addresses that are bound, with the real ports, in the order of
    /// [`OpenOptions::listen`]. An unspecified address (`0.0.0.0`) stays unspecified.
    ///
    /// The node does not hand over addresses of a family that is not among these, so a socket that
    /// serves both families is to be listed once for each. An empty list stands for all families.
    fn local_addrs(&self) -> Vec<SocketAddr>;

    /// The counters at this moment.
    fn stats(&self) -> TransportStats;

    /// Sends what is queued, for a bounded time, and closes. When this returns, the ports are
    /// free, sends answer [`SendError::Closed`], and the receiving half ends once it is drained.
    /// May be called more than once.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// The receiving half of an open transport.
pub trait TransportReceiver: Send + 'static {
    /// Waits for the next message or report. `None` when the transport is closed and all that had
    /// arrived has been handed out.
    ///
    /// Cancel-safe: dropping the future loses nothing.
    fn recv(&mut self) -> impl Future<Output = Option<Inbound>> + Send;

    /// What is ready now, for handling in batches. `None` does not mean closed.
    fn try_recv(&mut self) -> Option<Inbound>;
}
