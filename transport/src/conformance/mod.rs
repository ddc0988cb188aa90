//! A suite of checks that any transport passes, run with one macro call.
//!
//! Implement [`ConformanceFactory`] for your transport, and call
//! [`conformance_suite!`](crate::conformance_suite) in a test file; it makes one `#[test]` of every
//! check. Each check is also a function that returns a [`ConformanceFailure`] instead of
//! panicking.
//!
//! ```
//! use chitchat_transport::conformance::ConformanceFactory;
//! use chitchat_transport::memory::{MemoryNetwork, MemoryTransport};
//!
//! struct OverMemory(MemoryNetwork);
//!
//! impl ConformanceFactory for OverMemory {
//!     type Transport = MemoryTransport;
//!
//!     fn transport(&self, _node_id: &str) -> MemoryTransport {
//!         self.0.transport()
//!     }
//! }
//!
//! chitchat_transport::conformance_suite!(|| async { OverMemory(MemoryNetwork::new(1)) });
//! # fn main() {}
//! ```
//!
//! The checks allow for loss (they send again), for duplicates and for any order, and assert
//! nothing about durations: [`ConformanceFactory::patience`] only ends what would hang. A check
//! that does not apply says on standard error that it was skipped, and why.

mod delivery;
mod factory;
mod lifecycle;
mod limits;
mod robustness;
mod stage;

use std::fmt::Display;

use crate::addr::AddressFamily;

pub use delivery::{
    answers_by_the_reply_path, delivers_both_ways, hands_out_what_is_ready_without_waiting,
    loses_nothing_when_recv_is_cancelled, works_on_ipv4_and_ipv6,
};
pub use factory::ConformanceFactory;
pub use lifecycle::{
    ends_when_closed, ends_when_the_sender_is_dropped, opens_all_addresses_or_none,
    releases_its_port_when_closed, releases_its_port_when_dropped,
};
pub use limits::{
    bounds_its_queues, delivers_a_message_of_maximum_length, keeps_message_boundaries,
    refuses_a_message_that_is_too_large,
};
pub use robustness::{
    is_not_blocked_by_a_dead_peer, reports_an_unreachable_peer, survives_garbage,
};

/// How a check ended without a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The transport behaves.
    Passed,
    /// The check does not apply to this transport or this host, for this reason.
    Skipped(&'static str),
}

/// What a transport does that it must not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
#[non_exhaustive]
pub struct ConformanceFailure {
    /// What happened, what was expected, and what to do.
    pub what: String,
}

impl ConformanceFailure {
    fn new(what: impl Display) -> Self {
        Self { what: what.to_string() }
    }
}

/// Why no check of this factory can run on this host, if that is so: the host does not have the
/// [family](ConformanceFactory::family).
#[must_use]
pub fn cannot_run(factory: &impl ConformanceFactory) -> Option<&'static str> {
    let family = factory.family();
    factory.listen_addr(family).is_none().then_some(match family {
        AddressFamily::V4 => "no IPv4 on this host",
        AddressFamily::V6 => "no IPv6 on this host",
    })
}

/// Runs one check in a runtime of its own. Used by
/// [`conformance_suite!`](crate::conformance_suite).
///
/// # Panics
///
/// If the check fails, or no runtime can be had: this is a test.
#[allow(clippy::panic, clippy::print_stderr, reason = "this is the body of a test")]
pub fn run_check(name: &str, check: impl Future<Output = Result<Outcome, ConformanceFailure>>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => panic!("cannot start a runtime for {name}: {error}"),
    };
    match runtime.block_on(check) {
        Ok(Outcome::Passed) => {}
        Ok(Outcome::Skipped(reason)) => eprintln!("SKIPPED {name}: {reason}"),
        Err(failure) => panic!("the transport fails {name}: {failure}"),
    }
}

/// Makes one `#[test]` of every check in [`conformance`](crate::conformance). The argument is an
/// expression that, called without arguments, gives a future of a
/// [`ConformanceFactory`](crate::conformance::ConformanceFactory); every test calls it once.
///
/// Put it into a module of its own to run the suite more than once in a file, for example for two
/// configurations.
#[macro_export]
macro_rules! conformance_suite {
    ($factory:expr) => {
        $crate::conformance_suite!(@tests $factory;
            delivers_both_ways
            answers_by_the_reply_path
            hands_out_what_is_ready_without_waiting
            loses_nothing_when_recv_is_cancelled
            works_on_ipv4_and_ipv6
            keeps_message_boundaries
            refuses_a_message_that_is_too_large
            delivers_a_message_of_maximum_length
            bounds_its_queues
            is_not_blocked_by_a_dead_peer
            survives_garbage
            reports_an_unreachable_peer
            opens_all_addresses_or_none
            ends_when_closed
            ends_when_the_sender_is_dropped
            releases_its_port_when_closed
            releases_its_port_when_dropped
        );
    };
    (@tests $factory:expr; $($check:ident)+) => {
        $(
            #[test]
            fn $check() {
                $crate::conformance::run_check(stringify!($check), async {
                    let factory = ($factory)().await;
                    match $crate::conformance::cannot_run(&factory) {
                        Some(reason) => Ok($crate::conformance::Outcome::Skipped(reason)),
                        None => $crate::conformance::$check(&factory).await,
                    }
                });
            }
        )+
    };
}
