//! How one direction of a socket is doing: when to wait, and when to give the socket up.

use std::time::Duration;

use tokio::time::Instant;

/// The weight of failures, without a success in between, after which a socket is opened anew:
/// eight that are the socket's own, or 64 of the host's.
const BROKEN_AT: u32 = 64;
/// The first wait, doubled with every failure in a row.
const FIRST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(250);
/// Failures that say nothing about the socket are waited for only when there are this many in a
/// row, since each of them was about somebody else.
const HARMLESS_IN_A_ROW: u32 = 32;

#[derive(Debug, Default)]
pub(super) struct Health {
    in_a_row: u32,
    harmless_in_a_row: u32,
    weight: u32,
    not_before: Option<Instant>,
}

impl Health {
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// One more failure. With a weight of 0 it says nothing about the socket.
    pub(super) fn failed(&mut self, weight: u32, now: Instant) {
        if weight == 0 {
            self.harmless_in_a_row += 1;
            if self.harmless_in_a_row >= HARMLESS_IN_A_ROW {
                self.harmless_in_a_row = 0;
                self.pause(now + FIRST_WAIT);
            }
            return;
        }
        self.weight = self.weight.saturating_add(weight);
        let wait = FIRST_WAIT.saturating_mul(1 << self.in_a_row.min(10)).min(LONGEST_WAIT);
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.pause(now + wait);
    }

    pub(super) fn pause(&mut self, until: Instant) {
        self.not_before = Some(until);
    }

    pub(super) fn is_broken(&self) -> bool {
        self.weight >= BROKEN_AT
    }

    pub(super) fn may_go(&self, now: Instant) -> bool {
        self.resumes(now).is_none()
    }

    /// When the wait is over; `None` if there is none.
    pub(super) fn resumes(&self, now: Instant) -> Option<Instant> {
        self.not_before.filter(|at| now < *at)
    }
}
