//! Points in time, for people.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use x509_parser::prelude::ASN1Time;

/// A point in time as `2031-01-31 12:00:00 UTC`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Utc(pub(crate) SystemTime);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = match self.0.duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()).ok(),
            Err(before) => i64::try_from(before.duration().as_secs()).ok().map(|secs| -secs),
        };
        match seconds.and_then(|seconds| ASN1Time::from_timestamp(seconds).ok()) {
            Some(time) => {
                let time = time.to_datetime();
                let (hour, minute, second) = time.to_hms();
                write!(f, "{} {hour:02}:{minute:02}:{second:02} UTC", time.date())
            }
            None => f.write_str("a time out of range"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_readable() {
        assert_eq!(Utc(UNIX_EPOCH).to_string(), "1970-01-01 00:00:00 UTC");
        let later = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert_eq!(Utc(later).to_string(), "2023-11-14 22:13:20 UTC");
        let never = UNIX_EPOCH + Duration::from_secs(1 << 60);
        assert_eq!(Utc(never).to_string(), "a time out of range");
    }
}
