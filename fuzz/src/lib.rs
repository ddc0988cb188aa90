//! The bodies of the fuzz targets. libFuzzer calls them with what it makes up, and `tests/replay.rs`
//! with everything that is kept: `corpus/<target>`, inputs that reach all that was ever reached, and
//! `regressions/<target>`, inputs that once found a fault.
//!
//! A body panics when something is wrong. Bodies with `_with` in their name take one part of what
//! they judge as an argument, so that tests can see a broken one found out.

mod deltas;
mod forge;
mod hostile;
mod input;
mod memory;
pub mod replay;
mod san;
mod sequence;
mod tcp;
mod wire;

pub use chitchat_tests::sim;
pub use deltas::{deltas, deltas_without};
pub use hostile::{node_hostile, node_hostile_with};
pub use san::{san, san_with};
pub use sequence::{node_sequence, node_sequence_with};
pub use tcp::{tcp_framing, tcp_framing_with};
pub use wire::{wire_decode, wire_decode_with};

/// The program of a target: under cargo-fuzz libFuzzer's, else one that runs the files that it is
/// given.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$name(data));

        #[cfg(not(fuzzing))]
        fn main() -> std::process::ExitCode {
            $crate::replay::run_arguments($crate::$name)
        }
    };
}
