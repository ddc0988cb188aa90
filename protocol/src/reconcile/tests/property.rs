//! Random schedules. `CHITCHAT_SCHEDULES` sets how many, `CHITCHAT_SEED` the first.

use proptest::prelude::*;

use crate::state::Breakage;

use super::drive::{Code, Schedule, decode, explain, first_failure, seeds};

#[test]
fn no_schedule_of_loss_repetition_reordering_and_truncation_breaks_an_invariant() {
    if let Some((seed, violation)) = first_failure(seeds(20_000), false, Breakage::default()) {
        panic!("{}", explain(seed, &violation, false, Breakage::default()));
    }
}

#[test]
fn what_reached_one_replica_reaches_all_after_the_owner_crashed() {
    if let Some((seed, violation)) = first_failure(seeds(5_000), true, Breakage::default()) {
        panic!("{}", explain(seed, &violation, true, Breakage::default()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_list_of_steps_breaks_an_invariant(
        peers in 2usize..5,
        room in 0usize..60,
        codes in prop::collection::vec(any::<Code>(), 0..80),
    ) {
        let steps = codes.into_iter().map(decode).collect();
        let schedule = Schedule { peers, room, crash: false, steps };
        let result = schedule.run(Breakage::default());
        prop_assert!(result.is_ok(), "{:?} by {:?}", result, schedule.steps);
    }
}
