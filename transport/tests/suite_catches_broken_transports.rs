//! The suite is worth something only if a broken transport fails it: each of these has one fault,
//! is caught by the check that is there for it, and is told what to do.

mod broken;

use std::sync::Arc;

use broken::{Factory, Fault};
use chitchat_transport::conformance::{self, ConformanceFactory, ConformanceFailure, Outcome};
use chitchat_transport::memory::{MemoryNetwork, MemoryTransport};

type Verdict = Result<Outcome, ConformanceFailure>;

fn run<C: AsyncFnOnce(&Factory) -> Verdict>(fault: Fault, check: C) -> Verdict {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let factory = Factory { network: MemoryNetwork::new(1), fault };
    runtime.block_on(check(&factory))
}

/// One test per fault: the check passes without the fault and fails with it, saying what is wrong
/// and what to do.
macro_rules! caught {
    ($($test:ident: $fault:ident by $check:ident saying $words:literal and $advice:literal;)+) => {
        $(
            #[test]
            fn $test() {
                let check = async |factory: &Factory| conformance::$check(factory).await;
                assert_eq!(run(Fault::None, check), Ok(Outcome::Passed));
                let failure = run(Fault::$fault, check).expect_err("the fault was not noticed");
                assert!(failure.what.contains($words), "another failure: {failure}");
                assert!(failure.what.contains($advice), "no advice: {failure}");
            }
        )+
    };
}

caught! {
    merged_messages_are_caught:
        MergesMessages by keeps_message_boundaries saying "boundaries" and "one send is one message";
    split_messages_are_caught:
        SplitsMessages by keeps_message_boundaries saying "boundaries" and "one send is one message";
    a_lost_empty_message_is_caught:
        LosesEmptyMessages by keeps_message_boundaries
        saying "of 0 bytes" and "every length from 0";
    garbled_bytes_are_caught:
        DeliversGarbledBytes by delivers_both_ways saying "contents" and "byte by byte";
    messages_that_are_not_counted_are_caught:
        CountsNothing by delivers_both_ways saying "not counted" and "add to messages_sent";
    a_port_that_nobody_is_told_is_caught:
        HidesItsPort by answers_by_the_reply_path saying "local_addrs()" and "ask the socket";
    a_peer_under_a_name_that_nobody_proved_is_caught:
        NamesTheWrongPeer by delivers_both_ways
        saying "verified peer somebody" and "leave it out";
    an_ignored_limit_is_caught:
        IgnoresItsLimit by refuses_a_message_that_is_too_large
        saying "gave Ok" and "compare with max_message_len()";
    a_refusal_without_the_limit_is_caught:
        HidesItsLimit by refuses_a_message_that_is_too_large
        saying "limit: 0" and "expected TooLarge with both numbers";
    a_refusal_that_is_not_counted_is_caught:
        RefusesWithoutCounting by refuses_a_message_that_is_too_large
        saying "not counted" and "TransportCounters::refused";
    a_preference_above_the_maximum_is_caught:
        PrefersMoreThanItsMaximum by keeps_message_boundaries
        saying "preferred message length is 60001" and "expected 1 to the maximum";
    a_maximum_that_does_not_arrive_is_caught:
        CannotCarryItsMaximum by delivers_a_message_of_maximum_length
        saying "did not arrive" and "of 60000 bytes";
    blocking_on_a_dead_peer_is_caught:
        BlocksOnADeadPeer by is_not_blocked_by_a_dead_peer
        saying "send blocked" and "it must only enqueue";
    a_panic_about_a_dead_peer_is_caught:
        PanicsOnADeadPeer by is_not_blocked_by_a_dead_peer
        saying "send panicked" and "from any thread";
    dying_with_a_dead_peer_is_caught:
        DiesWithADeadPeer by is_not_blocked_by_a_dead_peer
        saying "did not arrive" and "nothing that happens to others may stop it";
    a_recv_that_is_not_cancel_safe_is_caught:
        TakesBeforeItCanHandOut by loses_nothing_when_recv_is_cancelled
        saying "disappear" and "let nothing wait between the two";
    a_try_recv_that_sees_nothing_is_caught:
        HandsOutOnlyToThoseWhoWait by hands_out_what_is_ready_without_waiting
        saying "never gave" and "the same queue as recv";
    an_answer_that_goes_astray_is_caught:
        AnswersToTheWrongAddress by answers_by_the_reply_path
        saying "did not arrive" and "from node-2 to node-1";
    a_family_that_does_not_work_is_caught:
        FailsOnIpv6 by works_on_ipv4_and_ipv6 saying "did not arrive" and "from node-1 to node-2";
    an_unbounded_queue_is_caught:
        QueuesWithoutBound by bounds_its_queues
        saying "more than its bound" and "bound its queues in bytes";
    drops_that_are_not_counted_are_caught:
        DropsWithoutCounting by bounds_its_queues
        saying "neither refused nor counted" and "count dropped_receive_queue_full";
    an_address_that_is_left_out_is_caught:
        OpensTakenAddresses by opens_all_addresses_or_none
        saying "somebody listens at" and "answer OpenError::Bind";
    an_opening_that_fails_by_half_is_caught:
        LeavesHalfOpen by opens_all_addresses_or_none
        saying "stays taken" and "close what was bound";
    a_port_that_is_kept_is_caught:
        KeepsItsPort by releases_its_port_when_closed saying "cannot open" and "has to be free";
    a_port_that_is_kept_after_dropping_is_caught:
        KeepsItsPortWhenDropped by releases_its_port_when_dropped
        saying "cannot open" and "has to be free";
    a_transport_that_outlives_its_sender_is_caught:
        OutlivesItsSender by ends_when_the_sender_is_dropped
        saying "recv does not end" and "when the sending half is dropped";
    a_close_that_does_not_close_is_caught:
        NeverEnds by ends_when_closed
        saying "expected Closed" and "from the moment that close returns";
    a_close_that_hangs_is_caught:
        HangsInClose by ends_when_closed
        saying "close takes forever" and "for a bounded time only";
    a_recv_that_goes_on_after_close_is_caught:
        ReadsOnAfterClose by ends_when_closed
        saying "recv does not end" and "drop all ends that write to its queue";
    silence_about_an_unreachable_peer_is_caught:
        NeverReports by reports_an_unreachable_peer
        saying "no report" and "push Report::Unreachable";
    a_report_about_somebody_else_is_caught:
        BlamesTheWrongAddress by reports_an_unreachable_peer
        saying "was reported unreachable" and "report the address that failed";
    dying_of_garbage_is_caught:
        DiesOfGarbage by survives_garbage saying "did not arrive" and "nothing that happens";
    ending_after_garbage_is_caught:
        EndsAfterGarbage by survives_garbage
        saying "recv ended though nobody closed" and "no error and no peer may end it";
}

/// The words of `text` between two marks.
fn words_between<'a>(text: &'a str, from: &str, to: &str) -> Vec<&'a str> {
    let (_, rest) = text.split_once(from).expect("the list begins");
    let (list, _) = rest.split_once(to).expect("the list ends");
    list.split_whitespace().collect()
}

#[test]
fn every_check_of_the_suite_catches_a_broken_transport() {
    let suite = include_str!("../src/conformance/mod.rs");
    let checks = words_between(suite, "conformance_suite!(@tests $factory;", ");");
    assert!(checks.len() >= 17, "only {} checks were found", checks.len());
    let faults =
        words_between(include_str!("suite_catches_broken_transports.rs"), "caught! {", "\n}");
    for check in checks {
        assert!(
            faults.windows(2).any(|pair| pair == ["by", check]),
            "no broken transport shows that {check} catches anything"
        );
    }
}

#[test]
fn a_check_that_does_not_apply_is_skipped_with_a_reason() {
    struct Plain(Arc<MemoryNetwork>);

    impl ConformanceFactory for Plain {
        type Transport = MemoryTransport;

        fn transport(&self, _node_id: &str) -> MemoryTransport {
            self.0.transport()
        }
    }

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let plain = Plain(Arc::new(MemoryNetwork::new(1)));
    let outcome = runtime.block_on(conformance::survives_garbage(&plain)).unwrap();
    assert!(matches!(outcome, Outcome::Skipped(reason) if reason.contains("no way to inject")));
    let outcome = runtime.block_on(conformance::reports_an_unreachable_peer(&plain)).unwrap();
    assert!(matches!(outcome, Outcome::Skipped(_)));
}
