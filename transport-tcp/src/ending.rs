//! What the end of a connection means.

use std::sync::Arc;

use chitchat_transport_links::CloseCode;

use crate::frame::Malformed;

/// Why a connection is no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// We closed it, and have said why.
    Ours,
    /// The peer wanted it so.
    Theirs,
    /// The peer will not have us, in its own words.
    Rejected(Arc<str>),
    /// It broke. The name is for counting.
    Lost(&'static str),
    /// The peer sends what is none of the transport's frames.
    Malformed(Malformed),
    /// The peer began to send something and did not go on.
    TooSlow,
}

/// What the peer says against us with its goodbye, if it does.
pub(crate) fn rejection(
    code: Option<CloseCode>,
    reason: &[u8],
    dialled_by_us: bool,
) -> Option<Arc<str>> {
    match code {
        // It looked for somebody else, at an address that we have now, and has nothing against us.
        Some(CloseCode::WrongNode) if !dialled_by_us => None,
        Some(code) if code.is_rejection() => Some(words(code, reason)),
        _ => None,
    }
}

#[cfg(feature = "tls")]
fn words(code: CloseCode, reason: &[u8]) -> Arc<str> {
    code.in_words(reason)
}

/// Nobody has proved who it is, so nobody's words get into a log.
#[cfg(not(feature = "tls"))]
fn words(code: CloseCode, _reason: &[u8]) -> Arc<str> {
    code.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_rejection_is_told_and_not_that_of_a_dialler_that_looked_for_another_node() {
        assert_eq!(rejection(Some(CloseCode::Idle), b"", true), None);
        assert_eq!(rejection(None, b"what", true), None);
        assert_eq!(rejection(Some(CloseCode::WrongNode), b"", false), None);
        assert!(rejection(Some(CloseCode::WrongNode), b"", true).is_some());
        let words = rejection(Some(CloseCode::Overloaded), b"\x1b[31m", true).unwrap();
        assert!(words.starts_with("overloaded"), "{words}");
        assert!(words.chars().all(|c| !c.is_control()), "{words:?}");
    }
}
