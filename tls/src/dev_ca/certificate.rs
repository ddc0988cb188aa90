//! A certificate that was issued to a node, with its key.

use std::fmt;
use std::path::{Path, PathBuf};

use rcgen::KeyPair;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::CaError;
use super::pem_file::{Certificate, Secrecy, write};
use crate::builder::TlsConfigBuilder;
use crate::config::TlsConfig;
use crate::error::TlsError;
use crate::material::TlsMaterial;
use crate::san::SanTemplate;

/// A node's certificate, its private key, and what it has to trust.
pub struct NodeCertificate {
    pub(super) cluster_id: String,
    pub(super) node_id: String,
    pub(super) template: SanTemplate,
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) chain_pem: String,
    pub(super) key: KeyPair,
    pub(super) serial: Vec<u8>,
    pub(super) trust_anchor: Certificate,
}

/// Where [`NodeCertificate::write_pem_files`] wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PemFiles {
    /// The trusted CA.
    pub ca: PathBuf,
    /// The certificate and the intermediate ones.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl NodeCertificate {
    /// The credentials of a process, ready to be bound to the node.
    ///
    /// # Errors
    ///
    /// If there is no provider of cryptography.
    pub fn tls_config(&self) -> Result<TlsConfig, TlsError> {
        self.tls_config_builder().build()
    }

    /// The same, for more settings. The CA's template of SANs is set.
    pub fn tls_config_builder(&self) -> TlsConfigBuilder {
        TlsConfig::builder().der(self.material()).san_template(self.template.to_string())
    }

    /// Certificate, key and trusted CA, as [`TlsConfig::update`] takes them.
    #[must_use]
    pub fn material(&self) -> TlsMaterial {
        TlsMaterial::new(
            vec![self.trust_anchor.der.clone()],
            self.chain.clone(),
            self.private_key(),
        )
    }

    /// The cluster that it was issued for.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The node that it was issued to.
    #[must_use]
    pub fn node_id(&self) -> &str {
        &self.node_id
    }

    /// The serial number, in bytes.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// The certificate, followed by intermediate ones.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The private key (PKCS #8).
    #[must_use]
    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    pub(super) fn key_der(&self) -> &[u8] {
        self.key.serialized_der()
    }

    /// What the node has to trust: the certificate of the root CA.
    #[must_use]
    pub fn trust_anchor(&self) -> &CertificateDer<'static> {
        &self.trust_anchor.der
    }

    /// The chain in PEM.
    #[must_use]
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// The private key in PEM (PKCS #8).
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The trusted CA in PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.trust_anchor.pem
    }

    /// Writes `ca.pem`, `cert.pem` and `key.pem`, the last of which only the owner may read (mode
    /// 0600 from the moment it exists). The folder is made if need be. Each file is replaced in
    /// one step, the key before the certificate.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn write_pem_files(&self, folder: impl AsRef<Path>) -> Result<PemFiles, CaError> {
        let folder = folder.as_ref();
        let files = PemFiles {
            ca: folder.join("ca.pem"),
            cert: folder.join("cert.pem"),
            key: folder.join("key.pem"),
        };
        write(&files.ca, self.ca_pem(), Secrecy::Public)?;
        write(&files.key, &self.key_pem(), Secrecy::OwnerOnly)?;
        write(&files.cert, self.chain_pem(), Secrecy::Public)?;
        Ok(files)
    }
}

impl fmt::Debug for NodeCertificate {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeCertificate")
            .field("cluster_id", &self.cluster_id)
            .field("node_id", &self.node_id)
            .finish_non_exhaustive()
    }
}
