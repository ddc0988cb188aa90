//! Harness of the cross-crate tests: clusters of sans-I/O nodes in virtual time, and what tests over
//! real sockets need.

pub mod net;
pub mod sim;

/// The example in README.md, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
