//! What digests in columns rest on (ALGORITHM.md, rules P10 to P13): the set of members that positions refer to,
//! the hashes that nodes compare, and reading a cell. The messages are in [`columns`](crate::columns).

mod cell;
mod hash;
mod set;

pub(crate) use cell::{Reading, cell_age, cell_of, read};
pub(crate) use hash::MemberHash;
pub(crate) use set::{MemberSet, SetMember};
