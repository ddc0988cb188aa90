//! Watching who is there.

use std::sync::Arc;

use chitchat_protocol::{ClusterStateSnapshot, Event};
use tokio::sync::watch;

use crate::error::{CloseReason, Error};

/// Tells when nodes join, leave, fail, recover, are removed, or change their addresses; not when
/// keys change. Made by
/// [`ChitchatHandle::live_nodes_watcher`](crate::ChitchatHandle::live_nodes_watcher).
///
/// It shows the newest state and skips those between: there is no lagging behind. A watcher does
/// not keep its node running.
#[derive(Clone, Debug)]
pub struct LiveNodesWatcher {
    snapshots: watch::Receiver<Arc<ClusterStateSnapshot>>,
    closed: watch::Receiver<Option<CloseReason>>,
}

/// Whether an event is about who is there, rather than about keys.
pub(crate) fn is_about_members(event: &Event) -> bool {
    !matches!(event, Event::KeySet { .. } | Event::KeyDeleted { .. })
}

impl LiveNodesWatcher {
    pub(crate) fn new(
        snapshots: watch::Receiver<Arc<ClusterStateSnapshot>>,
        closed: watch::Receiver<Option<CloseReason>>,
    ) -> Self {
        Self { snapshots, closed }
    }

    /// The newest state, keys included. Marks it as seen.
    pub fn current(&mut self) -> Arc<ClusterStateSnapshot> {
        self.snapshots.borrow_and_update().clone()
    }

    /// Waits until somebody's membership, liveness or addresses have changed since the last call of
    /// this or of [`current`](Self::current) (for a new watcher: since it was made), and returns
    /// the newest state. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if the node does not run any more.
    pub async fn changed(&mut self) -> Result<Arc<ClusterStateSnapshot>, Error> {
        self.snapshots.changed().await.map_err(|_| self.closed())?;
        Ok(self.current())
    }

    /// Waits until `condition` holds of the state, which is looked at now and after every
    /// change of who is there. Cancel-safe.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let network = chitchat::transport::memory::MemoryNetwork::new(1);
    /// # let config = chitchat::ChitchatConfig::builder("c", "n").listen(["0.0.0.0:0"]).build()?;
    /// # let node = chitchat::spawn(config, network.transport()).await?;
    /// let mut watcher = node.live_nodes_watcher();
    /// let snapshot = watcher.wait_for(|snapshot| snapshot.live_nodes().count() >= 1).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if the node does not run any more.
    pub async fn wait_for(
        &mut self,
        mut condition: impl FnMut(&ClusterStateSnapshot) -> bool,
    ) -> Result<Arc<ClusterStateSnapshot>, Error> {
        let mut snapshot = self.current();
        // Not by `watch::Receiver::wait_for`: that calls the condition under its lock.
        while !condition(&snapshot) {
            snapshot = self.changed().await?;
        }
        Ok(snapshot)
    }

    fn closed(&self) -> Error {
        let reason = self.closed.borrow().clone();
        Error::Closed { reason: reason.unwrap_or(CloseReason::RuntimeStopped) }
    }
}
