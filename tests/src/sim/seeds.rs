//! Running a property for many seeds.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Replays this one seed instead of all.
const REPLAY: &str = "CHITCHAT_SIM_SEED";
/// Runs so many seeds instead of the default number.
const COUNT: &str = "CHITCHAT_SIM_SEEDS";

fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// The seed that is to be replayed, if one is.
pub fn replayed_seed() -> Option<u64> {
    number_of(REPLAY)
}

/// Runs the property for seeds from 0 to `count`, on all cores, and panics with the seeds that
/// failed. `CHITCHAT_SIM_SEED=n` replays one seed, `CHITCHAT_SIM_SEEDS=n` runs another number.
pub fn for_seeds(count: u64, property: impl Fn(u64) + Sync) {
    if let Some(seed) = replayed_seed() {
        property(seed);
        return;
    }
    let count = number_of(COUNT).unwrap_or(count);
    let next = AtomicU64::new(0);
    let failures = Mutex::new(Vec::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count {
                return;
            }
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| property(seed))) {
                let mut failures = failures.lock().unwrap_or_else(|poison| poison.into_inner());
                failures.push((seed, text_of(&*panic)));
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let mut failures = failures.into_inner().unwrap_or_else(|poison| poison.into_inner());
    failures.sort();
    let Some((seed, first)) = failures.first() else { return };
    let seeds: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
    panic!(
        "{} of {count} seeds failed: {seeds:?}\nreplay one with {REPLAY}={seed}; it says: {first}",
        seeds.len()
    );
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let owned = panic.downcast_ref::<String>().cloned();
    owned.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}
