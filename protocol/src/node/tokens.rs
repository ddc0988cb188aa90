//! Tokens: a peer that sends one back can be reached at the address that it claims (rule P6).

use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};

use siphasher::sip::SipHasher13;

use crate::node::Node;

/// How long a token that proves an address is good for, at least; in seconds.
const TOKEN_EPOCH_SECONDS: i64 = 60;

impl Node {
    pub(super) fn token_epoch(&self) -> i64 {
        self.now.as_micros().div_euclid(TOKEN_EPOCH_SECONDS * 1_000_000)
    }

    /// A token that only somebody who receives messages at `remote` can know. Nothing is stored
    /// for it, so that a flood of questions costs no memory.
    pub(super) fn token(&self, remote: SocketAddr, epoch: i64) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        match remote.ip().to_canonical() {
            IpAddr::V4(ip) => hasher.write(&ip.octets()),
            IpAddr::V6(ip) => hasher.write(&ip.octets()),
        }
        hasher.write_u16(remote.port());
        hasher.write_i64(epoch);
        hasher.finish() | 1
    }

    /// Whether the token proves the address: given out in this epoch or the one before.
    pub(super) fn proves(&self, remote: SocketAddr, token: u64) -> bool {
        let epoch = self.token_epoch();
        token == self.token(remote, epoch) || token == self.token(remote, epoch - 1)
    }
}
