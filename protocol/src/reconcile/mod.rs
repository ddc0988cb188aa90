//! Pure functions between a digest and a delta: what a peer lacks, cut to a byte budget.
//!
//! The other half, applying a delta, is [`Replica::apply`](crate::state::Replica::apply); both halves
//! judge a delta by the same [`Versions::step`](crate::state::Versions).

/// Compiled for tests, and for fuzzing.
#[cfg(any(test, feature = "__fuzzing"))]
pub(crate) mod model;
mod plan;
mod train;

pub use plan::{PeerView, plan_part};
pub(crate) use train::{StaleOwner, Train, TrainBudget};

#[cfg(test)]
mod tests;
