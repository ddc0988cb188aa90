//! Names in certificates: URIs in the subject alternative name (SAN), and their template.

use std::fmt;
use std::str::FromStr;

use crate::segment::{Place, SanError, check_id, decode, encode};

/// The template that is used unless another one is set.
pub const DEFAULT_SAN_TEMPLATE: &str = "chitchat://{cluster_id}/{node_id}";

/// The longest URI that is looked at, in bytes: two ids of 255 bytes, all percent-encoded, and
/// ample room for the rest.
const MAX_URI_LEN: usize = 4096;

/// What a certificate calls its node: a URI with places for the cluster and the node.
///
/// `chitchat://{cluster_id}/{node_id}` by default; with SPIFFE, for example
/// `spiffe://example.org/cluster/{cluster_id}/node/{node_id}`. A place takes up a whole part
/// between slashes. What stands in a place is percent-encoded, once.
///
/// `{cluster_id}` may be left out: then the fixed parts have to tell clusters apart, and a
/// certificate of another cluster is refused because its SAN does not have the form.
///
/// The scheme is compared without regard to case, and so is a fixed authority (what stands
/// between `//` and the next slash), as [RFC 3986] and SPIFFE have it. All else is compared to the
/// letter after decoding, and so are ids, also where `{cluster_id}` is the authority: clusters
/// `prod` and `Prod` stay apart. Choose ids of lower-case letters, digits, `-`, `.` and `_`, and
/// no tool will get into the way; SPIFFE allows no others.
///
/// ```
/// use chitchat_tls::SanTemplate;
/// let template: SanTemplate = "spiffe://example.org/c/{cluster_id}/n/{node_id}".parse()?;
/// assert_eq!(template.node_san("blue", "node-7"), "spiffe://example.org/c/blue/n/node-7");
/// # Ok::<(), chitchat_tls::TemplateError>(())
/// ```
///
/// [RFC 3986]: https://www.rfc-editor.org/rfc/rfc3986#section-6.2.2.1
#[derive(Clone, PartialEq, Eq)]
pub struct SanTemplate {
    /// As it was written.
    text: String,
    /// In lower case.
    scheme: String,
    /// The authority, and then the segments of the path.
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq)]
enum Part {
    /// The raw text, and its decoded form, in lower case if it is the authority.
    Fixed(String, Vec<u8>),
    Cluster,
    Node,
}

/// A template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// It is no URI with a scheme and an authority.
    #[error("the SAN template {template:?} is no URI; write it like {DEFAULT_SAN_TEMPLATE}")]
    NotAUri {
        /// What was given.
        template: String,
    },
    /// It has no place for the node.
    #[error("the SAN template {template:?} has no {{node_id}}; every node needs its own name")]
    NoNodeId {
        /// What was given.
        template: String,
    },
    /// It has two places for one thing.
    #[error("the SAN template {template:?} has {place} twice; leave one of them")]
    Repeated {
        /// What was given.
        template: String,
        /// Which place.
        place: &'static str,
    },
    /// Braces that are no place, or a place that shares its part with other text.
    #[error(
        "the part {part:?} of the SAN template {template:?} is neither {{cluster_id}}, nor \
         {{node_id}}, nor plain text; a place takes up a whole part between slashes"
    )]
    BadPlace {
        /// What was given.
        template: String,
        /// The part in question.
        part: String,
    },
    /// A fixed part has something that the SAN of a node may not have.
    #[error("the part {part:?} of the SAN template {template:?} is not allowed: {source}")]
    BadPart {
        /// What was given.
        template: String,
        /// The part in question.
        part: String,
        /// What is wrong.
        #[source]
        source: SanError,
    },
}

/// Who a SAN names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SanNames {
    /// The cluster; `None` if the template has no `{cluster_id}`.
    pub cluster_id: Option<String>,
    /// The node.
    pub node_id: String,
}

impl SanTemplate {
    /// The SAN of a node, percent-encoded. The cluster is left out if the template has no place
    /// for it.
    #[must_use]
    pub fn node_san(&self, cluster_id: &str, node_id: &str) -> String {
        self.fill(cluster_id, &encode(node_id))
    }

    /// The form of the SANs of a cluster's nodes, for messages. An asterisk would be encoded if it
    /// were the id of a node.
    pub(crate) fn any_node_san(&self, cluster_id: &str) -> String {
        self.fill(cluster_id, "*")
    }

    fn fill(&self, cluster_id: &str, encoded_node_id: &str) -> String {
        let mut san = format!("{}:/", self.scheme);
        for part in &self.parts {
            san.push('/');
            match part {
                Part::Fixed(raw, _) => san.push_str(raw),
                Part::Cluster => san.push_str(&encode(cluster_id)),
                Part::Node => san.push_str(encoded_node_id),
            }
        }
        san
    }

    /// Who a URI names.
    ///
    /// # Errors
    ///
    /// If the URI does not have the form of the template, or is malformed.
    pub fn parse_san(&self, uri: &str) -> Result<SanNames, SanError> {
        if uri.len() > MAX_URI_LEN {
            return Err(SanError::TooLong);
        }
        let (scheme, rest) = split(uri).ok_or(SanError::NotAUri)?;
        if !scheme.eq_ignore_ascii_case(&self.scheme) {
            return Err(SanError::OtherForm);
        }
        let mut segments = rest.split('/');
        let (mut cluster_id, mut node_id) = (None, None);
        for (index, part) in self.parts.iter().enumerate() {
            let segment = segments.next().ok_or(SanError::OtherForm)?;
            let mut decoded = decode(segment, Place::at(index))?;
            match part {
                Part::Fixed(_, expected) => {
                    if index == 0 {
                        decoded.make_ascii_lowercase();
                    }
                    if decoded != *expected {
                        return Err(SanError::OtherForm);
                    }
                }
                Part::Cluster => cluster_id = Some(check_id(decoded)?),
                Part::Node => node_id = Some(check_id(decoded)?),
            }
        }
        if segments.next().is_some() {
            return Err(SanError::OtherForm);
        }
        // A template always has a place for the node.
        let node_id = node_id.ok_or(SanError::OtherForm)?;
        Ok(SanNames { cluster_id, node_id })
    }

    /// Whether the URI has the template's scheme. A certificate must have exactly one such SAN,
    /// so that it is never a matter of choice which node it names.
    pub(crate) fn has_scheme_of(&self, uri: &[u8]) -> bool {
        let scheme = self.scheme.as_bytes();
        uri.len() > scheme.len()
            && uri[..scheme.len()].eq_ignore_ascii_case(scheme)
            && uri[scheme.len()] == b':'
    }
}

/// The SAN of a node by the default template, `chitchat://<cluster_id>/<node_id>`.
///
/// ```
/// assert_eq!(chitchat_tls::node_san("blue", "rack 1/7"), "chitchat://blue/rack%201%2F7");
/// ```
#[must_use]
pub fn node_san(cluster_id: &str, node_id: &str) -> String {
    SanTemplate::default().node_san(cluster_id, node_id)
}

/// Takes the scheme from a URI; what comes back with it begins with the authority.
fn split(uri: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = uri.split_once("://")?;
    let mut letters = scheme.bytes();
    let valid = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    valid.then_some((scheme, rest))
}

impl FromStr for SanTemplate {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<SanTemplate, TemplateError> {
        let template = || text.to_owned();
        let Some((scheme, rest)) = split(text).filter(|_| text.len() <= MAX_URI_LEN / 2) else {
            return Err(TemplateError::NotAUri { template: template() });
        };
        let mut parts = Vec::new();
        for (index, part) in rest.split('/').enumerate() {
            let new = match part {
                "{cluster_id}" => Part::Cluster,
                "{node_id}" => Part::Node,
                _ if part.contains(['{', '}']) => {
                    let part = part.to_owned();
                    return Err(TemplateError::BadPlace { template: template(), part });
                }
                _ => match decode(part, Place::at(index)) {
                    Ok(mut decoded) => {
                        if index == 0 {
                            decoded.make_ascii_lowercase();
                        }
                        Part::Fixed(part.to_owned(), decoded)
                    }
                    Err(source) => {
                        let part = part.to_owned();
                        return Err(TemplateError::BadPart { template: template(), part, source });
                    }
                },
            };
            let place = match new {
                Part::Cluster => Some("{cluster_id}"),
                Part::Node => Some("{node_id}"),
                Part::Fixed(..) => None,
            };
            if let Some(place) = place.filter(|_| parts.contains(&new)) {
                return Err(TemplateError::Repeated { template: template(), place });
            }
            parts.push(new);
        }
        if !parts.contains(&Part::Node) {
            return Err(TemplateError::NoNodeId { template: template() });
        }
        Ok(SanTemplate { text: template(), scheme: scheme.to_ascii_lowercase(), parts })
    }
}

impl Default for SanTemplate {
    /// `chitchat://{cluster_id}/{node_id}`.
    fn default() -> SanTemplate {
        SanTemplate {
            text: DEFAULT_SAN_TEMPLATE.to_owned(),
            scheme: "chitchat".to_owned(),
            parts: vec![Part::Cluster, Part::Node],
        }
    }
}

impl fmt::Display for SanTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for SanTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SanTemplate({:?})", self.text)
    }
}
