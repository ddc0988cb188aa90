//! Revoking certificates.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::CertificateRevocationListDer;

use super::certificate::NodeCertificate;
use super::pem_file::{Secrecy, write};
use super::{CaError, ClusterCa, DAY, around, failed, since_epoch};

/// How long a list is fresh.
const LIST_VALIDITY: Duration = DAY.saturating_mul(7);

/// Settings of a [`RevocationList`].
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct RevocationListOptions {
    number: Option<u64>,
    updates: Option<(SystemTime, SystemTime)>,
    serials: Vec<Vec<u8>>,
}

impl RevocationListOptions {
    /// The number of the list: of several lists the one with the highest counts. Default:
    /// milliseconds since 1970, so that it grows.
    pub fn number(mut self, number: u64) -> Self {
        self.number = Some(number);
        self
    }

    /// When the list was made, and when the next one is to come, to the second. Default: an hour
    /// ago, and in a week.
    pub fn updates(mut self, this_update: SystemTime, next_update: SystemTime) -> Self {
        self.updates = Some((this_update, next_update));
        self
    }

    /// Further certificates by serial number, such as that of an intermediate CA.
    pub fn serials(mut self, serials: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        self.serials = serials.into_iter().map(Into::into).collect();
        self
    }
}

/// A list of revoked certificates, signed by the CA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    der: CertificateRevocationListDer<'static>,
    pem: String,
}

impl RevocationList {
    /// In DER.
    #[must_use]
    pub fn der(&self) -> &CertificateRevocationListDer<'static> {
        &self.der
    }

    /// In PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes it in PEM, in one step.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write_pem_file(&self, path: impl AsRef<Path>) -> Result<(), CaError> {
        write(path.as_ref(), &self.pem, Secrecy::Public)
    }
}

impl ClusterCa {
    /// Makes a list that revokes these certificates and no others: the CA does not remember what
    /// it revoked before.
    ///
    /// # Errors
    ///
    /// If the list cannot be signed.
    pub fn revoke(&self, certificates: &[&NodeCertificate]) -> Result<RevocationList, CaError> {
        self.revoke_with(certificates, RevocationListOptions::default())
    }

    /// Like [`revoke`](Self::revoke), with settings.
    ///
    /// # Errors
    ///
    /// As there, or if the next update does not come after this one.
    pub fn revoke_with(
        &self,
        certificates: &[&NodeCertificate],
        options: RevocationListOptions,
    ) -> Result<RevocationList, CaError> {
        let now = SystemTime::now();
        let (this_update, next_update) =
            options.updates.unwrap_or_else(|| around(now, LIST_VALIDITY));
        let number = options.number.unwrap_or_else(|| {
            let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        });
        let this_update = date_time_ymd(1970, 1, 1) + since_epoch(this_update);
        let serials = certificates
            .iter()
            .map(|certificate| certificate.serial())
            .chain(options.serials.iter().map(|serial| &serial[..]));
        let revoked_certs = serials
            .map(|serial| RevokedCertParams {
                serial_number: SerialNumber::from_slice(serial),
                revocation_time: this_update,
                reason_code: None,
                invalidity_date: None,
            })
            .collect();
        let list = CertificateRevocationListParams {
            this_update,
            next_update: date_time_ymd(1970, 1, 1) + since_epoch(next_update),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).map_err(failed("make a revocation list"))?;
        let pem = list.pem().map_err(failed("make a revocation list"))?;
        Ok(RevocationList { der: list.into(), pem })
    }
}
