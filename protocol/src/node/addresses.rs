//! The addresses that this node advertises, and the ones that lead back to itself.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::config::Config;
use crate::id::NodeId;
use crate::membership::Member;
use crate::node::Node;
use crate::state::{KEY_ADDRS, MAX_ADDRS, encode_addrs};
use crate::time::Timestamp;

/// Reports of peers that are remembered, for each address family.
const MAX_REPORTS: usize = 16;
/// Addresses that are known to lead back here.
const MAX_LOOPS: usize = 32;
/// A report that is this many intervals old goes as soon as a younger one says otherwise.
const REPORT_INTERVALS: u32 = 20;

/// What this node knows of its own addresses.
#[derive(Clone, Debug)]
pub(crate) struct OwnAddresses {
    /// Configured, and then final.
    configured: Vec<SocketAddr>,
    bound: Vec<SocketAddr>,
    /// Newest last.
    reports: VecDeque<Report>,
    /// Addresses from which our own messages came back, and when.
    loops: VecDeque<(SocketAddr, Timestamp)>,
    advertised: Vec<SocketAddr>,
}

/// A peer saw us at an address.
#[derive(Clone, Debug)]
struct Report {
    reporter: NodeId,
    addr: SocketAddr,
    at: Timestamp,
}

impl Report {
    fn is_of_family(&self, addr: SocketAddr) -> bool {
        self.addr.is_ipv4() == addr.is_ipv4()
    }
}

fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

impl OwnAddresses {
    pub(crate) fn new(config: &Config) -> OwnAddresses {
        let mut addresses = OwnAddresses {
            configured: config.advertise_addrs.iter().copied().map(canonical).collect(),
            bound: config.bound_addrs.iter().copied().map(canonical).collect(),
            reports: VecDeque::new(),
            loops: VecDeque::new(),
            advertised: Vec::new(),
        };
        addresses.advertised = addresses.derive();
        addresses
    }

    /// The addresses to advertise.
    pub(crate) fn advertised(&self) -> &[SocketAddr] {
        &self.advertised
    }

    /// Whether a message to this address would come back to us.
    pub(crate) fn is_own(&self, addr: &SocketAddr) -> bool {
        let addr = canonical(*addr);
        self.advertised.contains(&addr)
            || self.loops.iter().any(|(other, _)| *other == addr)
            || self.bound.contains(&addr) && !addr.ip().is_unspecified()
    }

    /// Whether there is a socket for an address of this family. Bound addresses that are not known
    /// restrict nothing.
    pub(crate) fn can_reach(&self, addr: &SocketAddr) -> bool {
        let addr = canonical(*addr);
        self.bound.is_empty() || self.bound.iter().any(|bound| bound.is_ipv4() == addr.is_ipv4())
    }

    /// Whether a message to this address has a chance to reach somebody else.
    pub(crate) fn can_use(&self, addr: &SocketAddr) -> bool {
        self.can_reach(addr) && !self.is_own(addr)
    }

    /// A message of ours came back. If it went to one address only, that one leads here; of several
    /// it is not known which, and the others may well be a peer's.
    pub(crate) fn learn_loop(&mut self, addrs: &[SocketAddr], now: Timestamp) {
        if let [addr] = addrs
            && !self.is_own(addr)
        {
            self.loops.push_back((canonical(*addr), now));
        }
        while self.loops.len() > MAX_LOOPS {
            self.loops.pop_front();
        }
    }

    /// What came back `max_age` ago may have been played back by somebody, or lead elsewhere now: it is
    /// not believed for ever, or whoever has one seed could be kept from its cluster with one message.
    pub(crate) fn forget_loops(&mut self, max_age: Duration, now: Timestamp) {
        self.loops.retain(|(_, at)| now.since(*at) < max_age);
    }

    /// The transport is bound elsewhere now. True if what we advertise changed.
    pub(crate) fn set_bound(&mut self, bound: &[SocketAddr]) -> bool {
        let before = std::mem::take(&mut self.bound);
        self.bound = bound.iter().copied().map(canonical).collect();
        // Reports and loops belong to the sockets that they were made of.
        let of_family = |bound: &[SocketAddr], addr: &SocketAddr| -> Vec<SocketAddr> {
            bound.iter().filter(|it| it.is_ipv4() == addr.is_ipv4()).copied().collect()
        };
        let same = |addr: &SocketAddr| of_family(&before, addr) == of_family(&self.bound, addr);
        self.reports.retain(|report| same(&report.addr));
        self.loops.retain(|(addr, _)| same(addr));
        self.update()
    }

    /// A peer saw us at an address, now. Reports that say otherwise are dropped if they are older
    /// than `max_age` or of somebody who does not live: with them there would be no majority for a
    /// new address as long as they stay. True if what we advertise changed.
    pub(crate) fn observe(
        &mut self,
        reporter: &str,
        addr: SocketAddr,
        now: Timestamp,
        max_age: Duration,
        is_live: impl Fn(&str) -> bool,
    ) -> bool {
        let addr = canonical(addr);
        let wildcard = self
            .bound
            .iter()
            .any(|bound| bound.ip().is_unspecified() && bound.is_ipv4() == addr.is_ipv4());
        if !self.configured.is_empty() || !wildcard || addr.ip().is_unspecified() {
            return false;
        }
        self.reports.retain(|report| {
            let counts = now.since(report.at) <= max_age && is_live(&report.reporter);
            let stays = *report.reporter != *reporter && (report.addr == addr || counts);
            stays || !report.is_of_family(addr)
        });
        self.reports.push_back(Report { reporter: NodeId::from(reporter), addr, at: now });
        let family = || self.reports.iter().filter(|report| report.is_of_family(addr));
        if family().count() > MAX_REPORTS
            && let Some(oldest) = self.reports.iter().position(|report| report.is_of_family(addr))
        {
            self.reports.remove(oldest);
        }
        self.update()
    }

    fn update(&mut self) -> bool {
        let derived = self.derive();
        let changed = derived != self.advertised;
        self.advertised = derived;
        changed
    }

    /// Configured addresses are final. Else: bound addresses that name a host, and for each
    /// unspecified one what most peers report. A loopback address says nothing to another host, so
    /// it is advertised only where there is nothing else.
    fn derive(&self) -> Vec<SocketAddr> {
        if !self.configured.is_empty() {
            return self.configured.clone();
        }
        let mut addrs: Vec<SocketAddr> =
            self.bound.iter().filter(|addr| !addr.ip().is_unspecified()).copied().collect();
        for ipv4 in [true, false] {
            let wildcard =
                |addr: &&SocketAddr| addr.ip().is_unspecified() && addr.is_ipv4() == ipv4;
            if self.bound.iter().any(|addr| wildcard(&addr)) {
                addrs.extend(self.most_reported(ipv4));
            }
        }
        if addrs.iter().any(|addr| !addr.ip().is_loopback()) {
            addrs.retain(|addr| !addr.ip().is_loopback());
        }
        addrs.sort_unstable();
        addrs.dedup();
        addrs.truncate(MAX_ADDRS);
        addrs
    }

    /// The address that most peers report, others than loopback first; the one in use wins ties.
    fn most_reported(&self, ipv4: bool) -> Option<SocketAddr> {
        let reports = || self.reports.iter().map(|report| report.addr);
        let votes = |addr: SocketAddr| reports().filter(|seen| *seen == addr).count();
        reports().filter(|addr| addr.is_ipv4() == ipv4).max_by_key(|addr| {
            (!addr.ip().is_loopback(), votes(*addr), self.advertised.contains(addr), *addr)
        })
    }
}

impl Node {
    /// A peer sees us at this address.
    pub(super) fn learn_address(&mut self, reporter: &str, observed: SocketAddr) {
        let max_age = self.config.gossip_interval * REPORT_INTERVALS;
        let is_live = |peer: &str| self.members.get(peer).is_some_and(Member::is_live);
        if self.addresses.observe(reporter, observed, self.now, max_age, is_live) {
            self.readdress();
        }
    }

    /// The transport is bound to these addresses now. The identity stays; what was learnt of
    /// addresses of a family whose sockets are others now is forgotten.
    pub fn set_bound_addrs(&mut self, addrs: &[SocketAddr]) {
        if self.addresses.set_bound(addrs) {
            self.readdress();
        }
    }

    /// Announces the present addresses. The identity stays.
    fn readdress(&mut self) {
        let text = encode_addrs(self.addresses.advertised());
        let before = self.own.replica().versions().max_version;
        self.own.set_reserved(KEY_ADDRS, &text, self.now);
        self.dirty.insert(self.config.node_id.clone());
        self.tell_own(before);
    }
}
