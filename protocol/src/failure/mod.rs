//! Failure detection: when is silence death?
//!
//! Each node judges for itself, from the heartbeats that it hears of, directly or through others.
//! The detector descends from phi-accrual (Hayashibara et al., 2004) and keeps its scale: with the
//! default threshold of 8 and a calm network a node is declared dead after about 6 intervals.
//! ALGORITHM.md has the rules (D1 to D8) and what was tried and refuted.

mod health;
mod vitals;
mod window;

pub(crate) use health::SelfHealth;
pub(crate) use vitals::{Detector, Vitals, calm_timeout};

#[cfg(test)]
mod tests;
