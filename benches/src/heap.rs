//! What the program has on the heap.

/// The allocator of the system, with counters. It passes everything on, zeroed and grown memory too:
/// one that does less makes whoever relies on the system for them look slow.
#[cfg(feature = "heap")]
#[global_allocator]
static COUNTING: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;

/// Of the whole process, since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heap {
    /// Allocations, those that grow or shrink another one included.
    pub(crate) allocations: u64,
    /// Bytes that were asked for.
    pub(crate) bytes: u64,
    /// Bytes that are in use now.
    pub(crate) live: u64,
}

impl Heap {
    /// Now; `None`: this program was built without the counters.
    #[cfg(feature = "heap")]
    pub(crate) fn now() -> Option<Heap> {
        let stats = stats_alloc::INSTRUMENTED_SYSTEM.stats();
        Some(Heap {
            allocations: (stats.allocations + stats.reallocations) as u64,
            bytes: stats.bytes_allocated as u64,
            live: stats.bytes_allocated.saturating_sub(stats.bytes_deallocated) as u64,
        })
    }

    /// Now; `None`: this program was built without the counters.
    #[cfg(not(feature = "heap"))]
    pub(crate) fn now() -> Option<Heap> {
        None
    }
}

#[cfg(all(test, feature = "heap"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_grown_and_given_back_is_counted() {
        // Other tests run beside this one: large enough for them not to matter.
        const LARGE: usize = 1 << 28;
        let before = Heap::now().unwrap();
        let mut bytes: Vec<u8> = Vec::with_capacity(LARGE);
        bytes.reserve_exact(2 * LARGE);
        let held = Heap::now().unwrap();
        drop(bytes);
        let after = Heap::now().unwrap();
        assert!(held.allocations >= before.allocations + 2);
        assert!(held.bytes - before.bytes >= 2 * LARGE as u64);
        assert!(held.live - before.live >= LARGE as u64 * 3 / 2);
        assert!(held.live - after.live >= LARGE as u64 * 3 / 2);
    }
}
