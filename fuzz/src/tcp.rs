//! The bytes of a TCP connection as frames.

use bytes::BytesMut;
use chitchat_transport_tcp::fuzzing::{
    Frame, Frames, read_preface, write_message, write_other, write_preface,
};

use crate::input::Input;
use crate::memory;

/// Most pieces that a stream is cut into.
const MAX_CUTS: usize = 8;
/// A long message is put together in a buffer that grows by doubling, and copied once when it is
/// handed over.
const FACTOR: usize = 6;
const SLACK: usize = 1_024;

/// What a stream came to.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    frames: Vec<Frame>,
    /// What follows the last frame, if all of it may still become frames.
    left: Result<Vec<u8>, String>,
    awaits: Option<usize>,
}

/// Any bytes, however they are cut into pieces: the same frames come out, no more is held than came,
/// and what was read is written in bytes that mean the same. The same for what both ends say first.
pub fn tcp_framing(data: &[u8]) {
    tcp_framing_with(data, Frames::next);
}

/// The same, with another decoder for the pieces.
pub fn tcp_framing_with(
    data: &[u8],
    next: impl Fn(&mut Frames, &mut BytesMut) -> Result<Option<Frame>, String>,
) {
    let mut input = Input::new(data);
    let cuts = input.below(MAX_CUTS);
    let lens: Vec<usize> = (0..cuts).map(|_| usize::from(input.short())).collect();
    let stream = input.rest();
    preface(stream, &lens);
    // As many frames as there can be, so that their list does not grow.
    let most = 1 + stream.len() / 3;
    let bound = FACTOR * stream.len() + most * size_of::<Frame>() + SLACK;
    let (whole, growth) =
        memory::growth_of(bound, || read(stream, &[], Vec::with_capacity(most), Frames::next));
    assert!(growth <= bound, "{} bytes took {growth}", stream.len());
    let cut = read(stream, &lens, Vec::new(), next);
    assert_eq!(cut, whole, "pieces of {lens:?}");
    let taken: usize = whole.frames.iter().map(content).sum();
    assert!(taken <= stream.len(), "{taken} bytes out of {}", stream.len());
    again(&whole.frames);
}

/// Bytes that a frame hands over at once. What parts bring is handed over with the last of them.
fn content(frame: &Frame) -> usize {
    match frame {
        Frame::Message(message) => message.len(),
        Frame::Goodbye { reason, .. } => reason.len(),
        Frame::Part { .. } | Frame::Ping | Frame::Pong => 0,
    }
}

/// The stream in pieces of these lengths, and the rest of it.
fn pieces<'a>(stream: &'a [u8], lens: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = stream;
    let mut pieces = Vec::new();
    for len in lens {
        let (piece, behind) = rest.split_at((*len).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    pieces
}

fn read(
    stream: &[u8],
    lens: &[usize],
    mut frames: Vec<Frame>,
    next: impl Fn(&mut Frames, &mut BytesMut) -> Result<Option<Frame>, String>,
) -> Outcome {
    let (mut decoder, mut came) = (Frames::default(), BytesMut::new());
    for piece in pieces(stream, lens) {
        came.extend_from_slice(piece);
        loop {
            match next(&mut decoder, &mut came) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                // Nothing behind it is looked at.
                Err(error) => {
                    return Outcome { frames, left: Err(error), awaits: decoder.awaits() };
                }
            }
        }
    }
    Outcome { frames, left: Ok(came.to_vec()), awaits: decoder.awaits() }
}

/// Writes what was read, and reads that.
fn again(frames: &[Frame]) {
    let mut written = BytesMut::new();
    let mut expected = Vec::new();
    for frame in frames {
        let before = written.len();
        match frame {
            Frame::Message(message) => write_message(&mut written, message),
            other => write_other(&mut written, other),
        }
        if written.len() > before {
            expected.push(frame);
        }
    }
    let read = read(&written, &[], Vec::new(), Frames::next);
    assert_eq!(read.left, Ok(Vec::new()));
    let whole: Vec<&Frame> =
        read.frames.iter().filter(|frame| !matches!(frame, Frame::Part { .. })).collect();
    assert_eq!(whole, expected);
}

/// What both ends say first.
fn preface(stream: &[u8], lens: &[usize]) {
    let mut came = BytesMut::from(stream);
    let whole = read_preface(&mut came);
    if let Ok(Some((node_id, port))) = &whole {
        let taken = stream.len() - came.len();
        let written = write_preface(node_id, *port);
        assert_eq!(written, stream[..taken], "one preface has one form");
    } else {
        assert_eq!(came, stream, "nothing is taken");
    }
    let mut came = BytesMut::new();
    let mut in_pieces = Ok(None);
    for piece in pieces(stream, lens) {
        came.extend_from_slice(piece);
        if matches!(in_pieces, Ok(None)) {
            in_pieces = read_preface(&mut came);
        }
    }
    assert_eq!(in_pieces, whole);
}
