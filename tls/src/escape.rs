//! What others say, made fit for a log line.

use std::fmt::Write as _;

/// What stands at the end of a text that was cut.
const CUT: &str = "...";

/// Makes bytes from an untrusted source fit for logs and error messages.
///
/// Printable ASCII stays as it is, except for the backslash; everything else (line breaks,
/// terminal escapes, look-alike letters, bytes that are not UTF-8) becomes an escape like `\n`,
/// `\u{1f600}` or `\xff`. The result is at most `max_chars` characters long, and `...` behind it
/// says that something was left out.
///
/// ```
/// assert_eq!(chitchat_tls::escape_untrusted(b"no\nroom", 64), "no\\nroom");
/// assert_eq!(chitchat_tls::escape_untrusted(b"much too long", 4), "much...");
/// ```
#[must_use]
pub fn escape_untrusted(text: &[u8], max_chars: usize) -> String {
    // An input character yields at least one output character, so that reading ends soon however
    // long the input is. A UTF-8 character has at most four bytes.
    let text = &text[..text.len().min(max_chars.saturating_add(1).saturating_mul(4))];
    let mut escaped = String::new();
    let mut piece = String::new();
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            piece.clear();
            match character {
                '\\' => piece.push_str("\\\\"),
                ' '..='~' => piece.push(character),
                _ => piece.extend(character.escape_default()),
            }
            if !push(&mut escaped, &piece, max_chars) {
                return escaped;
            }
        }
        for byte in chunk.invalid() {
            piece.clear();
            // Writing to a string does not fail.
            let _ = write!(piece, "\\x{byte:02x}");
            if !push(&mut escaped, &piece, max_chars) {
                return escaped;
            }
        }
    }
    escaped
}

/// Appends a piece if there is room for all of it, and else the mark of the cut.
fn push(escaped: &mut String, piece: &str, max_chars: usize) -> bool {
    // Everything in here is ASCII, so that bytes are characters.
    let fits = escaped.len() + piece.len() <= max_chars;
    escaped.push_str(if fits { piece } else { CUT });
    fits
}

/// The longest SAN that errors show, in characters.
pub(crate) const SHOWN_SAN_CHARS: usize = 320;

/// A SAN as errors show it.
pub(crate) fn shown_san(san: &[u8]) -> std::sync::Arc<str> {
    escape_untrusted(san, SHOWN_SAN_CHARS).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_printable_ascii_passes() {
        assert_eq!(escape_untrusted(b"chitchat://c/n-1", 99), "chitchat://c/n-1");
        assert_eq!(escape_untrusted(b"a\\b\x1b[31m\0", 99), "a\\\\b\\u{1b}[31m\\u{0}");
        assert_eq!(escape_untrusted("über".as_bytes(), 99), "\\u{fc}ber");
        assert_eq!(escape_untrusted(b"\xff\xfe", 99), "\\xff\\xfe");
        assert_eq!(escape_untrusted(b"", 99), "");
    }

    #[test]
    fn escapes_are_never_cut_in_half() {
        assert_eq!(escape_untrusted(b"ab\n", 4), "ab\\n");
        assert_eq!(escape_untrusted(b"ab\n", 3), "ab...");
        assert_eq!(escape_untrusted(b"\xff", 3), "...");
        assert_eq!(escape_untrusted(b"", 0), "");
        assert_eq!(escape_untrusted(b"x", 0), "...");
        assert_eq!(escape_untrusted(&vec![b'x'; 1 << 20], 8), "xxxxxxxx...");
        assert_eq!(escape_untrusted("\u{1f600}".repeat(100).as_bytes(), 9), "\\u{1f600}...");
    }
}
