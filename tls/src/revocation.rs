//! Certificate revocation lists: which of several counts, and how old it is.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{SubjectPublicKeyInfoDer, TrustAnchor};
use webpki::{CertRevocationList, OwnedCertRevocationList, RawPublicKeyEntity, VerifiedPath};
use x509_parser::extensions::ParsedExtension;
use x509_parser::num_bigint::BigUint;
use x509_parser::prelude::FromDer as _;

use crate::x509::system_time;

/// What a revocation list says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RevocationListInfo {
    /// Whose list: the distinguished name, escaped for logs.
    pub issuer: Arc<str>,
    /// Its number, in decimal; it grows from list to list. Some issuers give none.
    pub number: Option<String>,
    /// When it was made.
    pub this_update: SystemTime,
    /// When the next one is to come. A list that is older stays in use.
    pub next_update: SystemTime,
    /// How many certificates it revokes.
    pub revoked: usize,
}

/// A revocation list cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RevocationListError {
    /// It cannot be read, or has something that is not supported: delta lists, indirect lists,
    /// lists without a time for the next one, lists for some reasons only.
    #[error("a revocation list cannot be used: {reason}; publish complete lists (RFC 5280, v2)")]
    Unusable {
        /// What is wrong.
        reason: Arc<str>,
    },
    /// It carries the name of a trusted CA, and was not signed by it.
    #[error(
        "the revocation list of {issuer} is not signed by a trusted CA of that name; fetch it \
         anew, or remove it if that CA's key is no longer trusted"
    )]
    NotSigned {
        /// Whose list it claims to be.
        issuer: Arc<str>,
    },
}

#[derive(Debug)]
struct List {
    crl: CertRevocationList<'static>,
    info: RevocationListInfo,
    number: Option<BigUint>,
    /// The key that the list names as its signer's.
    key_id: Option<Vec<u8>>,
    /// The key of the trust anchor that signed the list, if one did.
    anchor_key: Option<SubjectPublicKeyInfoDer<'static>>,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

/// The lists in use: of each issuer and scope the newest only.
#[derive(Debug, Default)]
pub(crate) struct RevocationLists {
    lists: Vec<List>,
    /// Whether names do not suffice to tell whose list is whose.
    need_path: bool,
}

impl RevocationLists {
    pub(crate) fn load(
        ders: &[impl AsRef<[u8]>],
        anchors: &[TrustAnchor<'_>],
        provider: &CryptoProvider,
    ) -> Result<RevocationLists, RevocationListError> {
        let mut lists: Vec<List> = Vec::new();
        for der in ders {
            let list = List::load(der.as_ref(), anchors, provider)?;
            // webpki consults the first list that fits, and no other: beside an old list of the
            // same issuer, a new one would not be looked at, and who it revokes would get in.
            match lists.iter_mut().find(|other| other.replaces(&list)) {
                Some(other) if list.is_newer_than(other) => *other = list,
                Some(_) => {}
                None => lists.push(list),
            }
        }
        // For lists of one issuer that differ in scope and overlap nevertheless.
        lists.sort_by_key(|list| std::cmp::Reverse(list.info.this_update));
        let need_path = lists.iter().enumerate().any(|(index, list)| {
            let rivals = lists[..index].iter().any(|other| other.same_name_and_scope(list));
            rivals || list.shares_name_with_other_anchor(anchors)
        });
        Ok(RevocationLists { lists, need_path })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    pub(crate) fn infos(&self) -> impl Iterator<Item = &RevocationListInfo> {
        self.lists.iter().map(|list| &list.info)
    }

    pub(crate) fn need_path(&self) -> bool {
        self.need_path
    }

    pub(crate) fn all(&self) -> Vec<&CertRevocationList<'static>> {
        self.lists.iter().map(|list| &list.crl).collect()
    }

    /// The lists for one path. Needed where several keys go by one issuer's name, as when a CA is
    /// replaced by one of the same name: webpki would take the first list of that name, and refuse
    /// everyone whose issuer did not sign it.
    pub(crate) fn for_path(
        &self,
        path: &VerifiedPath<'_>,
        provider: &CryptoProvider,
    ) -> Vec<&CertRevocationList<'static>> {
        let mut keys = vec![webpki::spki_for_anchor(path.anchor())];
        for intermediate in path.intermediate_certificates() {
            keys.push(intermediate.subject_public_key_info());
        }
        let signed_on_path = |list: &List| keys.iter().any(|key| list.is_signed_by(key, provider));
        let kept = self.lists.iter().filter(|list| match &list.anchor_key {
            Some(key) => keys.contains(key),
            // A list of an intermediate yields only to one that an issuer on the path did sign.
            // One that nobody signed stays, and webpki refuses the chain: a forged list must not
            // have the effect of none.
            None => {
                signed_on_path(list)
                    || !self
                        .lists
                        .iter()
                        .any(|other| other.same_name_and_scope(list) && signed_on_path(other))
            }
        });
        kept.map(|list| &list.crl).collect()
    }
}

impl List {
    fn load(
        der: &[u8],
        anchors: &[TrustAnchor<'_>],
        provider: &CryptoProvider,
    ) -> Result<List, RevocationListError> {
        let crl = OwnedCertRevocationList::from_der(der)
            .map_err(|error| unusable(&error.to_string()))?
            .into();
        let (_, parsed) = x509_parser::revocation_list::CertificateRevocationList::from_der(der)
            .map_err(|error| unusable(&error.to_string()))?;
        let times = (system_time(parsed.last_update()), parsed.next_update().and_then(system_time));
        let (Some(this_update), Some(next_update)) = times else {
            return Err(unusable("its times are out of range"));
        };
        let key_id =
            parsed.extensions().iter().find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    id.key_identifier.as_ref().map(|id| id.0.to_vec())
                }
                _ => None,
            });
        let mut list = List {
            crl,
            info: RevocationListInfo {
                issuer: crate::escape_untrusted(parsed.issuer().to_string().as_bytes(), 256).into(),
                number: parsed.crl_number().map(ToString::to_string),
                this_update,
                next_update,
                revoked: parsed.iter_revoked_certificates().count(),
            },
            number: parsed.crl_number().cloned(),
            key_id,
            anchor_key: None,
            signed: parsed.tbs_cert_list.as_ref().to_vec(),
            signature: parsed.signature_value.data.to_vec(),
        };
        let mut named = false;
        for anchor in anchors.iter().filter(|anchor| anchor.subject.as_ref() == list.crl.issuer()) {
            named = true;
            let key = webpki::spki_for_anchor(anchor);
            if list.is_signed_by(&key, provider) {
                list.anchor_key = Some(key);
                break;
            }
        }
        if named && list.anchor_key.is_none() {
            return Err(RevocationListError::NotSigned { issuer: list.info.issuer });
        }
        Ok(list)
    }

    fn same_name_and_scope(&self, other: &List) -> bool {
        self.crl.issuer() == other.crl.issuer()
            && self.crl.issuing_distribution_point() == other.crl.issuing_distribution_point()
    }

    /// Whether the two come from one issuer, so that one of them is superfluous.
    fn replaces(&self, other: &List) -> bool {
        self.same_name_and_scope(other)
            && match (&self.anchor_key, &other.anchor_key) {
                (None, None) => self.key_id == other.key_id,
                (one, another) => one == another,
            }
    }

    /// RFC 5280, section 5.2.3: numbers grow. The time decides where they are missing or equal.
    fn is_newer_than(&self, other: &List) -> bool {
        (&self.number, self.info.this_update) > (&other.number, other.info.this_update)
    }

    fn shares_name_with_other_anchor(&self, anchors: &[TrustAnchor<'_>]) -> bool {
        self.anchor_key.as_ref().is_some_and(|key| {
            anchors.iter().any(|anchor| {
                anchor.subject.as_ref() == self.crl.issuer()
                    && webpki::spki_for_anchor(anchor) != *key
            })
        })
    }

    fn is_signed_by(&self, key: &SubjectPublicKeyInfoDer<'_>, provider: &CryptoProvider) -> bool {
        let Ok(key) = RawPublicKeyEntity::try_from(key) else { return false };
        provider.signature_verification_algorithms.all.iter().any(|algorithm| {
            key.verify_signature(*algorithm, &self.signed, &self.signature).is_ok()
        })
    }
}

fn unusable(reason: &str) -> RevocationListError {
    RevocationListError::Unusable { reason: crate::escape_untrusted(reason.as_bytes(), 256).into() }
}
