//! Taking in newcomers.

use std::sync::Arc;
use std::time::Duration;

use chitchat_tls::{IdentityError, PeerRole};
use chitchat_transport::{Report, canonical};
use chitchat_transport_links::{CloseCode, Place, Proof, RefusalSlot, Verdict, tell_refused};
use quinn::{Connection, ConnectionError, Incoming, ServerConfig, TransportErrorCode};
use tokio::time::timeout;

use crate::code::varint;
use crate::ending::{Cause, cause};
use crate::identity::chain_of;
use crate::link::Established;
use crate::shared::{Ear, Shared};

/// For the handshake of a newcomer, after which its place is free again.
const GREET_TIMEOUT: Duration = Duration::from_secs(5);

/// Takes in whoever comes by one socket, until the transport ends.
pub(crate) async fn listen(shared: Arc<Shared>, ear: Ear, config: Arc<ServerConfig>) {
    while let Some(incoming) = ear.endpoint.accept().await {
        let addr = canonical(incoming.remote_address());
        match shared.hub.admission.judge(addr, incoming.remote_address_validated()) {
            Verdict::Accept(place) => {
                let (shared_too, config) = (Arc::clone(&shared), Arc::clone(&config));
                shared.hub.spawn(greet(shared_too, incoming, config, place));
            }
            Verdict::Retry => {
                if let Err(error) = incoming.retry() {
                    error.into_incoming().ignore();
                }
            }
            Verdict::Ignore => {
                incoming.ignore();
                shared.hub.news.failure("too many handshakes");
            }
        }
    }
}

async fn greet(shared: Arc<Shared>, incoming: Incoming, config: Arc<ServerConfig>, place: Place) {
    let addr = canonical(incoming.remote_address());
    let credentials = shared.credentials();
    let refusal = RefusalSlot::default();
    let Ok(crypto) = shared.setup.server_crypto(&credentials, &refusal) else { return };
    let mut config = (*config).clone();
    config.crypto = crypto;
    let handshake = match incoming.accept_with(Arc::new(config)) {
        Ok(connecting) => timeout(GREET_TIMEOUT, connecting).await,
        Err(error) => Ok(Err(error)),
    };
    drop(place);
    match handshake {
        Ok(Ok(connection)) => introduce(&shared, connection, credentials.leaf_epoch()),
        Ok(Err(error)) => {
            tracing::debug!(%addr, %error, "quic: handshake failed");
            let no_certificate =
                || lacks_certificate(&error).then_some(IdentityError::NoCertificate);
            if let Some(error) = refusal.take().or_else(no_certificate) {
                tell_refused(&shared.hub.news, addr, None, &error);
            } else if let Cause::Rejected(reason) = cause(&error, false, false) {
                // The newcomer did not like our certificate.
                shared.hub.news.failure("rejected by a peer");
                shared.hub.news.tell(Report::RejectedUs { node_id: None, addr, reason });
            } else {
                shared.hub.news.failure("handshake failed");
            }
        }
        Err(_) => shared.hub.news.failure("handshake timed out"),
    }
}

/// The TLS alert for a peer that shows no certificate (RFC 8446, section 6).
const CERTIFICATE_REQUIRED: u8 = 116;

/// Whether we refused somebody who showed no certificate at all, which no verifier gets to see.
fn lacks_certificate(error: &ConnectionError) -> bool {
    let required = TransportErrorCode::crypto(CERTIFICATE_REQUIRED);
    matches!(error, ConnectionError::TransportError(error) if error.code == required)
}

/// Lets a newcomer in if its certificate names a node of this cluster. `leaf_epoch` is that of the
/// certificate that it was shown.
fn introduce(shared: &Arc<Shared>, connection: Connection, leaf_epoch: u64) {
    let chain = chain_of(&connection);
    // The credentials may have been replaced since the handshake began.
    let credentials = shared.credentials();
    match Proof::of(&credentials, chain, PeerRole::Dialler, None, leaf_epoch) {
        Ok(proof) => shared.admit(Established { connection, proof, dialled: None }, None),
        Err(error) => {
            connection.close(varint(CloseCode::of(&error)), error.to_string().as_bytes());
            tell_refused(&shared.hub.news, canonical(connection.remote_address()), None, &error);
        }
    }
}
