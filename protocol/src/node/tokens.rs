//! Tokens: a peer that sends one back can be reached at the address that it claims (rule P6).

use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip::SipHasher13;

use crate::node::{Node, Origin};

/// How long a token that proves an address is good for, at least; in seconds.
const TOKEN_EPOCH_SECONDS: i64 = 60;

impl Node {
    pub(super) fn token_epoch(&self) -> i64 {
        self.now.as_micros().div_euclid(TOKEN_EPOCH_SECONDS * 1_000_000)
    }

    /// A token that only somebody who receives what is sent there can know. Nothing is stored for
    /// it, so that a flood of questions costs no memory.
    ///
    /// It names a verified peer by its id: its next message may come over another connection, and
    /// so from another address.
    pub(super) fn token(&self, origin: &Origin, epoch: i64) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        if let Some(peer) = &origin.peer {
            hasher.write_u8(b'i');
            hasher.write(peer.as_bytes());
        } else {
            let remote = origin.path.remote;
            match remote.ip().to_canonical() {
                IpAddr::V4(ip) => hasher.write(&ip.octets()),
                IpAddr::V6(ip) => hasher.write(&ip.octets()),
            }
            hasher.write_u16(remote.port());
        }
        hasher.write_i64(epoch);
        hasher.finish() | 1
    }

    /// Whether the token proves where the peer is: given out in this epoch or the one before.
    pub(super) fn proves(&self, origin: &Origin, token: u64) -> bool {
        let epoch = self.token_epoch();
        token == self.token(origin, epoch) || token == self.token(origin, epoch - 1)
    }
}
