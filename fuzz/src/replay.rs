//! Running targets without libFuzzer: on what is kept, and on what a test makes up.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held while a target runs in a test: targets measure the heap of the process, which nobody else may
/// use meanwhile.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An input that a target panics on.
#[derive(Debug)]
pub struct Failure {
    /// Where it is kept.
    pub file: PathBuf,
    /// What the target says.
    pub complaint: String,
}

/// The inputs in a folder of this crate, in the order of their names. A folder that does not exist has
/// none.
pub fn inputs(folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.expect("a folder can be read").path()).collect();
    files.sort();
    let read = |file: PathBuf| {
        let data = fs::read(&file).expect("an input can be read");
        (file, data)
    };
    files.into_iter().map(read).collect()
}

/// Runs a target on each input, and returns those on which it panics.
pub fn failures(
    inputs: impl IntoIterator<Item = (PathBuf, Vec<u8>)>,
    target: impl Fn(&[u8]),
) -> Vec<Failure> {
    let mut failures = Vec::new();
    for (file, data) in inputs {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(&data))) {
            let complaint = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
                .unwrap_or_default();
            failures.push(Failure { file, complaint });
        }
    }
    failures
}

/// The program of a target without libFuzzer: runs the files that it is given.
pub fn run_arguments(target: fn(&[u8])) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for file in std::env::args_os().skip(1).map(PathBuf::from) {
        let data = match fs::read(&file) {
            Ok(data) => data,
            Err(error) => {
                eprintln!("{}: {error}", file.display());
                code = ExitCode::FAILURE;
                continue;
            }
        };
        for failure in failures([(file, data)], target) {
            eprintln!("{}: {}", failure.file.display(), failure.complaint);
            code = ExitCode::FAILURE;
        }
    }
    code
}
