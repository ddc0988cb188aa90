//! Ways to make bodies shorter.

use lz4_flex::block;
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::compress_bound;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Lz4,
    /// At this level.
    Zstd(i32),
    None,
}

/// Those that are measured. The first one is in use.
pub(super) const METHODS: [Method; 4] =
    [Method::Lz4, Method::Zstd(1), Method::Zstd(3), Method::None];

/// Bytes at the beginning of each frame of zstd that say that it is one. A body would not need them.
const ZSTD_MAGIC: usize = 4;

/// Writes what it makes of some bytes to memory that is there, and says how much that is.
pub(super) type Step = Box<dyn FnMut(&[u8], &mut [u8]) -> anyhow::Result<usize>>;

pub(super) struct Steps {
    pub(super) compress: Step,
    pub(super) decompress: Step,
}

impl Method {
    pub(super) fn name(self) -> String {
        match self {
            Method::Lz4 => "lz4".to_owned(),
            Method::Zstd(level) => format!("zstd-{level}"),
            Method::None => "none".to_owned(),
        }
    }

    /// `None`: there is nothing to do.
    pub(super) fn steps(self) -> anyhow::Result<Option<Steps>> {
        Ok(match self {
            Method::Lz4 => Some(Steps {
                compress: Box::new(|body, out| Ok(block::compress_into(body, out)?)),
                decompress: Box::new(|short, out| Ok(block::decompress_into(short, out)?)),
            }),
            Method::Zstd(level) => {
                let (mut to, mut from) = (Compressor::new(level)?, Decompressor::new()?);
                Some(Steps {
                    compress: Box::new(move |body, out| Ok(to.compress_to_buffer(body, out)?)),
                    decompress: Box::new(move |short, out| {
                        Ok(from.decompress_to_buffer(short, out)?)
                    }),
                })
            }
            Method::None => None,
        })
    }

    /// Bytes of a body that was compressed to so many, with its plain length: that stands before an
    /// lz4 block, and in a frame of zstd.
    pub(super) fn sent_len(self, plain: usize, compressed: usize) -> usize {
        match self {
            Method::Lz4 => varint_len(plain) + compressed,
            Method::Zstd(_) => compressed - ZSTD_MAGIC,
            Method::None => plain,
        }
    }
}

/// Bytes that no method needs more than for so many.
pub(super) fn room(plain: usize) -> usize {
    block::get_maximum_output_size(plain).max(compress_bound(plain))
}

fn varint_len(number: usize) -> usize {
    (usize::BITS - number.leading_zeros()).max(1).div_ceil(7) as usize
}
