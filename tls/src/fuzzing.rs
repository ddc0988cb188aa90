//! What the fuzz targets of this repository need of the inside. No part of the API: it may change or
//! go with any release.

use crate::SanTemplate;
use crate::credentials::Names;
use crate::identity::IdentityError;

/// The URIs in a certificate's subject alternative name.
pub fn uri_sans(certificate: &[u8]) -> Option<Vec<Vec<u8>>> {
    crate::x509::uri_sans(certificate)
}

/// What a certificate says of itself, as logs show it.
pub fn claimed_san(certificate: &[u8]) -> Option<std::sync::Arc<str>> {
    crate::verifier::claimed_san(certificate)
}

/// The SAN of a certificate whose chain was verified, and the node that it names, as a node of this
/// cluster sees it.
///
/// # Errors
///
/// Why it names none.
pub fn named_node(
    template: &SanTemplate,
    cluster_id: &str,
    certificate: &[u8],
    expected_node: Option<&str>,
) -> Result<(String, String), IdentityError> {
    let (template, cluster_id) = (template.clone(), cluster_id.into());
    Names { template, cluster_id, node_id: "self".into() }.check(certificate, expected_node)
}
