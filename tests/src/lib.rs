//! Harness of the cross-crate tests: clusters of sans-I/O nodes in virtual time.

pub mod sim;
