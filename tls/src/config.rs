//! The credentials of this process, and how they are replaced.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, SystemTime};

use rustls::crypto::CryptoProvider;
use rustls::crypto::hash::Hash;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;

use crate::builder::TlsConfigBuilder;
use crate::chain::Revocation;
use crate::credentials::{Credentials, Names};
use crate::error::TlsError;
use crate::identity::{IdentityError, PeerRole};
use crate::material::{Generation, TlsMaterial};
use crate::node::NodeTls;
use crate::san::SanTemplate;
use crate::segment::MAX_ID_LEN;
use crate::source::{IdentitySource, Source};
use crate::time_text::Utc;

/// Keys, certificates and trust anchors, which can be replaced while they are in use.
///
/// Cheap to clone; all clones share what is in use. A transport [`bind`](Self::bind)s it to the
/// node that it carries messages for.
#[derive(Clone)]
pub struct TlsConfig {
    pub(crate) inner: Arc<ConfigInner>,
}

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) template: SanTemplate,
    pub(crate) crl_required: bool,
    pub(crate) warn_before_expiry: Option<Duration>,
    pub(crate) watch_files: bool,
    pub(crate) watch_interval: Duration,
}

pub(crate) struct ConfigInner {
    pub(crate) settings: Settings,
    /// For file contents.
    hash: &'static dyn Hash,
    /// Held while new material is read, checked and put into use.
    state: Mutex<State>,
    current: RwLock<Arc<Generation>>,
    pub(crate) epochs: watch::Sender<u64>,
}

struct State {
    source: Source,
    /// The digest of the contents of the files in use.
    loaded: Option<Vec<u8>>,
    bound: Vec<Weak<Binding>>,
}

/// A node, and what it uses at present.
pub(crate) struct Binding {
    pub(crate) names: Arc<Names>,
    current: RwLock<Arc<Credentials>>,
}

impl Binding {
    pub(crate) fn current(&self) -> Arc<Credentials> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl TlsConfig {
    /// Reads PEM files: `ca` with the certificates of the trusted CAs, `cert` with this node's
    /// certificate followed by intermediate ones, `key` with its private key. They are watched for
    /// changes while a transport uses them; see [`builder`](Self::builder) for more settings.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or used, or key and certificate do not belong together.
    pub fn from_pem_files(
        ca: impl AsRef<Path>,
        cert: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<TlsConfig, TlsError> {
        TlsConfig::builder().pem_files(ca, cert, key).build()
    }

    /// Takes everything in DER: the certificates of the trusted CAs, this node's certificate
    /// followed by intermediate ones, and its private key. [`update`](Self::update) replaces it.
    ///
    /// # Errors
    ///
    /// If something cannot be used, or key and certificate do not belong together.
    pub fn from_der(
        trust_anchors: Vec<CertificateDer<'static>>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<TlsConfig, TlsError> {
        TlsConfig::builder().der(TlsMaterial::new(trust_anchors, chain, key)).build()
    }

    /// For revocation lists, SPIFFE ids, another provider of cryptography, and more.
    pub fn builder() -> TlsConfigBuilder {
        TlsConfigBuilder::default()
    }

    pub(crate) fn new(settings: Settings, source: Source) -> Result<TlsConfig, TlsError> {
        let hash = crate::provider::hashing_suite(&settings.provider)
            .ok_or_else(|| TlsError::Provider {
                reason: "the provider has no cipher suite of TLS 1.3; pass another one".into(),
            })?
            .common
            .hash_provider;
        let contents = source.read()?;
        let material = source.parse(&contents)?;
        let generation = Generation::load(material, &settings.provider, settings.crl_required)?;
        let state = State { source, loaded: Some(contents.digest(hash)), bound: Vec::new() };
        Ok(TlsConfig {
            inner: Arc::new(ConfigInner {
                settings,
                hash,
                state: Mutex::new(state),
                current: RwLock::new(Arc::new(generation)),
                epochs: watch::Sender::new(0),
            }),
        })
    }

    /// Reads the files again, and puts what they say into use, everywhere at once. Blocks while it
    /// reads.
    ///
    /// # Errors
    ///
    /// If there are no files, or as when they were read first; or if this node's new certificate
    /// does not name the node that these credentials are bound to, does not lead to one of the new
    /// trust anchors, or, if it is another one than before, has expired. Then nothing changes.
    pub fn reload(&self) -> Result<(), TlsError> {
        let mut state = self.inner.state();
        if !state.source.has_files() {
            return Err(TlsError::NotFromFiles);
        }
        let contents = state.source.read()?;
        let material = state.source.parse(&contents)?;
        self.inner.replace(&mut state, material)?;
        state.loaded = Some(contents.digest(self.inner.hash));
        Ok(())
    }

    /// Puts new material into use, everywhere at once, with its revocation lists in place of the
    /// former ones. Lists that come from files are kept, and read again.
    ///
    /// # Errors
    ///
    /// If certificates and key come from files; else as [`reload`](Self::reload). Then nothing
    /// changes.
    pub fn update(&self, mut material: TlsMaterial) -> Result<(), TlsError> {
        let mut state = self.inner.state();
        if matches!(state.source.identity, IdentitySource::Files { .. }) {
            return Err(TlsError::FromFiles);
        }
        let crls = std::mem::take(&mut material.crls);
        let source = Source {
            identity: IdentitySource::Der(Box::new(material)),
            crl_files: state.source.crl_files.clone(),
            crls,
        };
        let contents = source.read()?;
        let material = source.parse(&contents)?;
        self.inner.replace(&mut state, material)?;
        state.loaded = Some(contents.digest(self.inner.hash));
        state.source = source;
        Ok(())
    }

    /// When the first certificate of this node's own chain expires.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.inner.current().not_after()
    }

    /// The form of the SANs of nodes.
    #[must_use]
    pub fn san_template(&self) -> &SanTemplate {
        &self.inner.settings.template
    }

    /// Ties the credentials to a node, once it is known which one it is.
    ///
    /// # Errors
    ///
    /// If this node's certificate would not be accepted by its peers: it has to name exactly this
    /// cluster and node, to lead to one of our own trust anchors, to be valid at present and not
    /// revoked, and to be meant for both sides of a connection. The error says what was found,
    /// what was expected, and what to do.
    pub fn bind(&self, cluster_id: &str, node_id: &str) -> Result<NodeTls, TlsError> {
        self.bind_if(cluster_id, node_id, |credentials| {
            check_own(credentials, SystemTime::now(), Revocation::Check)
        })
    }

    /// Like [`bind`](Self::bind), but does not look at this node's own certificate: for tests of
    /// how a cluster treats a node that it has to refuse.
    ///
    /// # Errors
    ///
    /// Only if an id is empty or too long.
    #[cfg(feature = "dev-ca")]
    pub fn bind_unchecked(&self, cluster_id: &str, node_id: &str) -> Result<NodeTls, TlsError> {
        self.bind_if(cluster_id, node_id, |_| Ok(()))
    }

    fn bind_if(
        &self,
        cluster_id: &str,
        node_id: &str,
        check: impl FnOnce(&Credentials) -> Result<(), TlsError>,
    ) -> Result<NodeTls, TlsError> {
        for (which, id) in [("cluster", cluster_id), ("node", node_id)] {
            if id.is_empty() || id.len() > MAX_ID_LEN {
                return Err(TlsError::BadId { which, len: id.len() });
            }
        }
        let names = Arc::new(Names {
            template: self.inner.settings.template.clone(),
            cluster_id: cluster_id.into(),
            node_id: node_id.into(),
        });
        let mut state = self.inner.state();
        let credentials = Credentials { generation: self.inner.current(), names: names.clone() };
        check(&credentials)?;
        let binding = Arc::new(Binding { names, current: RwLock::new(Arc::new(credentials)) });
        state.bound.retain(|bound| bound.strong_count() > 0);
        state.bound.push(Arc::downgrade(&binding));
        let bound_epoch = binding.current().epoch();
        Ok(NodeTls { config: self.inner.clone(), binding, bound_epoch })
    }
}

impl ConfigInner {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is made at the end of its critical section, so that there is no half-made
        // state behind a poisoned lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn current(&self) -> Arc<Generation> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn has_files(&self) -> bool {
        self.state().source.has_files()
    }

    /// What the files say at present, as a digest, or why it cannot be said; `None` if it is what
    /// is in use.
    pub(crate) fn changed_files(&self) -> Option<Result<Vec<u8>, TlsError>> {
        let state = self.state();
        match state.source.read() {
            Ok(contents) => {
                let digest = contents.digest(self.hash);
                (state.loaded.as_ref() != Some(&digest)).then_some(Ok(digest))
            }
            Err(error) => Some(Err(error)),
        }
    }

    /// Checks new material against all bound nodes, and puts it into use for all of them, or for
    /// none.
    fn replace(&self, state: &mut State, material: TlsMaterial) -> Result<(), TlsError> {
        let mut generation =
            Generation::load(material, &self.settings.provider, self.settings.crl_required)?;
        let former = self.current();
        generation.succeed(&former);
        let generation = Arc::new(generation);
        // An old certificate that has expired meanwhile must not keep new trust anchors and
        // revocation lists out: it is looked at as of the last moment that it was valid.
        let at = if generation.has_own_of(&former) {
            SystemTime::now().min(generation.not_after()).max(generation.validity.not_before)
        } else {
            SystemTime::now()
        };
        let mut renewed = Vec::new();
        for binding in state.bound.iter().filter_map(Weak::upgrade) {
            let credentials =
                Credentials { generation: generation.clone(), names: binding.names.clone() };
            // Nor must the list that revokes us, as it may revoke others.
            check_own(&credentials, at, Revocation::Ignore)?;
            renewed.push((binding, Arc::new(credentials)));
        }
        for (binding, credentials) in renewed {
            if let Err(error) = check_own(&credentials, at, Revocation::Check) {
                tracing::warn!(%error, "peers with the same revocation lists refuse this node");
            }
            *binding.current.write().unwrap_or_else(PoisonError::into_inner) = credentials;
        }
        let epoch = generation.epoch;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = generation;
        self.epochs.send_replace(epoch);
        Ok(())
    }
}

/// Looks at our own certificate as our peers do. The node dials and listens, so that it has to be
/// good for both.
fn check_own(
    credentials: &Credentials,
    at: SystemTime,
    revocation: Revocation,
) -> Result<(), TlsError> {
    let check = |role| -> Result<(), IdentityError> {
        let names = &credentials.names;
        credentials
            .authorize_with(credentials.chain(), role, at, Some(&names.node_id), revocation)
            .map(|_| ())
    };
    check(PeerRole::Dialler).and_then(|()| check(PeerRole::Listener)).map_err(|source| {
        let expected = credentials.names.own_san().into();
        TlsError::OwnCertificate { expected, source }
    })
}

impl fmt::Debug for TlsConfig {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let generation = self.inner.current();
        f.debug_struct("TlsConfig")
            .field("san_template", &self.inner.settings.template)
            .field("epoch", &generation.epoch)
            .field("not_after", &Utc(generation.not_after()).to_string())
            .finish_non_exhaustive()
    }
}
