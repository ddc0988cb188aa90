//! What can be set.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateRevocationListDer;

use crate::config::{Settings, TlsConfig};
use crate::error::TlsError;
use crate::material::TlsMaterial;
use crate::provider::default_provider;
use crate::san::SanTemplate;
use crate::source::{IdentitySource, Source};

/// How often files are looked at unless set otherwise: soon enough for any rotation, and next to
/// nothing to do.
const DEFAULT_WATCH_INTERVAL: Duration = Duration::from_secs(10);
/// The shortest time between two looks.
const MIN_WATCH_INTERVAL: Duration = Duration::from_millis(10);

/// Settings of a [`TlsConfig`].
///
/// Either [`pem_files`](Self::pem_files) or [`der`](Self::der) is needed; of several calls the
/// last one counts.
///
/// ```no_run
/// use chitchat_tls::TlsConfig;
/// let config = TlsConfig::builder()
///     .pem_files("/etc/chitchat/ca.pem", "/etc/chitchat/cert.pem", "/etc/chitchat/key.pem")
///     .crl_files(["/etc/chitchat/crl.pem"])
///     .san_template("spiffe://example.org/cluster/{cluster_id}/node/{node_id}")
///     .build()?;
/// # Ok::<(), chitchat_tls::TlsError>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct TlsConfigBuilder {
    identity: Option<IdentitySource>,
    crl_files: Vec<PathBuf>,
    crls: Vec<CertificateRevocationListDer<'static>>,
    crl_required: bool,
    san_template: Option<String>,
    provider: Option<Arc<CryptoProvider>>,
    warn_before_expiry: Option<Duration>,
    watch_files: Option<bool>,
    watch_interval: Option<Duration>,
}

impl TlsConfigBuilder {
    /// PEM files: the certificates of the trusted CAs; this node's certificate, followed by
    /// intermediate ones; its private key (PKCS #8, SEC 1 or PKCS #1, not encrypted).
    pub fn pem_files(
        mut self,
        ca: impl AsRef<Path>,
        cert: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Self {
        self.identity = Some(IdentitySource::Files {
            ca: ca.as_ref().to_owned(),
            cert: cert.as_ref().to_owned(),
            key: key.as_ref().to_owned(),
        });
        self
    }

    /// The same in DER. Revocation lists in `material` replace those of [`crls`](Self::crls).
    pub fn der(mut self, mut material: TlsMaterial) -> Self {
        if !material.crls.is_empty() {
            self.crls = std::mem::take(&mut material.crls);
        }
        self.identity = Some(IdentitySource::Der(Box::new(material)));
        self
    }

    /// Files with revocation lists: PEM, or one list in DER each. Default: none.
    ///
    /// Of several lists of one issuer the newest counts. A list that is older than it says that it
    /// may be stays in use, and is reported as
    /// [`StaleRevocationList`](crate::CredentialsEvent::StaleRevocationList).
    pub fn crl_files(mut self, files: impl IntoIterator<Item = impl AsRef<Path>>) -> Self {
        self.crl_files = files.into_iter().map(|file| file.as_ref().to_owned()).collect();
        self
    }

    /// Revocation lists in DER, beside those from files. Default: none.
    pub fn crls(
        mut self,
        crls: impl IntoIterator<Item = CertificateRevocationListDer<'static>>,
    ) -> Self {
        self.crls = crls.into_iter().collect();
        self
    }

    /// Whether to refuse a peer if there is no revocation list of some issuer in its chain.
    /// Default: no, so that a list of one CA does not lock out those of another. With it, every
    /// CA and every intermediate one needs a list, an empty one if nothing is revoked.
    pub fn crl_required(mut self, required: bool) -> Self {
        self.crl_required = required;
        self
    }

    /// The form of the SANs of nodes. Default:
    /// [`chitchat://{cluster_id}/{node_id}`](crate::DEFAULT_SAN_TEMPLATE). The same on all nodes;
    /// see [`SanTemplate`].
    pub fn san_template(mut self, template: impl Into<String>) -> Self {
        self.san_template = Some(template.into());
        self
    }

    /// The cryptography. Default: `ring`, or `aws-lc-rs` if only that feature is on. The
    /// process-wide default of rustls is not looked at.
    pub fn crypto_provider(mut self, provider: Arc<CryptoProvider>) -> Self {
        self.provider = Some(provider);
        self
    }

    /// How long before this node's certificate expires
    /// [`Expiring`](crate::CredentialsEvent::Expiring) is reported, and then daily. Default: a
    /// third of its lifetime, and at most 30 days.
    pub fn warn_before_expiry(mut self, before: Duration) -> Self {
        self.warn_before_expiry = Some(before);
        self
    }

    /// Whether files are watched while a transport uses them, and read again when their contents
    /// change. Default: yes. Without it call [`TlsConfig::reload`].
    pub fn watch_files(mut self, watch: bool) -> Self {
        self.watch_files = Some(watch);
        self
    }

    /// How often the contents of files are looked at. Default: 10 s. At least 10 ms; less is taken
    /// as that. A change is put into use after two looks, half an interval and at most 500 ms
    /// apart, that saw the same, so that files are not caught half-written.
    pub fn watch_interval(mut self, interval: Duration) -> Self {
        self.watch_interval = Some(interval);
        self
    }

    /// Reads the files, and checks all that can be checked without knowing the node.
    ///
    /// # Errors
    ///
    /// If neither files nor DER were given; if something cannot be read or used; if key and
    /// certificate do not belong together.
    pub fn build(self) -> Result<TlsConfig, TlsError> {
        let identity = self.identity.ok_or(TlsError::Missing {
            what: "certificate",
            origin: "the settings".into(),
            remedy: "call pem_files() or der()",
        })?;
        let provider =
            self.provider.or_else(default_provider).ok_or_else(|| TlsError::Provider {
                reason: "turn on the feature ring or aws-lc-rs, or pass a provider".into(),
            })?;
        let template = match self.san_template {
            Some(template) => template.parse()?,
            None => SanTemplate::default(),
        };
        let settings = Settings {
            provider,
            template,
            crl_required: self.crl_required,
            warn_before_expiry: self.warn_before_expiry,
            watch_files: self.watch_files.unwrap_or(true),
            watch_interval: self
                .watch_interval
                .unwrap_or(DEFAULT_WATCH_INTERVAL)
                .max(MIN_WATCH_INTERVAL),
        };
        let source = Source { identity, crl_files: self.crl_files, crls: self.crls };
        TlsConfig::new(settings, source)
    }
}
