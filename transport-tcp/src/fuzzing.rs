//! What the fuzz targets of this repository need of the inside. No part of the API: it may change or
//! go with any release.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::frame::{
    Decoder, FRAME_LIMIT, LongMessage, Received, put_goodbye, put_message, put_ping, put_pong,
};
use crate::preface::Preface;

/// What the bytes of a peer come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A whole message.
    Message(Bytes),
    /// A part of a long one.
    Part {
        /// Its first one.
        first: bool,
    },
    /// The peer closes.
    Goodbye {
        /// The close code as it is sent, if it is a known one.
        code: Option<u8>,
        /// The peer's reason.
        reason: Bytes,
    },
    /// The peer asks whether we are there.
    Ping,
    /// We are there.
    Pong,
}

/// Takes frames off what has come.
#[derive(Debug, Default)]
pub struct Frames(Decoder);

impl Frames {
    /// The next frame, if there is a whole one.
    ///
    /// # Errors
    ///
    /// Why the bytes are no frames.
    pub fn next(&mut self, came: &mut BytesMut) -> Result<Option<Frame>, String> {
        let received = self.0.next(came).map_err(|malformed| malformed.to_string())?;
        Ok(received.map(|received| match received {
            Received::Message(message) => Frame::Message(message),
            Received::Part { first } => Frame::Part { first },
            Received::Goodbye { code, reason } => {
                Frame::Goodbye { code: code.map(|code| code.number()), reason }
            }
            Received::Ping => Frame::Ping,
            Received::Pong => Frame::Pong,
        }))
    }

    /// The length of the long message that is coming, if there is one.
    pub fn awaits(&self) -> Option<usize> {
        self.0.awaits()
    }
}

/// Writes a message, in as many frames as it takes.
pub fn write_message(out: &mut BytesMut, message: &Bytes) {
    if message.len() <= FRAME_LIMIT {
        return put_message(out, message);
    }
    let mut long = LongMessage::new(message.clone());
    while !long.put_next(out) {}
}

/// Writes a frame that is no message; of a close code that nobody knows, and of parts, nothing.
pub fn write_other(out: &mut BytesMut, frame: &Frame) {
    use chitchat_transport_links::CloseCode;
    match frame {
        Frame::Ping => put_ping(out),
        Frame::Pong => put_pong(out),
        Frame::Goodbye { code: Some(code), reason } => {
            let code = CloseCode::from_number(u64::from(*code));
            if let (Some(code), Ok(reason)) = (code, std::str::from_utf8(reason)) {
                put_goodbye(out, code, reason);
            }
        }
        Frame::Goodbye { code: None, .. } | Frame::Message(_) | Frame::Part { .. } => {}
    }
}

/// Takes a preface off what has come, if it is there: the node id and the port.
///
/// # Errors
///
/// If it is no preface.
pub fn read_preface(came: &mut BytesMut) -> Result<Option<(Arc<str>, u16)>, String> {
    let preface = Preface::decode(came).map_err(|error| error.to_string())?;
    Ok(preface.map(|preface| (preface.node_id, preface.listens_on)))
}

/// The preface of a node.
pub fn write_preface(node_id: &str, listens_on: u16) -> BytesMut {
    Preface { node_id: node_id.into(), listens_on }.encode()
}
