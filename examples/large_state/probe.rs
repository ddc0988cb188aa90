//! Readers and writers that measure how long they wait, each on a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chitchat::ChitchatHandle;

use crate::nodes::OWNER;

/// Between two reads of one reader.
const READ_PAUSE: Duration = Duration::from_micros(500);
/// Between two writes of one writer.
const WRITE_PAUSE: Duration = Duration::from_millis(5);

/// Durations that were measured.
#[derive(Debug, Default)]
pub(crate) struct Waits(Vec<Duration>);

impl Waits {
    /// The longest one, in microseconds.
    pub(crate) fn max_us(&self) -> u128 {
        self.0.iter().max().map_or(0, Duration::as_micros)
    }

    /// What 99 of 100 do not exceed, in microseconds.
    pub(crate) fn p99_us(&self) -> u128 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let index = sorted.len().saturating_sub(1) * 99 / 100;
        sorted.get(index).map_or(0, Duration::as_micros)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn append(&mut self, mut other: Waits) {
        self.0.append(&mut other.0);
    }
}

/// Repeats an action until it is stopped, and takes the time of each.
pub(crate) struct Probe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Waits>,
}

impl Probe {
    fn start(pause: Duration, mut action: impl FnMut(u64) + Send + 'static) -> Probe {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut waits = Waits::default();
            for turn in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let since = Instant::now();
                action(turn);
                waits.0.push(since.elapsed());
                std::thread::sleep(pause);
            }
            waits
        });
        Probe { stop, thread }
    }

    /// Takes snapshots, looks up a key in each, and lets go of it.
    pub(crate) fn reader(node: &ChitchatHandle) -> Probe {
        let node = node.clone();
        Probe::start(READ_PAUSE, move |_| {
            let snapshot = node.snapshot();
            let value = snapshot.node(OWNER).and_then(|state| state.get("key-0000001"));
            std::hint::black_box(value);
        })
    }

    /// A reader without anything to read: what it waits, it waits for the processor.
    pub(crate) fn idle() -> Probe {
        Probe::start(READ_PAUSE, |turn| {
            std::hint::black_box(turn);
        })
    }

    /// Sets a key again and again.
    pub(crate) fn writer(node: &ChitchatHandle) -> Probe {
        let node = node.clone();
        Probe::start(WRITE_PAUSE, move |turn| {
            // A node that has ended shows elsewhere.
            let _ = node.set("probe", turn.to_string());
        })
    }

    pub(crate) fn stop(self) -> Waits {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}
