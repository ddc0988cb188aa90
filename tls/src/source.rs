//! Where keys and certificates come from: files, or the application.

use std::path::{Path, PathBuf};

use rustls::crypto::hash::Hash;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use crate::error::TlsError;
use crate::material::TlsMaterial;

/// What every PEM file has.
const PEM_MARK: &[u8] = b"-----BEGIN ";

#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) identity: IdentitySource,
    pub(crate) crl_files: Vec<PathBuf>,
    pub(crate) crls: Vec<CertificateRevocationListDer<'static>>,
}

#[derive(Debug, Clone)]
pub(crate) enum IdentitySource {
    Files {
        ca: PathBuf,
        cert: PathBuf,
        key: PathBuf,
    },
    /// Its revocation lists are not used; they are in the [`Source`].
    Der(Box<TlsMaterial>),
}

/// What the files had in them when they were read.
pub(crate) struct Contents {
    identity: Option<[Vec<u8>; 3]>,
    crls: Vec<Vec<u8>>,
}

impl Source {
    pub(crate) fn has_files(&self) -> bool {
        matches!(self.identity, IdentitySource::Files { .. }) || !self.crl_files.is_empty()
    }

    /// Reads all files, and looks at nothing.
    pub(crate) fn read(&self) -> Result<Contents, TlsError> {
        let identity = match &self.identity {
            IdentitySource::Files { ca, cert, key } => Some([read(ca)?, read(cert)?, read(key)?]),
            IdentitySource::Der(_) => None,
        };
        let crls = self.crl_files.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
        Ok(Contents { identity, crls })
    }

    pub(crate) fn parse(&self, contents: &Contents) -> Result<TlsMaterial, TlsError> {
        let mut material = match (&self.identity, &contents.identity) {
            (IdentitySource::Files { ca, cert, key }, Some([ca_pem, cert_pem, key_pem])) => {
                TlsMaterial::new(
                    certificates(ca, ca_pem, "the certificate of the CA that issues the nodes'")?,
                    certificates(cert, cert_pem, "this node's certificate")?,
                    private_key(key, key_pem)?,
                )
            }
            (IdentitySource::Der(material), _) => (**material).clone(),
            (IdentitySource::Files { .. }, None) => return Err(TlsError::NotFromFiles),
        };
        material.crls = self.crls.clone();
        for (path, content) in self.crl_files.iter().zip(&contents.crls) {
            revocation_lists(path, content, &mut material.crls)?;
        }
        Ok(material)
    }
}

impl Contents {
    /// Equal for equal contents. Names, times and links do not matter: however a file was
    /// replaced, it is what it says that counts.
    pub(crate) fn digest(&self, hash: &dyn Hash) -> Vec<u8> {
        let mut context = hash.start();
        for file in self.identity.iter().flatten().chain(&self.crls) {
            context.update(&file.len().to_le_bytes());
            context.update(file);
        }
        context.finish().as_ref().to_vec()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path)
        .map_err(|error| TlsError::Read { path: path.to_owned(), reason: error.to_string().into() })
}

fn certificates(
    path: &Path,
    pem: &[u8],
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad_pem(path, &error))?;
    if certificates.is_empty() {
        return Err(TlsError::Missing {
            what,
            origin: path.display().to_string().into(),
            remedy: "the file has to have a section BEGIN CERTIFICATE",
        });
    }
    Ok(certificates)
}

fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        PemError::NoItemsFound => TlsError::Missing {
            what: "private key",
            origin: path.display().to_string().into(),
            remedy: "the file has to have a section BEGIN PRIVATE KEY (or EC or RSA), not \
                     encrypted",
        },
        error => bad_pem(path, &error),
    })
}

/// Lists are in PEM, or, as issuers publish them, a single one in DER.
fn revocation_lists(
    path: &Path,
    content: &[u8],
    lists: &mut Vec<CertificateRevocationListDer<'static>>,
) -> Result<(), TlsError> {
    let before = lists.len();
    if content.windows(PEM_MARK.len()).any(|window| window == PEM_MARK) {
        for list in CertificateRevocationListDer::pem_slice_iter(content) {
            lists.push(list.map_err(|error| bad_pem(path, &error))?);
        }
    } else if !content.is_empty() {
        lists.push(content.to_vec().into());
    }
    if lists.len() == before {
        return Err(TlsError::Missing {
            what: "revocation list",
            origin: path.display().to_string().into(),
            remedy: "the file has to have a section BEGIN X509 CRL",
        });
    }
    Ok(())
}

/// The error without what the file says: it may be a key.
fn bad_pem(path: &Path, error: &PemError) -> TlsError {
    let reason = match error {
        PemError::MissingSectionEnd { .. } => "a section has no end; is it still being written?",
        PemError::IllegalSectionStart { .. } => "a section begins with a malformed line",
        PemError::Base64Decode(_) => "a section is not base64",
        PemError::SectionTooLarge => "a section is too long",
        PemError::NoItemsFound => "there is nothing in it",
        _ => "it cannot be read",
    };
    TlsError::Pem { path: path.to_owned(), reason: reason.into() }
}
