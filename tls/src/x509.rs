//! What is read from certificates besides what `webpki` tells.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::ASN1Time;

/// Tag of a URI among general names: RFC 5280, section 4.2.1.6.
const URI_TAG: u32 = 6;

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
}

impl Validity {
    /// Of one certificate; `None` if it cannot be read.
    pub(crate) fn of(der: &[u8]) -> Option<Validity> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        let validity = certificate.validity();
        Some(Validity {
            not_before: system_time(validity.not_before)?,
            not_after: system_time(validity.not_after)?,
        })
    }
}

pub(crate) fn system_time(time: ASN1Time) -> Option<SystemTime> {
    let seconds = time.timestamp();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
}

/// The URIs in a certificate's subject alternative name, as bytes, also those that are not UTF-8:
/// one that cannot be read must not go unnoticed beside one that can. `None` if the certificate or
/// the extension cannot be read.
pub(crate) fn uri_sans(der: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let Some(extension) = certificate.subject_alternative_name().ok()? else {
        return Some(Vec::new());
    };
    let mut uris = Vec::new();
    for name in &extension.value.general_names {
        match name {
            GeneralName::URI(uri) => uris.push(uri.as_bytes().to_vec()),
            GeneralName::Invalid(tag, bytes) if tag.0 == URI_TAG => uris.push(bytes.to_vec()),
            _ => {}
        }
    }
    Some(uris)
}
