//! One part of a URI: percent-encoding, and what may stand there.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The longest cluster or node id, in bytes of UTF-8.
pub const MAX_ID_LEN: usize = 255;

/// All but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A URI does not name a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SanError {
    /// No scheme, or no `://` behind it.
    #[error("it is no URI with a scheme and an authority")]
    NotAUri,
    /// A well-formed URI that the template does not describe.
    #[error("it does not have the form of the template")]
    OtherForm,
    /// Longer than any SAN of a node can be.
    #[error("it is longer than 4096 bytes")]
    TooLong,
    /// Nothing between two slashes, or before the first or behind the last.
    #[error("it has an empty part")]
    EmptyPart,
    /// A part is `.` or `..`, which tools that resolve URIs take away.
    #[error("a part of it is a dot segment")]
    DotSegment,
    /// A query or a fragment.
    #[error("it has a query or a fragment")]
    QueryOrFragment,
    /// The authority has a user or a port.
    #[error("its authority has a user or a port")]
    UserOrPort,
    /// A character that has to be percent-encoded in a URI.
    #[error("it has a character that has to be percent-encoded")]
    NotEncoded,
    /// A percent sign without two hexadecimal digits.
    #[error("it has a percent sign without two hexadecimal digits behind it")]
    BadPercent,
    /// An id is not UTF-8 after decoding.
    #[error("an id in it is not UTF-8")]
    NotUtf8,
    /// An id is longer than [`MAX_ID_LEN`] bytes after decoding.
    #[error("an id in it is longer than 255 bytes")]
    IdTooLong,
}

/// Where in a URI a part stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Authority,
    Path,
}

impl Place {
    /// The first part is the authority.
    pub(crate) fn at(index: usize) -> Place {
        if index == 0 { Place::Authority } else { Place::Path }
    }
}

/// An id as it stands in a URI.
pub(crate) fn encode(id: &str) -> String {
    // Left as they are, these two would be path navigation.
    match id {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => utf8_percent_encode(id, RESERVED).to_string(),
    }
}

/// Undoes percent-encoding, once, and strictly: what should have been encoded and is not, is an
/// error, so that one id has no two readings.
pub(crate) fn decode(part: &str, place: Place) -> Result<Vec<u8>, SanError> {
    if part.is_empty() {
        return Err(SanError::EmptyPart);
    }
    if matches!(part, "." | "..") {
        return Err(SanError::DotSegment);
    }
    let mut decoded = Vec::with_capacity(part.len());
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let (high, low) = (hex_digit(bytes.next()), hex_digit(bytes.next()));
                match (high, low) {
                    (Some(high), Some(low)) => high << 4 | low,
                    _ => return Err(SanError::BadPercent),
                }
            }
            b'?' | b'#' => return Err(SanError::QueryOrFragment),
            b'@' | b':' if place == Place::Authority => return Err(SanError::UserOrPort),
            // RFC 3986, section 3.3: pchar; section 3.2.2: reg-name is the same less `@` and `:`.
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+'
            | b',' | b';' | b'=' | b':' | b'@' => byte,
            _ if byte.is_ascii_alphanumeric() => byte,
            _ => return Err(SanError::NotEncoded),
        });
    }
    Ok(decoded)
}

fn hex_digit(byte: Option<u8>) -> Option<u8> {
    match byte? {
        digit @ b'0'..=b'9' => Some(digit - b'0'),
        digit @ b'a'..=b'f' => Some(digit - b'a' + 10),
        digit @ b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// A decoded part as an id.
pub(crate) fn check_id(decoded: Vec<u8>) -> Result<String, SanError> {
    if decoded.len() > MAX_ID_LEN {
        return Err(SanError::IdTooLong);
    }
    String::from_utf8(decoded).map_err(|_| SanError::NotUtf8)
}
