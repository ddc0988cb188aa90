//! What the end of a connection means.

use std::sync::Arc;

use chitchat_tls::escape_untrusted;
use chitchat_transport_links::CloseCode;
use quinn::ConnectionError;

use crate::code::from_varint;

/// As much of a peer's words as gets into a log line.
const MAX_WORDS: usize = 200;

/// Why a connection is no more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// One side wanted it so, or it was idle.
    Orderly,
    /// The peer will not have us, in its own words.
    Rejected(Arc<str>),
    /// It broke. The name is for counting.
    Lost(&'static str),
}

/// `confirmed`: the peer had accepted us before. `by_us`: we had dialled.
pub(crate) fn cause(error: &ConnectionError, confirmed: bool, by_us: bool) -> Cause {
    match error {
        // Whoever closed it on our side has said why.
        ConnectionError::LocallyClosed => Cause::Orderly,
        ConnectionError::TimedOut if confirmed => Cause::Orderly,
        ConnectionError::TimedOut => Cause::Lost("timed out"),
        ConnectionError::ApplicationClosed(close) => {
            match from_varint(close.error_code) {
                // It looked for somebody else, at an address that we have now, and has nothing
                // against us.
                Some(CloseCode::WrongNode) if !by_us => Cause::Orderly,
                Some(code) if code.is_rejection() => Cause::Rejected(code.in_words(&close.reason)),
                Some(_) => Cause::Orderly,
                None => Cause::Lost("closed with an unknown code"),
            }
        }
        ConnectionError::ConnectionClosed(close) => {
            let words = escape_untrusted(&close.reason, MAX_WORDS);
            // TLS alerts, that is, what the peer thinks of our certificate (RFC 9001, section 4.8).
            match u64::from(close.error_code).checked_sub(0x100).filter(|alert| *alert < 0x100) {
                Some(alert) => Cause::Rejected(format!("TLS alert {alert}: {words}").into()),
                None => Cause::Lost("aborted by the peer"),
            }
        }
        ConnectionError::Reset => Cause::Lost("reset by the peer"),
        ConnectionError::VersionMismatch => {
            Cause::Rejected("it speaks no version of QUIC that we speak".into())
        }
        ConnectionError::TransportError(_) => Cause::Lost("transport error"),
        ConnectionError::CidsExhausted => Cause::Lost("connection ids exhausted"),
    }
}

#[cfg(test)]
mod tests {
    use quinn::{ApplicationClose, VarInt};

    use super::*;

    fn closed(code: u32, reason: &'static [u8]) -> ConnectionError {
        ConnectionError::ApplicationClosed(ApplicationClose {
            error_code: VarInt::from_u32(code),
            reason: reason.into(),
        })
    }

    #[test]
    fn words_of_the_peer_are_escaped_and_cut() {
        let Cause::Rejected(words) = cause(&closed(7, b"bad\n\x1b[31mguy"), true, true) else {
            panic!()
        };
        assert!(words.starts_with("certificate revoked: bad"), "{words}");
        assert!(words.chars().all(|c| !c.is_control()), "{words:?}");
        let long: &'static [u8] = Box::leak(vec![b'x'; 100_000].into());
        let Cause::Rejected(words) = cause(&closed(4, long), false, true) else { panic!() };
        assert!(words.len() < 300);
    }

    #[test]
    fn a_dialler_that_looked_for_somebody_else_does_not_reject_us() {
        let wrong_node = closed(CloseCode::WrongNode as u32, b"");
        assert_eq!(cause(&wrong_node, false, false), Cause::Orderly);
        assert!(matches!(cause(&wrong_node, false, true), Cause::Rejected(_)));
    }

    #[test]
    fn an_end_that_was_wanted_is_no_failure_and_no_rejection() {
        for code in [CloseCode::None, CloseCode::Idle, CloseCode::ShuttingDown] {
            assert_eq!(cause(&closed(code as u32, b""), false, true), Cause::Orderly);
        }
        assert_eq!(cause(&ConnectionError::TimedOut, true, true), Cause::Orderly);
        assert_eq!(cause(&ConnectionError::Reset, true, true), Cause::Lost("reset by the peer"));
        assert_eq!(cause(&closed(99, b""), true, true), Cause::Lost("closed with an unknown code"));
    }
}
