//! Where a message is to go.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::addr::canonical;

/// Where a message is to go: a known node with all its addresses, a bare address (a seed, of
/// which nothing else is known yet), or back the way a message came.
///
/// Cheap to clone. Addresses are [`canonical`] and without duplicates; their order is the order
/// of preference of whoever made it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    node_id: Option<Arc<str>>,
    addrs: Arc<[SocketAddr]>,
    reply: Option<ReplyPath>,
}

impl Destination {
    /// A node that is known by its id, with all the addresses that it advertises.
    ///
    /// A transport that verifies identities refuses to talk to anybody else there.
    #[must_use]
    pub fn node(node_id: impl Into<Arc<str>>, addrs: impl IntoIterator<Item = SocketAddr>) -> Self {
        let mut unique: Vec<SocketAddr> = Vec::new();
        for addr in addrs.into_iter().map(canonical) {
            if !unique.contains(&addr) {
                unique.push(addr);
            }
        }
        Self { node_id: Some(node_id.into()), addrs: unique.into(), reply: None }
    }

    /// Whoever listens at `addr`, for example a seed.
    #[must_use]
    pub fn addr(addr: SocketAddr) -> Self {
        Self { node_id: None, addrs: Arc::new([canonical(addr)]), reply: None }
    }

    /// Back the way a message came, whether or not the sender's addresses are known. This is how
    /// nodes behind NAT take part.
    #[must_use]
    pub fn reply(path: ReplyPath) -> Self {
        Self { node_id: None, addrs: Arc::new([]), reply: Some(path) }
    }

    /// This destination, but by `path` as long as it works. When the path is gone (the connection
    /// that it names is closed), the transport falls back on the addresses.
    #[must_use]
    pub fn with_reply(self, path: ReplyPath) -> Self {
        Self { reply: Some(path), ..self }
    }

    /// The node's id, if it is known.
    #[must_use]
    pub fn node_id(&self) -> Option<&Arc<str>> {
        self.node_id.as_ref()
    }

    /// The addresses, canonical, in order of preference. Empty for a bare reply.
    #[must_use]
    pub fn addrs(&self) -> &Arc<[SocketAddr]> {
        &self.addrs
    }

    /// The way back, if this is an answer.
    #[must_use]
    pub fn reply_path(&self) -> Option<ReplyPath> {
        self.reply
    }
}

/// The way back to where a message came from.
///
/// Made by the transport, handed back to the same transport, and of no use with any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplyPath {
    remote: SocketAddr,
    token: u64,
}

impl ReplyPath {
    /// `remote` is the peer's address as the transport saw it (made [`canonical`] here); `token`
    /// is whatever the transport needs to find the socket or connection again.
    #[must_use]
    pub fn new(remote: SocketAddr, token: u64) -> Self {
        Self { remote: canonical(remote), token }
    }

    /// The peer's address as we saw it: behind NAT, not one that the peer knows of.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// The transport's own mark, opaque to everybody else.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_canonical_and_unique_and_keep_their_order() {
        let addrs = ["[::1]:9", "[::ffff:10.0.0.1]:7", "10.0.0.1:7"].map(|a| a.parse().unwrap());
        let destination = Destination::node("n", addrs);
        assert_eq!(
            destination.addrs().to_vec(),
            ["[::1]:9", "10.0.0.1:7"].map(|a| a.parse::<SocketAddr>().unwrap())
        );
        let path = ReplyPath::new("[::ffff:10.0.0.1]:7".parse().unwrap(), 3);
        assert_eq!(path.remote(), "10.0.0.1:7".parse().unwrap());
    }
}
