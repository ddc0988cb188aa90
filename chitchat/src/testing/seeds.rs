//! Running a test for many seeds.

use std::env::{self, VarError};
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use tokio::runtime::{Builder, Handle};

use super::process::panic_text;

/// Runs this one seed instead of all.
const SEED: &str = "CHITCHAT_TEST_SEED";
/// Runs so many seeds instead of the number in the test.
const SEEDS: &str = "CHITCHAT_TEST_SEEDS";

/// Runs a test once for each seed from 0 to `seeds`, each time on a new single-threaded runtime with
/// paused time.
///
/// When one fails, its seed is printed, and the panic goes on: the test fails. The environment
/// variable `CHITCHAT_TEST_SEED=n` runs the seed `n` alone, and `CHITCHAT_TEST_SEEDS=n` as many as
/// that instead of `seeds`.
///
/// ```
/// use chitchat::testing::{ClusterBuilder, for_each_seed};
///
/// for_each_seed(3, async |seed| {
///     let mut cluster = ClusterBuilder::new(seed, 3).start().await;
///     cluster.until_converged().await;
///     cluster.crash(2);
///     cluster.until_live(0, &[0, 1]).await;
/// });
/// ```
///
/// # Panics
///
/// If the test does; within a tokio runtime, since it makes its own; if `seeds` is 0; if one of the
/// variables is no number.
#[track_caller]
pub fn for_each_seed(seeds: u64, test: impl AsyncFn(u64)) {
    require_no_runtime("for_each_seed");
    let plan = plan(seeds, variable(SEED).as_deref(), variable(SEEDS).as_deref());
    let plan = plan.unwrap_or_else(|complaint| panic!("{complaint}"));
    for seed in plan {
        if let Err(payload) = run(seed, &test) {
            tell(seed);
            resume_unwind(payload);
        }
    }
}

/// Runs a test as [`for_each_seed`] does until it fails, and says with which seed it does. For tests
/// of tests: that a wrong application is found. The environment variables do not count here.
///
/// ```
/// use chitchat::testing::{ClusterBuilder, find_failure};
///
/// let failure = find_failure(5, async |seed| {
///     let mut cluster = ClusterBuilder::new(seed, 2).start().await;
///     cluster.until("somebody sets a key", |cluster| cluster.node(0).get("key").is_some()).await;
/// });
/// let failure = failure.expect("nobody does");
/// assert_eq!(failure.seed, 0);
/// assert!(failure.message.contains("until somebody sets a key"), "{failure}");
/// ```
///
/// # Panics
///
/// Within a tokio runtime, since it makes its own, and if `seeds` is 0.
#[track_caller]
pub fn find_failure(seeds: u64, test: impl AsyncFn(u64)) -> Option<SeedFailure> {
    require_no_runtime("find_failure");
    let plan = plan(seeds, None, None).unwrap_or_else(|complaint| panic!("{complaint}"));
    plan.into_iter().find_map(|seed| {
        let payload = run(seed, &test).err()?;
        Some(SeedFailure { seed, message: panic_text(&*payload).to_owned() })
    })
}

/// A seed with which a test failed. Made by [`find_failure`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeedFailure {
    /// The seed.
    pub seed: u64,
    /// What the test panicked with.
    pub message: String,
}

impl fmt::Display for SeedFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {} fails: {}", self.seed, self.message)
    }
}

#[expect(clippy::print_stderr, reason = "it is for whoever reads the output of the test")]
fn tell(seed: u64) {
    eprintln!("failed with seed {seed}; to run this one alone, set {SEED}={seed}");
}

#[track_caller]
fn require_no_runtime(what: &str) {
    assert!(
        Handle::try_current().is_err(),
        "{what} makes a runtime of its own for each seed; call it from a plain #[test], not from \
         within a runtime"
    );
}

fn run(seed: u64, test: &impl AsyncFn(u64)) -> std::thread::Result<()> {
    // A new runtime for each: what one run has left behind is no part of the next.
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.unwrap_or_else(|error| panic!("no tokio runtime can be made: {error}"));
    catch_unwind(AssertUnwindSafe(|| runtime.block_on(test(seed))))
}

fn variable(name: &str) -> Option<String> {
    match env::var(name) {
        Ok(text) => Some(text),
        Err(VarError::NotPresent) => None,
        // Not a number either.
        Err(VarError::NotUnicode(text)) => Some(text.to_string_lossy().into_owned()),
    }
}

/// The seeds to run.
fn plan(seeds: u64, one: Option<&str>, count: Option<&str>) -> Result<Range<u64>, String> {
    let number = |name: &str, text: &str| {
        text.parse::<u64>().map_err(|_| format!("{name} is {text:?}; set it to a whole number"))
    };
    if let Some(text) = one {
        let seed = number(SEED, text)?;
        let end = seed.checked_add(1).ok_or(format!("{SEED} is {text}, which is too large"))?;
        return Ok(seed..end);
    }
    let seeds = count.map_or(Ok(seeds), |text| number(SEEDS, text))?;
    if seeds == 0 {
        return Err("with 0 seeds a test runs nothing, and cannot fail; run at least 1".to_owned());
    }
    Ok(0..seeds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_choose_the_seeds() {
        assert_eq!(plan(20, None, None), Ok(0..20));
        assert_eq!(plan(20, None, Some("500")), Ok(0..500));
        assert_eq!(plan(20, Some("42"), Some("500")), Ok(42..43));
        for (seeds, one, count) in [
            (20, Some("x"), None),
            (20, None, Some("-1")),
            (20, None, Some("0")),
            (0, None, None),
            (20, Some("18446744073709551615"), None),
        ] {
            plan(seeds, one, count).unwrap_err();
        }
    }
}
