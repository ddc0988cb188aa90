//! Harness of the cross-crate tests: clusters of sans-I/O nodes in virtual time, and what tests over
//! real sockets need.

#[cfg(feature = "net")]
pub mod net;
pub mod sim;

/// The examples in README.md and in guides, compiled.
#[cfg(all(doctest, feature = "net"))]
mod documents {
    #[doc = include_str!("../../README.md")]
    struct Readme;

    #[doc = include_str!("../../docs/custom-transports.md")]
    struct CustomTransports;

    #[doc = include_str!("../../docs/migrating.md")]
    struct Migrating;

    #[doc = include_str!("../../docs/testing.md")]
    struct Testing;
}
