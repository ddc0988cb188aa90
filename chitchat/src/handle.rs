//! The handle: all that an application does with its node.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chitchat_protocol::{ChitchatId, ClusterStateSnapshot, LeaveOutcome, NodeHealth};

use crate::error::{CloseReason, Error};
use crate::shared::{Progress, Shared};
use crate::stats::Stats;
use crate::stream::{EventStream, NoticeStream};
use crate::subscribe::PrefixSubscription;
use crate::watch::LiveNodesWatcher;

/// A node that runs. Cheap to clone; all clones are the same node.
///
/// When the last handle is dropped, the node stops as by [`shutdown`](Self::shutdown). Streams and
/// watchers do not keep it running.
///
/// If the node ends for any other reason (its transport ended, its runtime was stopped, a bug), all
/// methods that need it answer [`Error::Closed`] with the reason; [`closed`](Self::closed) waits
/// for that.
///
/// Writes are synchronous and never block on the network. Reads are of immutable snapshots: they
/// hold up neither writers nor gossip, however long they are kept.
#[derive(Clone)]
pub struct ChitchatHandle {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.request_stop(false);
    }
}

impl std::fmt::Debug for ChitchatHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChitchatHandle")
            .field("id", &self.id())
            .field("local_addrs", &self.local_addrs())
            .field("closed", &self.close_reason())
            .finish_non_exhaustive()
    }
}

/// How joining went.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JoinReport {
    /// The seed addresses that have answered so far. Empty if there is no seed but this node.
    pub answered_seeds: Vec<SocketAddr>,
}

impl ChitchatHandle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { inner: Arc::new(Inner { shared }) }
    }

    fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    /// The node's id and present generation.
    #[must_use]
    pub fn id(&self) -> ChitchatId {
        self.shared().snapshot().self_id().clone()
    }

    /// The addresses that the node is bound to, with the real ports, in the order in which they
    /// were configured. An unspecified address stays unspecified.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.shared().local_addrs
    }

    /// Sets a key of this node. Returns the version of the write, or `None` if the key had this
    /// value already, without a time to live.
    ///
    /// [`get`](Self::get) and [`snapshot`](Self::snapshot) show it when this returns. Others see
    /// it within a few rounds of gossip; of several writes to one key they may see only the last.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let network = chitchat::transport::memory::MemoryNetwork::new(1);
    /// # let config = chitchat::ChitchatConfig::builder("c", "n").listen(["0.0.0.0:0"]).build()?;
    /// # let node = chitchat::spawn(config, network.transport()).await?;
    /// node.set("shard/42", "ready")?;
    /// assert_eq!(node.get("shard/42").as_deref(), Some("ready"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the key or value is over a limit, which includes what the transport
    /// carries in one message; [`Error::Closed`]. Nothing changed then.
    pub fn set(&self, key: impl AsRef<str>, value: impl AsRef<str>) -> Result<Option<u64>, Error> {
        let (key, value) = (key.as_ref(), value.as_ref());
        Ok(self.shared().with_node(|node, now| node.set(key, value, now))??)
    }

    /// Sets many keys of this node at once: all or nothing, and readers of this node see all of them
    /// together. Of several entries with one key the last counts. Returns how many keys changed.
    ///
    /// Others get them as one stretch of this node's log, which may reach them in several messages:
    /// they may see the first of the keys before the last.
    ///
    /// It costs much less than as many calls of [`set`](Self::set). Other writes wait meanwhile, a
    /// microsecond or less for each key: pass a million keys in lists of a thousand.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let network = chitchat::transport::memory::MemoryNetwork::new(1);
    /// # let config = chitchat::ChitchatConfig::builder("c", "n").listen(["0.0.0.0:0"]).build()?;
    /// # let node = chitchat::spawn(config, network.transport()).await?;
    /// let changed = node.set_many([("shard/1", "ready"), ("shard/2", "ready")])?;
    /// assert_eq!(changed, 2);
    /// assert_eq!(node.set_many([("shard/2", "ready"), ("shard/3", "new")])?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set), for the first key that is over a limit, or all of them together.
    pub fn set_many<K: Into<String>, V: Into<String>>(
        &self,
        key_values: impl IntoIterator<Item = (K, V)>,
    ) -> Result<u64, Error> {
        // All code of the caller runs here, before the lock.
        let entries: Vec<(String, String)> =
            key_values.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        Ok(self.shared().with_node(|node, now| node.set_many(&entries, now))??)
    }

    /// Sets a key of this node that every node forgets after `ttl`, whatever becomes of this node.
    /// Setting it again, even to the same value, renews it. Returns the version of the write.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set), and [`Error::Refused`] for a `ttl` of zero.
    pub fn set_with_ttl(
        &self,
        key: impl AsRef<str>,
        value: impl AsRef<str>,
        ttl: Duration,
    ) -> Result<Option<u64>, Error> {
        let (key, value) = (key.as_ref(), value.as_ref());
        Ok(self.shared().with_node(|node, now| node.set_with_ttl(key, value, ttl, now))??)
    }

    /// Deletes a key of this node. Returns the version of the deletion, or `None` if the key was
    /// not set.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] for a key that belongs to the protocol; [`Error::Closed`].
    pub fn delete(&self, key: impl AsRef<str>) -> Result<Option<u64>, Error> {
        let key = key.as_ref();
        Ok(self.shared().with_node(|node, now| node.delete(key, now))??)
    }

    /// Gives a key of this node that is set a time to live. Returns the version of the write.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the key is not set, or `ttl` is zero; [`Error::Closed`].
    pub fn delete_after_ttl(
        &self,
        key: impl AsRef<str>,
        ttl: Duration,
    ) -> Result<Option<u64>, Error> {
        let key = key.as_ref();
        Ok(self.shared().with_node(|node, now| node.delete_after_ttl(key, ttl, now))??)
    }

    /// Makes the keys of this node under `prefix` exactly these: others are deleted, unchanged ones
    /// stay as they are. All or nothing, and readers of this node see it at once. Returns how many
    /// keys changed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let network = chitchat::transport::memory::MemoryNetwork::new(1);
    /// # let config = chitchat::ChitchatConfig::builder("c", "n").listen(["0.0.0.0:0"]).build()?;
    /// # let node = chitchat::spawn(config, network.transport()).await?;
    /// node.replace_prefix("shard/", [("shard/1", "ready"), ("shard/2", "ready")])?;
    /// let changed = node.replace_prefix("shard/", [("shard/2", "ready"), ("shard/3", "new")])?;
    /// assert_eq!(changed, 2); // 1 is deleted, 3 is set
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set), and [`Error::Refused`] for a key that does not begin with `prefix`.
    pub fn replace_prefix<K: Into<String>, V: Into<String>>(
        &self,
        prefix: impl AsRef<str>,
        key_values: impl IntoIterator<Item = (K, V)>,
    ) -> Result<u64, Error> {
        let prefix = prefix.as_ref();
        // All code of the caller runs here, before the lock.
        let entries: Vec<(String, String)> =
            key_values.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        Ok(self.shared().with_node(|node, now| node.replace_prefix(prefix, &entries, now))??)
    }

    /// The value of a key of this node; `None` if it is not set, deleted or expired. For other
    /// nodes' keys see [`snapshot`](Self::snapshot).
    #[must_use]
    pub fn get(&self, key: impl AsRef<str>) -> Option<Arc<str>> {
        let snapshot = self.shared().snapshot();
        let entry = snapshot.self_state()?.get_versioned(key.as_ref())?;
        entry.value_arc().cloned()
    }

    /// The whole state as this node sees it: an immutable value. Lock-free, and cheap enough to
    /// call for every question.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let network = chitchat::transport::memory::MemoryNetwork::new(1);
    /// # let config = chitchat::ChitchatConfig::builder("c", "n").listen(["0.0.0.0:0"]).build()?;
    /// # let node = chitchat::spawn(config, network.transport()).await?;
    /// let snapshot = node.snapshot();
    /// for state in snapshot.live_nodes() {
    ///     println!("{} has the role {:?}", state.id(), state.get("role"));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Arc<ClusterStateSnapshot> {
        self.shared().snapshot()
    }

    /// Tells when nodes join, leave, fail, recover, are removed or change their addresses; not when
    /// keys change.
    #[must_use]
    pub fn live_nodes_watcher(&self) -> LiveNodesWatcher {
        let shared = self.shared();
        let core = shared.core_or_remains();
        LiveNodesWatcher::new(core.members(shared.snapshot()), shared.closed.subscribe())
    }

    /// The present state and all changes that follow it: applying the events to the snapshot gives
    /// every later snapshot. Own changes are included.
    ///
    /// ```
    /// use chitchat::Event;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let network = chitchat::transport::memory::MemoryNetwork::new(1);
    /// # let config = chitchat::ChitchatConfig::builder("c", "n").listen(["0.0.0.0:0"]).build()?;
    /// # let node = chitchat::spawn(config, network.transport()).await?;
    /// let (snapshot, mut events) = node.events();
    /// # node.set("shard/42", "ready")?;
    /// # node.shutdown().await?;
    /// while let Some(event) = events.next().await {
    ///     match event {
    ///         Ok(Event::KeySet { id, key, value, .. }) => println!("{id}: {key} = {value}"),
    ///         Ok(event) => println!("{event:?}"),
    ///         Err(lagged) => println!("{lagged}"), // start anew with node.events()
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn events(&self) -> (Arc<ClusterStateSnapshot>, EventStream) {
        let shared = self.shared();
        // Publications happen under this lock.
        let core = shared.core_or_remains();
        (shared.snapshot(), EventStream::new(core.events()))
    }

    /// The changes from now on of all keys that begin with `prefix`, of all nodes, this one
    /// included. See [`PrefixSubscription`] for what joining and failing nodes do to it.
    ///
    /// ```
    /// use chitchat::KeyEvent;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let network = chitchat::transport::memory::MemoryNetwork::new(1);
    /// # let config = chitchat::ChitchatConfig::builder("c", "n").listen(["0.0.0.0:0"]).build()?;
    /// # let node = chitchat::spawn(config, network.transport()).await?;
    /// node.set("role/main", "indexer")?;
    /// let mut roles = node.subscribe("role/").with_existing();
    /// let Some(Ok(KeyEvent::Set { owner, key, value, .. })) = roles.next().await else {
    ///     panic!("the key exists");
    /// };
    /// assert_eq!((owner, &*key, &*value), (node.id(), "role/main", "indexer"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn subscribe(&self, prefix: impl AsRef<str>) -> PrefixSubscription {
        let prefix = Arc::from(prefix.as_ref());
        let shared = self.shared();
        let core = shared.core_or_remains();
        PrefixSubscription::new(prefix, core.events(), shared.snapshot())
    }

    /// What an operator may want to know, from now on.
    #[must_use]
    pub fn notices(&self) -> NoticeStream {
        NoticeStream::new(self.shared().core_or_remains().notices())
    }

    /// Waits until a seed has answered; returns at once if one has, or if there is no seed but this
    /// node itself. Without that it waits for ever: wrap it in [`tokio::time::timeout`] where a
    /// node must not wait for its cluster. Cancel-safe.
    ///
    /// A node that listens on an unspecified address, and finds itself behind a name among the
    /// seeds, needs a message to itself to find that out; if the network does not bring it back,
    /// it waits for another seed.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn joined(&self) -> Result<JoinReport, Error> {
        self.wait_for(|progress| progress.joined.then_some(())).await?;
        let core = self.shared().core()?;
        Ok(JoinReport { answered_seeds: core.node.answered_seeds().collect() })
    }

    /// Leaves the cluster on purpose: others see this node as left at once, rather than as failed
    /// after a while. Waits until enough peers have confirmed that they know, two gossip intervals
    /// at most. Cancel-safe: once called, the node leaves.
    ///
    /// It is final: writes are refused from then on. The node still answers others until
    /// [`shutdown`](Self::shutdown), which usually comes next.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn leave(&self) -> Result<LeaveOutcome, Error> {
        self.shared().with_node(|node, now| node.leave(now))?;
        // There are messages to send, whatever the timers say.
        self.shared().wake.notify_one();
        self.wait_for(|progress| progress.left).await
    }

    /// Stops the node: sends what is queued, for a bounded time, and closes the transport. When
    /// this returns, the ports are free. May be called again.
    ///
    /// To the others it looks like a failure, unless the node has [left](Self::leave) before.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if the node had ended before in another way, which the reason tells.
    pub async fn shutdown(&self) -> Result<(), Error> {
        self.shared().request_stop(true);
        let reason = self.closed().await;
        if reason.is_orderly() { Ok(()) } else { Err(Error::Closed { reason }) }
    }

    /// Waits until the node does not run any more, for whatever reason. Cancel-safe.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let network = chitchat::transport::memory::MemoryNetwork::new(1);
    /// # let config = chitchat::ChitchatConfig::builder("c", "n").listen(["0.0.0.0:0"]).build()?;
    /// # let node = chitchat::spawn(config, network.transport()).await?;
    /// # node.shutdown().await?;
    /// let reason = node.closed().await;
    /// eprintln!("no longer part of the cluster: {reason}");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn closed(&self) -> CloseReason {
        let mut closed = self.shared().closed.subscribe();
        let reason = closed.wait_for(Option::is_some).await.map(|reason| reason.clone());
        // The sender lives as long as the handle, so that waiting does not fail.
        reason.ok().flatten().unwrap_or(CloseReason::RuntimeStopped)
    }

    /// Whether the node does not run any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared().closed.borrow().is_some()
    }

    /// Why the node does not run any more; `None` if it does.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.shared().closed.borrow().clone()
    }

    /// What the node did, refused and lost since its start. Also of a node that does not run any
    /// more.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared().stats()
    }

    /// How the failure detector sees another node now; `None`: it is not known.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn node_health(&self, node_id: impl AsRef<str>) -> Result<Option<NodeHealth>, Error> {
        let node_id = node_id.as_ref();
        let core = self.shared().core()?;
        Ok(core.node.node_health(node_id, self.shared().clock.now()))
    }

    /// Waits for a step of the driver, or for its end.
    async fn wait_for<T>(&self, step: impl Fn(&Progress) -> Option<T>) -> Result<T, Error> {
        let mut progress = self.shared().progress.subscribe();
        let reached = progress.wait_for(|progress| step(progress).is_some());
        tokio::select! {
            biased;
            reached = reached => {
                let reached = reached.ok().and_then(|progress| step(&progress));
                reached.ok_or(Error::Closed { reason: CloseReason::RuntimeStopped })
            }
            reason = self.closed() => Err(Error::Closed { reason }),
        }
    }
}
