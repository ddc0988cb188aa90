//! Keys that the protocol keeps in every node's own namespace, hidden from users.
//!
//! They ride the same versioned machinery as everything else: a change of address is a write.

use std::net::SocketAddr;

/// Keys that begin with this belong to the protocol.
pub(crate) const RESERVED_PREFIX: &str = "\0";

/// Always version 1: how many versions the node starts with. A node is shown once they are here.
pub(crate) const KEY_INITIAL: &str = "\0initial";
/// The advertised addresses, separated by commas.
pub(crate) const KEY_ADDRS: &str = "\0addrs";
/// The wire versions that the node speaks, as `low-high`.
pub(crate) const KEY_PROTOCOL: &str = "\0wire";
/// [`STATUS_LEFT`] once the node has left.
pub(crate) const KEY_STATUS: &str = "\0status";
/// The terminal status.
pub(crate) const STATUS_LEFT: &str = "left";

/// Most addresses that a node may advertise.
pub(crate) const MAX_ADDRS: usize = 8;

pub(crate) fn encode_addrs(addrs: &[SocketAddr]) -> String {
    let texts: Vec<String> = addrs.iter().map(SocketAddr::to_string).collect();
    texts.join(",")
}

/// Reads addresses; those that are no addresses of a host are left out.
pub(crate) fn decode_addrs(text: &str) -> Vec<SocketAddr> {
    let usable = |addr: &SocketAddr| !addr.ip().is_unspecified() && addr.port() != 0;
    let canonical = |addr: SocketAddr| SocketAddr::new(addr.ip().to_canonical(), addr.port());
    text.split(',')
        // What is no address counts too: the length of a peer's text decides nothing here.
        .take(MAX_ADDRS)
        .filter_map(|text| text.parse().ok())
        .map(canonical)
        .filter(usable)
        .collect()
}
