//! Subscriptions to the keys under a prefix.

use std::collections::VecDeque;
use std::sync::Arc;

use chitchat_protocol::{ChitchatId, ClusterStateSnapshot, Event, NodeState};

use crate::ring::{Lagged, RingReader};
use crate::stream::Published;

/// A change of a key under the prefix of a [`PrefixSubscription`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyEvent {
    /// A key was set, or its owner appeared with it.
    Set {
        /// Whose key.
        owner: ChitchatId,
        /// The whole key, prefix included.
        key: Arc<str>,
        /// The value.
        value: Arc<str>,
        /// The version of the write.
        version: u64,
    },
    /// A key was deleted, its time to live ended, or its owner was removed.
    Deleted {
        /// Whose key.
        owner: ChitchatId,
        /// The whole key, prefix included.
        key: Arc<str>,
    },
}

/// The changes of all keys under a prefix, whosever they are: also this node's own. Made by
/// [`ChitchatHandle::subscribe`](crate::ChitchatHandle::subscribe).
///
/// - A node that joins brings a [`KeyEvent::Set`] for each of its keys under the prefix.
/// - A node that is removed, or superseded by its next generation, takes them with it: one
///   [`KeyEvent::Deleted`] for each.
/// - A node that fails or leaves keeps its keys until it is removed. Whether the owner of a key
///   lives is a question to the [snapshot](crate::ChitchatHandle::snapshot).
///
/// Applying all changes to what [`with_existing`](Self::with_existing) begins with gives, at any
/// time, what the snapshot has under the prefix.
#[derive(Debug)]
pub struct PrefixSubscription {
    prefix: Arc<str>,
    reader: RingReader<Published>,
    /// Where the subscription starts. Let go with the first call of `next`.
    start: Option<Arc<ClusterStateSnapshot>>,
    ready: VecDeque<KeyEvent>,
}

impl PrefixSubscription {
    pub(crate) fn new(
        prefix: Arc<str>,
        reader: RingReader<Published>,
        start: Arc<ClusterStateSnapshot>,
    ) -> Self {
        Self { prefix, reader, start: Some(start), ready: VecDeque::new() }
    }

    /// Begins with a [`KeyEvent::Set`] for each key that was set when the subscription was made.
    #[must_use]
    pub fn with_existing(mut self) -> Self {
        if let Some(start) = self.start.take() {
            for state in start.nodes() {
                self.bring(state);
            }
        }
        self
    }

    /// The prefix.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Waits for the next change. `None`: the node is closed, and everything has been read.
    ///
    /// Cancel-safe: dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// [`Lagged`] in place of changes that were missed, of whatever keys: perhaps of none under
    /// the prefix. To be sure, [subscribe](crate::ChitchatHandle::subscribe) again,
    /// [with existing](Self::with_existing) keys.
    pub async fn next(&mut self) -> Option<Result<KeyEvent, Lagged>> {
        self.start = None;
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            match self.reader.next().await? {
                Ok(published) => self.take_in(published),
                Err(lagged) => return Some(Err(lagged)),
            }
        }
    }

    /// The next change if there is one now. `None` does not mean closed.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn try_next(&mut self) -> Option<Result<KeyEvent, Lagged>> {
        self.start = None;
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            match self.reader.try_next()? {
                Ok(published) => self.take_in(published),
                Err(lagged) => return Some(Err(lagged)),
            }
        }
    }

    fn take_in(&mut self, published: Published) {
        match published.event {
            Event::KeySet { id, key, value, version } if key.starts_with(&*self.prefix) => {
                self.ready.push_back(KeyEvent::Set { owner: id, key, value, version });
            }
            Event::KeyDeleted { id, key } if key.starts_with(&*self.prefix) => {
                self.ready.push_back(KeyEvent::Deleted { owner: id, key });
            }
            Event::Joined { state } => self.bring(&state),
            Event::Removed { .. } => {
                if let Some(state) = published.removed {
                    self.take_away(&state);
                }
            }
            _ => {}
        }
    }

    fn bring(&mut self, state: &NodeState) {
        for (key, entry) in state.iter_prefix(&self.prefix) {
            let Some(value) = entry.value_arc() else { continue };
            self.ready.push_back(KeyEvent::Set {
                owner: state.id().clone(),
                key: key.into(),
                value: Arc::clone(value),
                version: entry.version(),
            });
        }
    }

    fn take_away(&mut self, state: &NodeState) {
        for (key, _) in state.iter_prefix(&self.prefix) {
            self.ready.push_back(KeyEvent::Deleted { owner: state.id().clone(), key: key.into() });
        }
    }
}
