//! PEM, and files of it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;

use super::{CaError, random_serial};

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrecy {
    Public,
    OwnerOnly,
}

/// A certificate in both forms.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    pub(super) der: CertificateDer<'static>,
    pub(super) pem: String,
}

impl From<rcgen::Certificate> for Certificate {
    fn from(certificate: rcgen::Certificate) -> Certificate {
        let pem = certificate.pem();
        Certificate { der: certificate.into(), pem }
    }
}

pub(super) fn read(path: &Path) -> Result<String, CaError> {
    fs::read_to_string(path).map_err(|error| file_error(path, &error))
}

/// Writes a file beside the one that is meant, and puts it in its place: a reader sees the old
/// one or the new one, and a key is never readable for others, not even for a moment.
pub(super) fn write(path: &Path, content: &str, secrecy: Secrecy) -> Result<(), CaError> {
    let error = |error: io::Error| file_error(path, &error);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(error)?;
    }
    let temporary = temporary(path)?;
    let written = create(&temporary, secrecy).and_then(|mut file| {
        file.write_all(content.as_bytes())?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&temporary, path)).map_err(|failure| {
        // The failure before is what matters.
        let _ = fs::remove_file(&temporary);
        error(failure)
    })
}

fn temporary(path: &Path) -> Result<PathBuf, CaError> {
    let random: String =
        random_serial()?.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(path.with_extension(format!("{random}.tmp")))
}

#[cfg(unix)]
fn create(path: &Path, secrecy: Secrecy) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mode = match secrecy {
        Secrecy::Public => 0o644,
        Secrecy::OwnerOnly => 0o600,
    };
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

#[cfg(not(unix))]
fn create(path: &Path, _secrecy: Secrecy) -> io::Result<fs::File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

fn file_error(path: &Path, error: &io::Error) -> CaError {
    CaError::File { path: path.to_owned(), reason: error.to_string().into() }
}
