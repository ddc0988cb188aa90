//! What an application is started with.

use tokio::sync::watch;

use super::process::Process;
use crate::handle::ChitchatHandle;

/// One run of a node, as the application that is started with it gets it. Clones are the same run.
///
/// ```
/// use chitchat::testing::{ClusterBuilder, TestNode, for_each_seed};
///
/// /// What `main` of the application does once it has a handle.
/// fn application(node: &TestNode) {
///     let handle = node.handle().clone();
///     node.spawn(async move {
///         let (_, mut events) = handle.events();
///         while let Some(event) = events.next().await {
///             let _ = event; // react
///         }
///     });
/// }
///
/// for_each_seed(2, async |seed| {
///     let mut cluster = ClusterBuilder::new(seed, 3).start_with(application).await;
///     cluster.until_converged().await;
/// });
/// ```
#[derive(Clone)]
pub struct TestNode {
    pub(super) index: usize,
    pub(super) run: u64,
    pub(super) seed: u64,
    pub(super) handle: ChitchatHandle,
    pub(super) process: Process,
    pub(super) stopping: watch::Sender<bool>,
}

impl TestNode {
    /// The number of the node in its cluster, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Which run of the node this is: 0 for the first, 1 after the first restart.
    #[must_use]
    pub fn run(&self) -> u64 {
        self.run
    }

    /// A seed for what the application does at random. It follows from the seed of the cluster, and
    /// is another one for each node and run.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The handle of the node, the same that [`spawn`](crate::spawn) gives.
    #[must_use]
    pub fn handle(&self) -> &ChitchatHandle {
        &self.handle
    }

    /// Runs a task as part of the node's process: it stands still while the node is
    /// [paused](super::Cluster::pause), is dropped at once when it
    /// [crashes](super::Cluster::crash), and fails the test if it panics.
    ///
    /// What is started with [`tokio::spawn`] instead knows nothing of that.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.process.spawn(task);
    }

    /// Waits until the process is asked to end in good order, by
    /// [`Cluster::leave`](super::Cluster::leave): what a signal to terminate is in production.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stopping = self.stopping.subscribe();
        async move {
            // If the sender is gone, the process is as well.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        }
    }
}

impl std::fmt::Debug for TestNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { index, run, handle, .. } = self;
        f.debug_struct("TestNode")
            .field("index", index)
            .field("run", run)
            .field("handle", handle)
            .finish_non_exhaustive()
    }
}
