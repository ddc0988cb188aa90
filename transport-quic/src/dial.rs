//! Reaching a peer: its addresses are tried one after the other, each without waiting for the one
//! before it to fail (Happy Eyeballs, RFC 8305).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chitchat_tls::{IdentityError, PeerRole};
use chitchat_transport::{AddressFamily, UnreachableReason};
use quinn::{ConnectionError, Endpoint};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::code::CloseCode;
use crate::ending::{Cause, cause};
use crate::identity::{RefusalSlot, chain_of};
use crate::link::Established;
use crate::shared::Shared;
use crate::waiting::Peer;

/// For one address: a handshake takes two round trips, and a lost datagram a few more.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the next address waits for the one before it (RFC 8305, section 8, recommends this).
const NEXT_AFTER: Duration = Duration::from_millis(250);

/// Why an address did not lead to the peer.
#[derive(Debug)]
enum Failed {
    /// Nothing came back.
    Unreachable(UnreachableReason),
    /// The peer will not have us.
    Rejected(Arc<str>),
    /// We will not have whoever is there.
    Refused(IdentityError),
}

/// Dials a peer for the messages that wait for it, until it is reached or all its addresses have
/// failed. Messages for a peer that is not reached are dropped: gossip brings newer ones.
pub(crate) async fn reach(shared: Arc<Shared>, peer: Peer) {
    loop {
        let now = Instant::now();
        let (ready, resumes) = {
            let mut connections = shared.connections();
            let Some(addrs) = connections.waiting.addrs(&peer) else { return };
            let not_before =
                |addr: &SocketAddr| connections.backoffs.not_before(*addr, peer.node_id(), now);
            let resumes = addrs.iter().filter_map(not_before).min();
            let ready: Vec<_> =
                addrs.iter().copied().filter(|addr| not_before(addr).is_none()).collect();
            (ready, resumes)
        };
        match resumes {
            Some(at) if ready.is_empty() => sleep_until(at).await,
            _ => {
                if let Some(established) = race(&shared, ready, peer.node_id()).await {
                    shared.admit(established, Some(&peer));
                } else {
                    let dropped = shared.connections().waiting.remove(&peer).len();
                    shared.counters.dropped_sending.add(dropped as u64);
                }
                return;
            }
        }
    }
}

/// Alternates between the families, IPv6 first (RFC 8305, section 4).
fn interleaved(addrs: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let is_v6 = |addr: &SocketAddr| AddressFamily::of(*addr) == AddressFamily::V6;
    let (v6, v4): (VecDeque<_>, VecDeque<_>) = addrs.into_iter().partition(is_v6);
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let mut order = VecDeque::new();
    loop {
        let before = order.len();
        order.extend(v6.next());
        order.extend(v4.next());
        if order.len() == before {
            return order;
        }
    }
}

pub(crate) async fn race(
    shared: &Arc<Shared>,
    addrs: Vec<SocketAddr>,
    expected: Option<&Arc<str>>,
) -> Option<Established> {
    let mut left = interleaved(addrs);
    // Those that lose are dropped with this, and close without a reason.
    let mut attempts = JoinSet::new();
    loop {
        if let Some(addr) = left.pop_front() {
            let (shared, expected) = (Arc::clone(shared), expected.cloned());
            attempts.spawn(async move { (addr, attempt(&shared, addr, expected).await) });
        }
        let ended = tokio::select! {
            ended = attempts.join_next() => ended?,
            () = sleep(NEXT_AFTER), if !left.is_empty() => continue,
        };
        let Ok((addr, outcome)) = ended else { continue };
        match outcome {
            // Whether the other side will have us, it has yet to say.
            Ok(established) => return Some(established),
            Err(failed) => note(shared, addr, expected, failed),
        }
        if left.is_empty() && attempts.is_empty() {
            return None;
        }
    }
}

fn note(shared: &Shared, addr: SocketAddr, expected: Option<&Arc<str>>, failed: Failed) {
    match failed {
        Failed::Unreachable(reason) => {
            shared.failure("unreachable");
            shared.connections().backoffs.failed(addr, None, false, Instant::now());
            shared.unreachable(addr, expected.cloned(), reason);
        }
        Failed::Rejected(reason) => shared.rejected(addr, expected, reason),
        Failed::Refused(error) => {
            let is_other = matches!(error, IdentityError::WrongNode { .. });
            let absent = expected.filter(|_| is_other);
            shared.connections().backoffs.failed(addr, absent, true, Instant::now());
            shared.refused(addr, expected, &error);
        }
    }
}

async fn attempt(
    shared: &Shared,
    addr: SocketAddr,
    expected: Option<Arc<str>>,
) -> Result<Established, Failed> {
    let other = |words: &str| Failed::Unreachable(UnreachableReason::Other(words.into()));
    let credentials = shared.credentials();
    let leaf_epoch = credentials.leaf_epoch();
    let refusal = RefusalSlot::default();
    let config =
        shared.setup.client(&credentials, &refusal).map_err(|error| other(&error.to_string()))?;
    let endpoint = endpoint_for(shared, addr).ok_or_else(|| other("no socket of its family"))?;
    let mut send_failures = shared.send_failures.subscribe();
    let server_name = credentials.server_name();
    let connecting = endpoint
        .connect_with(config, addr, &server_name.to_str())
        .map_err(|error| other(&error.to_string()))?;
    let hopeless = async {
        // Only what fails from now on counts: the last failure stays to be seen for good.
        while send_failures.changed().await.is_ok() {
            match &*send_failures.borrow_and_update() {
                Some((to, reason)) if *to == addr => return reason.clone(),
                _ => {}
            }
        }
        UnreachableReason::NetworkUnreachable
    };
    let connected = tokio::select! {
        connected = timeout(DIAL_TIMEOUT, connecting) => connected,
        reason = hopeless => return Err(Failed::Unreachable(reason)),
    };
    let connection = match connected {
        Err(_) => return Err(Failed::Unreachable(UnreachableReason::TimedOut)),
        Ok(Err(error)) => return Err(failed(&error, &refusal)),
        Ok(Ok(connection)) => connection,
    };
    let chain = chain_of(&connection);
    // The credentials may have been replaced since.
    let credentials = shared.credentials();
    let role = PeerRole::Listener;
    match credentials.authorize(&chain, role, SystemTime::now(), expected.as_deref()) {
        Ok(identity) => Ok(Established {
            connection,
            identity,
            role,
            chain,
            epoch: credentials.epoch(),
            leaf_epoch,
            dialled: Some(addr),
        }),
        Err(error) => {
            connection.close(CloseCode::of(&error).varint(), error.to_string().as_bytes());
            Err(Failed::Refused(error))
        }
    }
}

fn failed(error: &ConnectionError, refusal: &RefusalSlot) -> Failed {
    if let Some(error) = refusal.take() {
        return Failed::Refused(error);
    }
    match cause(error, false, true) {
        Cause::Rejected(reason) => Failed::Rejected(reason),
        Cause::Lost("timed out") => Failed::Unreachable(UnreachableReason::TimedOut),
        _ => Failed::Unreachable(UnreachableReason::Other(error.to_string().into())),
    }
}

/// A socket of the address's family; of several the one that is bound to the same kind of address.
fn endpoint_for(shared: &Shared, addr: SocketAddr) -> Option<Endpoint> {
    let family = AddressFamily::of(addr);
    let ears = shared.ears().into_iter().filter(|ear| AddressFamily::of(ear.local) == family);
    let fits = |local: SocketAddr| {
        let (local, addr) = (local.ip(), addr.ip());
        (local.is_unspecified() || local.is_loopback() == addr.is_loopback(), local == addr)
    };
    ears.max_by_key(|ear| fits(ear.local)).map(|ear| ear.endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_ipv6_begins() {
        let addrs = ["192.0.2.1:1", "192.0.2.2:1", "[2001:db8::1]:1", "192.0.2.3:1"];
        let addrs = addrs.map(|addr| addr.parse().unwrap()).to_vec();
        let order: Vec<String> = interleaved(addrs).iter().map(ToString::to_string).collect();
        assert_eq!(order, ["[2001:db8::1]:1", "192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"]);
    }
}
