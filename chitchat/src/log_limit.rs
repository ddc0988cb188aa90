//! Keeps repeated log lines down to a summary a minute.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use chitchat_protocol::Timestamp;

/// No kind of line is written more often than its burst in this time.
pub(crate) const INTERVAL: Duration = Duration::from_secs(60);

/// Lets a few lines of each kind through per minute, and counts the others.
///
/// Kinds are names in the source, so that their number is bounded.
#[derive(Debug, Default)]
pub(crate) struct LogLimiter {
    kinds: BTreeMap<&'static str, Kind>,
}

#[derive(Debug)]
struct Kind {
    since: Timestamp,
    written: u32,
    suppressed: u64,
}

impl LogLimiter {
    /// Whether to write a line of this kind now. `Some` is how many were suppressed since the last
    /// one that was written.
    pub(crate) fn allow(&mut self, kind: &'static str, burst: u32, now: Timestamp) -> Option<u64> {
        let fresh = Kind { since: now, written: 0, suppressed: 0 };
        let state = self.kinds.entry(kind).or_insert(fresh);
        if now.since(state.since) >= INTERVAL {
            state.since = now;
            state.written = 0;
        }
        if state.written >= burst {
            state.suppressed += 1;
            return None;
        }
        state.written += 1;
        Some(std::mem::take(&mut state.suppressed))
    }
}

/// Counts failures by kind and sums them up in one line, the first at once.
#[derive(Debug, Default)]
pub(crate) struct FailureSummary {
    counts: BTreeMap<&'static str, u64>,
    last: Option<Timestamp>,
}

impl FailureSummary {
    pub(crate) fn record(&mut self, kind: &'static str) {
        self.record_many(kind, 1);
    }

    pub(crate) fn record_many(&mut self, kind: &'static str, count: u64) {
        if count > 0 {
            *self.counts.entry(kind).or_default() += count;
        }
    }

    /// The summary, if there is something to say and the last one is a minute ago.
    pub(crate) fn due(&mut self, now: Timestamp) -> Option<String> {
        let recent = self.last.is_some_and(|last| now.since(last) < INTERVAL);
        if self.counts.is_empty() || recent {
            return None;
        }
        self.last = Some(now);
        let mut summary = String::new();
        for (kind, count) in std::mem::take(&mut self.counts) {
            let separator = if summary.is_empty() { "" } else { ", " };
            // Writing to a string does not fail.
            let _ = write!(summary, "{separator}{count} x {kind}");
        }
        Some(summary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_gets_its_burst_and_the_next_line_tells_how_many_were_left_out() {
        let mut limiter = LogLimiter::default();
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        assert_eq!(limiter.allow("deaf", 2, at(0)), Some(0));
        assert_eq!(limiter.allow("deaf", 2, at(1)), Some(0));
        assert_eq!(limiter.allow("deaf", 2, at(2)), None);
        assert_eq!(limiter.allow("deaf", 2, at(59)), None);
        assert_eq!(limiter.allow("paused", 2, at(59)), Some(0), "kinds are independent");
        assert_eq!(limiter.allow("deaf", 2, at(60)), Some(2));
    }

    #[test]
    fn an_hour_of_failures_makes_sixty_summaries() {
        let mut summary = FailureSummary::default();
        let mut lines = 0;
        for second in 0..3_600 {
            summary.record("queue full");
            summary.record("no usable address");
            lines += u32::from(summary.due(Timestamp::from_millis(second * 1_000)).is_some());
        }
        assert_eq!(lines, 60);
        let last = summary.due(Timestamp::from_millis(3_600_000));
        assert_eq!(last.as_deref(), Some("59 x no usable address, 59 x queue full"));
    }
}
