//! Keys as the indexes hold them.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// Longest key that needs no memory of its own.
const INLINE: usize = 22;

/// The text of a key: within this value if it is short, as most are, and shared otherwise.
///
/// Every entry holds its key twice, by key and by version. An `Arc<str>` for both would cost an
/// allocation per entry, and a lookup would follow a pointer with every comparison.
#[derive(Clone)]
pub(crate) enum Key {
    Inline { len: u8, bytes: [u8; INLINE] },
    Shared(Arc<str>),
}

impl Key {
    pub(crate) fn new(text: &str) -> Key {
        let mut bytes = [0; INLINE];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(room), Ok(len)) => {
                room.copy_from_slice(text.as_bytes());
                Key::Inline { len, bytes }
            }
            _ => Key::Shared(text.into()),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Key::Inline { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Key::Shared(text) => text.as_bytes(),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            // Made from a text; checking that again is cheaper than what is saved.
            Key::Inline { .. } => std::str::from_utf8(self.as_bytes()).unwrap_or_default(),
            Key::Shared(text) => text,
        }
    }

    /// The text to hand out.
    pub(crate) fn to_arc(&self) -> Arc<str> {
        match self {
            Key::Inline { .. } => self.as_str().into(),
            Key::Shared(text) => text.clone(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Key::Inline { len, .. } => usize::from(*len),
            Key::Shared(text) => text.len(),
        }
    }
}

// The order of UTF-8 texts is that of their bytes.
impl Ord for Key {
    fn cmp(&self, other: &Key) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_text_whatever_its_length() {
        for text in ["", "k", "\u{0}status", "ä", &"x".repeat(22), &"x".repeat(23), &"ö".repeat(99)]
        {
            let key = Key::new(text);
            assert_eq!((key.as_str(), key.len(), &*key.to_arc()), (text, text.len(), text));
        }
        assert!(Key::new("a") < Key::new("ab") && Key::new(&"a".repeat(30)) < Key::new("b"));
        assert_eq!(size_of::<Key>(), 24);
    }
}
