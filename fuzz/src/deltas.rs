//! Deltas between an owner and replicas, lost, repeated, late, cut and from stale copies.

use chitchat_protocol::fuzzing::{LeftOut, run_deltas};

/// A schedule of writes, exchanges and faults on the rules of reconciliation. After each step every
/// replica keeps the invariants I1 to I5 of ALGORITHM.md; after the last one all agree, or, if the
/// owner has died, have what one of them had.
pub fn deltas(data: &[u8]) {
    deltas_without(data, None);
}

/// The same, with a rule left out.
pub fn deltas_without(data: &[u8], left_out: Option<LeftOut>) {
    if let Err(complaint) = run_deltas(data, left_out) {
        panic!("{complaint}");
    }
}
