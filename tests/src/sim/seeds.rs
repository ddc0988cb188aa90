//! Running a property for many seeds.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Replays this one seed instead of all.
const REPLAY: &str = "CHITCHAT_SIM_SEED";
/// Runs so many seeds instead of the default number, and none that changes from day to day.
const COUNT: &str = "CHITCHAT_SIM_SEEDS";
/// With the former: the first of them.
const FIRST: &str = "CHITCHAT_SIM_FIRST";
/// How many nodes there are, in simulations that have no number of their own.
const NODES: &str = "CHITCHAT_SIM_NODES";

fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// The seed that is to be replayed, if one is.
pub fn replayed_seed() -> Option<u64> {
    number_of(REPLAY)
}

/// The number of nodes that was asked for, if one was.
pub fn chosen_nodes() -> Option<usize> {
    number_of(NODES).map(|nodes| usize::try_from(nodes).expect("a number of nodes"))
}

/// The seeds of today: others tomorrow, and the same ones for whoever runs them today.
fn seeds_of_today(count: u64) -> Range<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let first = since.as_secs() / 86_400 * 1_000_000;
    first..first + count
}

/// The command that replays a seed of the test that runs at this place.
fn command(place: &Location<'_>, seed: u64) -> String {
    let nodes = chosen_nodes().map(|nodes| format!("{NODES}={nodes} ")).unwrap_or_default();
    let file = Path::new(place.file()).file_stem().unwrap_or_default().to_string_lossy();
    let thread = std::thread::current();
    let name = thread.name().unwrap_or_default();
    format!("{nodes}{REPLAY}={seed} cargo test -p chitchat-tests --test {file} {name}")
}

/// Runs the property for seeds from 0 to `count`, and for a quarter as many that are others each
/// day, on all cores, and panics with those that failed. `CHITCHAT_SIM_SEED=n` replays one seed,
/// `CHITCHAT_SIM_SEEDS=n` runs seeds from 0 to another number, `CHITCHAT_SIM_FIRST=n` from there on.
#[track_caller]
#[allow(clippy::print_stdout)]
pub fn for_seeds(count: u64, property: impl Fn(u64) + Sync) {
    if let Some(seed) = replayed_seed() {
        property(seed);
        return;
    }
    let (fixed, today) = match number_of(COUNT) {
        Some(count) => {
            let first = number_of(FIRST).unwrap_or_default();
            (first..first + count, 0..0)
        }
        None => (0..count, seeds_of_today(count / 4)),
    };
    println!("seeds {fixed:?}, and of today {today:?}");
    let seeds: Vec<u64> = fixed.chain(today).collect();
    let failures = failures_of(&seeds, property);
    let Some((seed, first)) = failures.first() else { return };
    let failed: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
    panic!(
        "{} of {} seeds failed: {failed:?}\nto replay: {}\nit says: {first}",
        failed.len(),
        seeds.len(),
        command(Location::caller(), *seed)
    );
}

/// Which seeds fail, and what they say.
fn failures_of(seeds: &[u64], property: impl Fn(u64) + Sync) -> Vec<(u64, String)> {
    let next = AtomicU64::new(0);
    let failures = Mutex::new(Vec::new());
    let work = || {
        loop {
            let index = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(usize::MAX);
            let Some(&seed) = seeds.get(index) else { return };
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
    failures
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let owned = panic.downcast_ref::<String>().cloned();
    owned.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_its_seed_and_the_command_that_replays_it() {
        let failing = |seed: u64| assert!(seed % 7 != 3, "seed {seed} is of no use");
        assert_eq!(
            failures_of(&[1, 3, 5, 10, 14], failing),
            [(3, "seed 3 is of no use".to_owned()), (10, "seed 10 is of no use".to_owned())]
        );
        let command = command(Location::caller(), 3);
        assert!(command.contains("CHITCHAT_SIM_SEED=3 cargo test"), "{command}");
        assert!(command.contains("--test seeds"), "{command}");
        assert!(command.ends_with("a_failure_says_its_seed_and_the_command_that_replays_it"));
    }

    #[test]
    fn the_seeds_of_today_are_no_fixed_ones() {
        let today = seeds_of_today(25);
        assert_eq!(today.end - today.start, 25);
        assert!(today.start >= 1_000_000, "{today:?}");
    }
}
