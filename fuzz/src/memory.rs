//! How much memory something takes.

use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// What `act` returns, and how far the heap grew meanwhile. The heap is that of the process: nobody
/// else may use it at the same time, which is why the replay runs one input after the other.
pub(crate) fn growth_of<T>(act: impl FnOnce() -> T) -> (T, usize) {
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    let result = act();
    (result, HEAP.peak_usage().saturating_sub(before))
}
