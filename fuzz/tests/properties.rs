//! The same bodies on inputs that proptest makes up: what they promise is tried anew in every run, on
//! stable Rust. Without libFuzzer's eye for what was not reached yet this goes less deep, but it also
//! finds what nobody has an input for. A failure shows the shortest input that still fails.
//!
//! Mostly small bytes, as those choose among few operations and give short lengths.

use chitchat_fuzz::replay::alone;
use proptest::prelude::*;

fn input(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![0..32u8, any::<u8>()], 0..longest)
}

/// So many cases, or as many as `PROPTEST_CASES` says.
fn config(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { cases };
    // An input that fails is worth a name in `regressions`, and a file that nobody reads is not.
    ProptestConfig { cases, failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(config(2_048))]

    #[test]
    fn no_bytes_harm_the_decoder(bytes in input(300)) {
        let _alone = alone();
        chitchat_fuzz::wire_decode(&bytes);
    }

    #[test]
    fn any_schedule_keeps_the_invariants(bytes in input(300)) {
        let _alone = alone();
        chitchat_fuzz::deltas(&bytes);
    }

    #[test]
    fn any_stream_is_read_alike_in_any_pieces(bytes in input(300)) {
        let _alone = alone();
        chitchat_fuzz::tcp_framing(&bytes);
    }

    #[test]
    fn any_name_has_one_reading(bytes in input(200)) {
        let _alone = alone();
        chitchat_fuzz::san(&bytes);
    }
}

proptest! {
    // Whole nodes: each case is minutes of their time, and some milliseconds of ours.
    #![proptest_config(config(256))]

    #[test]
    fn whatever_happens_to_four_nodes_they_agree_in_the_end(bytes in input(120)) {
        let _alone = alone();
        chitchat_fuzz::node_sequence(&bytes);
    }

    #[test]
    fn whatever_peers_say_a_node_stays_in_order(bytes in input(300)) {
        let _alone = alone();
        chitchat_fuzz::node_hostile(&bytes);
    }
}
