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
pub(crate) use check::{Reader, check_part, check_peer, planned_len, violation};
#[cfg(test)]
pub(crate) use owner::{KEYS, OWNER, Owner, contents};
#[cfg(test)]
pub(crate) use peer::Peer;
#[cfg(test)]
pub(crate) use world::World;
