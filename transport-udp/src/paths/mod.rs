//! Which of a destination's addresses a datagram goes to.
//!
//! UDP does not say whether anybody is there. What there is to go by: who was heard from, who has
//! been silent for how long, and what the operating system refuses. All of it is kept for a
//! bounded number of peers, and only for addresses that we sent to, so that strangers cannot push
//! peers out.

mod family;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chitchat_transport::Destination;
use family::Families;
use lru::LruCache;
use tokio::time::Instant;

/// Enough for the largest clusters with several addresses each; about 2 MiB when full.
const REMEMBERED_ADDRS: usize = 16_384;
const REMEMBERED_PEERS: usize = 8_192;

/// An address is quiet after this many messages without an answer ...
const QUIET_AFTER_SENDS: u32 = 3;
/// ... the first of which was sent this long ago: gossip is answered within a round trip, and a
/// restart takes about as long.
const QUIET_AFTER: Duration = Duration::from_secs(3);
/// Having heard from an address counts for this long.
const HEARD_COUNTS_FOR: Duration = Duration::from_secs(60);
/// What the operating system refused is tried again after this time: at most twice a minute.
const RETRY_REFUSED_AFTER: Duration = Duration::from_secs(30);
/// At most one report per address in this time, unless it was heard from in between.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// A socket of ours and an address to send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) socket: usize,
    pub(crate) addr: SocketAddr,
}

/// What is to be done about an address that cannot be reached.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// Whom we wanted to reach there.
    pub(crate) node_id: Option<Arc<str>>,
    /// Whether the node should hear of it now.
    pub(crate) report: bool,
}

#[derive(Debug, Default)]
struct AddrState {
    node_id: Option<Arc<str>>,
    heard: Option<Instant>,
    /// It was found unreachable, and not heard from since.
    failed: bool,
    refused_until: Option<Instant>,
    reported: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum PeerKey {
    Node(Arc<str>),
    Addrs(Arc<[SocketAddr]>),
}

#[derive(Debug)]
struct PeerState {
    current: SocketAddr,
    unanswered: u32,
    waiting_since: Option<Instant>,
}

#[derive(Debug)]
pub(crate) struct PathTable {
    locals: Vec<SocketAddr>,
    addrs: LruCache<SocketAddr, AddrState>,
    peers: LruCache<PeerKey, PeerState>,
    families: Families,
}

impl PathTable {
    /// For sockets bound to `locals`.
    pub(crate) fn new(locals: Vec<SocketAddr>) -> Self {
        Self {
            locals,
            // Bounded where something is put in; a bound given here would be allocated at once.
            addrs: LruCache::unbounded(),
            peers: LruCache::unbounded(),
            families: Families::default(),
        }
    }

    /// Where to send a message that is sent now. `None` if no address can be used.
    pub(crate) fn choose(&mut self, to: &Destination, now: Instant) -> Option<Path> {
        if let Some(path) = self.way_back(to) {
            // A bare answer goes to whoever asked, with whatever source address: not remembered.
            if !to.addrs().is_empty() {
                self.note_sent(path.addr, to);
            }
            return Some(path);
        }
        let mut usable: Vec<SocketAddr> = to
            .addrs()
            .iter()
            .copied()
            .filter(|addr| self.local_for(*addr).is_some() && self.family_may_try(*addr, now))
            .collect();
        // What was refused a moment ago is better than nothing, but only than nothing.
        if usable.iter().any(|addr| !self.is_refused(*addr, now)) {
            usable.retain(|addr| !self.is_refused(*addr, now));
        }
        let addr = match usable[..] {
            [] => return None,
            // Nothing to choose, and nothing to remember.
            [only] if to.addrs().len() == 1 => only,
            _ => self.choose_among(&usable, to, now)?,
        };
        self.families.tried(addr, now);
        self.note_sent(addr, to);
        Some(Path { socket: self.local_for(addr)?, addr })
    }

    /// A message came from `addr`.
    pub(crate) fn heard(&mut self, addr: SocketAddr, now: Instant) {
        self.families.works(addr);
        if let Some(state) = self.addrs.get_mut(&addr) {
            state.heard = Some(now);
            state.failed = false;
            state.refused_until = None;
            state.reported = None;
        }
    }

    /// The operating system took a datagram for `addr`.
    pub(crate) fn sent(&mut self, addr: SocketAddr) {
        self.families.works(addr);
    }

    /// The operating system will not send to `addr`; `whole_family` if it does not know the
    /// address family at all.
    pub(crate) fn refused(
        &mut self,
        addr: SocketAddr,
        whole_family: bool,
        now: Instant,
    ) -> Trouble {
        self.families.refused(addr, whole_family, now);
        if let Some(state) = self.addrs.get_mut(&addr) {
            state.refused_until = Some(now + RETRY_REFUSED_AFTER);
        }
        self.failed(addr, now)
    }

    /// `addr` was found unreachable.
    pub(crate) fn failed(&mut self, addr: SocketAddr, now: Instant) -> Trouble {
        let Some(state) = self.addrs.get_mut(&addr) else {
            // Forgotten, or never sent to: somebody's invention.
            return Trouble { node_id: None, report: false };
        };
        state.failed = true;
        let report = state
            .reported
            .is_none_or(|reported| now.saturating_duration_since(reported) >= REPORT_INTERVAL);
        if report {
            state.reported = Some(now);
        }
        Trouble { node_id: state.node_id.clone(), report }
    }

    fn way_back(&self, to: &Destination) -> Option<Path> {
        let path = to.reply_path()?;
        let socket = usize::try_from(path.token()).ok()?;
        let local = self.locals.get(socket)?;
        let addr = path.remote();
        let gone = self.has_failed(addr) && !to.addrs().is_empty();
        (local.is_ipv4() == addr.is_ipv4() && !gone).then_some(Path { socket, addr })
    }

    /// The socket for an address: of its family, and bound to loopback if and only if the address
    /// is one (where there is such a socket).
    fn local_for(&self, addr: SocketAddr) -> Option<usize> {
        let suits = |local: &SocketAddr| {
            local.ip().is_unspecified() || local.ip().is_loopback() == addr.ip().is_loopback()
        };
        let of_family = || {
            self.locals.iter().enumerate().filter(|(_, local)| local.is_ipv4() == addr.is_ipv4())
        };
        let best = of_family().find(|(_, local)| suits(local)).or_else(|| of_family().next());
        best.map(|(index, _)| index)
    }

    fn family_may_try(&self, addr: SocketAddr, now: Instant) -> bool {
        self.families.may_try(addr, now) || self.heard_lately(addr, now)
    }

    fn is_refused(&self, addr: SocketAddr, now: Instant) -> bool {
        let state = self.addrs.peek(&addr);
        state.and_then(|state| state.refused_until).is_some_and(|until| now < until)
    }

    fn choose_among(
        &mut self,
        usable: &[SocketAddr],
        to: &Destination,
        now: Instant,
    ) -> Option<SocketAddr> {
        let key = match to.node_id() {
            Some(id) => PeerKey::Node(Arc::clone(id)),
            None => PeerKey::Addrs(Arc::clone(to.addrs())),
        };
        let mut peer = match self.peers.pop(&key) {
            Some(peer) => peer,
            None => PeerState {
                current: self.first_choice(usable, now)?,
                unanswered: 0,
                waiting_since: None,
            },
        };
        let heard = self.heard_at(peer.current);
        if peer.waiting_since.is_some_and(|since| heard.is_some_and(|heard| heard >= since)) {
            peer.unanswered = 0;
            peer.waiting_since = None;
        }
        let quiet = peer.unanswered >= QUIET_AFTER_SENDS
            && peer
                .waiting_since
                .is_some_and(|since| now.saturating_duration_since(since) >= QUIET_AFTER);
        let better_known = heard.is_none() && usable.iter().any(|a| self.heard_lately(*a, now));
        if quiet || better_known || self.has_failed(peer.current) || !usable.contains(&peer.current)
        {
            let next = self.next_choice(usable, &peer, to, now);
            if let Some(next) = next.filter(|next| *next != peer.current) {
                tracing::debug!(from = %peer.current, to = %next, "udp: another path to a peer");
                peer = PeerState { current: next, unanswered: 0, waiting_since: None };
            }
        }
        peer.unanswered = peer.unanswered.saturating_add(1);
        peer.waiting_since.get_or_insert(now);
        let current = peer.current;
        self.peers.put(key, peer);
        if self.peers.len() > REMEMBERED_PEERS {
            self.peers.pop_lru();
        }
        usable.contains(&current).then_some(current)
    }

    /// The address last heard from, or else the first that has not failed, or else the first.
    fn first_choice(&self, usable: &[SocketAddr], now: Instant) -> Option<SocketAddr> {
        let heard = usable
            .iter()
            .filter(|addr| self.heard_lately(**addr, now) && !self.has_failed(**addr))
            .max_by_key(|addr| self.heard_at(**addr));
        let intact = || usable.iter().find(|addr| !self.has_failed(**addr));
        heard.or_else(intact).or(usable.first()).copied()
    }

    /// Another address than the current one: one that was heard from while the current one was
    /// silent, and otherwise the next in order, those that failed last.
    fn next_choice(
        &self,
        usable: &[SocketAddr],
        peer: &PeerState,
        to: &Destination,
        now: Instant,
    ) -> Option<SocketAddr> {
        let alive = usable
            .iter()
            .filter(|addr| **addr != peer.current && !self.has_failed(**addr))
            .filter(|addr| self.heard_lately(**addr, now))
            .filter(|addr| {
                self.heard_at(peer.current).is_none() || self.heard_at(**addr) >= peer.waiting_since
            })
            .max_by_key(|addr| self.heard_at(**addr));
        if let Some(alive) = alive {
            return Some(*alive);
        }
        let all = to.addrs();
        let position = all.iter().position(|addr| *addr == peer.current);
        let start = position.map_or(0, |position| position + 1);
        let in_turn = || {
            let turn = all.iter().cycle().skip(start).take(all.len());
            turn.filter(|addr| **addr != peer.current && usable.contains(addr))
        };
        in_turn().find(|addr| !self.has_failed(**addr)).or_else(|| in_turn().next()).copied()
    }

    fn heard_at(&self, addr: SocketAddr) -> Option<Instant> {
        self.addrs.peek(&addr).and_then(|state| state.heard)
    }

    fn heard_lately(&self, addr: SocketAddr, now: Instant) -> bool {
        self.heard_at(addr)
            .is_some_and(|heard| now.saturating_duration_since(heard) < HEARD_COUNTS_FOR)
    }

    fn has_failed(&self, addr: SocketAddr) -> bool {
        self.addrs.peek(&addr).is_some_and(|state| state.failed)
    }

    fn note_sent(&mut self, addr: SocketAddr, to: &Destination) {
        let state = self.addrs.get_or_insert_mut(addr, AddrState::default);
        if let Some(node_id) = to.node_id()
            && state.node_id.as_ref() != Some(node_id)
        {
            state.node_id = Some(Arc::clone(node_id));
        }
        if self.addrs.len() > REMEMBERED_ADDRS {
            self.addrs.pop_lru();
        }
    }
}
