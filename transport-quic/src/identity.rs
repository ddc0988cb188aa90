//! What a peer has shown.

use quinn::Connection;
use rustls::pki_types::CertificateDer;

/// The peer's certificates, its own first. Empty if it has shown none.
pub(crate) fn chain_of(connection: &Connection) -> Vec<CertificateDer<'static>> {
    let identity = connection.peer_identity();
    let chain =
        identity.and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok());
    chain.map(|chain| *chain).unwrap_or_default()
}
