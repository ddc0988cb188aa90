//! How much memory something takes.

use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// How often something is measured before it counts as too much.
const ATTEMPTS: usize = 5;

/// What `act` returns, and how far the heap grew meanwhile. The heap is that of the process, and a test
/// harness uses it when another test begins or ends, whatever locks tests hold. So what exceeds the
/// bound is measured again: what `act` takes it takes every time.
pub(crate) fn growth_of<T>(bound: usize, act: impl Fn() -> T) -> (T, usize) {
    let mut measured = growth_once(&act);
    for _ in 1..ATTEMPTS {
        if measured.1 <= bound {
            break;
        }
        measured = growth_once(&act);
    }
    measured
}

fn growth_once<T>(act: impl Fn() -> T) -> (T, usize) {
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    let result = act();
    (result, HEAP.peak_usage().saturating_sub(before))
}
