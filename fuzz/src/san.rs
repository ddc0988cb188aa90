//! The names in certificates.

use chitchat_tls::fuzzing::{claimed_san, named_node, uri_sans};
use chitchat_tls::{SanError, SanNames, SanTemplate};

/// Templates that are in use.
const TEMPLATES: [&str; 3] = [
    "chitchat://{cluster_id}/{node_id}",
    "spiffe://example.org/cluster/{cluster_id}/node/{node_id}",
    "spiffe://example.org/blue/{node_id}",
];

/// The longest SAN that logs show, with the mark of a cut.
const SHOWN: usize = 323;

/// Any bytes, as a template and URIs line by line, as the SAN extension of a certificate, and as a
/// whole certificate: nothing panics, and what is accepted has one reading only.
pub fn san(data: &[u8]) {
    san_with(data, SanTemplate::parse_san);
}

/// The same, with another parser of URIs.
pub fn san_with(
    data: &[u8],
    parse: impl Fn(&SanTemplate, &str) -> Result<SanNames, SanError> + Copy,
) {
    if let Ok(text) = std::str::from_utf8(data) {
        texts(text, parse);
    }
    certificate(&certificate_with(data), general_names(data));
    certificate(data, None);
}

fn template(text: &str) -> SanTemplate {
    text.parse().expect("a template that is in use")
}

/// A line for a template, and one for each URI.
fn texts(text: &str, parse: impl Fn(&SanTemplate, &str) -> Result<SanNames, SanError> + Copy) {
    let mut templates: Vec<SanTemplate> = TEMPLATES.iter().map(|text| template(text)).collect();
    let mut lines = text.split('\n');
    if let Some(first) = lines.next()
        && let Ok(own) = first.parse::<SanTemplate>()
    {
        assert_eq!(own.to_string().parse(), Ok(own.clone()), "a template is its text");
        templates.push(own);
    }
    for uri in text.split('\n') {
        for template in &templates {
            uri_of(template, uri, parse);
        }
    }
}

fn uri_of(
    template: &SanTemplate,
    uri: &str,
    parse: impl Fn(&SanTemplate, &str) -> Result<SanNames, SanError>,
) {
    let Ok(names) = parse(template, uri) else { return };
    let cluster = names.cluster_id.as_deref();
    for id in cluster.into_iter().chain([&*names.node_id]) {
        assert!((1..=255).contains(&id.len()), "{id:?} in {uri:?}");
    }
    let canonical = template.node_san(cluster.unwrap_or("any"), &names.node_id);
    assert!(canonical.is_ascii(), "{canonical:?}");
    assert_eq!(parse(template, &canonical), Ok(names.clone()), "{uri:?} as {canonical:?}");
    // By another decoder, that knows nothing but RFC 3986: the parts where the places are.
    let (_, path) = uri.split_once("://").expect("a URI");
    let written: Vec<&str> = path.split('/').collect();
    let text = template.to_string();
    let (_, form) = text.split_once("://").expect("a template");
    let places: Vec<&str> = form.split('/').collect();
    assert_eq!(written.len(), places.len(), "{uri:?} by {text:?}");
    for (part, place) in written.into_iter().zip(places) {
        let expected = match place {
            "{cluster_id}" => names.cluster_id.as_deref(),
            "{node_id}" => Some(&*names.node_id),
            _ => None,
        };
        if let Some(expected) = expected {
            assert_eq!(decoded_once(part), expected.as_bytes(), "{uri:?}");
        }
    }
}

/// Percent-decoding of a part that is known to be well-formed.
fn decoded_once(part: &str) -> Vec<u8> {
    let mut pieces = part.split('%');
    let mut decoded = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at(2);
        decoded.push(u8::from_str_radix(digits, 16).expect("two hexadecimal digits"));
        decoded.extend_from_slice(rest.as_bytes());
    }
    decoded
}

/// A certificate whose chain may have been verified. `expected`: the URIs in it, if it is known that
/// they can be read.
fn certificate(der: &[u8], expected: Option<Vec<Vec<u8>>>) {
    if let Some(shown) = claimed_san(der) {
        let printable = shown.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        assert!(printable && shown.len() <= SHOWN, "{shown:?}");
    }
    let sans = uri_sans(der);
    if let (Some(sans), Some(expected)) = (&sans, &expected) {
        assert_eq!(sans, expected, "URIs that go unnoticed, or that are not there");
    }
    for (text, cluster) in TEMPLATES.into_iter().zip(["blue", "c", "blue"]) {
        let template = template(text);
        let Ok((san, node)) = named_node(&template, cluster, der, None) else { continue };
        let sans = sans.as_ref().expect("it was read");
        let scheme = text.split(':').next().unwrap_or_default().as_bytes();
        let of_scheme = |san: &&Vec<u8>| {
            san.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
                && san.get(scheme.len()) == Some(&b':')
        };
        let ours: Vec<&Vec<u8>> = sans.iter().filter(of_scheme).collect();
        assert_eq!(ours, [san.as_bytes()], "which one it names is a matter of choice");
        let names = template.parse_san(&san).expect("it was read");
        assert_eq!(names.node_id, node);
        assert!(names.cluster_id.is_none_or(|named| named == cluster));
        assert!(named_node(&template, cluster, der, Some(&node)).is_ok());
        let other = format!("{node}x");
        assert!(named_node(&template, cluster, der, Some(&other)).is_err());
    }
}

/// The URIs among general names, by a reader that takes the plainest form of DER only.
fn general_names(extension: &[u8]) -> Option<Vec<Vec<u8>>> {
    /// RFC 5280, section 4.2.1.6: `uniformResourceIdentifier [6]`, primitive.
    const URI: u8 = 0x86;
    let (0x30, mut names, []) = element(extension)? else { return None };
    let mut uris = Vec::new();
    while !names.is_empty() {
        let (tag, content, rest) = element(names)?;
        if tag == URI {
            uris.push(content.to_vec());
        }
        names = rest;
    }
    Some(uris)
}

/// Tag, content, and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk()?;
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => {
            let (&[len], rest) = rest.split_first_chunk()?;
            (usize::from(len), rest)
        }
        0x82 => {
            let (len, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*len)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((tag, content, rest))
}

/// A certificate with this as its SAN extension. Nobody has signed it: names are read after the chain
/// was verified.
fn certificate_with(extension: &[u8]) -> Vec<u8> {
    const ECDSA_SHA256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    const EC_P256: &[u8] =
        b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
    const SAN: &[u8] = &[0x06, 3, 0x55, 0x1d, 0x11];
    let algorithm = tlv(0x30, &[ECDSA_SHA256]);
    let name = tlv(0x30, &[]);
    let validity = tlv(0x30, &[&tlv(0x17, &[b"250101000000Z"]), &tlv(0x17, &[b"350101000000Z"])]);
    let key = tlv(0x30, &[&tlv(0x30, &[EC_P256]), &tlv(0x03, &[&[0, 4], &[1; 64]])]);
    let extension = tlv(0x30, &[SAN, &tlv(0x04, &[extension])]);
    let extensions = tlv(0xa3, &[&tlv(0x30, &[&extension])]);
    let version = tlv(0xa0, &[&tlv(0x02, &[&[2]])]);
    let serial = tlv(0x02, &[&[1]]);
    let to_be_signed =
        tlv(0x30, &[&version, &serial, &algorithm, &name, &validity, &name, &key, &extensions]);
    tlv(0x30, &[&to_be_signed, &algorithm, &tlv(0x03, &[&[0, 0]])])
}

fn tlv(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let content = contents.concat();
    let mut out = vec![tag];
    let len = content.len().to_be_bytes();
    let len = &len[len.iter().position(|byte| *byte != 0).unwrap_or(len.len() - 1)..];
    if !matches!(len, [0..0x80]) {
        out.extend(u8::try_from(0x80 + len.len()));
    }
    out.extend(len);
    out.extend(content);
    out
}
