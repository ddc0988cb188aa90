//! What an operating system would do: who listens where, and connecting to them.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

/// How much a pipe holds before its writer has to wait.
const PIPE_BYTES: usize = 64 << 10;
/// Connections that wait to be accepted.
const BACKLOG: usize = 64;

type Listeners = HashMap<SocketAddr, mpsc::Sender<(SocketAddr, DuplexStream)>>;

/// A network of pipes in this process. Clones are the same network.
#[derive(Debug, Clone, Default)]
pub struct Switchboard {
    listeners: Arc<Mutex<Listeners>>,
}

/// Takes in connections to one address, which is free again when it is dropped.
#[derive(Debug)]
pub struct Listener {
    addr: SocketAddr,
    accepted: mpsc::Receiver<(SocketAddr, DuplexStream)>,
    switchboard: Switchboard,
}

impl Switchboard {
    /// Listens at an address; port 0 takes one that is free.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AddrInUse`].
    pub fn listen(&self, addr: SocketAddr) -> io::Result<Listener> {
        let mut listeners = self.lock();
        let ports = if addr.port() == 0 { 1..=u16::MAX } else { addr.port()..=addr.port() };
        let addr = ports
            .map(|port| SocketAddr::new(addr.ip(), port))
            .find(|addr| !listeners.contains_key(addr))
            .ok_or(io::ErrorKind::AddrInUse)?;
        let (queue, accepted) = mpsc::channel(BACKLOG);
        listeners.insert(addr, queue);
        Ok(Listener { addr, accepted, switchboard: self.clone() })
    }

    /// Connects to whoever listens at `to`, who is told that it is `from` that calls.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::ConnectionRefused`] if nobody does, or too many wait there already.
    pub fn dial(&self, from: SocketAddr, to: SocketAddr) -> io::Result<DuplexStream> {
        let (ours, theirs) = duplex(PIPE_BYTES);
        let listeners = self.lock();
        let listener = listeners.get(&to).ok_or(io::ErrorKind::ConnectionRefused)?;
        listener.try_send((from, theirs)).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(ours)
    }

    fn lock(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The next connection, and who calls. `None` never comes while it listens. Cancel-safe.
    pub async fn accept(&mut self) -> Option<(SocketAddr, DuplexStream)> {
        self.accepted.recv().await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.switchboard.lock().remove(&self.addr);
    }
}
