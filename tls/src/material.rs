//! One generation of keys and certificates, checked and ready for use.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, TrustAnchor};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ConfigBuilder, InconsistentKeys, ServerConfig, WantsVerifier, version};

use crate::chain::ChainVerifier;
use crate::error::TlsError;
use crate::provider::{Secrets, hashing_suite};
use crate::revocation::RevocationLists;
use crate::verifier::{HandshakeVerifier, OnRefused};
use crate::x509::Validity;

/// Everything that a node authenticates itself and others with, in DER.
pub struct TlsMaterial {
    pub(crate) trust_anchors: Vec<CertificateDer<'static>>,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) crls: Vec<CertificateRevocationListDer<'static>>,
}

impl TlsMaterial {
    /// `trust_anchors` are the certificates of the CAs that peers may have theirs from, `chain` is
    /// this node's own certificate followed by the intermediate ones, `key` the private key to it.
    #[must_use]
    pub fn new(
        trust_anchors: Vec<CertificateDer<'static>>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> TlsMaterial {
        TlsMaterial { trust_anchors, chain, key, crls: Vec::new() }
    }

    /// Sets the revocation lists. Of several lists of one issuer the newest counts. Default: none.
    #[must_use]
    pub fn with_crls(mut self, crls: Vec<CertificateRevocationListDer<'static>>) -> TlsMaterial {
        self.crls = crls;
        self
    }
}

impl Clone for TlsMaterial {
    fn clone(&self) -> TlsMaterial {
        TlsMaterial {
            trust_anchors: self.trust_anchors.clone(),
            chain: self.chain.clone(),
            key: self.key.clone_key(),
            crls: self.crls.clone(),
        }
    }
}

impl fmt::Debug for TlsMaterial {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsMaterial")
            .field("trust_anchors", &self.trust_anchors.len())
            .field("chain", &self.chain.len())
            .field("crls", &self.crls.len())
            .finish_non_exhaustive()
    }
}

/// A checked [`TlsMaterial`].
pub(crate) struct Generation {
    pub(crate) epoch: u64,
    pub(crate) leaf_epoch: u64,
    pub(crate) chain: Arc<ChainVerifier>,
    pub(crate) own: Arc<CertifiedKey>,
    pub(crate) secrets: Secrets,
    /// Of the certificate of our own chain that expires first.
    pub(crate) validity: Validity,
    resolver: Arc<SingleCertAndKey>,
    client: ClientConfig,
    server: ConfigBuilder<ServerConfig, WantsVerifier>,
}

impl Generation {
    /// Checks everything that can be checked without knowing the node. Both epochs are 0.
    pub(crate) fn load(
        material: TlsMaterial,
        provider: &Arc<CryptoProvider>,
        crl_required: bool,
    ) -> Result<Generation, TlsError> {
        let anchors = anchors(&material.trust_anchors)?;
        let lists = RevocationLists::load(&material.crls, &anchors, provider)?;
        if crl_required && lists.is_empty() {
            return Err(TlsError::NoRevocationList);
        }
        let validity = own_validity(&material.chain)?;
        let suite = hashing_suite(provider).ok_or_else(|| TlsError::Provider {
            reason: "the provider has no cipher suite of TLS 1.3; pass another one".into(),
        })?;
        let secrets = Secrets::new(suite.hkdf_provider, &material.key);
        let own = Arc::new(certified_key(material.chain, material.key, provider)?);
        let resolver = Arc::new(SingleCertAndKey::from(own.clone()));
        let chain =
            Arc::new(ChainVerifier { provider: provider.clone(), anchors, lists, crl_required });

        let unfit = |error: rustls::Error| TlsError::Provider { reason: error.to_string().into() };
        let verifier = HandshakeVerifier { chain: chain.clone(), on_refused: None };
        let mut client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&version::TLS13])
            .map_err(unfit)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(resolver.clone());
        // A resumed session passes by the verifier, and so by revocation and expiry.
        client.resumption = Resumption::disabled();
        // The name means nothing here.
        client.enable_sni = false;
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&version::TLS13])
            .map_err(unfit)?;
        Ok(Generation {
            epoch: 0,
            leaf_epoch: 0,
            chain,
            own,
            secrets,
            validity,
            resolver,
            client,
            server,
        })
    }

    /// Numbers a generation as the one that follows `former`.
    pub(crate) fn succeed(&mut self, former: &Generation) {
        self.epoch = former.epoch + 1;
        self.leaf_epoch = former.leaf_epoch + u64::from(!self.has_own_of(former));
    }

    /// Whether our own chain and key are the same in both.
    pub(crate) fn has_own_of(&self, other: &Generation) -> bool {
        self.own.cert == other.own.cert && self.secrets.fingerprint() == other.secrets.fingerprint()
    }

    pub(crate) fn client_config(&self, alpn: &[u8], on_refused: Option<OnRefused>) -> ClientConfig {
        let mut config = self.client.clone();
        config.alpn_protocols = vec![alpn.to_vec()];
        if on_refused.is_some() {
            let verifier = HandshakeVerifier { chain: self.chain.clone(), on_refused };
            config.dangerous().set_certificate_verifier(Arc::new(verifier));
        }
        config
    }

    pub(crate) fn server_config(&self, alpn: &[u8], on_refused: Option<OnRefused>) -> ServerConfig {
        let verifier = HandshakeVerifier { chain: self.chain.clone(), on_refused };
        let mut config = self
            .server
            .clone()
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(self.resolver.clone());
        config.alpn_protocols = vec![alpn.to_vec()];
        // See above on resumption.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.max_early_data_size = 0;
        config
    }
}

fn anchors(certificates: &[CertificateDer<'_>]) -> Result<Vec<TrustAnchor<'static>>, TlsError> {
    if certificates.is_empty() {
        return Err(TlsError::Missing {
            what: "trusted CA",
            origin: "the trust anchors".into(),
            remedy: "give the certificate of the CA that issues those of the nodes",
        });
    }
    let anchor = |certificate| {
        webpki::anchor_from_trusted_cert(certificate)
            .map(|anchor| anchor.to_owned())
            .map_err(|error| TlsError::bad_certificate("a trusted CA", error))
    };
    certificates.iter().map(anchor).collect()
}

fn own_validity(chain: &[CertificateDer<'_>]) -> Result<Validity, TlsError> {
    let unreadable =
        || TlsError::bad_certificate("a certificate of this node's chain", "it cannot be read");
    let mut first: Option<Validity> = None;
    for certificate in chain {
        let validity = Validity::of(certificate).ok_or_else(unreadable)?;
        if first.is_none_or(|first| validity.not_after < first.not_after) {
            first = Some(validity);
        }
    }
    first.ok_or(TlsError::Missing {
        what: "certificate",
        origin: "this node's chain".into(),
        remedy: "give the node's own certificate, followed by intermediate ones",
    })
}

fn certified_key(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| TlsError::BadKey { reason: error.to_string().into() })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        // A provider that cannot tell (a hardware token, say) is given the benefit of the doubt;
        // handshakes fail if it was wrong.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => Err(TlsError::KeyMismatch),
        Err(error) => Err(TlsError::bad_certificate("this node's certificate", error)),
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generation")
            .field("epoch", &self.epoch)
            .field("not_after", &self.validity.not_after.duration_since(UNIX_EPOCH).ok())
            .finish_non_exhaustive()
    }
}

impl Generation {
    pub(crate) fn not_after(&self) -> SystemTime {
        self.validity.not_after
    }
}
