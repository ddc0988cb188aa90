//! What both ends say first. No I/O.
//!
//! | Offset | Length | Field |
//! |-------:|-------:|-------|
//! | 0  | 5 | `C8 17`, and `TCP` in ASCII |
//! | 5  | 1 | version of the framing: 1 |
//! | 6  | 2 | port that the sender listens on, big endian; 0: not known |
//! | 8  | 1 | length of the node id, 1 to 255 |
//! | 9  |   | node id |
//!
//! The dialler speaks first. The other end answers with its own, which says that it takes the
//! dialler in, or with a goodbye frame, which says that it does not.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};

const MAGIC: [u8; 6] = [0xc8, 0x17, b'T', b'C', b'P', 1];
/// All but the node id.
const FIXED: usize = 9;
/// As the length fits into one byte.
pub(crate) const MAX_NODE_ID_LEN: usize = 255;

/// How an end of a connection introduces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Preface {
    /// Without TLS this is a claim and no more.
    pub(crate) node_id: Arc<str>,
    /// A connection that was dialled comes from some other port.
    pub(crate) listens_on: u16,
}

/// Not a preface, or of a framing that is not known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it does not introduce itself as a node")]
pub(crate) struct NoPreface;

impl Preface {
    pub(crate) fn encode(&self) -> BytesMut {
        let mut out = BytesMut::with_capacity(FIXED + self.node_id.len());
        out.put_slice(&MAGIC);
        out.put_u16(self.listens_on);
        // Longer ones were refused when the transport was opened.
        let id = &self.node_id.as_bytes()[..self.node_id.len().min(MAX_NODE_ID_LEN)];
        out.put_u8(u8::try_from(id.len()).unwrap_or(u8::MAX));
        out.put_slice(id);
        out
    }

    /// Takes a preface off the front of what has come, if it is there.
    pub(crate) fn decode(came: &mut BytesMut) -> Result<Option<Preface>, NoPreface> {
        let known = came.len().min(MAGIC.len());
        if came[..known] != MAGIC[..known] {
            return Err(NoPreface);
        }
        let Some(fixed) = came.first_chunk::<FIXED>() else { return Ok(None) };
        let [.., high, low, len] = *fixed;
        if len == 0 {
            return Err(NoPreface);
        }
        let end = FIXED + usize::from(len);
        let Some(id) = came.get(FIXED..end) else { return Ok(None) };
        let node_id = std::str::from_utf8(id).map_err(|_| NoPreface)?.into();
        let listens_on = u16::from_be_bytes([high, low]);
        let _ = came.split_to(end);
        Ok(Some(Preface { node_id, listens_on }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preface() -> Preface {
        Preface { node_id: "nöde".into(), listens_on: 7_280 }
    }

    #[test]
    fn a_preface_comes_back_from_any_number_of_pieces_and_leaves_what_follows() {
        let mut bytes = preface().encode();
        bytes.extend_from_slice(b"rest");
        for cut in 0..bytes.len() - 4 {
            assert_eq!(Preface::decode(&mut BytesMut::from(&bytes[..cut])), Ok(None), "{cut}");
        }
        assert_eq!(Preface::decode(&mut bytes), Ok(Some(preface())));
        assert_eq!(bytes, "rest");
    }

    #[test]
    fn anything_else_is_refused_with_its_first_wrong_byte() {
        let mut newer = preface().encode();
        newer[5] = 2;
        let mut nameless = preface().encode();
        nameless[8] = 0;
        let mut no_text = preface().encode();
        no_text[9] = 0xff;
        let all: [&[u8]; 6] = [b"G", &[0], &[0xc8, 0x17, 1], &newer, &nameless, &no_text];
        for bytes in all {
            assert_eq!(Preface::decode(&mut BytesMut::from(bytes)), Err(NoPreface), "{bytes:?}");
        }
    }
}
