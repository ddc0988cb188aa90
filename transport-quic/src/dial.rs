//! Reaching a peer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chitchat_tls::{IdentityError, PeerRole};
use chitchat_transport::{AddressFamily, UnreachableReason};
use chitchat_transport_links::{CloseCode, Peer, Proof, RefusalSlot, race, tell_refused};
use quinn::{ConnectionError, Endpoint};
use tokio::time::{Instant, timeout};

use crate::code::varint;
use crate::ending::{Cause, cause};
use crate::identity::chain_of;
use crate::link::Established;
use crate::shared::Shared;

/// For one address: a handshake takes two round trips, and a lost datagram a few more.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);

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
    let Some(addrs) = shared.hub.addrs_to_dial(&peer).await else { return };
    match race_to(&shared, addrs, peer.node_id()).await {
        Some(established) => shared.admit(established, Some(&peer)),
        None => shared.hub.give_up(&peer),
    }
}

/// Whether whoever is reached will have us, it has yet to say. Attempts that lose close without a
/// reason.
pub(crate) async fn race_to(
    shared: &Arc<Shared>,
    addrs: Vec<SocketAddr>,
    expected: Option<&Arc<str>>,
) -> Option<Established> {
    let try_one = |addr| {
        let (shared, expected) = (Arc::clone(shared), expected.cloned());
        async move { attempt(&shared, addr, expected).await }
    };
    race(addrs, try_one, |addr, failed| note(shared, addr, expected, failed)).await
}

fn note(shared: &Shared, addr: SocketAddr, expected: Option<&Arc<str>>, failed: Failed) {
    match failed {
        Failed::Unreachable(reason) => {
            shared.hub.news.failure("unreachable");
            shared.hub.connections().backoffs.failed(addr, None, false, Instant::now());
            shared.hub.news.unreachable(addr, expected.cloned(), reason);
        }
        Failed::Rejected(reason) => shared.hub.rejected(addr, expected, reason),
        Failed::Refused(error) => {
            let is_other = matches!(error, IdentityError::WrongNode { .. });
            let absent = expected.filter(|_| is_other);
            shared.hub.connections().backoffs.failed(addr, absent, true, Instant::now());
            tell_refused(&shared.hub.news, addr, expected.cloned(), &error);
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
    match Proof::of(&credentials, chain, PeerRole::Listener, expected.as_deref(), leaf_epoch) {
        Ok(proof) => Ok(Established { connection, proof, dialled: Some(addr) }),
        Err(error) => {
            connection.close(varint(CloseCode::of(&error)), error.to_string().as_bytes());
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
