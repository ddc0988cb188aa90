//! What `webpki` says about a chain, in the words of TLS and in our own.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::{CertificateError, Error as TlsProtocolError, OtherError};
use webpki::Error;

use crate::identity::{IdentityError, PeerRole};

/// For rustls, so that the peer receives the alert that tells it what to do.
pub(crate) fn to_rustls(error: &Error) -> TlsProtocolError {
    match error {
        Error::CertExpired { time, not_after } => {
            CertificateError::ExpiredContext { time: *time, not_after: *not_after }
        }
        Error::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time: *time, not_before: *not_before }
        }
        Error::InvalidCertValidity => CertificateError::Expired,
        Error::CertRevoked => CertificateError::Revoked,
        Error::UnknownIssuer => CertificateError::UnknownIssuer,
        error if is_revocation_list_trouble(error) => CertificateError::UnknownRevocationStatus,
        error if is_purpose(error) => CertificateError::InvalidPurpose,
        error if is_signature(error) => CertificateError::BadSignature,
        error if is_encoding(error) => CertificateError::BadEncoding,
        Error::UnsupportedCriticalExtension => CertificateError::UnhandledCriticalExtension,
        error => CertificateError::Other(OtherError(Arc::new(error.clone()))),
    }
    .into()
}

/// For us and the log.
pub(crate) fn to_identity(error: &Error, role: PeerRole, san: Option<Arc<str>>) -> IdentityError {
    match error {
        Error::CertExpired { not_after, .. } => {
            IdentityError::Expired { san, not_after: system_time(*not_after) }
        }
        Error::CertNotValidYet { not_before, .. } => {
            IdentityError::NotYetValid { san, not_before: system_time(*not_before) }
        }
        Error::CertRevoked => IdentityError::Revoked { san },
        Error::UnknownRevocationStatus => IdentityError::RevocationUnknown { san },
        Error::UnknownIssuer => IdentityError::UnknownIssuer { san },
        error if is_revocation_list_trouble(error) => {
            IdentityError::RevocationListUnusable { san, reason: reason(error) }
        }
        error if is_purpose(error) => IdentityError::WrongPurpose { san, role },
        error if is_signature(error) => IdentityError::BadSignature { san, reason: reason(error) },
        error if is_encoding(error) => IdentityError::Malformed { san, reason: reason(error) },
        error => IdentityError::NotAllowed { san, reason: reason(error) },
    }
}

/// The text of the error. It is `webpki`'s own, except for object identifiers of algorithms,
/// which are numbers.
fn reason(error: &Error) -> Arc<str> {
    crate::escape_untrusted(error.to_string().as_bytes(), 128).into()
}

/// The revocation status cannot be found out.
fn is_revocation_list_trouble(error: &Error) -> bool {
    #[allow(deprecated)] // webpki may still return them.
    let deprecated = matches!(
        error,
        Error::UnsupportedCrlSignatureAlgorithm
            | Error::UnsupportedCrlSignatureAlgorithmForPublicKey
    );
    deprecated
        || matches!(
            error,
            Error::UnknownRevocationStatus
                | Error::CrlExpired { .. }
                | Error::InvalidCrlSignatureForPublicKey
                | Error::IssuerNotCrlSigner
                | Error::UnsupportedCrlSignatureAlgorithmContext(_)
                | Error::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_)
        )
}

fn is_purpose(error: &Error) -> bool {
    #[allow(deprecated)] // webpki may still return it.
    let deprecated = matches!(error, Error::RequiredEkuNotFound);
    deprecated || matches!(error, Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension)
}

fn is_signature(error: &Error) -> bool {
    #[allow(deprecated)] // webpki may still return them.
    let deprecated = matches!(
        error,
        Error::UnsupportedSignatureAlgorithm | Error::UnsupportedSignatureAlgorithmForPublicKey
    );
    deprecated
        || matches!(
            error,
            Error::InvalidSignatureForPublicKey
                | Error::SignatureAlgorithmMismatch
                | Error::UnsupportedSignatureAlgorithmContext(_)
                | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
        )
}

fn is_encoding(error: &Error) -> bool {
    matches!(
        error,
        Error::BadDer
            | Error::BadDerTime
            | Error::TrailingData(_)
            | Error::ExtensionValueInvalid
            | Error::MalformedExtensions
            | Error::InvalidSerialNumber
            | Error::InvalidCertValidity
            | Error::UnsupportedCertVersion
    )
}

fn system_time(time: UnixTime) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs())).unwrap_or(UNIX_EPOCH)
}
