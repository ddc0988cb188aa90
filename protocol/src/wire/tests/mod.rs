//! Properties of the format, over random messages.

mod properties;
mod sizes;
mod strategies;
