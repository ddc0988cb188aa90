//! The runtime that a test needs.

use std::time::Instant as RealInstant;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::Instant;

const ADVICE: &str = "write a plain #[test] with chitchat::testing::for_each_seed, or \
                      #[tokio::test(start_paused = true)]";

/// Panics unless this is a single-threaded runtime with paused time.
#[track_caller]
pub(super) fn require_virtual_time() {
    let Ok(runtime) = Handle::try_current() else {
        panic!("a cluster for tests needs a tokio runtime, and there is none; {ADVICE}");
    };
    assert!(
        runtime.runtime_flavor() == RuntimeFlavor::CurrentThread,
        "a cluster for tests needs a single-threaded tokio runtime, and this one has several \
         threads: no two runs would be the same; {ADVICE}"
    );
    assert!(
        is_paused(),
        "a cluster for tests needs paused time, and on this runtime the time runs; {ADVICE}"
    );
}

/// Tokio does not tell. Paused time stands still while no task waits, and nobody waits here.
fn is_paused() -> bool {
    let before = Instant::now();
    let real = RealInstant::now();
    while real.elapsed().is_zero() {
        std::hint::spin_loop();
    }
    // Read after the real clock has moved: a running one has moved as well.
    Instant::now() == before
}
