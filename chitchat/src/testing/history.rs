//! What has happened in a cluster, with virtual times.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chitchat_protocol::Event;
use tokio::time::Instant;

use crate::stream::EventStream;

/// The oldest entries are dropped above this.
const MOST: usize = 20_000;
/// Characters of a value that are shown.
const SHOWN: usize = 40;

/// Something that happened in a [`Cluster`](super::Cluster).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// Virtual time since the start of the cluster.
    pub at: Duration,
    /// What happened.
    pub what: Occurrence,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Occurrence {
    /// The test did something: in words.
    Done(String),
    /// A node saw a change.
    Seen {
        /// The number of the node that saw it.
        by: usize,
        /// The change, as the node's own [`events`](crate::ChitchatHandle::events) tell it.
        event: Event,
    },
    /// So many changes of a node are not here: they came faster than they could be written down.
    Missed {
        /// The number of the node that saw them.
        by: usize,
        /// How many.
        events: u64,
    },
}

impl fmt::Display for HistoryEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.3} s  ", self.at.as_secs_f64())?;
        match &self.what {
            Occurrence::Done(what) => write!(f, "{what}"),
            Occurrence::Seen { by, event } => {
                write!(f, "  node-{by} sees: ")?;
                write_event(f, event)
            }
            Occurrence::Missed { by, events } => write!(f, "  node-{by} sees {events} more events"),
        }
    }
}

fn write_event(f: &mut fmt::Formatter<'_>, event: &Event) -> fmt::Result {
    match event {
        Event::Joined { state } => write!(f, "{} joined", state.id()),
        Event::Left { id } => write!(f, "{id} left"),
        Event::Failed { id } => write!(f, "{id} failed"),
        Event::Recovered { id } => write!(f, "{id} recovered"),
        Event::ScheduledForDeletion { id } => write!(f, "{id} is scheduled for deletion"),
        Event::Removed { id } => write!(f, "{id} is removed"),
        Event::AddressesChanged { id, addrs } => write!(f, "{id} has the addresses {addrs:?}"),
        Event::KeySet { id, key, value, .. } => {
            let shown: String = value.chars().take(SHOWN).collect();
            let rest = if shown.len() < value.len() { "…" } else { "" };
            write!(f, "{}: {key} = {shown}{rest}", id.node_id)
        }
        Event::KeyDeleted { id, key } => write!(f, "{}: {key} is deleted", id.node_id),
        other => write!(f, "{other:?}"),
    }
}

/// The book that everybody writes into.
#[derive(Clone)]
pub(super) struct History {
    start: Instant,
    entries: Arc<Mutex<VecDeque<HistoryEntry>>>,
}

impl History {
    pub(super) fn new() -> History {
        History { start: Instant::now(), entries: Arc::default() }
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<HistoryEntry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn push(&self, what: Occurrence) {
        let mut entries = self.entries();
        if entries.len() == MOST {
            entries.pop_front();
        }
        entries.push_back(HistoryEntry { at: self.elapsed(), what });
    }

    pub(super) fn done(&self, what: impl Into<String>) {
        self.push(Occurrence::Done(what.into()));
    }

    /// Writes down what a node sees, until it ends.
    pub(super) fn follow(&self, by: usize, mut events: EventStream) {
        let history = self.clone();
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                history.push(match event {
                    Ok(event) => Occurrence::Seen { by, event },
                    Err(lagged) => Occurrence::Missed { by, events: lagged.missed },
                });
            }
        });
    }

    pub(super) fn all(&self) -> Vec<HistoryEntry> {
        self.entries().iter().cloned().collect()
    }

    /// The newest, oldest first.
    pub(super) fn last(&self, count: usize) -> Vec<HistoryEntry> {
        let entries = self.entries();
        entries.iter().skip(entries.len().saturating_sub(count)).cloned().collect()
    }
}
