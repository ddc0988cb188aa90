//! The reconciliation rules against their invariants: named traces, random schedules, deliberately
//! broken rules, and the packing of trains. The rules and invariants are those of ALGORITHM.md.

mod broken;
mod check;
mod drive;
mod explore;
mod model;
mod owner;
mod pack;
mod pack_fairness;
mod peer;
mod property;
mod rules;
mod support;
mod traces;
mod ttl;
