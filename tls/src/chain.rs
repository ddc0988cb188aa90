//! From a certificate up to a trust anchor: signatures, validity, purpose, revocation.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, Error, KeyUsage, RevocationOptionsBuilder,
    UnknownStatusPolicy, VerifiedPath,
};

use crate::identity::PeerRole;
use crate::revocation::RevocationLists;
use crate::x509::Validity;

/// Verifies chains, on both sides of a connection in the same way.
///
/// Not the verifiers that rustls brings: the one for servers demands a DNS name, which says
/// nothing about a node, and neither looks at names as we need it.
#[derive(Debug)]
pub(crate) struct ChainVerifier {
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) anchors: Vec<TrustAnchor<'static>>,
    pub(crate) lists: RevocationLists,
    /// Whether an issuer without a revocation list is refused.
    pub(crate) crl_required: bool,
}

/// Whether revocation lists are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Revocation {
    Check,
    Ignore,
}

impl ChainVerifier {
    /// Verifies a chain, and tells when its first certificate expires.
    pub(crate) fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        role: PeerRole,
        now: UnixTime,
        revocation: Revocation,
    ) -> Result<SystemTime, Error> {
        let end_entity = EndEntityCert::try_from(end_entity)?;
        let path = |lists: &[&CertRevocationList<'_>]| {
            let options = RevocationOptionsBuilder::new(lists).ok().map(|builder| {
                // The depth stays at the whole chain, and an outdated list stays in use: better
                // than none, and its age is warned about.
                let policy = if self.crl_required {
                    UnknownStatusPolicy::Deny
                } else {
                    UnknownStatusPolicy::Allow
                };
                builder.with_status_policy(policy).build()
            });
            end_entity.verify_for_usage(
                self.provider.signature_verification_algorithms.all,
                &self.anchors,
                intermediates,
                now,
                usage(role),
                options,
                None,
            )
        };
        if revocation == Revocation::Ignore {
            return first_expiry(&path(&[])?);
        }
        let lists = if self.lists.need_path() {
            self.lists.for_path(&path(&[])?, &self.provider)
        } else {
            self.lists.all()
        };
        if lists.is_empty() && self.crl_required {
            // Without a single list webpki would not look at all. A chain that fails for another
            // reason fails for that one.
            path(&[])?;
            return Err(Error::UnknownRevocationStatus);
        }
        first_expiry(&path(&lists)?)
    }
}

fn usage(role: PeerRole) -> KeyUsage {
    match role {
        PeerRole::Dialler => KeyUsage::client_auth(),
        PeerRole::Listener => KeyUsage::server_auth(),
    }
}

fn first_expiry(path: &VerifiedPath<'_>) -> Result<SystemTime, Error> {
    let mut first = validity_end(&path.end_entity().der())?;
    for intermediate in path.intermediate_certificates() {
        first = first.min(validity_end(&intermediate.der())?);
    }
    Ok(first)
}

fn validity_end(certificate: &CertificateDer<'_>) -> Result<SystemTime, Error> {
    Validity::of(certificate).map(|validity| validity.not_after).ok_or(Error::BadDerTime)
}
