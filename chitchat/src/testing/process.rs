//! A process that can be stopped and killed: the tasks of one run of a node, which are polled only
//! while it runs.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Paused,
    Ended,
}

struct Slot {
    /// `None` while it is polled.
    task: Option<Task>,
    waker: Option<Waker>,
}

struct State {
    phase: Phase,
    /// In the order in which they were started: the driver of the node is the first.
    slots: BTreeMap<u64, Slot>,
    next: u64,
    /// What tasks said that panicked.
    panics: Vec<String>,
}

/// The tasks of one run of a node.
#[derive(Clone)]
pub(super) struct Process(Arc<Mutex<State>>);

impl Process {
    pub(super) fn new() -> Process {
        let state =
            State { phase: Phase::Running, slots: BTreeMap::new(), next: 0, panics: Vec::new() };
        Process(Arc::new(Mutex::new(state)))
    }

    /// Nothing of the application runs under this lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a task as part of the process. If that has ended, the task is dropped.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let id = {
            let mut state = self.state();
            if state.phase == Phase::Ended {
                return;
            }
            let id = state.next;
            state.next += 1;
            state.slots.insert(id, Slot { task: Some(Box::pin(task)), waker: None });
            id
        };
        tokio::spawn(Shell { process: self.clone(), id });
    }

    /// From now on no task is polled. Their timers run on, and messages queue.
    pub(super) fn pause(&self) {
        self.state().phase = Phase::Paused;
    }

    /// Ends a pause. All tasks are polled, whatever they wait for, in the order of their start.
    pub(super) fn resume(&self) {
        let wakers: Vec<Waker> = {
            let mut state = self.state();
            state.phase = Phase::Running;
            state.slots.values_mut().filter_map(|slot| slot.waker.take()).collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Drops all tasks, here and now, the driver first: what others do when they are dropped does
    /// not get out any more.
    pub(super) fn end(&self) {
        let slots = {
            let mut state = self.state();
            state.phase = Phase::Ended;
            std::mem::take(&mut state.slots)
        };
        for (_, slot) in slots {
            drop(slot.task);
            if let Some(waker) = slot.waker {
                waker.wake();
            }
        }
    }

    /// How many tasks have not finished yet.
    pub(super) fn tasks(&self) -> usize {
        self.state().slots.len()
    }

    /// What tasks said that have panicked since the last call.
    pub(super) fn take_panics(&self) -> Vec<String> {
        std::mem::take(&mut self.state().panics)
    }
}

/// What tokio runs: it polls the task if the process runs.
struct Shell {
    process: Process,
    id: u64,
}

impl Future for Shell {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let task = {
            let mut state = self.process.state();
            let phase = state.phase;
            let Some(slot) = state.slots.get_mut(&self.id) else { return Poll::Ready(()) };
            slot.waker = Some(cx.waker().clone());
            if phase == Phase::Paused {
                return Poll::Pending;
            }
            slot.task.take()
        };
        let Some(mut task) = task else { return Poll::Ready(()) };
        let polled = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx)));
        let mut state = self.process.state();
        if let Ok(Poll::Pending) = polled
            && let Some(slot) = state.slots.get_mut(&self.id)
        {
            slot.task = Some(task);
            return Poll::Pending;
        }
        state.slots.remove(&self.id);
        if let Err(payload) = polled {
            state.panics.push(panic_text(&*payload).to_owned());
        }
        // The task is dropped without the lock.
        drop(state);
        Poll::Ready(())
    }
}

/// What a panic said.
pub(super) fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text")
}
