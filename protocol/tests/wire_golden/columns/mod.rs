//! Version 2: digests in columns.

mod accepted;
pub(crate) mod describe;
mod refused;

pub(crate) use accepted::all as accepted;
pub(crate) use refused::all as refused;
