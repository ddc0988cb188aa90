//! Issuing certificates to nodes.

use std::time::{Duration, SystemTime};

use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::pki_types::PrivatePkcs8KeyDer;

use super::certificate::NodeCertificate;
use super::pem_file::Certificate;
use super::{CaError, ClusterCa, DAY, around, check_id, failed, random_serial, since_epoch};

/// How long a node's certificate is valid.
const NODE_VALIDITY: Duration = DAY.saturating_mul(365);

/// What a certificate may be used for (extended key usage).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Usage {
    /// Opening connections.
    ClientAuth,
    /// Accepting connections.
    ServerAuth,
    /// Signing programs: something that has nothing to do with connections.
    CodeSigning,
}

/// What a certificate shall look like; for tests also wrong in all sorts of ways.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use chitchat_tls::{ClusterCa, IssueOptions};
///
/// let day = Duration::from_secs(86_400);
/// let yesterday = SystemTime::now() - day;
/// let ca = ClusterCa::generate("blue")?;
/// let expired = ca.issue_with(IssueOptions::new("node-1").validity(yesterday - day, yesterday))?;
/// # Ok::<(), chitchat_tls::CaError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct IssueOptions {
    node_id: String,
    cluster_id: Option<String>,
    sans: Option<Vec<String>>,
    validity: Option<(SystemTime, SystemTime)>,
    usages: Vec<Usage>,
    key_der: Option<Vec<u8>>,
    extension: Option<(Vec<u64>, Vec<u8>)>,
}

impl IssueOptions {
    /// A proper certificate for a node.
    pub fn new(node_id: impl Into<String>) -> Self {
        IssueOptions {
            node_id: node_id.into(),
            cluster_id: None,
            sans: None,
            validity: None,
            usages: vec![Usage::ClientAuth, Usage::ServerAuth],
            key_der: None,
            extension: None,
        }
    }

    /// For a node of another cluster. Default: the CA's cluster.
    pub fn cluster_id(mut self, cluster_id: impl Into<String>) -> Self {
        self.cluster_id = Some(cluster_id.into());
        self
    }

    /// URI SANs in place of the one that names the node; none if it is empty. ASCII.
    pub fn sans(mut self, sans: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.sans = Some(sans.into_iter().map(Into::into).collect());
        self
    }

    /// From when until when it is valid, to the second. Default: from an hour ago for a year.
    pub fn validity(mut self, not_before: SystemTime, not_after: SystemTime) -> Self {
        self.validity = Some((not_before, not_after));
        self
    }

    /// What it may be used for; without the extension if it is empty. Default: both sides of a
    /// connection.
    pub fn usages(mut self, usages: impl IntoIterator<Item = Usage>) -> Self {
        self.usages = usages.into_iter().collect();
        self
    }

    /// For the key of an earlier certificate. Default: a new key.
    pub fn key_of(mut self, certificate: &NodeCertificate) -> Self {
        self.key_der = Some(certificate.key_der().to_vec());
        self
    }

    /// A further extension, not critical, by object identifier and contents in DER.
    pub fn extension(mut self, oid: impl Into<Vec<u64>>, der: impl Into<Vec<u8>>) -> Self {
        self.extension = Some((oid.into(), der.into()));
        self
    }
}

impl ClusterCa {
    /// Issues a certificate to a node of the cluster, with a new key (ECDSA, P-256), valid from an
    /// hour ago for a year.
    ///
    /// # Errors
    ///
    /// If the node id is empty or too long, or there is no randomness.
    pub fn issue(&self, node_id: &str) -> Result<NodeCertificate, CaError> {
        self.issue_with(IssueOptions::new(node_id))
    }

    /// Issues what was asked for.
    ///
    /// # Errors
    ///
    /// As [`issue`](Self::issue), or if an option cannot be used.
    pub fn issue_with(&self, options: IssueOptions) -> Result<NodeCertificate, CaError> {
        let cluster_id = options.cluster_id.as_deref().unwrap_or(&self.cluster_id);
        check_id("cluster", cluster_id)?;
        check_id("node", &options.node_id)?;
        let key = match &options.key_der {
            Some(der) => KeyPair::try_from(&PrivatePkcs8KeyDer::from(&der[..])),
            None => KeyPair::generate(),
        };
        let key = key.map_err(failed("make a key"))?;
        let serial = random_serial()?;
        let serial_bytes = serial.to_bytes();

        let mut params = CertificateParams::default();
        let (not_before, not_after) =
            options.validity.unwrap_or_else(|| around(SystemTime::now(), NODE_VALIDITY));
        if not_after < not_before {
            return Err(CaError::BadValidity);
        }
        params.not_before = date_time_ymd(1970, 1, 1) + since_epoch(not_before);
        params.not_after = date_time_ymd(1970, 1, 1) + since_epoch(not_after);
        params.serial_number = Some(serial);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = options.usages.iter().map(|usage| purpose(*usage)).collect();
        params.use_authority_key_identifier_extension = true;
        params.distinguished_name = DistinguishedName::new();
        // For people only; a common name has at most 64 characters.
        let name = crate::escape_untrusted(options.node_id.as_bytes(), 60);
        params.distinguished_name.push(DnType::CommonName, name);
        let sans = options
            .sans
            .clone()
            .unwrap_or_else(|| vec![self.template.node_san(cluster_id, &options.node_id)]);
        for san in sans {
            let san = Ia5String::try_from(san).map_err(failed("make a SAN"))?;
            params.subject_alt_names.push(SanType::URI(san));
        }
        if let Some((oid, der)) = &options.extension {
            let extension = CustomExtension::from_oid_content(oid, der.clone());
            params.custom_extensions.push(extension);
        }
        let certificate = Certificate::from(
            params.signed_by(&key, &self.issuer).map_err(failed("issue a certificate"))?,
        );
        let certificates = || std::iter::once(&certificate).chain(&self.intermediates);
        Ok(NodeCertificate {
            cluster_id: cluster_id.to_owned(),
            node_id: options.node_id,
            template: self.template.clone(),
            chain: certificates().map(|certificate| certificate.der.clone()).collect(),
            chain_pem: certificates().map(|certificate| &certificate.pem[..]).collect(),
            key,
            serial: serial_bytes,
            trust_anchor: self.root.clone(),
        })
    }
}

fn purpose(usage: Usage) -> ExtendedKeyUsagePurpose {
    match usage {
        Usage::ClientAuth => ExtendedKeyUsagePurpose::ClientAuth,
        Usage::ServerAuth => ExtendedKeyUsagePurpose::ServerAuth,
        Usage::CodeSigning => ExtendedKeyUsagePurpose::CodeSigning,
    }
}
