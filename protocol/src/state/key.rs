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
        match (self, other) {
            (Key::Inline { len, bytes }, Key::Inline { len: other_len, bytes: other }) => {
                // What follows a text is zeros: only texts that end with zeros are the same but for
                // their lengths.
                words(bytes).cmp(&words(other)).then(len.cmp(other_len))
            }
            _ => self.as_bytes().cmp(other.as_bytes()),
        }
    }
}

/// Numbers in the order of the texts. Comparing these is a few instructions, and keys that are compared
/// begin alike.
fn words(bytes: &[u8; INLINE]) -> [u64; 3] {
    let word = |at: usize| {
        let word = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
        u64::from_be_bytes(word.copied().unwrap_or_default())
    };
    // The last two overlap.
    [word(0), word(8), word(INLINE - 8)]
}

/// A text that is looked for among keys.
#[derive(Debug)]
pub(crate) struct Probe<'a> {
    bytes: &'a [u8],
    /// The same, if it is short.
    key: Option<Key>,
}

impl<'a> Probe<'a> {
    pub(crate) fn new(text: &'a str) -> Probe<'a> {
        let key = (text.len() <= INLINE).then(|| Key::new(text));
        Probe { bytes: text.as_bytes(), key }
    }

    pub(crate) fn of(key: &'a Key) -> Probe<'a> {
        let short = matches!(key, Key::Inline { .. }).then(|| key.clone());
        Probe { bytes: key.as_bytes(), key: short }
    }

    /// How a key stands to the text.
    pub(crate) fn order_of(&self, key: &Key) -> Ordering {
        match &self.key {
            Some(short) if matches!(key, Key::Inline { .. }) => key.cmp(short),
            _ => key.as_bytes().cmp(self.bytes),
        }
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

    #[test]
    fn keys_are_in_the_order_of_their_texts() {
        let mut texts: Vec<String> = ["", "\0", "\0\0", "a", "a\0", "a\0b", "ab", "b", "ä"]
            .map(str::to_owned)
            .into_iter()
            .collect();
        let long = |len: usize, end: &str| "x".repeat(len) + end;
        for len in [6, 7, 8, 13, 14, 15, 16, 20, 21, 22, 23, 40] {
            texts.extend([long(len, ""), long(len, "\0"), long(len, "a"), long(len, "ö")]);
        }
        for (one, other) in texts.iter().flat_map(|one| texts.iter().map(move |it| (one, it))) {
            let order = one.cmp(other);
            assert_eq!(Key::new(one).cmp(&Key::new(other)), order, "{one:?} {other:?}");
            assert_eq!(Probe::new(other).order_of(&Key::new(one)), order, "{one:?} {other:?}");
            assert_eq!(Probe::of(&Key::new(other)).order_of(&Key::new(one)), order);
        }
    }
}
