//! Time as the core sees it: told, never asked.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on the clock that the driver of a [`Node`](crate::Node) reads.
///
/// The unit is the microsecond, the origin is the driver's choice. The clock must be monotonic and
/// should count the time that the machine is suspended (`CLOCK_BOOTTIME` on Linux): a suspend is a
/// pause that the failure detector forgives, and a deadline that passes meanwhile has passed.
///
/// The value is signed, because a node may learn of a sign of life that predates its own start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The origin of the driver's clock.
    pub const ZERO: Timestamp = Timestamp(0);
    /// Later than any time that is reached.
    pub const MAX: Timestamp = Timestamp(i64::MAX);
    /// Earlier than any time that is reached: the sign of life of a node that was never heard.
    pub const MIN: Timestamp = Timestamp(i64::MIN);

    /// The time `micros` microseconds after the origin.
    pub const fn from_micros(micros: i64) -> Timestamp {
        Timestamp(micros)
    }

    /// The time `millis` milliseconds after the origin.
    pub const fn from_millis(millis: i64) -> Timestamp {
        Timestamp(millis.saturating_mul(1_000))
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// How long `self` is after `earlier`; zero if it is not.
    pub fn since(self, earlier: Timestamp) -> Duration {
        let micros = i128::from(self.0) - i128::from(earlier.0);
        Duration::from_micros(u64::try_from(micros.max(0)).unwrap_or(u64::MAX))
    }
}

/// Microseconds of a duration, saturating.
fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;

    /// Saturates at [`Timestamp::MAX`].
    fn add(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(micros(duration)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Timestamp;

    /// Saturates at [`Timestamp::MIN`].
    fn sub(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(micros(duration)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0.div_euclid(1_000_000), self.0.rem_euclid(1_000_000))
    }
}
