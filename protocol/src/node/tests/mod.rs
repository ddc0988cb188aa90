//! Whole nodes that read and write different wire versions. There is only one version outside of the
//! tests of this crate, so that they cannot be where the other simulations are.

mod net;
mod refusals;
mod upgrade;
mod versions;
