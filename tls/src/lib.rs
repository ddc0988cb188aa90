//! Mutual TLS for chitchat.

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
