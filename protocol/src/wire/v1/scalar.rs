//! Incarnations, ages and times.

use std::num::{NonZeroU64, NonZeroU128};
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::DecodeError;
use crate::id;
use crate::wire::codec::bounded;

/// Shortest and longest gossip interval, in milliseconds.
const INTERVAL_RANGE: RangeInclusive<u32> = 1..=3_600_000;

/// Nanoseconds in a microsecond.
const NANOS_PER_MICRO: NonZeroU128 = NonZeroU128::new(1_000).unwrap();

/// Microseconds in a tenth of a millisecond.
const MICROS_PER_TENTH_MS: u64 = 100;

/// See [`Incarnation`](id::Incarnation).
#[derive(Serialize, Deserialize)]
pub(super) struct Incarnation {
    generation: u64,
    /// Not an integer: random bits take 10 bytes as a varint.
    boot: [u8; 8],
}

impl From<id::Incarnation> for Incarnation {
    fn from(incarnation: id::Incarnation) -> Self {
        Incarnation { generation: incarnation.generation_id, boot: incarnation.boot.to_le_bytes() }
    }
}

impl Incarnation {
    pub(super) fn decode(self) -> Result<id::Incarnation, DecodeError> {
        let generation_id = bounded(self.generation)?;
        Ok(id::Incarnation { generation_id, boot: u64::from_le_bytes(self.boot) })
    }
}

/// A gossip interval in milliseconds, within the bounds of the format.
pub(in crate::wire) fn interval_ms(interval: Duration) -> u32 {
    let ms = u32::try_from(interval.as_millis()).unwrap_or(u32::MAX);
    ms.clamp(*INTERVAL_RANGE.start(), *INTERVAL_RANGE.end())
}

/// The inverse of [`interval_ms`].
pub(super) fn interval(ms: u32) -> Result<Duration, DecodeError> {
    if INTERVAL_RANGE.contains(&ms) {
        Ok(Duration::from_millis(u64::from(ms)))
    } else {
        Err(DecodeError::Malformed("a gossip interval below 1 ms or above 1 h"))
    }
}

/// What ages are counted in: a tenth of the sender's gossip interval. Finer is not needed to judge
/// silence, and an age that matters takes one byte.
#[derive(Clone, Copy)]
pub(in crate::wire) struct AgeUnit {
    micros: NonZeroU64,
}

impl AgeUnit {
    pub(in crate::wire) fn new(interval_ms: u32) -> AgeUnit {
        let micros = u64::from(interval_ms).saturating_mul(MICROS_PER_TENTH_MS);
        AgeUnit { micros: NonZeroU64::new(micros).unwrap_or(NonZeroU64::MIN) }
    }

    /// The greatest age: as many whole units as fit 2^64 microseconds. Encoding and decoding both
    /// stop there, so that an age is rounded once and not again by each node that passes it on.
    fn most(self) -> u64 {
        // One below the maximum, for `encode_known`.
        (u64::MAX / self.micros).min(u64::MAX - 1)
    }

    /// An age as the message has it.
    pub(in crate::wire) fn encode(self, age: Duration) -> u64 {
        let unit = NonZeroU128::from(self.micros).saturating_mul(NANOS_PER_MICRO);
        let rounded = age.as_nanos().saturating_add(unit.get() / 2) / unit;
        u64::try_from(rounded).unwrap_or(u64::MAX).min(self.most())
    }

    pub(super) fn decode(self, tenths: u64) -> Duration {
        Duration::from_micros(tenths.min(self.most()).saturating_mul(self.micros.get()))
    }

    /// An age that may be unknown.
    pub(in crate::wire) fn encode_known(self, age: Option<Duration>) -> u64 {
        age.map_or(0, |age| self.encode(age).saturating_add(1))
    }

    pub(in crate::wire) fn decode_known(self, value: u64) -> Option<Duration> {
        value.checked_sub(1).map(|tenths| self.decode(tenths))
    }
}

/// What is left of a time to live, in milliseconds. Rounded up: what has not expired must not
/// arrive as expired.
pub(in crate::wire) fn ttl_ms(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
