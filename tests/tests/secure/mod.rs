//! What every secure transport has to stand. The tests are written once, for any
//! [`Wire`](chitchat_tests::net::Wire), and run for each.

#![allow(dead_code, unused_macros, reason = "not every test file uses all of it")]

pub(crate) mod lifecycle;
pub(crate) mod rotation;
pub(crate) mod stage;
pub(crate) mod strangers;

/// Makes one test of each check, for one transport.
#[macro_export]
macro_rules! secure_suite {
    ($wire:expr) => {
        $crate::secure_suite!(@tests $wire; strangers:
            a_stranger_without_a_certificate_is_refused
            a_certificate_of_an_unknown_ca_is_refused
            a_certificate_for_another_cluster_is_refused
            a_certificate_without_a_node_name_is_refused
            an_expired_certificate_is_refused
            a_certificate_that_is_not_valid_yet_is_refused
            a_member_that_speaks_as_another_in_a_syn_changes_nothing
            a_listener_with_the_name_of_another_gets_no_message
            an_answer_in_the_name_of_another_changes_nothing
            garbage_on_the_port_does_nothing
            a_member_that_floods_is_held_up_and_nobody_else
            a_member_that_sends_without_end_is_cut_off_its_message
            a_member_that_goes_silent_gets_no_digest_and_holds_up_nobody
        );
        $crate::secure_suite!(@tests $wire; lifecycle:
            a_peer_that_restarts_on_its_port_is_reached_again
            a_listener_that_moves_is_reached_at_its_new_address
            simultaneous_open_loses_nothing
            the_dialler_learns_why_it_was_refused
            a_revoked_member_is_cut_off_by_a_reload
            of_two_revocation_lists_the_newer_counts_in_any_order
            a_connection_ends_when_the_certificate_of_its_peer_expires
        );
        $crate::secure_suite!(@tests $wire; rotation:
            certificates_and_then_the_ca_are_rotated_under_load
        );
    };
    (@tests $wire:expr; $module:ident: $($check:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                $crate::secure::$module::$check($wire).await;
            }
        )+
    };
}
