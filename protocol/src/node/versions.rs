//! In which wire version to write to whom, and what becomes of those who have none in common with
//! us (rules W1 to W4).

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;

use crate::event::Notice;
use crate::id::NodeId;
use crate::membership::Member;
use crate::message::Header;
use crate::node::{Node, Origin};
use crate::wire::{self, Envelope, Frame, Version, VersionRange};

/// Addresses that are remembered as told of. Anybody can send from any number of addresses.
const MAX_TOLD: usize = 1_024;

/// The version of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) version: Version,
    /// It was asked before in a version that the peer does not read. There is no third time: a peer
    /// that denies every version would have us ask for ever.
    pub(crate) again: bool,
}

/// The addresses of those with no version in common with us that were told of.
#[derive(Debug, Default)]
pub(super) struct Incompatible {
    told: BTreeSet<SocketAddr>,
    /// The longest told of first, for the bound.
    order: VecDeque<SocketAddr>,
}

impl Incompatible {
    /// True if this address was not told of, or so long ago that it is forgotten.
    fn tell(&mut self, addr: SocketAddr) -> bool {
        if !self.told.insert(addr) {
            return false;
        }
        self.order.push_back(addr);
        if self.order.len() > MAX_TOLD
            && let Some(oldest) = self.order.pop_front()
        {
            self.told.remove(&oldest);
        }
        true
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.told.len().max(self.order.len())
    }

    /// Whoever is there now has a version in common with us. Another one may come.
    fn forget(&mut self, addr: &SocketAddr) {
        if self.told.remove(addr) {
            self.order.retain(|told| told != addr);
        }
    }
}

impl Node {
    /// What a peer that has proven that it is there reads (rule W1).
    pub(super) fn learn_versions(&mut self, origin: &Origin, header: &Header<'_>) {
        self.incompatible.forget(&origin.path.remote);
        let Some(member) = self.members.get_mut(&header.sender.node_id) else { return };
        if member.incarnation == header.sender.incarnation {
            member.contact.versions = Some(header.versions);
        }
    }

    /// The version to write to a node: the newest that it reads too, and the oldest if it is not
    /// known what it reads (rule W1).
    pub(super) fn version_for(&self, node_id: Option<&str>) -> Version {
        let member = node_id.and_then(|node_id| self.members.get(node_id));
        let theirs = member.and_then(|member| member.contact.versions);
        self.version_towards(theirs.unwrap_or(self.config.wire_versions.oldest_only()))
    }

    /// The version to write to whoever reads these.
    pub(super) fn version_towards(&self, theirs: VersionRange) -> Version {
        let ours = self.config.wire_versions;
        let common = ours.newest_common(theirs).unwrap_or(ours.oldest());
        Version::from_byte(common).unwrap_or(Version::OLDEST)
    }

    /// Whether there may be a version that both read.
    pub(super) fn may_share_version(&self, member: &Member) -> bool {
        let ours = self.config.wire_versions;
        member.contact.versions.is_none_or(|theirs| ours.newest_common(theirs).is_some())
    }

    /// An unknown version gets a typed answer; an answer of that kind gets none (rule W3).
    pub(super) fn refuse_version(&mut self, origin: &Origin, bytes: &[u8]) {
        self.counters.refused_version += 1;
        let Ok(envelope) = Envelope::parse(bytes) else { return };
        if envelope.cluster_id_hash != self.cluster_id_hash {
            return;
        }
        let Ok(theirs) = envelope.versions() else { return };
        if self.config.wire_versions.newest_common(theirs).is_none() {
            self.tell_of_stranger(origin, theirs);
        }
        let answer =
            wire::unsupported(self.config.wire_versions, self.cluster_id_hash, envelope.nonce);
        self.transmit(self.reply_to(origin), answer);
    }

    /// A peer cannot read a question of ours: it is asked again in a version that it reads, once
    /// (rule W2).
    pub(super) fn handle_unsupported(&mut self, origin: &Origin, frame: &Frame<'_>) {
        let nonce = frame.echo();
        if self.leaving.as_ref().is_some_and(|leaving| leaving.nonce() == nonce) {
            // Restarted with another build a moment ago. It will ask us, or others tell it.
            return;
        }
        let Some(pending) = self.exchanges.get_unanswered(nonce) else {
            self.counters.refused_unsolicited += 1;
            return;
        };
        let asked = pending.target.node_id.clone();
        if origin.peer.is_some() && asked.is_some() && origin.peer != asked {
            self.counters.refused_unsolicited += 1;
            return;
        }
        let pending = pending.clone();
        self.exchanges.finish(nonce, self.now);
        let theirs = frame.peer_range();
        let Some(version) = self.config.wire_versions.newest_common(theirs) else {
            self.tell_of_stranger(origin, theirs);
            return;
        };
        let Some(version) = Version::from_byte(version) else { return };
        if pending.written.again || pending.written.version == version {
            self.counters.refused_malformed += 1;
            return;
        }
        // Nothing is learnt for later: it does not say which incarnation it comes from, and the answer
        // to this question will.
        self.counters.renegotiated += 1;
        let written = Written { version, again: true };
        let (start, end) = (pending.start, pending.end);
        let (target, purpose, token) = (pending.target, pending.purpose, pending.token);
        self.open_exchange_in(written, target, purpose, (&start, end.as_deref()), token);
    }

    /// Somebody without a version in common sent this: counted, and told of once for each address.
    fn tell_of_stranger(&mut self, origin: &Origin, theirs: VersionRange) {
        self.counters.no_common_version += 1;
        let addr = origin.path.remote;
        if self.incompatible.tell(addr) {
            self.notify_of_versions(origin.peer.clone(), Some(addr), theirs);
        }
    }

    /// A member that we know through others may say that it reads nothing of what we write. We leave
    /// it to those others (rule W4), and tell of it once.
    pub(super) fn tell_of_member(&mut self, node_id: &str) {
        let Some(member) = self.members.get(node_id) else { return };
        let Some(theirs) = member.contact.versions else { return };
        if self.may_share_version(member) || member.contact.told_of_versions || !member.is_shown() {
            return;
        }
        let addrs = member.contact.addrs().clone();
        if let Some(member) = self.members.get_mut(node_id) {
            member.contact.told_of_versions = true;
        }
        self.counters.no_common_version += 1;
        // It may have been told of by its address, before anybody said who is there.
        let mut news = addrs.is_empty();
        for addr in addrs.iter() {
            news |= self.incompatible.tell(*addr);
        }
        if news {
            self.notify_of_versions(Some(NodeId::from(node_id)), addrs.first().copied(), theirs);
        }
    }

    fn notify_of_versions(
        &mut self,
        peer: Option<NodeId>,
        addr: Option<SocketAddr>,
        theirs: VersionRange,
    ) {
        let ours = self.config.wire_versions;
        self.notify(Notice::UnsupportedVersion { peer, addr, theirs, ours });
    }
}
