//! Reading operations from bytes. There is always one more until the bytes are used up, so that every
//! input means something.

/// What is left of an input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Input<'a> {
        Input(data)
    }

    /// The next byte, or `None` at the end.
    pub(crate) fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// The next byte, and 0 behind the end.
    pub(crate) fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end.max(1)
    }

    /// A number of two bytes.
    pub(crate) fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// Mostly a small number, and sometimes one at a boundary.
    pub(crate) fn number(&mut self) -> u64 {
        match self.byte() {
            byte @ 0..240 => u64::from(byte),
            byte @ 240..248 => (1 << 62) - u64::from(byte - 240),
            byte @ 248..252 => (1 << 61) + u64::from(byte) - 250,
            252 => (1 << 62) + 1,
            253 => u64::from(u32::MAX),
            254 => 1_800_000_000_000,
            255 => u64::MAX,
        }
    }

    /// Up to so many bytes.
    pub(crate) fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// All that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}
