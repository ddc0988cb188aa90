//! A model of reconciliation: one owner, several replicas, a network that loses, repeats, delays and
//! reorders, and the checkers that compare every replica with the owner's log. Tests and fuzzing
//! share it.

mod check;
mod owner;
mod peer;
mod schedule;
mod world;

pub(crate) use check::Violation;
pub(crate) use schedule::{Code, Schedule, decode};

#[cfg(test)]
pub(crate) use check::{check_part, planned_len};
#[cfg(test)]
pub(crate) use owner::OWNER;
#[cfg(test)]
pub(crate) use world::World;
