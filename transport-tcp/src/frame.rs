//! How messages are cut into frames, and put together again. No I/O.
//!
//! A frame is its kind in one byte, the length of its content in two (big endian, at most 16 KiB),
//! and its content. A message of up to 16 KiB is one frame. A longer one is its first frame, which
//! begins with the length of the whole message in four bytes, and further ones; frames of other
//! kinds may come between them, but not another long message. So a short message never waits
//! for more than one frame of a long one.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use chitchat_transport_links::CloseCode;

use crate::config::MESSAGE_LIMIT;

/// Longest content of a frame.
pub(crate) const FRAME_LIMIT: usize = 16 << 10;
/// Kind and length.
pub(crate) const HEADER: usize = 3;
/// The length of the whole message, in the first frame of a long one.
const WHOLE_LEN: usize = 4;
/// As much of a reason as is sent, or taken.
pub(crate) const REASON_LIMIT: usize = 512;

const MESSAGE: u8 = 0;
const BEGIN: u8 = 1;
const CONTINUE: u8 = 2;
pub(crate) const GOODBYE: u8 = 3;
const PING: u8 = 4;
const PONG: u8 = 5;

/// What the bytes of a peer come to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A whole message.
    Message(Bytes),
    /// A part of a long message, which is not whole yet. `first`: its first one.
    Part { first: bool },
    /// The peer closes. Nothing follows. The reason is the peer's, and may be anything.
    Goodbye { code: Option<CloseCode>, reason: Bytes },
    /// The peer asks whether we are there.
    Ping,
    /// We are there for the peer, and it for us.
    Pong,
}

/// Bytes that are no frames. Nothing after them can be made sense of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("a frame of an unknown kind")]
    UnknownKind,
    #[error("a frame, or a message, that is longer than allowed")]
    TooLong,
    #[error("a frame whose content is not what its kind demands")]
    BadContent,
    #[error("a part of a long message out of its order")]
    OutOfOrder,
}

/// Puts frames together.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// A long message that is coming, and its length.
    long: Option<(BytesMut, usize)>,
}

impl Decoder {
    /// Takes one frame off the front of what has come, if there is a whole one.
    pub(crate) fn next(&mut self, came: &mut BytesMut) -> Result<Option<Received>, Malformed> {
        let Some(header) = came.first_chunk::<HEADER>() else {
            // What can be known to be wrong is not waited for.
            return match came.first() {
                Some(kind) if *kind > PONG => Err(Malformed::UnknownKind),
                _ => Ok(None),
            };
        };
        let [kind, high, low] = *header;
        let len = usize::from(u16::from_be_bytes([high, low]));
        if kind > PONG {
            return Err(Malformed::UnknownKind);
        }
        if len > FRAME_LIMIT {
            return Err(Malformed::TooLong);
        }
        if came.len() < HEADER + len {
            return Ok(None);
        }
        came.advance(HEADER);
        let content = came.split_to(len);
        self.take(kind, &content).map(Some)
    }

    /// Contents are copied: one that stayed a part of what was read would keep all of that.
    fn take(&mut self, kind: u8, mut content: &[u8]) -> Result<Received, Malformed> {
        match kind {
            MESSAGE => Ok(Received::Message(Bytes::copy_from_slice(content))),
            BEGIN => {
                let whole = content.try_get_u32().map_err(|_| Malformed::BadContent)?;
                let whole = usize::try_from(whole).map_err(|_| Malformed::TooLong)?;
                if self.long.is_some() {
                    return Err(Malformed::OutOfOrder);
                }
                if whole > MESSAGE_LIMIT {
                    return Err(Malformed::TooLong);
                }
                if content.is_empty() || whole <= content.len() {
                    return Err(Malformed::BadContent);
                }
                // Memory is taken as bytes come, not as they are announced.
                self.long = Some((BytesMut::from(content), whole));
                Ok(Received::Part { first: true })
            }
            CONTINUE => {
                let Some((part, whole)) = &mut self.long else {
                    return Err(Malformed::OutOfOrder);
                };
                if content.is_empty() || part.len() + content.len() > *whole {
                    return Err(Malformed::BadContent);
                }
                part.extend_from_slice(content);
                if part.len() < *whole {
                    return Ok(Received::Part { first: false });
                }
                let (whole, _) = self.long.take().unwrap_or_default();
                Ok(Received::Message(whole.freeze()))
            }
            GOODBYE => {
                let code = content.try_get_u8().map_err(|_| Malformed::BadContent)?;
                let code = CloseCode::from_number(u64::from(code));
                let reason = Bytes::copy_from_slice(&content[..content.len().min(REASON_LIMIT)]);
                Ok(Received::Goodbye { code, reason })
            }
            PING | PONG if !content.is_empty() => Err(Malformed::BadContent),
            PING => Ok(Received::Ping),
            PONG => Ok(Received::Pong),
            _ => Err(Malformed::UnknownKind),
        }
    }

    /// The length of the long message that is coming, if there is one.
    pub(crate) fn awaits(&self) -> Option<usize> {
        self.long.as_ref().map(|(_, whole)| *whole)
    }
}

fn put(out: &mut BytesMut, kind: u8, parts: &[&[u8]]) {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    debug_assert!(len <= FRAME_LIMIT);
    out.reserve(HEADER + len);
    out.put_u8(kind);
    // What is longer than a frame is never handed to it.
    out.put_u16(u16::try_from(len).unwrap_or(u16::MAX));
    for part in parts {
        out.put_slice(part);
    }
}

/// A message that fits into a frame.
pub(crate) fn put_message(out: &mut BytesMut, message: &[u8]) {
    put(out, MESSAGE, &[message]);
}

pub(crate) fn put_ping(out: &mut BytesMut) {
    put(out, PING, &[]);
}

pub(crate) fn put_pong(out: &mut BytesMut) {
    put(out, PONG, &[]);
}

/// The last frame of a connection.
pub(crate) fn put_goodbye(out: &mut BytesMut, code: CloseCode, reason: &str) {
    let mut end = reason.len().min(REASON_LIMIT);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    put(out, GOODBYE, &[&[code.number()], &reason.as_bytes()[..end]]);
}

/// A long message that is being sent.
#[derive(Debug)]
pub(crate) struct LongMessage {
    whole: Bytes,
    rest: Bytes,
}

impl LongMessage {
    /// It has to be longer than a frame.
    pub(crate) fn new(message: Bytes) -> Self {
        Self { rest: message.clone(), whole: message }
    }

    /// The next frame of it. True if that was the last one.
    pub(crate) fn put_next(&mut self, out: &mut BytesMut) -> bool {
        if self.rest.len() == self.whole.len() {
            // No message is that long.
            let len = u32::try_from(self.whole.len()).unwrap_or(u32::MAX).to_be_bytes();
            let part = self.rest.split_to((FRAME_LIMIT - WHOLE_LEN).min(self.rest.len()));
            put(out, BEGIN, &[&len, &part]);
        } else {
            let part = self.rest.split_to(FRAME_LIMIT.min(self.rest.len()));
            put(out, CONTINUE, &[&part]);
        }
        self.rest.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.whole.len()
    }

    /// All of it, to be sent another way.
    pub(crate) fn into_message(self) -> Bytes {
        self.whole
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(decoder: &mut Decoder, came: &mut BytesMut) -> Result<Vec<Received>, Malformed> {
        let mut received = Vec::new();
        while let Some(one) = decoder.next(came)? {
            received.push(one);
        }
        Ok(received)
    }

    fn put_any(out: &mut BytesMut, message: &Bytes) {
        if message.len() <= FRAME_LIMIT {
            return put_message(out, message);
        }
        let mut long = LongMessage::new(message.clone());
        while !long.put_next(out) {}
    }

    fn bytes(len: usize) -> Bytes {
        (0..len).map(|index| u8::try_from(index % 251).unwrap()).collect()
    }

    fn malformed(bytes: &[u8]) -> Malformed {
        all(&mut Decoder::default(), &mut BytesMut::from(bytes)).unwrap_err()
    }

    #[test]
    fn messages_of_all_lengths_arrive_whole_and_in_order() {
        let lens = [0, 1, FRAME_LIMIT - 1, FRAME_LIMIT, FRAME_LIMIT + 1, 100_000, MESSAGE_LIMIT];
        let mut stream = BytesMut::new();
        for len in lens {
            put_any(&mut stream, &bytes(len));
        }
        let received = all(&mut Decoder::default(), &mut stream).unwrap();
        let whole: Vec<&Bytes> = received
            .iter()
            .filter_map(|one| match one {
                Received::Message(message) => Some(message),
                _ => None,
            })
            .collect();
        assert_eq!(whole.len(), lens.len());
        assert!(whole.into_iter().zip(lens).all(|(message, len)| *message == bytes(len)));
        assert!(stream.is_empty());
    }

    #[test]
    fn a_short_message_passes_between_the_parts_of_a_long_one() {
        let mut stream = BytesMut::new();
        let mut long = LongMessage::new(bytes(20_000));
        assert!(!long.put_next(&mut stream));
        put_message(&mut stream, b"short");
        put_ping(&mut stream);
        assert!(long.put_next(&mut stream));
        let received = all(&mut Decoder::default(), &mut stream).unwrap();
        let expected = [
            Received::Part { first: true },
            Received::Message(Bytes::from_static(b"short")),
            Received::Ping,
            Received::Message(bytes(20_000)),
        ];
        assert_eq!(received, expected);
    }

    #[test]
    fn what_is_no_frame_is_refused_before_it_is_waited_for() {
        assert_eq!(malformed(b"GET / HTTP/1.1"), Malformed::UnknownKind);
        assert_eq!(malformed(&[0xff]), Malformed::UnknownKind);
        assert_eq!(malformed(&[MESSAGE, 0x40, 0x01]), Malformed::TooLong);
        assert_eq!(malformed(&[PING, 0, 1, 0]), Malformed::BadContent);
        assert_eq!(malformed(&[GOODBYE, 0, 0]), Malformed::BadContent);
        assert_eq!(malformed(&[CONTINUE, 0, 1, 0]), Malformed::OutOfOrder);
        assert_eq!(malformed(&[BEGIN, 0, 3, 0, 0, 0]), Malformed::BadContent);
        assert_eq!(malformed(&[BEGIN, 0, 5, 0xff, 0xff, 0xff, 0xff, 0]), Malformed::TooLong);
        assert_eq!(malformed(&[BEGIN, 0, 5, 0, 0, 0, 1, 0]), Malformed::BadContent);
        let begin = [BEGIN, 0, 5, 0, 0, 0, 3, 0];
        assert_eq!(malformed(&[begin, begin].concat()), Malformed::OutOfOrder);
        let empty: &[u8] = &[CONTINUE, 0, 0];
        assert_eq!(malformed(&[&begin, empty].concat()), Malformed::BadContent);
        let more_than_announced: &[u8] = &[CONTINUE, 0, 3, 0, 0, 0];
        assert_eq!(malformed(&[&begin, more_than_announced].concat()), Malformed::BadContent);
    }

    #[test]
    fn a_goodbye_carries_its_code_and_as_much_of_its_reason_as_fits() {
        let mut stream = BytesMut::new();
        put_goodbye(&mut stream, CloseCode::Revoked, &"ä".repeat(1_000));
        let received = all(&mut Decoder::default(), &mut stream).unwrap();
        let [Received::Goodbye { code, reason }] = &received[..] else { panic!("{received:?}") };
        assert_eq!(*code, Some(CloseCode::Revoked));
        assert_eq!(std::str::from_utf8(reason).unwrap(), "ä".repeat(256));
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_cut_the_same_messages_come_out(
            lens in prop::collection::vec(0_usize..40_000, 1..6),
            cuts in prop::collection::vec(1_usize..20_000, 1..20),
        ) {
            let messages: Vec<Bytes> = lens.into_iter().map(bytes).collect();
            let mut stream = BytesMut::new();
            for message in &messages {
                put_any(&mut stream, message);
            }
            let (mut decoder, mut came, mut received) =
                (Decoder::default(), BytesMut::new(), Vec::new());
            for cut in cuts.iter().cycle() {
                let piece = stream.split_to((*cut).min(stream.len()));
                came.extend_from_slice(&piece);
                received.extend(all(&mut decoder, &mut came).unwrap());
                if stream.is_empty() {
                    break;
                }
            }
            received.retain(|one| !matches!(one, Received::Part { .. }));
            let expected: Vec<_> = messages.into_iter().map(Received::Message).collect();
            prop_assert_eq!(received, expected);
        }

        #[test]
        fn any_bytes_give_frames_or_an_error_and_hold_no_more_than_came(
            bytes in prop::collection::vec(any::<u8>(), 0..2_000),
        ) {
            let mut decoder = Decoder::default();
            let mut came = BytesMut::from(&bytes[..]);
            let _ = all(&mut decoder, &mut came);
            let held = decoder.long.as_ref().map_or(0, |(part, _)| part.len());
            prop_assert!(held + came.len() <= bytes.len());
        }
    }

    /// A part of `docs/wire-format.md`.
    fn documented(name: &str) -> String {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/wire-format.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (_, part) = text.split_once(&format!("<!-- begin: {name} -->")).unwrap();
        let (part, _) = part.split_once(&format!("<!-- end: {name} -->")).unwrap();
        part.to_owned()
    }

    #[test]
    fn the_document_of_the_wire_format_lists_every_kind_of_frame() {
        let table = documented("TCP frames");
        let rows = table.lines().filter(|line| line.starts_with("| ")).skip(2);
        let kinds: Vec<(u8, String)> = rows
            .map(|row| {
                let cells: Vec<&str> = row.split('|').map(str::trim).collect();
                (cells[1].parse().unwrap(), cells[2].to_owned())
            })
            .collect();
        let expected = [
            (MESSAGE, "message"),
            (BEGIN, "begin"),
            (CONTINUE, "continue"),
            (GOODBYE, "goodbye"),
            (PING, "ping"),
            (PONG, "pong"),
        ];
        assert_eq!(kinds, expected.map(|(kind, name)| (kind, name.to_owned())));
        for limit in ["16,384", "4,194,304", "512"] {
            assert!(table.contains(limit), "{limit}");
        }
        assert_eq!((FRAME_LIMIT, MESSAGE_LIMIT, REASON_LIMIT), (16_384, 4_194_304, 512));
    }

    #[test]
    fn the_document_of_the_wire_format_shows_what_is_sent() {
        let example = documented("TCP example").replace("```", "");
        let documented: Vec<u8> =
            example.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        let preface = crate::preface::Preface { node_id: "a".into(), listens_on: 7_280 };
        let mut sent = preface.encode();
        put_message(&mut sent, b"hi");
        put_ping(&mut sent);
        put_goodbye(&mut sent, CloseCode::ShuttingDown, "");
        assert_eq!(documented, sent);
    }
}
