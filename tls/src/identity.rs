//! Who a peer is by its certificate, and why it is not who it has to be.

use std::sync::Arc;
use std::time::SystemTime;

use crate::segment::SanError;
use crate::time_text::Utc;

/// What a peer does on a connection: its certificate has to be good for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerRole {
    /// It opened the connection: TLS client authentication.
    Dialler,
    /// It accepted the connection: TLS server authentication.
    Listener,
}

/// A verified peer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerIdentity {
    /// The node that the certificate names.
    pub node_id: Arc<str>,
    /// The SAN that names it, as it stands in the certificate.
    pub san: Arc<str>,
    /// When the first certificate of the verified chain expires. From then on the peer has to be
    /// refused, also on a connection that is open.
    pub not_after: SystemTime,
}

/// A peer's certificate is not accepted. Nothing has changed.
///
/// The `san` of each variant is what the certificate says of itself, cut and escaped for logs,
/// and several SANs with commas between them. Unless the chain was verified ([`WrongCluster`],
/// [`WrongNode`], [`BadSan`], [`NoSan`], [`SeveralSans`]) anyone may have written it.
///
/// [`WrongCluster`]: Self::WrongCluster
/// [`WrongNode`]: Self::WrongNode
/// [`BadSan`]: Self::BadSan
/// [`NoSan`]: Self::NoSan
/// [`SeveralSans`]: Self::SeveralSans
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// No certificate was presented.
    #[error("no certificate was presented; every node of the cluster needs one")]
    NoCertificate,
    /// The certificate, or one above it, cannot be read.
    #[error("the certificate{} cannot be read ({reason}); issue it anew", named(.san))]
    Malformed {
        /// What the certificate says of itself.
        san: Option<Arc<str>>,
        /// What is wrong.
        reason: Arc<str>,
    },
    /// The chain ends at none of the trust anchors.
    #[error(
        "the certificate{} was not issued by a CA that is trusted here; add the CA to the \
         trusted ones, or send the intermediate certificates along",
        named(.san)
    )]
    UnknownIssuer {
        /// What the certificate says of itself.
        san: Option<Arc<str>>,
    },
    /// A signature in the chain is wrong, or made in a way that is not supported.
    #[error(
        "a signature in the chain of the certificate{} does not hold ({reason}); issue it anew",
        named(.san)
    )]
    BadSignature {
        /// What the certificate says of itself.
        san: Option<Arc<str>>,
        /// What is wrong.
        reason: Arc<str>,
    },
    /// A certificate of the chain has expired.
    #[error(
        "the certificate{}, or one above it, expired at {}; renew it, or set the clock",
        named(.san),
        Utc(*.not_after)
    )]
    Expired {
        /// What the certificate says of itself.
        san: Option<Arc<str>>,
        /// When it expired.
        not_after: SystemTime,
    },
    /// A certificate of the chain is not valid yet.
    #[error(
        "the certificate{}, or one above it, is valid only from {}; set the clock, or wait",
        named(.san),
        Utc(*.not_before)
    )]
    NotYetValid {
        /// What the certificate says of itself.
        san: Option<Arc<str>>,
        /// From when on it is valid.
        not_before: SystemTime,
    },
    /// A certificate of the chain has been revoked.
    #[error(
        "the certificate{}, or one above it, has been revoked; issue a new one with a new key if \
         the node is to come back",
        named(.san)
    )]
    Revoked {
        /// What the certificate says of itself.
        san: Option<Arc<str>>,
    },
    /// Revocation lists are required, and there is none for an issuer in the chain.
    #[error(
        "no revocation list covers the certificate{}; add the list of every issuer in its chain, \
         or do not require lists",
        named(.san)
    )]
    RevocationUnknown {
        /// What the certificate says of itself.
        san: Option<Arc<str>>,
    },
    /// The revocation list of an issuer in the chain cannot be used.
    #[error(
        "the revocation list for the issuer of the certificate{} cannot be used ({reason}); \
         replace the list",
        named(.san)
    )]
    RevocationListUnusable {
        /// What the certificate says of itself.
        san: Option<Arc<str>>,
        /// What is wrong.
        reason: Arc<str>,
    },
    /// The certificate is not meant for what the peer does.
    #[error(
        "the certificate{} is not meant for TLS {} authentication; issue it for both client and \
         server authentication, or without extended key usage",
        named(.san),
        role_name(*.role)
    )]
    WrongPurpose {
        /// What the certificate says of itself.
        san: Option<Arc<str>>,
        /// What the peer does.
        role: PeerRole,
    },
    /// The chain breaks a rule of its issuers, or one that is not supported. Name constraints on
    /// URIs or directory names are not supported, and refused.
    #[error(
        "the chain of the certificate{} is not allowed ({reason}); issue it under a CA without \
         such a rule",
        named(.san)
    )]
    NotAllowed {
        /// What the certificate says of itself.
        san: Option<Arc<str>>,
        /// What is wrong.
        reason: Arc<str>,
    },
    /// The certificate has no URI as a SAN.
    #[error("the certificate has no URI SAN, expected was {expected}; issue it with that SAN")]
    NoSan {
        /// The SAN that was expected.
        expected: Arc<str>,
    },
    /// The certificate has several SANs with the scheme of the template.
    #[error(
        "the certificate has several SANs with one scheme ({san}), expected was {expected}; issue \
         it with exactly one"
    )]
    SeveralSans {
        /// All of them.
        san: Arc<str>,
        /// The SAN that was expected.
        expected: Arc<str>,
    },
    /// The certificate's SAN does not name a node.
    #[error(
        "the certificate's SAN {san} names no node: {source}; expected was {expected}; issue it \
         with that SAN"
    )]
    BadSan {
        /// The SAN.
        san: Arc<str>,
        /// The SAN that was expected.
        expected: Arc<str>,
        /// What is wrong.
        #[source]
        source: SanError,
    },
    /// The certificate names a node of another cluster.
    #[error(
        "the certificate's SAN {san} is of another cluster, expected was {expected}; connect to \
         nodes of this cluster only, or issue it for this one"
    )]
    WrongCluster {
        /// The SAN.
        san: Arc<str>,
        /// The SAN that was expected.
        expected: Arc<str>,
    },
    /// The certificate names another node.
    #[error(
        "the certificate's SAN {san} is of another node, expected was {expected}; use the \
         certificate that was issued to this node"
    )]
    WrongNode {
        /// The SAN.
        san: Arc<str>,
        /// The SAN that was expected.
        expected: Arc<str>,
    },
}

impl IdentityError {
    /// A name for counters, in `snake_case`; there is one for each variant.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::Malformed { .. } => "malformed",
            Self::UnknownIssuer { .. } => "unknown_issuer",
            Self::BadSignature { .. } => "bad_signature",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::Revoked { .. } => "revoked",
            Self::RevocationUnknown { .. } => "revocation_unknown",
            Self::RevocationListUnusable { .. } => "revocation_list_unusable",
            Self::WrongPurpose { .. } => "wrong_purpose",
            Self::NotAllowed { .. } => "not_allowed",
            Self::NoSan { .. } => "no_san",
            Self::SeveralSans { .. } => "several_sans",
            Self::BadSan { .. } => "bad_san",
            Self::WrongCluster { .. } => "wrong_cluster",
            Self::WrongNode { .. } => "wrong_node",
        }
    }

    /// What the certificate says of itself, cut and escaped; `None` if it has no URI SAN that can
    /// be read.
    #[must_use]
    pub fn presented(&self) -> Option<&str> {
        match self {
            Self::NoCertificate | Self::NoSan { .. } => None,
            Self::Malformed { san, .. }
            | Self::UnknownIssuer { san }
            | Self::BadSignature { san, .. }
            | Self::Expired { san, .. }
            | Self::NotYetValid { san, .. }
            | Self::Revoked { san }
            | Self::RevocationUnknown { san }
            | Self::RevocationListUnusable { san, .. }
            | Self::WrongPurpose { san, .. }
            | Self::NotAllowed { san, .. } => san.as_deref(),
            Self::SeveralSans { san, .. }
            | Self::BadSan { san, .. }
            | Self::WrongCluster { san, .. }
            | Self::WrongNode { san, .. } => Some(san),
        }
    }
}

/// The SAN as an insertion behind "the certificate".
fn named(san: &Option<Arc<str>>) -> String {
    san.as_ref().map(|san| format!(" {san}")).unwrap_or_default()
}

fn role_name(role: PeerRole) -> &'static str {
    match role {
        PeerRole::Dialler => "client",
        PeerRole::Listener => "server",
    }
}
