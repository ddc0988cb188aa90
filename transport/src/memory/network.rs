//! The network's state: who listens where, and what becomes of a message.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use super::conditions::{Conditions, NetworkStats};
use super::endpoint::{Endpoint, Next};
use crate::addr::{AddressFamily, canonical};
use crate::destination::{Destination, ReplyPath};
use crate::error::{OpenError, SendError};
use crate::inbound::{Inbound, InboundMessage, Report, UnreachableReason};
use crate::inbox::InboxLimits;

/// Below the range from which operating systems take ports, so that a mix-up with a real socket
/// is noticed.
const FIRST_FRESH_PORT: u16 = 20_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EndpointId(u64);

#[derive(Debug)]
pub(super) struct NetworkState {
    pub(super) conditions: Conditions,
    pub(super) stats: NetworkStats,
    /// Directed pairs of network addresses that cannot talk.
    pub(super) blocked: HashSet<(SocketAddr, SocketAddr)>,
    /// Those of directed pairs that differ from the rest.
    pub(super) links: HashMap<(SocketAddr, SocketAddr), Conditions>,
    rng: SmallRng,
    endpoints: BTreeMap<EndpointId, Endpoint>,
    /// Which endpoint listens at an address, and with which of its sockets.
    listeners: BTreeMap<SocketAddr, (EndpointId, usize)>,
    next_endpoint: u64,
    next_port: u16,
    next_host: u16,
    next_sequence: u64,
}

impl NetworkState {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            conditions: Conditions::default(),
            stats: NetworkStats::default(),
            blocked: HashSet::new(),
            links: HashMap::new(),
            rng: SmallRng::seed_from_u64(seed),
            endpoints: BTreeMap::new(),
            listeners: BTreeMap::new(),
            next_endpoint: 0,
            next_port: FIRST_FRESH_PORT,
            next_host: 1,
            next_sequence: 0,
        }
    }

    pub(super) fn bind(
        &mut self,
        listen: &[SocketAddr],
        host_ips: &[IpAddr],
        max_message_len: usize,
        limits: InboxLimits,
    ) -> Result<EndpointId, OpenError> {
        if listen.is_empty() {
            return Err(OpenError::NoListenAddress);
        }
        let host = self.next_host;
        self.next_host = self.next_host.wrapping_add(1).max(1);
        let (mut bound, mut network) = (Vec::new(), Vec::new());
        for addr in listen.iter().copied().map(canonical) {
            let ip = if addr.ip().is_unspecified() {
                host_ips
                    .iter()
                    .copied()
                    .find(|ip| ip.is_ipv4() == addr.is_ipv4())
                    .unwrap_or_else(|| fresh_ip(AddressFamily::of(addr), host))
            } else {
                addr.ip()
            };
            let bind_error = |kind: io::ErrorKind| OpenError::Bind { addr, source: kind.into() };
            let port = if addr.port() == 0 {
                self.fresh_port(ip).ok_or_else(|| bind_error(io::ErrorKind::AddrNotAvailable))?
            } else {
                addr.port()
            };
            let seen = SocketAddr::new(ip, port);
            if self.listeners.contains_key(&seen) || network.contains(&seen) {
                return Err(bind_error(io::ErrorKind::AddrInUse));
            }
            bound.push(SocketAddr::new(addr.ip(), port));
            network.push(seen);
        }
        let id = EndpointId(self.next_endpoint);
        self.next_endpoint += 1;
        for (index, addr) in network.iter().enumerate() {
            self.listeners.insert(*addr, (id, index));
        }
        self.endpoints.insert(id, Endpoint::new(bound, network, max_message_len, limits));
        Ok(id)
    }

    fn fresh_port(&mut self, ip: IpAddr) -> Option<u16> {
        for _ in FIRST_FRESH_PORT..=u16::MAX {
            let port = self.next_port;
            self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_FRESH_PORT);
            if !self.listeners.contains_key(&SocketAddr::new(ip, port)) {
                return Some(port);
            }
        }
        None
    }

    pub(super) fn endpoint(&mut self, id: EndpointId) -> Option<&mut Endpoint> {
        self.endpoints.get_mut(&id)
    }

    pub(super) fn next(&mut self, id: EndpointId, now: Instant) -> Next {
        self.endpoints.get_mut(&id).map_or(Next::Closed, |endpoint| endpoint.next(now))
    }

    /// The sending half is gone: nobody listens there any more.
    pub(super) fn close(&mut self, id: EndpointId) {
        let Some(endpoint) = self.endpoints.get_mut(&id) else { return };
        endpoint.closed = true;
        endpoint.wake.notify_one();
        self.listeners.retain(|_, (listener, _)| *listener != id);
        self.forget(id);
    }

    /// The receiving half is gone.
    pub(super) fn stop_reading(&mut self, id: EndpointId) {
        let Some(endpoint) = self.endpoints.get_mut(&id) else { return };
        endpoint.unread = true;
        self.forget(id);
    }

    fn forget(&mut self, id: EndpointId) {
        if self.endpoints.get(&id).is_some_and(|endpoint| endpoint.closed && endpoint.unread) {
            self.endpoints.remove(&id);
        }
    }

    pub(super) fn send(
        &mut self,
        id: EndpointId,
        to: &Destination,
        message: Bytes,
    ) -> Result<(), SendError> {
        let Some(sender) = self.endpoints.get_mut(&id).filter(|endpoint| !endpoint.closed) else {
            return Err(SendError::Closed);
        };
        let (len, limit) = (message.len(), sender.max_message_len);
        if len > limit {
            sender.stats.refused_too_large += 1;
            return Err(SendError::TooLarge { len, limit });
        }
        let Some((source, target)) = self.route(id, to) else {
            if let Some(sender) = self.endpoints.get_mut(&id) {
                sender.stats.refused_no_usable_address += 1;
            }
            return Err(SendError::NoUsableAddress);
        };
        if let Some(sender) = self.endpoints.get_mut(&id) {
            sender.stats.messages_sent += 1;
            sender.stats.bytes_sent += len as u64;
        }
        self.stats.messages_sent += 1;
        self.stats.bytes_sent += len as u64;
        self.stats.longest_message = self.stats.longest_message.max(len);
        self.carry(id, to, source, target, message);
        Ok(())
    }

    /// The source and target address. The choice is ideal: the first address that the network
    /// would deliver to at this moment, and otherwise the first of a family that we have.
    fn route(&self, id: EndpointId, to: &Destination) -> Option<(SocketAddr, SocketAddr)> {
        let own = &self.endpoints.get(&id)?.network;
        if let Some(path) = to.reply_path() {
            let index = usize::try_from(path.token()).ok()?;
            if let Some(source) = own.get(index)
                && source.is_ipv4() == path.remote().is_ipv4()
            {
                return Some((*source, path.remote()));
            }
        }
        let usable = || {
            to.addrs().iter().filter_map(|target| {
                let source = own.iter().find(|own| own.is_ipv4() == target.is_ipv4())?;
                Some((*source, *target))
            })
        };
        usable()
            .find(|pair| self.listeners.contains_key(&pair.1) && !self.blocked.contains(pair))
            .or_else(|| usable().next())
    }

    fn carry(
        &mut self,
        id: EndpointId,
        to: &Destination,
        source: SocketAddr,
        target: SocketAddr,
        message: Bytes,
    ) {
        let link = self.links.get(&(source, target));
        let conditions = link.unwrap_or(&self.conditions).clone();
        if conditions.mtu.is_some_and(|mtu| message.len() > mtu) {
            self.stats.dropped_mtu += 1;
            return;
        }
        if self.blocked.contains(&(source, target)) {
            self.stats.dropped_partition += 1;
            return;
        }
        if self.chance(conditions.loss) {
            self.stats.dropped_loss += 1;
            return;
        }
        let Some(&(receiver, socket)) = self.listeners.get(&target) else {
            self.stats.dropped_nobody_listens += 1;
            self.report_unreachable(id, to, target, &conditions);
            return;
        };
        let mut copies = 1;
        if self.chance(conditions.duplication) {
            self.stats.duplicated += 1;
            copies = 2;
        }
        for _ in 0..copies {
            let at = Instant::now() + self.delay(&conditions);
            let from = ReplyPath::new(source, socket as u64);
            let inbound = Inbound::Message(InboundMessage::new(message.clone(), from));
            if self.deliver(receiver, at, inbound) {
                self.stats.messages_delivered += 1;
            } else {
                self.stats.dropped_queue_full += 1;
            }
        }
    }

    fn report_unreachable(
        &mut self,
        id: EndpointId,
        to: &Destination,
        addr: SocketAddr,
        conditions: &Conditions,
    ) {
        if !conditions.report_unreachable {
            return;
        }
        let node_id = to.node_id().cloned();
        let reason = UnreachableReason::Refused;
        let at = Instant::now() + self.latency(conditions);
        self.deliver(id, at, Inbound::Report(Report::Unreachable { node_id, addr, reason }));
    }

    fn deliver(&mut self, to: EndpointId, at: Instant, inbound: Inbound) -> bool {
        self.next_sequence += 1;
        let sequence = self.next_sequence;
        self.endpoints.get_mut(&to).is_some_and(|receiver| receiver.push(at, sequence, inbound))
    }

    fn delay(&mut self, conditions: &Conditions) -> Duration {
        let mut delay = self.latency(conditions);
        if self.chance(conditions.reordering) {
            self.stats.reordered += 1;
            delay += self.latency(conditions) + Duration::from_millis(1);
        }
        delay
    }

    fn latency(&mut self, conditions: &Conditions) -> Duration {
        let (from, to) = (*conditions.latency.start(), *conditions.latency.end());
        if from >= to { from } else { self.rng.random_range(from..=to) }
    }

    /// No dice are thrown for what never or always happens, so that a condition that is off does
    /// not change the course of a seed.
    fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && (probability >= 1.0 || self.rng.random_bool(probability))
    }
}

fn fresh_ip(family: AddressFamily, host: u16) -> IpAddr {
    match family {
        AddressFamily::V4 => {
            let [high, low] = host.to_be_bytes();
            Ipv4Addr::new(10, 0, high, low).into()
        }
        AddressFamily::V6 => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, host).into(),
    }
}
