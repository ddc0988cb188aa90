//! Properties of the format, over random messages.

mod properties;
mod sizes;
pub(crate) mod strategies;
pub(super) mod v3;
