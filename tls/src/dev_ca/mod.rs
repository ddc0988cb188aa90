//! A certificate authority for development and tests.
//!
//! It makes what a real one makes, and on request what a real one must not: certificates that have
//! expired, that name the wrong node, or that name none.

mod ca;
mod certificate;
mod issue;
mod pem_file;
mod revoke;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::SerialNumber;

use crate::san::TemplateError;

pub use ca::{CaOptions, ClusterCa};
pub use certificate::{NodeCertificate, PemFiles};
pub use issue::{IssueOptions, Usage};
pub use revoke::{RevocationList, RevocationListOptions};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long before now certificates and lists are valid from, for hosts whose clocks lag.
const BACKDATED: Duration = Duration::from_secs(60 * 60);
/// The last second that a certificate can express: 9999-12-31 23:59:59 UTC.
const LAST_SECOND: u64 = 253_402_300_799;

/// The development CA cannot do what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaError {
    /// A certificate, key or list cannot be made or read.
    #[error("cannot {action}: {reason}")]
    Crypto {
        /// What was tried.
        action: &'static str,
        /// What is wrong.
        reason: Arc<str>,
    },
    /// A file cannot be written or read.
    #[error("cannot access {}: {reason}; check the path and who may write there", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        reason: Arc<str>,
    },
    /// The template of SANs cannot be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A cluster or node id is empty or longer than 255 bytes.
    #[error("the {which} id has {len} bytes; give it 1 to 255")]
    BadId {
        /// "cluster" or "node".
        which: &'static str,
        /// Its length in bytes.
        len: usize,
    },
    /// Something ends before it begins.
    #[error("the validity ends before it begins; swap the two")]
    BadValidity,
}

fn failed(action: &'static str) -> impl Fn(rcgen::Error) -> CaError {
    move |error| CaError::Crypto { action, reason: error.to_string().into() }
}

fn check_id(which: &'static str, id: &str) -> Result<(), CaError> {
    let len = id.len();
    if (1..=crate::MAX_ID_LEN).contains(&len) { Ok(()) } else { Err(CaError::BadId { which, len }) }
}

/// A point in time in seconds since 1970, moved into what a certificate can express.
fn since_epoch(time: SystemTime) -> Duration {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Duration::from_secs(seconds.min(LAST_SECOND))
}

/// 16 random bytes, of which the first is neither 0 nor has its highest bit set: positive, and of
/// one length.
fn random_serial() -> Result<SerialNumber, CaError> {
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(|error| CaError::Crypto {
        action: "draw a serial number",
        reason: error.to_string().into(),
    })?;
    serial[0] = serial[0] & 0x7f | 0x40;
    Ok(SerialNumber::from(serial.to_vec()))
}

/// From a little before now until `validity` from now.
fn around(now: SystemTime, validity: Duration) -> (SystemTime, SystemTime) {
    (now.checked_sub(BACKDATED).unwrap_or(UNIX_EPOCH), now.checked_add(validity).unwrap_or(now))
}
