//! Address families that this host cannot use at present.

use std::net::SocketAddr;

use chitchat_transport::AddressFamily;
use tokio::time::Instant;

use super::RETRY_REFUSED_AFTER;

/// One unreachable network says little; this many different addresses in a row, and not one that
/// worked, say that the family has no route.
const PROVEN_BY: usize = 3;

#[derive(Debug, Default)]
struct Family {
    /// Different addresses that were refused since the family last worked.
    refused: Vec<SocketAddr>,
    /// The family proved unusable; one datagram may be tried from then on.
    blocked_until: Option<Instant>,
}

/// Loopback is left out of the account: it works without any network.
#[derive(Debug, Default)]
pub(super) struct Families {
    v4: Family,
    v6: Family,
}

impl Families {
    fn of(&mut self, addr: SocketAddr) -> &mut Family {
        match AddressFamily::of(addr) {
            AddressFamily::V4 => &mut self.v4,
            AddressFamily::V6 => &mut self.v6,
        }
    }

    pub(super) fn may_try(&self, addr: SocketAddr, now: Instant) -> bool {
        let family = if addr.is_ipv4() { &self.v4 } else { &self.v6 };
        addr.ip().is_loopback() || family.blocked_until.is_none_or(|until| now >= until)
    }

    /// A datagram for `addr` is about to be sent: if the family is under suspicion, this is the
    /// one that may be tried.
    pub(super) fn tried(&mut self, addr: SocketAddr, now: Instant) {
        let family = self.of(addr);
        if !addr.ip().is_loopback() && family.blocked_until.is_some() {
            family.blocked_until = Some(now + RETRY_REFUSED_AFTER);
        }
    }

    pub(super) fn works(&mut self, addr: SocketAddr) {
        if addr.ip().is_loopback() {
            return;
        }
        let family = self.of(addr);
        family.refused.clear();
        if family.blocked_until.take().is_some() {
            tracing::info!(family = %AddressFamily::of(addr), "udp: address family works again");
        }
    }

    pub(super) fn refused(&mut self, addr: SocketAddr, whole_family: bool, now: Instant) {
        if addr.ip().is_loopback() {
            return;
        }
        let family = self.of(addr);
        if family.refused.len() < PROVEN_BY && !family.refused.contains(&addr) {
            family.refused.push(addr);
        }
        if whole_family || family.refused.len() >= PROVEN_BY {
            let known = family.blocked_until.replace(now + RETRY_REFUSED_AFTER).is_some();
            if !known {
                tracing::info!(
                    family = %AddressFamily::of(addr),
                    "udp: this host cannot use the address family at present; trying again twice \
                     a minute"
                );
            }
        }
    }
}
