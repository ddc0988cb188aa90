//! The exchanges that are known, by the nonces of their questions.

use std::collections::{BTreeMap, VecDeque};

use crate::node::exchange::Pending;
use crate::time::Timestamp;

/// Those that are open, and those that are over and still known: what comes of them late was asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    open: BTreeMap<u64, Pending>,
    ended: BTreeMap<u64, Pending>,
    /// When each of those ended, the earliest first.
    order: VecDeque<(Timestamp, u64)>,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.open.len() + self.ended.len()
    }

    pub(super) fn insert(&mut self, nonce: u64, pending: Pending) {
        self.open.insert(nonce, pending);
    }

    pub(super) fn get(&self, nonce: u64) -> Option<&Pending> {
        self.open.get(&nonce).or_else(|| self.ended.get(&nonce))
    }

    pub(super) fn get_open(&self, nonce: u64) -> Option<&Pending> {
        self.open.get(&nonce)
    }

    pub(super) fn get_mut(&mut self, nonce: u64) -> Option<&mut Pending> {
        self.open.get_mut(&nonce).or_else(|| self.ended.get_mut(&nonce))
    }

    pub(super) fn get_open_mut(&mut self, nonce: u64) -> Option<&mut Pending> {
        self.open.get_mut(&nonce)
    }

    pub(super) fn open(&self) -> impl Iterator<Item = (u64, &Pending)> {
        self.open.iter().map(|(nonce, pending)| (*nonce, pending))
    }

    /// Forgets an open one.
    pub(super) fn remove_open(&mut self, nonce: u64) -> Option<Pending> {
        self.open.remove(&nonce)
    }

    /// It is over.
    pub(super) fn end(&mut self, nonce: u64, now: Timestamp) -> Option<&Pending> {
        let mut pending = self.open.remove(&nonce)?;
        if !pending.is_unanswered() {
            // What was asked takes memory, and is of no use any more.
            pending.asked = None;
        }
        self.order.push_back((now, nonce));
        Some(self.ended.entry(nonce).or_insert(pending))
    }

    /// When the first of those that are over ended.
    pub(super) fn first_end(&self) -> Option<Timestamp> {
        self.order.front().map(|(at, _)| *at)
    }

    /// Forgets what ended until then.
    pub(super) fn forget_until(&mut self, then: Timestamp) {
        while self.order.front().is_some_and(|(at, _)| *at <= then) {
            self.forget_first();
        }
    }

    /// Forgets one: what ended first, or of those that are open the one that has waited longest.
    pub(super) fn forget_one(&mut self) {
        if self.order.is_empty() {
            let longest = self.open.iter().min_by_key(|(_, pending)| pending.last_activity);
            if let Some(nonce) = longest.map(|(nonce, _)| *nonce) {
                self.open.remove(&nonce);
            }
        } else {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, nonce)) = self.order.pop_front() {
            self.ended.remove(&nonce);
        }
    }
}
