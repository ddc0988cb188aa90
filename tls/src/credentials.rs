//! What a node proves its identity with, and verifies that of others with, at one time.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::{CertificateDer, DnsName, ServerName};
use rustls::{ClientConfig, ServerConfig};

use crate::chain::Revocation;
use crate::chain_error::to_identity;
use crate::escape::shown_san;
use crate::identity::{IdentityError, PeerIdentity, PeerRole};
use crate::material::Generation;
use crate::revocation::RevocationListInfo;
use crate::san::SanTemplate;
use crate::time_text::Utc;
use crate::verifier::{claimed_san, unix_time};
use crate::x509::uri_sans;

/// The most SANs that an error lists.
const SHOWN_SANS: usize = 4;

/// Whose credentials these are.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) template: SanTemplate,
    pub(crate) cluster_id: Arc<str>,
    pub(crate) node_id: Arc<str>,
}

impl Names {
    /// The SAN of a node of our cluster, or of any node if it does not matter which.
    fn expected(&self, node: Option<&str>) -> Arc<str> {
        let san = match node {
            Some(node) => self.template.node_san(&self.cluster_id, node),
            None => self.template.any_node_san(&self.cluster_id),
        };
        shown_san(san.as_bytes())
    }

    pub(crate) fn own_san(&self) -> String {
        self.template.node_san(&self.cluster_id, &self.node_id)
    }

    /// The SAN of a certificate, and the node that it names.
    pub(crate) fn check(
        &self,
        end_entity: &[u8],
        expected_node: Option<&str>,
    ) -> Result<(String, String), IdentityError> {
        let expected = || self.expected(expected_node);
        let sans = uri_sans(end_entity).ok_or_else(|| IdentityError::Malformed {
            san: None,
            reason: "its subject alternative name is unreadable".into(),
        })?;
        let ours: Vec<&Vec<u8>> =
            sans.iter().filter(|san| self.template.has_scheme_of(san)).collect();
        let san = match (&ours[..], &sans[..]) {
            ([san], _) => *san,
            // None that might be ours: the first one is as good as any to show what is there.
            ([], [first, ..]) => first,
            ([], []) => return Err(IdentityError::NoSan { expected: expected() }),
            ([..], _) => {
                let shown: Vec<_> =
                    ours.iter().take(SHOWN_SANS).map(|san| san.as_slice()).collect();
                return Err(IdentityError::SeveralSans {
                    san: shown_san(&shown.join(&b", "[..])),
                    expected: expected(),
                });
            }
        };
        let bad =
            |source| IdentityError::BadSan { san: shown_san(san), expected: expected(), source };
        let text = std::str::from_utf8(san).map_err(|_| bad(crate::SanError::NotEncoded))?;
        let named = self.template.parse_san(text).map_err(bad)?;
        if named.cluster_id.is_some_and(|cluster| *cluster != *self.cluster_id) {
            return Err(IdentityError::WrongCluster { san: shown_san(san), expected: expected() });
        }
        if expected_node.is_some_and(|node| *named.node_id != *node) {
            return Err(IdentityError::WrongNode { san: shown_san(san), expected: expected() });
        }
        Ok((text.to_owned(), named.node_id))
    }
}

/// One generation of a node's credentials. It never changes; after a reload there is another one.
///
/// Connections that were opened with an older generation go on with it; their peers' chains have
/// to be put to [`authorize`](Self::authorize) of the new one, and their connections closed if
/// they fail.
pub struct Credentials {
    pub(crate) generation: Arc<Generation>,
    pub(crate) names: Arc<Names>,
}

impl Credentials {
    /// Counts the generations, from 0, of one [`TlsConfig`](crate::TlsConfig).
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.generation.epoch
    }

    /// Counts the changes of this node's own chain and key. Where it differs, connections have to
    /// be renewed for peers to see the new certificate.
    #[must_use]
    pub fn leaf_epoch(&self) -> u64 {
        self.generation.leaf_epoch
    }

    /// For connections that this node opens: TLS 1.3, this node's certificate, the peer's chain
    /// verified, no resumption, no early data. Which node it is, [`authorize`](Self::authorize)
    /// says after the handshake.
    #[must_use]
    pub fn client_config(&self, alpn: &[u8]) -> ClientConfig {
        self.generation.client_config(alpn, None)
    }

    /// For connections that this node accepts: TLS 1.3, a certificate demanded and its chain
    /// verified, no tickets, no sessions kept, no early data. Which node it is,
    /// [`authorize`](Self::authorize) says after the handshake.
    #[must_use]
    pub fn server_config(&self, alpn: &[u8]) -> ServerConfig {
        self.generation.server_config(alpn, None)
    }

    /// Like [`client_config`](Self::client_config), and `on_refused` is told why a peer was
    /// refused during the handshake. Make one for each connection to know which peer it was. It is
    /// called inside the handshake, and must not block.
    #[must_use]
    pub fn client_config_reporting(
        &self,
        alpn: &[u8],
        on_refused: impl Fn(&IdentityError) + Send + Sync + 'static,
    ) -> ClientConfig {
        self.generation.client_config(alpn, Some(Arc::new(on_refused)))
    }

    /// Like [`server_config`](Self::server_config), with `on_refused` as in
    /// [`client_config_reporting`](Self::client_config_reporting). A peer without any certificate
    /// is refused by TLS itself, and not reported.
    #[must_use]
    pub fn server_config_reporting(
        &self,
        alpn: &[u8],
        on_refused: impl Fn(&IdentityError) + Send + Sync + 'static,
    ) -> ServerConfig {
        self.generation.server_config(alpn, Some(Arc::new(on_refused)))
    }

    /// The full check of a peer, for after the handshake, and again after a reload.
    ///
    /// `chain` is what the peer sent, its own certificate first. It has to lead to a trust anchor,
    /// to be valid at `now`, not to be revoked, and to be meant for the peer's `role`. Then the
    /// certificate has to have exactly one URI SAN with the scheme of the template, and that has
    /// to name this node's cluster, and `expected_node` if it is given.
    ///
    /// # Errors
    ///
    /// The first of these that is not so.
    pub fn authorize(
        &self,
        chain: &[CertificateDer<'_>],
        role: PeerRole,
        now: SystemTime,
        expected_node: Option<&str>,
    ) -> Result<PeerIdentity, IdentityError> {
        self.authorize_with(chain, role, now, expected_node, Revocation::Check)
    }

    pub(crate) fn authorize_with(
        &self,
        chain: &[CertificateDer<'_>],
        role: PeerRole,
        now: SystemTime,
        expected_node: Option<&str>,
        revocation: Revocation,
    ) -> Result<PeerIdentity, IdentityError> {
        let Some((end_entity, intermediates)) = chain.split_first() else {
            return Err(IdentityError::NoCertificate);
        };
        let verifier = &self.generation.chain;
        let not_after = verifier
            .verify(end_entity, intermediates, role, unix_time(now), revocation)
            .map_err(|error| to_identity(&error, role, claimed_san(end_entity)))?;
        let (san, node_id) = self.names.check(end_entity, expected_node)?;
        Ok(PeerIdentity { node_id: node_id.into(), san: san.into(), not_after })
    }

    /// When the first certificate of this node's own chain expires.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.generation.not_after()
    }

    /// This node's own chain, its own certificate first.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.generation.own.cert
    }

    /// The revocation lists in use: of each issuer the newest.
    pub fn revocation_lists(&self) -> impl Iterator<Item = &RevocationListInfo> {
        self.generation.chain.lists.infos()
    }

    /// A name to dial with where an interface demands one. It is not sent, and means nothing.
    #[must_use]
    pub fn server_name(&self) -> ServerName<'static> {
        // The type system cannot tell that this one is valid; the fall-back is as good.
        match DnsName::try_from("chitchat.invalid") {
            Ok(name) => ServerName::DnsName(name),
            Err(_) => ServerName::from(std::net::IpAddr::from([127, 0, 0, 1])),
        }
    }

    /// A secret that only the holder of this generation's private key can derive; see
    /// [`NodeTls::secret`](crate::NodeTls::secret).
    #[must_use]
    pub fn secret(&self, label: &[u8]) -> [u8; 32] {
        self.generation.secrets.derive(label)
    }
}

impl fmt::Debug for Credentials {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("san", &self.names.own_san())
            .field("epoch", &self.epoch())
            .field("leaf_epoch", &self.leaf_epoch())
            .field("not_after", &Utc(self.not_after()).to_string())
            .finish_non_exhaustive()
    }
}
