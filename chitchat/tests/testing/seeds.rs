//! Running for many seeds, and replaying one.

use std::cell::RefCell;
use std::env;
use std::process::Command;

use chitchat::testing::{ClusterBuilder, find_failure, for_each_seed};
use tokio::time::Instant;

#[test]
fn each_seed_has_a_runtime_of_its_own_and_the_first_failure_ends_the_run() {
    let seen = RefCell::new(Vec::new());
    let failure = find_failure(10, async |seed| {
        let begin = Instant::now();
        let mut cluster = ClusterBuilder::new(seed, 2).start().await;
        cluster.run_rounds(10).await;
        assert_eq!(cluster.seed(), seed);
        assert!(begin.elapsed() >= cluster.gossip_interval() * 10);
        seen.borrow_mut().push(seed);
        assert!(seed < 3, "three is too much");
    });
    let failure = failure.expect("it fails");
    assert_eq!((failure.seed, &*failure.message), (3, "three is too much"));
    assert_eq!(failure.to_string(), "seed 3 fails: three is too much");
    assert_eq!(seen.into_inner(), [0, 1, 2, 3]);
}

#[test]
#[ignore = "run by the next one, in a process of its own"]
fn fails_with_seed_five() {
    for_each_seed(8, async |seed| assert_ne!(seed, 5, "this is five"));
}

/// Runs the test above with these variables, and says whether it passed, and what was printed.
fn run(variables: &[(&str, &str)]) -> (bool, String) {
    let output = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "seeds::fails_with_seed_five", "--ignored"])
        .env_remove("CHITCHAT_TEST_SEED")
        .env_remove("CHITCHAT_TEST_SEEDS")
        .envs(variables.iter().copied())
        .output()
        .expect("it runs");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_seed_of_a_failure_is_printed_and_can_be_replayed_alone() {
    let (passes, text) = run(&[]);
    assert!(!passes);
    assert!(text.contains("failed with seed 5; to run this one alone, set CHITCHAT_TEST_SEED=5"));
    let (passes, text) = run(&[("CHITCHAT_TEST_SEED", "5")]);
    assert!(!passes && text.contains("this is five"), "{text}");
    let (passes, text) = run(&[("CHITCHAT_TEST_SEED", "6")]);
    assert!(passes, "{text}");
    let (passes, text) = run(&[("CHITCHAT_TEST_SEEDS", "5")]);
    assert!(passes, "{text}");
    let (passes, text) = run(&[("CHITCHAT_TEST_SEEDS", "many")]);
    assert!(!passes && text.contains("set it to a whole number"), "{text}");
}
