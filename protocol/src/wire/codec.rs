//! Reading and writing postcard values one after the other.
//!
//! Lists are read element by element: a serde sequence would be collected twice, once as the format
//! has it and once as the domain does, and would trust its count for the allocation.

#![deny(clippy::arithmetic_side_effects)]

use serde::{Deserialize, Serialize};

use crate::error::DecodeError;
use crate::id::NodeId;
use crate::state::MAX_VERSION;

/// What is left to read.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// The next value. Strings in it are borrowed.
    pub(super) fn take<T: Deserialize<'a>>(&mut self) -> Result<T, DecodeError> {
        let (value, rest) = postcard::take_from_bytes(self.rest).map_err(from_postcard)?;
        self.rest = rest;
        Ok(value)
    }

    /// Reads a list whose elements take at least `min_len` bytes each. The memory for it is
    /// reserved at once, and is in proportion to the bytes that are there.
    pub(super) fn list<T>(
        &mut self,
        min_len: usize,
        element: impl FnMut(&mut Reader<'a>) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let declared: u64 = self.take()?;
        self.items(declared, min_len, element)
    }

    /// The elements of a list whose count has been read.
    pub(super) fn items<T>(
        &mut self,
        declared: u64,
        min_len: usize,
        mut element: impl FnMut(&mut Reader<'a>) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let most = self.rest.len().checked_div(min_len).unwrap_or(0);
        let count = usize::try_from(declared).unwrap_or(usize::MAX);
        if count > most {
            return Err(DecodeError::Truncated);
        }
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            list.push(element(self)?);
        }
        Ok(list)
    }

    /// The next bytes as they are.
    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// As many of them as are wanted.
    pub(super) fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], DecodeError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Nothing may follow.
    pub(super) fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Malformed("bytes follow the message"))
        }
    }
}

fn from_postcard(error: postcard::Error) -> DecodeError {
    match error {
        postcard::Error::DeserializeUnexpectedEnd => DecodeError::Truncated,
        postcard::Error::DeserializeBadVarint => DecodeError::Malformed("a number is too large"),
        postcard::Error::DeserializeBadUtf8 => DecodeError::Malformed("a string is not UTF-8"),
        postcard::Error::DeserializeBadOption => {
            DecodeError::Malformed("an optional value is neither there nor not")
        }
        _ => DecodeError::Malformed("not what the format says"),
    }
}

/// A version, heartbeat or generation. The bound leaves room to calculate without overflow.
pub(super) fn bounded(value: u64) -> Result<u64, DecodeError> {
    if value <= MAX_VERSION {
        Ok(value)
    } else {
        Err(DecodeError::Malformed("a version, heartbeat or generation above 2^62"))
    }
}

/// A version that lies `difference` above another.
pub(super) fn above(base: u64, difference: u64) -> Result<u64, DecodeError> {
    // What overflows is above the bound in any case.
    bounded(base.saturating_add(difference))
}

/// Like [`above`], in a list that ascends strictly.
pub(super) fn strictly_above(base: u64, difference: u64) -> Result<u64, DecodeError> {
    if difference == 0 {
        return Err(DecodeError::Malformed("a version occurs twice"));
    }
    above(base, difference)
}

/// A watermark, given relative to the `max_version` beside it.
pub(super) fn relative(base: u64, difference: i64) -> Result<u64, DecodeError> {
    let value = base.checked_add_signed(difference);
    bounded(value.ok_or(DecodeError::Malformed("a watermark below 0"))?)
}

/// The inverse of [`relative`]. Near the `max_version` it is short, and a quiet node's is.
pub(super) fn difference(base: u64, value: u64) -> i64 {
    value.wrapping_sub(base).cast_signed()
}

/// A node id.
pub(super) fn node_id(text: &str) -> Result<&str, DecodeError> {
    if (1..=NodeId::MAX_LEN).contains(&text.len()) {
        Ok(text)
    } else {
        Err(DecodeError::Malformed("a node id is empty or too long"))
    }
}

/// Refuses bits that this version does not define: a reader that ignored them would miss what they
/// announce.
pub(super) fn known_flags(flags: u8, known: u8) -> Result<(), DecodeError> {
    if flags & !known == 0 { Ok(()) } else { Err(DecodeError::Malformed("unknown flags")) }
}

/// The bits of `flags` whose condition holds.
pub(super) fn flags(bits: &[(u8, bool)]) -> u8 {
    bits.iter().filter(|(_, set)| *set).fold(0, |flags, (bit, _)| flags | bit)
}

/// Appends values.
pub(super) struct Writer<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> Writer<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Writer<'o> {
        Writer { out }
    }

    pub(super) fn put<T: Serialize + ?Sized>(&mut self, value: &T) {
        let written = value.serialize(&mut postcard::Serializer { output: Sink(self.out) });
        // The sink takes everything, and no type of this module has a serializer that fails.
        debug_assert!(written.is_ok(), "{written:?}");
    }

    /// Bytes as they are.
    pub(super) fn put_bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(super) fn put_len(&mut self, len: usize) {
        self.put(&u64::try_from(len).unwrap_or(u64::MAX));
    }
}

/// A vector that grows, as postcard wants it.
struct Sink<'o>(&'o mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Sink<'_> {
    type Output = ();

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(data);
        Ok(())
    }

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.0.push(data);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
