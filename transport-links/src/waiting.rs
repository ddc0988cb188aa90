//! Messages for peers that there is no connection to yet.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use chitchat_transport::SendError;

use crate::queue::{SendQueue, TotalBytes};

/// Peers that may be waited for at once.
const MAX_WAITING: usize = 4_096;

/// Whom a message is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "there are no others")]
pub enum Peer {
    /// A node that is known by its id: nobody else will do.
    Node(Arc<str>),
    /// Whoever listens there.
    Addr(SocketAddr),
}

impl Peer {
    /// The node that has to be there, if it is known.
    #[must_use]
    pub fn node_id(&self) -> Option<&Arc<str>> {
        match self {
            Peer::Node(node_id) => Some(node_id),
            Peer::Addr(_) => None,
        }
    }
}

/// A peer that is being dialled.
#[derive(Debug)]
struct Waiting {
    /// The addresses that were given last.
    addrs: Vec<SocketAddr>,
    queue: SendQueue,
}

/// All peers that are being dialled. One task dials each.
#[derive(Debug)]
pub(crate) struct WaitingRoom {
    peers: HashMap<Peer, Waiting>,
    queue_bytes: usize,
    total: Arc<TotalBytes>,
}

impl WaitingRoom {
    pub(crate) fn new(queue_bytes: usize, total: Arc<TotalBytes>) -> Self {
        Self { peers: HashMap::new(), queue_bytes, total }
    }

    /// Keeps a message until the peer is reached. True if the peer has to be dialled: nobody does
    /// so yet.
    pub(crate) fn push(
        &mut self,
        peer: &Peer,
        addrs: Vec<SocketAddr>,
        message: Bytes,
    ) -> Result<bool, SendError> {
        if let Some(waiting) = self.peers.get_mut(peer) {
            // Whoever knows fewer of them, from a connection that has ended, takes none away.
            if !addrs.iter().all(|addr| waiting.addrs.contains(addr)) {
                waiting.addrs = addrs;
            }
            return waiting.queue.push(message).map(|()| false).map_err(|(error, _)| error);
        }
        if self.peers.len() >= MAX_WAITING {
            return Err(SendError::QueueFull);
        }
        let queue = SendQueue::new(self.queue_bytes, Arc::clone(&self.total));
        queue.push(message).map_err(|(error, _)| error)?;
        self.peers.insert(peer.clone(), Waiting { addrs, queue });
        Ok(true)
    }

    /// The addresses to dial. `None` if there is nothing to dial for: then the peer is no longer
    /// waited for, and the next message starts anew.
    pub(crate) fn addrs(&mut self, peer: &Peer) -> Option<Vec<SocketAddr>> {
        let waiting = self.peers.get(peer)?;
        if waiting.queue.is_empty() {
            self.peers.remove(peer);
            return None;
        }
        Some(waiting.addrs.clone())
    }

    /// The messages that wait for a peer; the peer itself goes on being dialled.
    pub(crate) fn take_messages(&mut self, peer: &Peer) -> Vec<Bytes> {
        let Some(waiting) = self.peers.get(peer) else { return Vec::new() };
        let next = || waiting.queue.pop_small().or_else(|| waiting.queue.pop_bulk());
        std::iter::from_fn(next).collect()
    }

    /// The peer is no longer dialled. Returns the messages that waited for it.
    pub(crate) fn remove(&mut self, peer: &Peer) -> Vec<Bytes> {
        self.peers.remove(peer).map_or_else(Vec::new, |waiting| waiting.queue.close())
    }

    /// Whether no messages wait. A peer may be dialled nevertheless.
    pub(crate) fn is_empty(&self) -> bool {
        self.peers.values().all(|waiting| waiting.queue.is_empty())
    }

    pub(crate) fn clear(&mut self) -> usize {
        self.peers.drain().map(|(_, waiting)| waiting.queue.close().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_dialled_once_and_its_messages_come_out_in_order() {
        let mut room = WaitingRoom::new(1 << 20, TotalBytes::new(1 << 20));
        let peer = Peer::Node("n".into());
        let addrs = vec!["192.0.2.1:7".parse().unwrap()];
        assert_eq!(room.push(&peer, addrs.clone(), Bytes::from_static(b"1")), Ok(true));
        assert_eq!(room.push(&peer, addrs.clone(), Bytes::from_static(b"2")), Ok(false));
        assert_eq!(room.addrs(&peer), Some(addrs));
        assert_eq!(room.take_messages(&peer), [&b"1"[..], b"2"]);
        assert_eq!(room.addrs(&peer), None, "nothing to dial for");
        assert_eq!(room.push(&peer, Vec::new(), Bytes::new()), Ok(true), "so it begins anew");
        assert_eq!(room.remove(&peer).len(), 1);
    }

    #[test]
    fn addresses_are_replaced_by_others_and_not_by_fewer_of_the_same() {
        let mut room = WaitingRoom::new(1 << 20, TotalBytes::new(1 << 20));
        let peer = Peer::Node("n".into());
        let addr = |host| SocketAddr::from(([192, 0, 2, host], 7));
        let mut push = |addrs: Vec<SocketAddr>| {
            room.push(&peer, addrs, Bytes::from_static(b"m")).unwrap();
            room.addrs(&peer).unwrap()
        };
        assert_eq!(push(vec![addr(1), addr(2)]), [addr(1), addr(2)]);
        assert_eq!(push(vec![addr(2)]), [addr(1), addr(2)]);
        assert_eq!(push(vec![addr(3)]), [addr(3)]);
    }

    #[test]
    fn the_number_of_peers_is_bounded() {
        let mut room = WaitingRoom::new(1 << 20, TotalBytes::new(1 << 30));
        for port in 0..4_096 {
            let peer = Peer::Addr(SocketAddr::from(([192, 0, 2, 1], port)));
            assert_eq!(room.push(&peer, Vec::new(), Bytes::new()), Ok(true));
        }
        let one_more = Peer::Node("n".into());
        let refused = room.push(&one_more, Vec::new(), Bytes::new());
        assert_eq!(refused, Err(SendError::QueueFull));
        assert_eq!(room.clear(), 4_096);
    }
}
