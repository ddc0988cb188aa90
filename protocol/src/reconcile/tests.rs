//! The reconciliation rules against their invariants: named traces, random schedules, deliberately
//! broken rules, and the packing of trains. The rules and invariants are those of ALGORITHM.md.

mod broken;
mod drive;
mod explore;
mod pack;
mod pack_fairness;
mod property;
mod rules;
mod support;
mod traces;
mod ttl;
