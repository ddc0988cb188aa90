//! Failures in the log: a summary at most once a minute, however many there are.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use tokio::time::Instant;

const INTERVAL: Duration = Duration::from_secs(60);

/// Collects failures by name, and says when it is time for a line in the log.
#[derive(Debug, Default)]
pub struct FailureLog {
    since_last: BTreeMap<&'static str, u64>,
    last: Option<Instant>,
}

impl FailureLog {
    /// Counts a failure. Names stand in the source, so that their number is bounded.
    pub fn record(&mut self, name: &'static str) {
        *self.since_last.entry(name).or_default() += 1;
    }

    /// The summary that is due now, if there is something to say and the last one is a minute
    /// ago. The first failure is told at once.
    #[must_use]
    pub fn due(&mut self, now: Instant) -> Option<String> {
        if self.since_last.is_empty()
            || self.last.is_some_and(|last| now.saturating_duration_since(last) < INTERVAL)
        {
            return None;
        }
        self.last = Some(now);
        let mut summary = String::new();
        for (name, count) in std::mem::take(&mut self.since_last) {
            let separator = if summary.is_empty() { "" } else { ", " };
            // Writing to a string does not fail.
            let _ = write!(summary, "{separator}{count} x {name}");
        }
        Some(summary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_failures_make_one_line_a_minute() {
        let mut log = FailureLog::default();
        let start = Instant::now();
        assert_eq!(log.due(start), None);
        log.record("ENOBUFS");
        assert_eq!(log.due(start).as_deref(), Some("1 x ENOBUFS"));
        let mut lines = 0;
        for second in 0..600 {
            log.record("ENOBUFS");
            log.record("ECONNREFUSED");
            lines += u32::from(log.due(start + Duration::from_secs(second)).is_some());
        }
        assert_eq!(lines, 9);
        assert_eq!(
            log.due(start + INTERVAL * 10).as_deref(),
            Some("59 x ECONNREFUSED, 59 x ENOBUFS")
        );
    }
}
