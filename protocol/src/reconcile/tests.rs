//! The reconciliation rules against their invariants: named traces, random schedules, deliberately
//! broken rules, and the packing of trains. The rules and invariants are those of ALGORITHM.md.

mod check;
mod drive;
mod model;
mod owner;
mod peer;
mod property;
