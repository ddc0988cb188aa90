//! The node's clock, and the wall clock at its start.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chitchat_protocol::Timestamp;
use tokio::time::Instant;

/// The node looks at its clock at least this often. No time that it waits for is further away, but
/// "never" has to be turned into something that timers can take.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// Which clock a node reads. Its origin is the start of the node.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    /// Counts the time that the machine is suspended.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Boottime(Duration),
    /// Whatever the standard library offers.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    Std(std::time::Instant),
    /// Tokio's, which tests can pause.
    Tokio(Instant),
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn boottime() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
}

impl Clock {
    /// The clock that real nodes use.
    pub(crate) fn system() -> Clock {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        return Clock::Boottime(boottime());
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        return Clock::Std(std::time::Instant::now());
    }

    /// The clock of tests with paused time.
    pub(crate) fn tokio() -> Clock {
        Clock::Tokio(Instant::now())
    }

    /// Time since the start of the node.
    pub(crate) fn now(&self) -> Timestamp {
        let elapsed = match self {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Clock::Boottime(origin) => boottime().saturating_sub(*origin),
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            Clock::Std(origin) => origin.elapsed(),
            Clock::Tokio(origin) => origin.elapsed(),
        };
        Timestamp::ZERO + elapsed
    }

    /// When to wake for `due`, on the clock of tokio's timers.
    pub(crate) fn instant(&self, due: Timestamp) -> Instant {
        Instant::now() + due.since(self.now()).min(LONGEST_WAIT)
    }

    /// Milliseconds since 1970; 0 if the host believes that it is earlier. Under paused time it
    /// moves with that.
    pub(crate) fn wall_clock_ms(&self) -> u64 {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let skipped = match self {
            Clock::Tokio(_) => {
                Instant::now().into_std().saturating_duration_since(std::time::Instant::now())
            }
            #[allow(unreachable_patterns, reason = "one of two variants, by platform")]
            _ => Duration::ZERO,
        };
        u64::try_from((since_1970 + skipped).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_starts_at_zero_and_never_goes_back() {
        let clock = Clock::system();
        let mut last = Timestamp::ZERO;
        for _ in 0..1_000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
        assert!(last.since(Timestamp::ZERO) < Duration::from_secs(60));
        assert!(clock.wall_clock_ms() > 1_700_000_000_000);
    }

    #[tokio::test(start_paused = true)]
    async fn the_tokio_clock_and_its_wall_clock_move_with_paused_time() {
        let clock = Clock::tokio();
        let wall = clock.wall_clock_ms();
        tokio::time::advance(Duration::from_secs(86_400)).await;
        assert_eq!(clock.now(), Timestamp::from_millis(86_400_000));
        assert!(clock.wall_clock_ms() - wall >= 86_300_000);
    }

    #[tokio::test(start_paused = true)]
    async fn never_is_a_time_that_timers_can_take() {
        let clock = Clock::tokio();
        assert_eq!(clock.instant(Timestamp::MAX), Instant::now() + LONGEST_WAIT);
        assert_eq!(clock.instant(Timestamp::MIN), Instant::now());
    }
}
