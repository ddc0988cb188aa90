//! The addresses that this node advertises, and the ones that lead back to itself.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::config::Config;
use crate::id::NodeId;
use crate::node::Node;
use crate::state::{KEY_ADDRS, MAX_ADDRS, encode_addrs};

/// Reports of peers that are remembered, for each address family.
const MAX_REPORTS: usize = 16;
/// Addresses that are known to lead back here.
const MAX_LOOPS: usize = 32;

/// What this node knows of its own addresses.
#[derive(Clone, Debug)]
pub(crate) struct OwnAddresses {
    /// Configured, and then final.
    configured: Vec<SocketAddr>,
    bound: Vec<SocketAddr>,
    /// Who saw us at which address, newest last.
    reports: VecDeque<(NodeId, SocketAddr)>,
    /// Addresses from which our own messages came back.
    loops: VecDeque<SocketAddr>,
    advertised: Vec<SocketAddr>,
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
            || self.loops.contains(&addr)
            || self.bound.contains(&addr) && !addr.ip().is_unspecified()
    }

    /// A message of ours came back. If it went to one address only, that one leads here; of several
    /// it is not known which, and the others may well be a peer's.
    pub(crate) fn learn_loop(&mut self, addrs: &[SocketAddr]) {
        if let [addr] = addrs
            && !self.is_own(addr)
        {
            self.loops.push_back(canonical(*addr));
        }
        while self.loops.len() > MAX_LOOPS {
            self.loops.pop_front();
        }
    }

    /// The transport is bound elsewhere now. True if what we advertise changed.
    pub(crate) fn set_bound(&mut self, bound: &[SocketAddr]) -> bool {
        self.bound = bound.iter().copied().map(canonical).collect();
        // Reports and loops belong to the sockets that they were made of.
        self.reports.clear();
        self.loops.clear();
        self.update()
    }

    /// A peer saw us at an address. True if what we advertise changed.
    pub(crate) fn observe(&mut self, reporter: &str, addr: SocketAddr) -> bool {
        let addr = canonical(addr);
        let wildcard = self
            .bound
            .iter()
            .any(|bound| bound.ip().is_unspecified() && bound.is_ipv4() == addr.is_ipv4());
        if !self.configured.is_empty() || !wildcard || addr.ip().is_unspecified() {
            return false;
        }
        self.reports.retain(|(peer, seen)| **peer != *reporter || seen.is_ipv4() != addr.is_ipv4());
        self.reports.push_back((NodeId::from(reporter), addr));
        let family = self.reports.iter().filter(|(_, seen)| seen.is_ipv4() == addr.is_ipv4());
        if family.count() > MAX_REPORTS
            && let Some(oldest) =
                self.reports.iter().position(|(_, seen)| seen.is_ipv4() == addr.is_ipv4())
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
        let reports = || self.reports.iter().map(|(_, addr)| *addr);
        let votes = |addr: SocketAddr| reports().filter(|seen| *seen == addr).count();
        reports().filter(|addr| addr.is_ipv4() == ipv4).max_by_key(|addr| {
            (!addr.ip().is_loopback(), votes(*addr), self.advertised.contains(addr), *addr)
        })
    }
}

impl Node {
    /// A peer sees us at this address.
    pub(super) fn learn_address(&mut self, reporter: &str, observed: SocketAddr) {
        if self.addresses.observe(reporter, observed) {
            self.readdress();
        }
    }

    /// The transport is bound to these addresses now.
    pub fn set_bound_addrs(&mut self, addrs: &[SocketAddr]) {
        if self.addresses.set_bound(addrs) {
            self.readdress();
        }
    }

    /// Announces the present addresses. The identity stays.
    fn readdress(&mut self) {
        let text = encode_addrs(self.addresses.advertised());
        self.own.set_reserved(KEY_ADDRS, &text, self.now);
        self.dirty.insert(self.config.node_id.clone());
    }
}
