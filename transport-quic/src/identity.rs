//! What a peer has shown, and why it was refused.

use std::sync::{Arc, Mutex, PoisonError};

use chitchat_tls::IdentityError;
use quinn::Connection;
use rustls::pki_types::CertificateDer;

/// The peer's certificates, its own first. Empty if it has shown none.
pub(crate) fn chain_of(connection: &Connection) -> Vec<CertificateDer<'static>> {
    let identity = connection.peer_identity();
    let chain =
        identity.and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok());
    chain.map(|chain| *chain).unwrap_or_default()
}

/// Why the peer of one handshake was refused, which the handshake's own error does not tell.
#[derive(Clone, Debug, Default)]
pub(crate) struct RefusalSlot(Arc<Mutex<Option<IdentityError>>>);

impl RefusalSlot {
    pub(crate) fn put(&self, error: &IdentityError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
    }

    pub(crate) fn take(&self) -> Option<IdentityError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
