//! Reaching a peer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chitchat_transport::{Report, UnreachableReason};
use chitchat_transport_links::{Peer, race};
use tokio::time::{Instant, timeout};

use crate::greeting::{Failed, broken, greet};
use crate::link::Established;
use crate::shared::Shared;
use crate::socket::{connect, fitting, prepare};

/// For one address: a connection and a handshake take three round trips, and a lost packet a
/// second.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);

/// Dials a peer for the messages that wait for it, until it is reached or all its addresses have
/// failed.
pub(crate) async fn reach(shared: Arc<Shared>, peer: Peer) {
    let Some(addrs) = shared.hub.addrs_to_dial(&peer).await else { return };
    let expected = peer.node_id();
    let try_one = |addr| {
        let (shared, expected) = (Arc::clone(&shared), expected.cloned());
        async move {
            let attempt = attempt(&shared, addr, expected.as_ref());
            let timed_out = Err(Failed::Unreachable(UnreachableReason::TimedOut));
            timeout(DIAL_TIMEOUT, attempt).await.unwrap_or(timed_out)
        }
    };
    match race(addrs, try_one, |addr, failed| note(&shared, addr, expected, failed)).await {
        Some(established) => shared.admit(established, Some(&peer)),
        None => shared.hub.give_up(&peer),
    }
}

async fn attempt(
    shared: &Shared,
    addr: SocketAddr,
    expected: Option<&Arc<str>>,
) -> Result<Established, Failed> {
    let unreachable = |reason| Err(Failed::Unreachable(reason));
    let Some(local) = fitting(&shared.hub.locals, addr) else {
        return unreachable(UnreachableReason::NetworkUnreachable);
    };
    let stream = connect(addr, local).await.map_err(|error| broken(&error))?;
    if stream.local_addr().is_ok_and(|own| own == addr) {
        // Nobody listens there, and the port of our end happened to be this one (RFC 9293,
        // section 3.5: a simultaneous open, with ourselves).
        return unreachable(UnreachableReason::Refused);
    }
    prepare(&stream, shared.config.keep_alive).map_err(|error| broken(&error))?;
    greet(stream, &shared.security, &shared.preface(local), addr, expected).await
}

fn note(shared: &Shared, addr: SocketAddr, expected: Option<&Arc<str>>, failed: Failed) {
    let news = &shared.hub.news;
    tracing::debug!(%addr, ?expected, ?failed, "tcp: not reached");
    let put_off = |absent: Option<&Arc<str>>, refused| {
        shared.hub.connections().backoffs.failed(addr, absent, refused, Instant::now());
    };
    let unreachable = |reason| {
        news.failure("unreachable");
        news.unreachable(addr, expected.cloned(), reason);
    };
    match failed {
        Failed::Unreachable(reason) => {
            put_off(None, false);
            unreachable(reason);
        }
        Failed::Gone => {
            put_off(None, false);
            unreachable(UnreachableReason::ConnectionLost);
        }
        Failed::Malformed => {
            put_off(None, true);
            unreachable(UnreachableReason::Other("what answers is not a node".into()));
        }
        Failed::Rejected(reason) => shared.hub.rejected(addr, expected, reason),
        #[cfg(feature = "tls")]
        Failed::Refused(error) => {
            let is_other = matches!(error, chitchat_tls::IdentityError::WrongNode { .. });
            put_off(expected.filter(|_| is_other), true);
            chitchat_transport_links::tell_refused(news, addr, expected.cloned(), &error);
        }
        Failed::AnotherNode(node_id) => {
            put_off(expected, true);
            news.counters.identity_refused("wrong_node");
            let reason = "another node is there; nothing proves that it is, without TLS".into();
            let (expected, presented) = (expected.cloned(), Some(node_id));
            news.tell(Report::IdentityRefused { addr, expected, presented, reason });
        }
    }
}
