//! A network in memory, for tests: seeded, with latency, loss, duplication, reordering,
//! partitions and an MTU.
//!
//! Everything random comes from one seeded generator, and time is tokio's. In a single-threaded
//! runtime with paused time (`#[tokio::test(start_paused = true)]`) a test is therefore
//! deterministic, and hours pass in milliseconds. There are no background tasks: a message waits
//! in the receiver's bounded queue until it is due.
//!
//! ```
//! use std::time::Duration;
//! use chitchat_transport::memory::{Conditions, MemoryNetwork};
//!
//! let mut conditions = Conditions::default();
//! conditions.latency = Duration::from_millis(5)..=Duration::from_millis(50);
//! conditions.loss = 0.1;
//! let network = MemoryNetwork::new(7);
//! network.set_conditions(conditions);
//! let transport = network.transport(); // hand one to each node
//! ```
//!
//! # Addresses
//!
//! A specific listen address is bound as it is; port 0 gets a fresh port. A node that listens on
//! an unspecified address (`0.0.0.0`, `::`) is given a fresh address in `10.0.0.0/8` or
//! `fd00::/8` that only its peers see, as on a real host: [`MemorySender::network_addrs`] tells a
//! test what it is, and [`MemoryTransport::with_host_ips`] chooses it.

mod conditions;
mod endpoint;
mod network;
mod transport;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use conditions::{Conditions, NetworkStats};
use network::NetworkState;
pub use transport::{MemoryReceiver, MemorySender, MemoryTransport};

/// A network in memory. Clones are handles to the same network.
#[derive(Debug, Clone)]
pub struct MemoryNetwork {
    state: Arc<Mutex<NetworkState>>,
}

impl MemoryNetwork {
    /// A perfect network: no latency, no loss. `seed` decides everything that is random once
    /// [`set_conditions`](Self::set_conditions) makes it less perfect.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: Arc::new(Mutex::new(NetworkState::new(seed))) }
    }

    /// A transport for one node of this network.
    #[must_use]
    pub fn transport(&self) -> MemoryTransport {
        MemoryTransport::new(self.clone())
    }

    /// Changes what happens to messages that are sent from now on.
    pub fn set_conditions(&self, conditions: Conditions) {
        self.lock().conditions = conditions;
    }

    /// Changes what happens to messages that are sent from now on from an address in `from` to an
    /// address in `to`, in this direction only: a slow, lossy or narrow link. `None`: they are
    /// treated like all others again. The addresses are those that the network sees
    /// ([`MemorySender::network_addrs`]).
    ///
    /// [`heal`](Self::heal) and [`set_conditions`](Self::set_conditions) leave such links alone.
    pub fn set_conditions_between(
        &self,
        from: &[SocketAddr],
        to: &[SocketAddr],
        conditions: Option<&Conditions>,
    ) {
        let mut state = self.lock();
        for pair in from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to))) {
            match conditions {
                Some(conditions) => state.links.insert(pair, conditions.clone()),
                None => state.links.remove(&pair),
            };
        }
    }

    /// From now on nothing sent from an address in `from` reaches an address in `to`. The other
    /// direction is not touched: call it twice, or use [`partition`](Self::partition).
    ///
    /// Messages under way still arrive. The addresses are those that the network sees
    /// ([`MemorySender::network_addrs`]).
    pub fn block(&self, from: &[SocketAddr], to: &[SocketAddr]) {
        let mut state = self.lock();
        for from in from {
            state.blocked.extend(to.iter().map(|to| (*from, *to)));
        }
    }

    /// Undoes [`block`](Self::block) for these pairs.
    pub fn unblock(&self, from: &[SocketAddr], to: &[SocketAddr]) {
        let mut state = self.lock();
        for from in from {
            for to in to {
                state.blocked.remove(&(*from, *to));
            }
        }
    }

    /// Cuts the two sets of addresses off from each other, in both directions.
    pub fn partition(&self, one: &[SocketAddr], other: &[SocketAddr]) {
        self.block(one, other);
        self.block(other, one);
    }

    /// Ends all blocks and partitions.
    pub fn heal(&self) {
        self.lock().blocked.clear();
    }

    /// Counters of the whole network.
    #[must_use]
    pub fn stats(&self) -> NetworkStats {
        self.lock().stats.clone()
    }

    /// A panic in a test that holds the lock must not hide behind a second one.
    fn lock(&self) -> MutexGuard<'_, NetworkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
