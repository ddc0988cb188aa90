//! The key of stateless resets, so that a node that was restarted can tell its peers at once that
//! the connections of its former run are gone (RFC 9000, section 10.3).

use std::fmt;

use quinn::crypto::{CryptoError, HmacKey};
use rustls::crypto::tls13::{Hkdf, OkmBlock};

/// HMAC under a key that is derived from the node's private key: the same in every run.
pub(crate) struct ResetKey {
    hkdf: &'static dyn Hkdf,
    key: OkmBlock,
}

impl ResetKey {
    /// `None` if the provider has no cipher suite of TLS 1.3, without which there is no QUIC.
    pub(crate) fn new(
        provider: &rustls::crypto::CryptoProvider,
        secret: &[u8; 32],
    ) -> Option<Self> {
        let suites = provider.cipher_suites.iter();
        let hkdf =
            suites.filter_map(|suite| suite.tls13()).map(|suite| suite.hkdf_provider).next()?;
        Some(Self { hkdf, key: OkmBlock::new(secret) })
    }
}

impl fmt::Debug for ResetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResetKey").finish_non_exhaustive()
    }
}

/// The least output that every HMAC of TLS 1.3 has; a reset token uses 16 bytes of it.
const LEN: usize = 32;

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        let tag = self.hkdf.hmac_sign(&self.key, data);
        for (out, byte) in signature_out.iter_mut().zip(tag.as_ref()) {
            *out = *byte;
        }
    }

    fn signature_len(&self) -> usize {
        LEN
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let mut expected = [0; LEN];
        self.sign(data, &mut expected);
        // In constant time: the comparison must not tell how much of a guess was right.
        let differs = expected.iter().zip(signature).fold(0, |bits, (a, b)| bits | (a ^ b));
        if signature.len() == LEN && differs == 0 { Ok(()) } else { Err(CryptoError) }
    }
}
