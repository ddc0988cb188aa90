//! The CA itself, and intermediate ones below it.

use std::fmt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::pem_file::{Certificate, Secrecy, read, write};
use super::{CaError, DAY, around, check_id, failed, random_serial, since_epoch};
use crate::san::SanTemplate;

/// How long a development CA is valid.
const CA_VALIDITY: Duration = DAY.saturating_mul(3650);

/// Settings of a [`ClusterCa`].
///
/// ```
/// use chitchat_tls::{CaOptions, ClusterCa};
/// let options = CaOptions::default().san_template("spiffe://test/c/{cluster_id}/n/{node_id}");
/// let ca = ClusterCa::generate_with("blue", options)?;
/// # Ok::<(), chitchat_tls::CaError>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct CaOptions {
    san_template: Option<String>,
    validity: Option<(SystemTime, SystemTime)>,
    common_name: Option<String>,
    extension: Option<(Vec<u64>, Vec<u8>)>,
}

impl CaOptions {
    /// The form of the SANs. Default: [`DEFAULT_SAN_TEMPLATE`](crate::DEFAULT_SAN_TEMPLATE).
    pub fn san_template(mut self, template: impl Into<String>) -> Self {
        self.san_template = Some(template.into());
        self
    }

    /// From when until when the CA is valid. Default: from an hour ago for ten years.
    pub fn validity(mut self, not_before: SystemTime, not_after: SystemTime) -> Self {
        self.validity = Some((not_before, not_after));
        self
    }

    /// The CA's name. Default: one with the cluster and something random in it, so that no two CAs
    /// have the same.
    pub fn common_name(mut self, name: impl Into<String>) -> Self {
        self.common_name = Some(name.into());
        self
    }

    /// A further extension, not critical, by object identifier and contents in DER.
    pub fn extension(mut self, oid: impl Into<Vec<u64>>, der: impl Into<Vec<u8>>) -> Self {
        self.extension = Some((oid.into(), der.into()));
        self
    }
}

/// A certificate authority for development and tests: it issues certificates that name nodes of
/// one cluster, and revokes them. It keeps no record of what it has issued.
///
/// Its key is an ordinary file, or in the memory of the process. Use a real CA in production.
///
/// ```
/// use chitchat_tls::ClusterCa;
/// let ca = ClusterCa::generate("blue")?;
/// let node = ca.issue("node-1")?.tls_config()?.bind("blue", "node-1")?;
/// assert_eq!(node.node_id(), "node-1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ClusterCa {
    pub(super) cluster_id: String,
    pub(super) template: SanTemplate,
    pub(super) issuer: Issuer<'static, KeyPair>,
    pub(super) certificate: Certificate,
    pub(super) serial: Vec<u8>,
    /// The certificates from this CA up to the root, without the root; empty for a root.
    pub(super) intermediates: Vec<Certificate>,
    /// What nodes have to trust.
    pub(super) root: Certificate,
}

impl ClusterCa {
    /// Makes a CA with a new key (ECDSA, P-256).
    ///
    /// # Errors
    ///
    /// If the cluster id is empty or too long, or there is no randomness.
    pub fn generate(cluster_id: &str) -> Result<ClusterCa, CaError> {
        ClusterCa::generate_with(cluster_id, CaOptions::default())
    }

    /// Like [`generate`](Self::generate), with settings.
    ///
    /// # Errors
    ///
    /// As there, or if a setting cannot be used.
    pub fn generate_with(cluster_id: &str, options: CaOptions) -> Result<ClusterCa, CaError> {
        check_id("cluster", cluster_id)?;
        let template = match &options.san_template {
            Some(template) => template.parse()?,
            None => SanTemplate::default(),
        };
        let key = KeyPair::generate().map_err(failed("generate a key"))?;
        let (params, serial) = ca_params(cluster_id, &options)?;
        let certificate = Certificate::from(
            params.self_signed(&key).map_err(failed("make the certificate of a CA"))?,
        );
        Ok(ClusterCa {
            cluster_id: cluster_id.to_owned(),
            template,
            issuer: Issuer::new(params, key),
            root: certificate.clone(),
            certificate,
            serial,
            intermediates: Vec::new(),
        })
    }

    /// Makes a CA below this one. Nodes go on trusting the root, and send the certificate of the
    /// intermediate CA along.
    ///
    /// # Errors
    ///
    /// If there is no randomness, or a setting cannot be used. The SAN template is this CA's.
    pub fn intermediate(&self, options: CaOptions) -> Result<ClusterCa, CaError> {
        let key = KeyPair::generate().map_err(failed("generate a key"))?;
        let (params, serial) = ca_params(&self.cluster_id, &options)?;
        let certificate = Certificate::from(
            params.signed_by(&key, &self.issuer).map_err(failed("make the certificate of a CA"))?,
        );
        let mut intermediates = vec![certificate.clone()];
        intermediates.extend(self.intermediates.iter().cloned());
        Ok(ClusterCa {
            cluster_id: self.cluster_id.clone(),
            template: self.template.clone(),
            issuer: Issuer::new(params, key),
            certificate,
            serial,
            intermediates,
            root: self.root.clone(),
        })
    }

    /// Takes a CA from its certificate and private key in PEM. It issues as a root.
    ///
    /// # Errors
    ///
    /// If one of them cannot be read. Whether they belong together is not looked at.
    pub fn from_pem(
        cluster_id: &str,
        certificate: &str,
        key: &str,
        options: CaOptions,
    ) -> Result<ClusterCa, CaError> {
        check_id("cluster", cluster_id)?;
        let template = match &options.san_template {
            Some(template) => template.parse()?,
            None => SanTemplate::default(),
        };
        let key = KeyPair::from_pem(key).map_err(failed("read the key of a CA"))?;
        let unreadable = |reason: String| CaError::Crypto {
            action: "read the certificate of a CA",
            reason: reason.into(),
        };
        let der = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|error| unreadable(error.to_string()))?;
        let serial = x509_parser::parse_x509_certificate(&der)
            .map(|(_, parsed)| parsed.raw_serial().to_vec())
            .map_err(|error| unreadable(error.to_string()))?;
        let issuer =
            Issuer::from_ca_cert_der(&der, key).map_err(failed("read the certificate of a CA"))?;
        let certificate = Certificate { der, pem: certificate.to_owned() };
        Ok(ClusterCa {
            cluster_id: cluster_id.to_owned(),
            template,
            issuer,
            root: certificate.clone(),
            certificate,
            serial,
            intermediates: Vec::new(),
        })
    }

    /// Reads what [`write_pem_files`](Self::write_pem_files) wrote into a folder.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or used.
    pub fn read_pem_files(
        cluster_id: &str,
        folder: impl AsRef<Path>,
        options: CaOptions,
    ) -> Result<ClusterCa, CaError> {
        let folder = folder.as_ref();
        let certificate = read(&folder.join(CERTIFICATE_FILE))?;
        let key = read(&folder.join(KEY_FILE))?;
        ClusterCa::from_pem(cluster_id, &certificate, &key, options)
    }

    /// Writes `ca.pem`, the certificate, and `ca-key.pem`, the private key, which only the owner
    /// may read (mode 0600 from the moment it exists). Each is replaced in one step.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn write_pem_files(&self, folder: impl AsRef<Path>) -> Result<(), CaError> {
        let folder = folder.as_ref();
        write(&folder.join(KEY_FILE), &self.key_pem(), Secrecy::OwnerOnly)?;
        write(&folder.join(CERTIFICATE_FILE), self.certificate_pem(), Secrecy::Public)
    }

    /// The cluster whose nodes it issues certificates for.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The CA's own certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate.der
    }

    /// What nodes have to trust: the certificate of the root.
    #[must_use]
    pub fn trust_anchor(&self) -> &CertificateDer<'static> {
        &self.root.der
    }

    /// The serial number of the CA's own certificate, for its issuer's list.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// The CA's own certificate in PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate.pem
    }

    /// The private key in PEM (PKCS #8).
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }
}

const CERTIFICATE_FILE: &str = "ca.pem";
const KEY_FILE: &str = "ca-key.pem";

fn ca_params(
    cluster_id: &str,
    options: &CaOptions,
) -> Result<(CertificateParams, Vec<u8>), CaError> {
    let serial = random_serial()?;
    let mut params = CertificateParams::default();
    let (not_before, not_after) =
        options.validity.unwrap_or_else(|| around(SystemTime::now(), CA_VALIDITY));
    if not_after < not_before {
        return Err(CaError::BadValidity);
    }
    params.not_before = date_time_ymd(1970, 1, 1) + since_epoch(not_before);
    params.not_after = date_time_ymd(1970, 1, 1) + since_epoch(not_after);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    let random = serial.to_bytes();
    let name = options.common_name.clone().unwrap_or_else(|| {
        // A common name has at most 64 characters.
        let cluster = crate::escape_untrusted(cluster_id.as_bytes(), 24);
        let tag: String = random[1..5].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("chitchat CA {cluster} {tag}")
    });
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(serial);
    if let Some((oid, der)) = &options.extension {
        params.custom_extensions.push(CustomExtension::from_oid_content(oid, der.clone()));
    }
    Ok((params, random))
}

impl fmt::Debug for ClusterCa {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterCa")
            .field("cluster_id", &self.cluster_id)
            .field("intermediates", &self.intermediates.len())
            .finish_non_exhaustive()
    }
}
