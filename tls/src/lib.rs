//! Mutual TLS for chitchat: certificates that name nodes.
//!
//! Every node has a certificate from a CA of the cluster, and the certificate says which node it
//! is, and of which cluster, in a URI: `chitchat://<cluster_id>/<node_id>`. Both sides of a
//! connection verify the other's. A transport then knows who it talks to, and the node behind it
//! lets nobody speak for another one.
//!
//! - [`TlsConfig`] has the keys and certificates of this process: [from PEM
//!   files](TlsConfig::from_pem_files), which are watched and taken anew when they change, or
//!   [in DER](TlsConfig::from_der).
//! - [`TlsConfig::bind`] ties it to a node, and tells at once if peers would refuse the node.
//! - [`NodeTls`] is what a transport works with: configurations for rustls, the check of a peer
//!   ([`Credentials::authorize`]), news of reloads, and warnings before something expires.
//! - `ClusterCa` (feature `dev-ca`) issues and revokes certificates for development and tests.
//!
//! ```
//! # #[cfg(feature = "dev-ca")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::SystemTime;
//! use chitchat_tls::{ClusterCa, PeerRole};
//!
//! // In production: TlsConfig::from_pem_files("ca.pem", "cert.pem", "key.pem")?
//! let ca = ClusterCa::generate("blue")?;
//! let node = ca.issue("node-1")?.tls_config()?.bind("blue", "node-1")?;
//!
//! // For every connection: the configuration of this moment, for rustls or for QUIC.
//! let credentials = node.current();
//! let client_config = credentials.client_config(b"chitchat/1");
//!
//! // After the handshake: who is it? Here we dialled node-2, and got its certificate.
//! let peer = ca.issue("node-2")?;
//! let now = SystemTime::now();
//! let identity = credentials.authorize(peer.chain(), PeerRole::Listener, now, Some("node-2"))?;
//! assert_eq!(&*identity.san, "chitchat://blue/node-2");
//!
//! // Somebody else at that address is refused, with the reason.
//! let error = credentials
//!     .authorize(ca.issue("node-3")?.chain(), PeerRole::Listener, now, Some("node-2"))
//!     .unwrap_err();
//! assert_eq!(error.kind(), "wrong_node");
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "dev-ca"))]
//! # fn main() {}
//! ```
//!
//! # Certificates
//!
//! A node's certificate needs
//!
//! - exactly one URI SAN with the scheme of the template. Other SANs do not matter, nor does the
//!   subject. Ids are percent-encoded once: all but letters, digits, `-`, `.`, `_` and `~`. Another
//!   form, such as a SPIFFE id, is set with [`TlsConfigBuilder::san_template`];
//! - extended key usage for both client and server authentication, or none at all, as a node both
//!   dials and listens;
//! - a chain to one of the trusted CAs; intermediate certificates are sent along, behind the
//!   node's own one.
//!
//! The CA must not have name constraints on URIs or directory names: they are not understood, and
//! a certificate under such a CA is refused. The validity of a trusted CA's own certificate is not
//! looked at; take it from the trusted ones to end it.
//!
//! Two clusters may share a CA: a node of another cluster is refused by its name.
//!
//! # Rotation
//!
//! Replace the files, in whatever order and by whatever means (renaming, a volume of Kubernetes,
//! writing in place): contents are compared, half-done changes are waited out, and either all of
//! the new files can be used together or none is. [`TlsConfig::reload`] does the same at once, and
//! [`TlsConfig::update`] takes DER from the application. Transports then verify the chains of open
//! connections again.
//!
//! To replace a CA, first add the new one to the trusted ones on all nodes, then issue new
//! certificates, then take the old one away. A change that would cut a node off from its own
//! certificate is refused, and the former credentials stay in use.
//!
//! # Revocation
//!
//! Revocation lists ([`TlsConfigBuilder::crl_files`]) hold for the whole chain. Of several lists of
//! one issuer only the newest counts, by number and then by time. An issuer without a list is
//! accepted unless lists are [required](TlsConfigBuilder::crl_required). A list that is older than
//! it says that it may be stays in use, and is reported. A list that carries an issuer's name and
//! was not signed with its key makes nobody acceptable: it is refused, or the chain is.
//!
//! # What it relies on
//!
//! TLS 1.3 by rustls, chains by webpki. Nothing is resumed and no early data is sent, since a
//! resumed session passes by the verifier. The cryptography is passed explicitly everywhere: ring
//! by default, aws-lc-rs with that feature alone, or any [`CryptoProvider`] of rustls 0.23.
//!
//! Private keys are never part of a `Debug` output or an error. They are kept in memory, not wiped
//! when replaced, and read only from files that are not encrypted.
//!
//! [`CryptoProvider`]: rustls::crypto::CryptoProvider

mod builder;
mod chain;
mod chain_error;
mod config;
mod credentials;
#[cfg(feature = "dev-ca")]
mod dev_ca;
mod error;
mod escape;
mod file_watch;
#[cfg(feature = "__fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod material;
mod node;
mod provider;
mod reminder;
mod revocation;
mod san;
mod segment;
mod source;
mod time_text;
mod verifier;
mod x509;

pub use builder::TlsConfigBuilder;
pub use config::TlsConfig;
pub use credentials::Credentials;
#[cfg(feature = "dev-ca")]
pub use dev_ca::{
    CaError, CaOptions, ClusterCa, IssueOptions, NodeCertificate, PemFiles, RevocationList,
    RevocationListOptions, Usage,
};
pub use error::TlsError;
pub use escape::escape_untrusted;
pub use identity::{IdentityError, PeerIdentity, PeerRole};
pub use material::TlsMaterial;
pub use node::{CredentialsEvent, NodeTls};
pub use revocation::{RevocationListError, RevocationListInfo};
pub use san::{DEFAULT_SAN_TEMPLATE, SanNames, SanTemplate, TemplateError, node_san};
pub use segment::{MAX_ID_LEN, SanError};
