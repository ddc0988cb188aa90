//! Cryptography: the default provider, and secrets derived from the node's key.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::tls13::{Hkdf, HkdfExpander};
use rustls::pki_types::PrivateKeyDer;
use rustls::{CipherSuite, SupportedCipherSuite, Tls13CipherSuite};

/// Keeps these secrets apart from whatever else may be derived from the same key.
const SALT: &[u8] = b"chitchat node secret v1";
/// The label of what tells two keys apart.
const FINGERPRINT: &[u8] = b"fingerprint";

/// The provider of the crate's features: ring if there is a choice. The process-wide default of
/// rustls is never looked at, so that no other crate decides on our cryptography.
pub(crate) fn default_provider() -> Option<Arc<CryptoProvider>> {
    #[cfg(feature = "ring")]
    return Some(Arc::new(rustls::crypto::ring::default_provider()));
    #[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
    return Some(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    return None;
}

/// The suite whose hash function is used outside of TLS. Always the same one where it is there:
/// what is derived with it has to be stable.
pub(crate) fn hashing_suite(provider: &CryptoProvider) -> Option<&'static Tls13CipherSuite> {
    let suites = || {
        provider.cipher_suites.iter().filter_map(|suite| match suite {
            SupportedCipherSuite::Tls13(suite) => Some(*suite),
            // Without the feature `tls12` of rustls there is nothing else; with it, there is.
            #[allow(unreachable_patterns)]
            _ => None,
        })
    };
    suites()
        .find(|suite| suite.common.suite == CipherSuite::TLS13_AES_128_GCM_SHA256)
        .or_else(|| suites().min_by_key(|suite| u16::from(suite.common.suite)))
}

/// Derives secrets from a private key that it does not keep (RFC 5869).
pub(crate) struct Secrets(Box<dyn HkdfExpander>);

impl Secrets {
    pub(crate) fn new(hkdf: &dyn Hkdf, key: &PrivateKeyDer<'_>) -> Secrets {
        Secrets(hkdf.extract_from_secret(Some(SALT), key.secret_der()))
    }

    pub(crate) fn derive(&self, label: &[u8]) -> [u8; 32] {
        self.expand(b"app", label)
    }

    /// Equal for equal keys.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        self.expand(b"own", FINGERPRINT)
    }

    fn expand(&self, domain: &[u8], label: &[u8]) -> [u8; 32] {
        let mut secret = [0; 32];
        // One block, as all hash functions of TLS 1.3 yield at least 32 bytes; HKDF allows 255.
        let expanded = self.0.expand_slice(&[domain, b":", label], &mut secret);
        debug_assert!(expanded.is_ok(), "hash functions of TLS 1.3 are long enough");
        secret
    }
}
