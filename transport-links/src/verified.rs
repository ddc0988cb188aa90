//! Connections whose peers have proved who they are: verified again when we trust others than
//! before, and renewed when our own certificate has changed.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use chitchat_tls::{Credentials, CredentialsEvent, IdentityError, PeerIdentity, PeerRole};
use chitchat_transport::CredentialsReport;
use rand::Rng;
use rustls::pki_types::CertificateDer;
use tokio::time::Instant;

use crate::code::CloseCode;
use crate::ending::Link;

/// Connections are renewed within this time after a new certificate, not all at once.
const RENEW_WITHIN: Duration = Duration::from_secs(5);

/// How the peer of a connection has proved who it is.
#[derive(Debug)]
pub struct Proof {
    /// Who it is.
    pub identity: PeerIdentity,
    /// What it is in this connection.
    role: PeerRole,
    /// What it showed, to be verified again.
    chain: Vec<CertificateDer<'static>>,
    /// The credentials that it was last verified with.
    verified: AtomicU64,
    /// The certificate of ours that it has seen.
    leaf_epoch: u64,
}

impl Proof {
    /// Lets a peer in that has shown `chain`, if it is a node of our cluster, and `expected` if that
    /// is given. `leaf_epoch` is that of the certificate that it was shown, which may be an
    /// older one than that of `credentials`.
    ///
    /// # Errors
    ///
    /// Why it is not let in.
    pub fn of(
        credentials: &Credentials,
        chain: Vec<CertificateDer<'static>>,
        role: PeerRole,
        expected: Option<&str>,
        leaf_epoch: u64,
    ) -> Result<Self, IdentityError> {
        let identity = credentials.authorize(&chain, role, SystemTime::now(), expected)?;
        let verified = AtomicU64::new(credentials.epoch());
        Ok(Self { identity, role, chain, verified, leaf_epoch })
    }

    /// Of the certificate of ours that the peer has seen.
    #[must_use]
    pub fn leaf_epoch(&self) -> u64 {
        self.leaf_epoch
    }
}

/// A connection whose peer has proved who it is.
pub trait Verified: Link {
    /// How it did; `None` on a connection that nobody verifies.
    fn proof(&self) -> Option<&Proof>;
}

/// Why the peer of one handshake was refused, which the handshake's own error does not tell.
#[derive(Clone, Debug, Default)]
pub struct RefusalSlot(Arc<Mutex<Option<IdentityError>>>);

impl RefusalSlot {
    /// It was refused for that.
    pub fn put(&self, error: &IdentityError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
    }

    /// What it was refused for, if it was.
    #[must_use]
    pub fn take(&self) -> Option<IdentityError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Verifies peers again that were verified with former credentials, and those whose time is
/// over. Each connection knows: one may be verified before a reload and taken in after it.
pub fn verify_again<L: Verified>(
    links: &[(Arc<L>, bool)],
    credentials: &Credentials,
    mut refused: impl FnMut(&L, &IdentityError),
) {
    let now = SystemTime::now();
    let epoch = credentials.epoch();
    for (link, _) in links {
        let Some(proof) = link.proof() else { continue };
        let former = proof.verified.swap(epoch, Ordering::Relaxed);
        if former == epoch && proof.identity.not_after >= now {
            continue;
        }
        let node_id = Some(&**link.node_id());
        let Err(error) = credentials.authorize(&proof.chain, proof.role, now, node_id) else {
            continue;
        };
        link.close(CloseCode::of(&error), &error.to_string());
        refused(link, &error);
    }
}

/// When connections on which the peer knows a former certificate of ours begin to drain: peers are
/// to see the new one before the former one expires.
#[derive(Debug, Default)]
pub struct Renewals(HashMap<u64, Instant>);

impl Renewals {
    /// Which of them are to be [retired](crate::Connections::retire) now.
    pub fn due<L: Verified>(
        &mut self,
        links: &[(Arc<L>, bool)],
        credentials: &Credentials,
        now: Instant,
    ) -> Vec<Arc<L>> {
        let epoch = credentials.leaf_epoch();
        let outdated = |link: &L| link.proof().is_some_and(|proof| proof.leaf_epoch != epoch);
        let mut due = Vec::new();
        for (link, drains) in links.iter().filter(|(link, _)| outdated(link)) {
            let soon = || now + RENEW_WITHIN.mul_f64(rand::rng().random_range(0.0..1.0));
            let at = *self.0.entry(link.token()).or_insert_with(soon);
            if at <= now && !drains {
                due.push(Arc::clone(link));
            }
        }
        if !self.0.is_empty() {
            let known: HashSet<u64> = links.iter().map(|(link, _)| link.token()).collect();
            self.0.retain(|token, _| known.contains(token));
        }
        due
    }
}

/// News about our own credentials, as the node is told them.
#[must_use]
pub fn credentials_report(event: CredentialsEvent) -> Option<CredentialsReport> {
    Some(match event {
        CredentialsEvent::Reloaded { not_after } => CredentialsReport::Reloaded { not_after },
        CredentialsEvent::ReloadFailed { reason } => CredentialsReport::ReloadFailed { reason },
        CredentialsEvent::Expiring { not_after } => CredentialsReport::Expiring { not_after },
        CredentialsEvent::StaleRevocationList { issuer, next_update } => {
            CredentialsReport::StaleRevocationList { issuer, next_update }
        }
        _ => return None,
    })
}
