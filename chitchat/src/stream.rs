//! The streams of events and notices.

use std::sync::Arc;

use chitchat_protocol::{Event, NodeState, Notice};
use chitchat_transport::Report;

use crate::ring::{Lagged, RingReader};

/// An event as it travels, with what subscribers need besides.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) event: Event,
    /// Of a node that was removed: the state that it had.
    pub(crate) removed: Option<Arc<NodeState>>,
}

/// Every change that follows the snapshot it came with. Made by
/// [`ChitchatHandle::events`](crate::ChitchatHandle::events).
///
/// A reader that is too slow misses events, is told by a [`Lagged`] item, and goes on with the
/// oldest events that are kept. It does not hold up the node. A stream does not keep its node
/// running.
#[derive(Debug)]
pub struct EventStream {
    reader: RingReader<Published>,
}

impl EventStream {
    pub(crate) fn new(reader: RingReader<Published>) -> Self {
        Self { reader }
    }

    /// Waits for the next event. `None`: the node is closed, and everything has been read.
    ///
    /// Cancel-safe: dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// [`Lagged`] in place of the events that were missed: the state that the reader has built is
    /// outdated. Call [`events`](crate::ChitchatHandle::events) again for a fresh start.
    pub async fn next(&mut self) -> Option<Result<Event, Lagged>> {
        Some(self.reader.next().await?.map(|published| published.event))
    }

    /// The next event if there is one now. `None` does not mean closed.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn try_next(&mut self) -> Option<Result<Event, Lagged>> {
        Some(self.reader.try_next()?.map(|published| published.event))
    }
}

/// Something that an operator may want to know, and that is no change of the state.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum OperatorNotice {
    /// The node found out something about itself or the cluster.
    Node(Notice),
    /// The transport found out something about a peer. A hint, not a proof.
    Transport(Report),
    /// A seed's name could not be looked up. Told once, until it can be.
    SeedUnresolved {
        /// The seed, as configured.
        seed: Arc<str>,
        /// Why.
        error: Arc<str>,
    },
}

/// What an operator may want to know. Made by
/// [`ChitchatHandle::notices`](crate::ChitchatHandle::notices).
///
/// The most important ones stand in the log as well. At most 1,024 wait for a reader.
#[derive(Debug)]
pub struct NoticeStream {
    reader: RingReader<OperatorNotice>,
}

impl NoticeStream {
    pub(crate) fn new(reader: RingReader<OperatorNotice>) -> Self {
        Self { reader }
    }

    /// Waits for the next notice. `None`: the node is closed, and everything has been read.
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`Lagged`] in place of the notices that were missed.
    pub async fn next(&mut self) -> Option<Result<OperatorNotice, Lagged>> {
        self.reader.next().await
    }

    /// The next notice if there is one now. `None` does not mean closed.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn try_next(&mut self) -> Option<Result<OperatorNotice, Lagged>> {
        self.reader.try_next()
    }
}
