//! The own namespace.
