//! The hashes of digests in columns. They are part of the wire format: all nodes of a cluster make the
//! same ones.
//!
//! None is a protection against an adversary, who could as well lie about what it has. All but the
//! fingerprint of a set are mixed with the nonce of the message: of two things that one message takes for
//! the same, the next does not.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::columns::SHORT_HASH_LEN;
use crate::id::Incarnation;

/// Key of the hash of a member, together with the hash of the cluster id.
const MEMBER_KEY: u64 = u64::from_le_bytes(*b"a member");
/// The same for a set of members.
const SET_KEY: u64 = u64::from_le_bytes(*b"members ");

/// Makes the hashes of members and of sets of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemberHash {
    cluster: u64,
    /// Bits that count. All of them, except in tests of what collisions do.
    mask: u64,
}

impl MemberHash {
    pub(crate) fn new(cluster_id_hash: u64, mask: u64) -> MemberHash {
        MemberHash { cluster: cluster_id_hash, mask }
    }

    /// Of a name and an incarnation.
    pub(crate) fn member(&self, node_id: &str, incarnation: &Incarnation) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.cluster, MEMBER_KEY);
        hasher.write(&incarnation.generation_id.to_le_bytes());
        hasher.write(&incarnation.boot.to_le_bytes());
        hasher.write(node_id.as_bytes());
        hasher.finish()
    }

    /// The fingerprint of a set: of the hashes of its members, in order.
    pub(crate) fn set(&self, members: impl Iterator<Item = u64>) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.cluster, SET_KEY);
        for member in members {
            hasher.write(&member.to_le_bytes());
        }
        hasher.finish() & self.mask
    }

    /// The short hash of a member, for one message.
    pub(crate) fn short(&self, member: u64, nonce: u64) -> u64 {
        (mix(member ^ nonce) >> (64 - 8 * SHORT_HASH_LEN)) & self.mask
    }

    /// For the versions of some members.
    pub(crate) fn versions(&self, nonce: u64) -> VersionHash {
        VersionHash { state: mix(nonce), mask: self.mask }
    }

    /// For the lives of some members.
    pub(crate) fn lives(&self, nonce: u64) -> LifeHash {
        LifeHash { state: mix(!nonce), mask: self.mask }
    }
}

/// A hash of the versions that somebody has of some members.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VersionHash {
    state: u64,
    mask: u64,
}

impl VersionHash {
    /// Adds those of the next member.
    pub(crate) fn add(&mut self, max_version: u64, last_gc_version: u64) {
        self.state = mix(mix(self.state ^ max_version) ^ last_gc_version);
    }

    pub(crate) fn finish(self) -> u16 {
        let [low, high, ..] = (self.state & self.mask).to_le_bytes();
        u16::from_le_bytes([low, high])
    }
}

/// A hash of the heartbeats of those who are not live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LifeHash {
    state: u64,
    mask: u64,
}

impl LifeHash {
    /// Adds the member at this position of the message.
    pub(crate) fn add(&mut self, position: u32, heartbeat: u64) {
        self.state = mix(mix(self.state ^ u64::from(position)) ^ heartbeat);
    }

    pub(crate) fn finish(self) -> u32 {
        let [a, b, c, d, ..] = (self.state & self.mask).to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }
}

/// The finalizer of splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: MemberHash = MemberHash { cluster: 7, mask: u64::MAX };

    #[test]
    fn a_set_is_told_from_one_in_which_two_members_changed_places() {
        assert_ne!(HASH.set([1, 2].into_iter()), HASH.set([2, 1].into_iter()));
    }

    #[test]
    fn what_collides_under_one_nonce_does_not_under_another() {
        let of = |nonce, m| {
            let mut hash = HASH.versions(nonce);
            hash.add(m, 0);
            hash.finish()
        };
        // Sixteen bits: some pair among these collides.
        let pair = (0..2_000_u64)
            .flat_map(|a| (0..a).map(move |b| (a, b)))
            .find(|(a, b)| of(1, *a) == of(1, *b));
        let (a, b) = pair.expect("2,000 hashes of 16 bits");
        assert!((2..10).any(|nonce| of(nonce, a) != of(nonce, b)));
    }

    #[test]
    fn a_member_is_its_name_and_its_incarnation() {
        let run = |generation_id, boot| Incarnation { generation_id, boot };
        let first = HASH.member("node", &run(1, 1));
        assert_ne!(first, HASH.member("node", &run(2, 1)));
        assert_ne!(first, HASH.member("node", &run(1, 2)));
        assert_ne!(first, HASH.member("nod", &run(1, 1)));
        assert!(HASH.short(first, 3) < 1 << (8 * SHORT_HASH_LEN));
    }

    /// Computed by another program, from docs/wire-format.md: nodes of all builds make the same ones.
    #[test]
    fn the_hashes_are_the_same_for_ever() {
        let hash = MemberHash::new(crate::wire::cluster_id_hash("golden"), u64::MAX);
        let run = |generation_id, boot| Incarnation { generation_id, boot };
        let first = hash.member("node-1", &run(1_760_000_000_000, 0x0123_4567_89AB_CDEF));
        let second = hash.member("node-2", &run(1_760_000_000_001, 2));
        assert_eq!((first, second), (0xED27_2593_C088_EC63, 0x5CED_2684_54C1_F041));
        assert_eq!(hash.set([first, second].into_iter()), 0xB96C_2DFB_C74C_3B4B);

        let nonce = 0x1122_3344_5566_7788;
        assert_eq!(hash.short(first, nonce), 0x1DBF_7A33_1EDE);
        let mut versions = hash.versions(nonce);
        versions.add(300, 0);
        versions.add(128, 100);
        assert_eq!(versions.finish(), 0x61A7);
        let mut lives = hash.lives(nonce);
        lives.add(0, 42);
        lives.add(7, 1_000);
        assert_eq!(lives.finish(), 0x3BC6_AFE2);
    }
}
