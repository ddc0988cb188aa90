//! What can go wrong with a node's own credentials.

use std::path::PathBuf;
use std::sync::Arc;

use crate::identity::IdentityError;
use crate::revocation::RevocationListError;
use crate::san::TemplateError;

/// A node's own credentials cannot be used. What was in use before stays in use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {reason}; check the path and who may read it", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        reason: Arc<str>,
    },
    /// A file is not in PEM.
    #[error("{} is not in PEM: {reason}; write it anew", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: Arc<str>,
    },
    /// There is nothing of what is needed.
    #[error("no {what} in {origin}; {remedy}")]
    Missing {
        /// What is needed.
        what: &'static str,
        /// Where it was looked for.
        origin: Arc<str>,
        /// What to do.
        remedy: &'static str,
    },
    /// A trusted certificate, or one of the node's own, cannot be read.
    #[error("{what} cannot be used: {reason}; issue it anew")]
    BadCertificate {
        /// Which one.
        what: &'static str,
        /// What is wrong.
        reason: Arc<str>,
    },
    /// The private key cannot be used.
    #[error(
        "the private key cannot be used: {reason}; use an ECDSA (P-256, P-384), Ed25519 or RSA key"
    )]
    BadKey {
        /// What is wrong.
        reason: Arc<str>,
    },
    /// The private key is not the one in the certificate.
    #[error(
        "the private key does not belong to the certificate; replace both together, the first \
         certificate of the chain being this node's own"
    )]
    KeyMismatch,
    /// A revocation list cannot be used.
    #[error(transparent)]
    RevocationList(#[from] RevocationListError),
    /// Revocation lists are required, and there is none.
    #[error("revocation lists are required, and none is given; give one, or do not require them")]
    NoRevocationList,
    /// The template of SANs cannot be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// There is no cryptography: neither the feature `ring` nor `aws-lc-rs` is on, and no provider
    /// was passed; or the provider cannot do TLS 1.3.
    #[error("no cryptography for TLS 1.3: {reason}")]
    Provider {
        /// What is wrong and what to do.
        reason: Arc<str>,
    },
    /// A cluster or node id is empty or longer than 255 bytes.
    #[error("the {which} id has {len} bytes; give it 1 to 255")]
    BadId {
        /// "cluster" or "node".
        which: &'static str,
        /// Its length in bytes.
        len: usize,
    },
    /// The node's own certificate would not be accepted by its peers.
    #[error("the certificate of this node does not serve as {expected}: {source}")]
    OwnCertificate {
        /// The SAN that it has to have.
        expected: Arc<str>,
        /// Why peers would refuse it, what it says, and what to do.
        #[source]
        source: IdentityError,
    },
    /// There are no files to read anew.
    #[error("these credentials were not read from files; hand over new ones with update()")]
    NotFromFiles,
    /// The credentials come from files, and would be read from there again.
    #[error("these credentials are read from files; replace the files and call reload()")]
    FromFiles,
}

impl TlsError {
    pub(crate) fn bad_certificate(what: &'static str, reason: impl ToString) -> TlsError {
        TlsError::BadCertificate { what, reason: reason.to_string().into() }
    }
}
