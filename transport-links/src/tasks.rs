//! The tasks of a transport, which end with it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tracing::Instrument as _;

/// Tasks that run in the runtime, and log in the span, that the transport was opened in.
#[derive(Debug)]
pub struct Tasks {
    /// `None` when no more are to begin.
    running: Mutex<Option<JoinSet<()>>>,
    runtime: Handle,
    span: tracing::Span,
}

impl Tasks {
    /// None yet. To be called inside a runtime.
    #[must_use]
    pub fn new() -> Self {
        Self {
            running: Mutex::new(Some(JoinSet::new())),
            runtime: Handle::current(),
            span: tracing::Span::current(),
        }
    }

    /// Starts a task, unless all were [ended](Self::end).
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(tasks) = self.lock().as_mut() {
            // Those that have ended, so that they do not pile up.
            while tasks.try_join_next().is_some() {}
            tasks.spawn_on(task.instrument(self.span.clone()), &self.runtime);
        }
    }

    /// Ends all of them, and those that were to begin.
    pub fn end(&self) {
        if let Some(mut tasks) = self.lock().take() {
            tasks.abort_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<JoinSet<()>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}
