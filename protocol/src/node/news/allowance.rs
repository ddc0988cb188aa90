//! So many bytes per second: a token bucket that holds what a second gives.

use crate::time::Timestamp;

/// What may be spent. Starts full.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    per_second: u64,
    left: u64,
    /// When `left` was last brought up to date.
    at: Timestamp,
}

impl Allowance {
    pub(super) fn new(per_second: u64, now: Timestamp) -> Allowance {
        Allowance { per_second, left: per_second, at: now }
    }

    /// What may be spent at present.
    pub(super) fn left(&mut self, now: Timestamp) -> u64 {
        let nanos = now.since(self.at).as_nanos();
        let gained = nanos * u128::from(self.per_second) / 1_000_000_000;
        // What is less than a byte is not lost: it counts from the same moment again.
        if let Some(gained) = u64::try_from(gained).ok().filter(|gained| *gained < self.per_second)
        {
            if gained > 0 {
                self.left = self.left.saturating_add(gained).min(self.per_second);
                self.at = now;
            }
        } else {
            self.left = self.per_second;
            self.at = now;
        }
        self.left
    }

    /// Spends so much, or what there is.
    pub(super) fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_a_second_gives_is_there_at_first_and_comes_back_evenly() {
        let start = Timestamp::ZERO;
        let at = |ms| start + Duration::from_millis(ms);
        let mut allowance = Allowance::new(1_000, start);
        assert_eq!(allowance.left(start), 1_000);
        allowance.spend(700);
        assert_eq!(allowance.left(start), 300);
        assert_eq!(allowance.left(at(100)), 400);
        allowance.spend(1_000);
        assert_eq!(allowance.left(at(100)), 0, "no debts");
        assert_eq!(allowance.left(at(600)), 500);
        assert_eq!(allowance.left(at(60_000)), 1_000, "no more than a second's");
    }

    #[test]
    fn looking_often_loses_nothing() {
        let mut allowance = Allowance::new(1_000, Timestamp::ZERO);
        allowance.spend(1_000);
        let mut now = Timestamp::ZERO;
        for _ in 0..10_000 {
            now = now + Duration::from_micros(50);
            allowance.left(now);
        }
        assert_eq!(allowance.left(now), 500);
    }
}
