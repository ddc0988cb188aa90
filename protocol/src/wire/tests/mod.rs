//! Properties of the format, over random messages.

mod properties;
mod sizes;
mod strategies;
pub(super) mod v3;
