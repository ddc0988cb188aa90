//! Tests of the failure detector and of the node's doubts about itself.

use std::time::Duration;

use super::health::SelfHealth;
use super::vitals::{Detector, Vitals, calm_timeout};
use crate::time::Timestamp;

const INTERVAL: Duration = Duration::from_millis(500);

fn detector() -> Detector {
    Detector::new(INTERVAL, 8.0, Duration::from_secs(10))
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A peer that was heard every interval for a minute; the time of its last heartbeat.
fn calm_peer(health: &SelfHealth) -> (Vitals, Timestamp) {
    let mut vitals = Vitals::new(1, at(0), &detector());
    for beat in 1..=120 {
        assert!(vitals.observe(beat + 1, millis(0), at(500 * beat as i64), health, &detector()));
    }
    (vitals, at(60_000))
}

/// Whether the peer is not declared dead yet.
fn is_live(vitals: &Vitals, now: Timestamp, health: &SelfHealth) -> bool {
    now <= vitals.deadline(now, health, &detector())
}

#[test]
fn a_calm_peer_is_dead_after_about_six_intervals() {
    let health = SelfHealth::new(INTERVAL, at(0));
    let (vitals, last) = calm_peer(&health);
    let timeout = vitals.timeout(&detector());
    assert!((INTERVAL * 5..INTERVAL * 7).contains(&timeout), "{timeout:?}");
    assert!(is_live(&vitals, last + timeout - millis(1), &health));
    assert!(!is_live(&vitals, last + timeout + millis(1), &health));
    assert!((vitals.phi(last + timeout, &health, &detector()) - 8.0).abs() < 0.01);
    let expected = calm_timeout(INTERVAL, 8.0);
    assert!(expected >= timeout && expected < timeout * 2, "{expected:?}");
}

#[test]
fn the_wait_is_proportional_to_the_threshold() {
    let health = SelfHealth::new(INTERVAL, at(0));
    let (vitals, _) = calm_peer(&health);
    let doubled = Detector::new(INTERVAL, 16.0, Duration::from_secs(10));
    let (single, double) = (vitals.timeout(&detector()), vitals.timeout(&doubled));
    assert!((double.as_secs_f64() / single.as_secs_f64() - 2.0).abs() < 1e-6);
}

#[test]
fn a_peer_heard_irregularly_is_given_more_time() {
    let health = SelfHealth::new(INTERVAL, at(0));
    let (calm, _) = calm_peer(&health);
    let mut irregular = Vitals::new(1, at(0), &detector());
    let mut now = 0;
    for beat in 1..=120 {
        now += if beat % 3 == 0 { 2_000 } else { 400 };
        irregular.observe(beat + 1, millis(0), at(now), &health, &detector());
    }
    assert!(irregular.timeout(&detector()) > calm.timeout(&detector()) * 2);
}

#[test]
fn an_equal_heartbeat_with_another_age_says_nothing() {
    let health = SelfHealth::new(INTERVAL, at(0));
    let (mut vitals, last) = calm_peer(&health);
    let heartbeat = vitals.heartbeat();
    assert!(!vitals.observe(heartbeat, millis(0), at(63_000), &health, &detector()));
    assert!(!vitals.observe(heartbeat, Duration::MAX, at(63_000), &health, &detector()));
    assert_eq!(vitals.last_sign_of_life(), last);
}

#[test]
fn a_stale_increment_of_a_dead_node_is_no_sign_of_life() {
    let health = SelfHealth::new(INTERVAL, at(0));
    let (mut vitals, last) = calm_peer(&health);
    let now = at(60_000 + 1_800_000);
    // The peer emitted one heartbeat more than we heard, half an hour ago.
    let heartbeat = vitals.heartbeat() + 1;
    assert!(vitals.observe(heartbeat, millis(1_799_500), now, &health, &detector()));
    assert!(!is_live(&vitals, now, &health));
    assert_eq!(vitals.last_sign_of_life(), last + millis(500));
}

#[test]
fn what_this_process_slept_through_revives_nobody() {
    let mut health = SelfHealth::new(INTERVAL, at(0));
    let (mut vitals, last) = calm_peer(&health);
    health.tick(last);
    let now = last + millis(1_800_000);
    health.tick(now);
    // The rest of the cluster was awake, and knows that this heartbeat is old.
    vitals.observe(vitals.heartbeat() + 1, millis(1_799_500), now, &health, &detector());
    assert!(is_live(&vitals, now, &health), "who was live is given the time");
    assert!(!vitals.revives(now, &detector()), "who was dead stays dead");
    vitals.observe(vitals.heartbeat() + 1, millis(500), now, &health, &detector());
    assert!(vitals.revives(now, &detector()));
}

#[test]
fn no_message_makes_a_live_node_older() {
    let health = SelfHealth::new(INTERVAL, at(0));
    let (mut vitals, last) = calm_peer(&health);
    vitals.observe(vitals.heartbeat() + 1, millis(3_600_000), at(60_100), &health, &detector());
    assert_eq!(vitals.last_sign_of_life(), last);
}

#[test]
fn a_forged_heartbeat_at_the_end_of_the_range_is_refused() {
    let health = SelfHealth::new(INTERVAL, at(0));
    let (mut vitals, _) = calm_peer(&health);
    assert!(!vitals.observe(u64::MAX, millis(0), at(60_100), &health, &detector()));
}

#[test]
fn own_pauses_are_forgiven_once() {
    let mut health = SelfHealth::new(INTERVAL, at(0));
    assert_eq!(health.tick(at(50)), None);
    assert_eq!(health.tick(at(5_050)), Some(millis(5_000)));
    assert_eq!(health.tick(at(5_100)), None);
    assert_eq!(health.forgiven(at(0), at(6_000)), millis(5_000));
    assert_eq!(health.forgiven(at(3_050), at(4_050)), millis(1_000));
    assert_eq!(health.forgiven(at(5_050), at(6_000)), Duration::ZERO);
    // The silence that the pause caused is the same time, not more of it.
    health.heard(at(5_100));
    assert_eq!(health.forgiven(at(0), at(6_000)), millis(5_000));
}

#[test]
fn a_pause_of_the_whole_process_kills_nobody() {
    let mut health = SelfHealth::new(INTERVAL, at(0));
    let (vitals, last) = calm_peer(&health);
    health.tick(last);
    health.tick(last + millis(30_000));
    assert!(is_live(&vitals, last + millis(31_000), &health));
    assert!(!is_live(&vitals, last + millis(30_000) + INTERVAL * 9, &health));
}

#[test]
fn only_the_last_pauses_are_remembered() {
    let mut health = SelfHealth::new(INTERVAL, at(0));
    let mut now = 0;
    for _ in 0..100 {
        now += 1_000;
        health.tick(at(now));
        for _ in 0..10 {
            now += 50;
            health.tick(at(now));
        }
    }
    assert_eq!(health.forgiven(at(0), at(now)), millis(8_000));
}

#[test]
fn a_deaf_node_declares_nobody_dead_for_ten_intervals() {
    let mut health = SelfHealth::new(INTERVAL, at(0));
    let mut now = 0;
    let mut tick_to = |health: &mut SelfHealth, until: i64| {
        while now < until {
            now += 50;
            health.tick(at(now));
        }
        at(now)
    };
    let heard = tick_to(&mut health, 1_000);
    health.heard(heard);
    let later = tick_to(&mut health, 2_400);
    assert_eq!(health.is_deaf(later, 5), (false, false));
    let later = tick_to(&mut health, 2_600);
    assert_eq!(health.is_deaf(later, 1), (false, false), "one silent peer is no deafness");
    assert_eq!(health.is_deaf(later, 2), (true, true));
    assert_eq!(health.is_deaf(later, 2), (true, false), "told once");
    assert_eq!(health.doubt_ends(later), at(1_000) + INTERVAL * 13);
    let later = tick_to(&mut health, 7_600);
    assert_eq!(health.is_deaf(later, 2), (false, false), "the doubt ends");
    assert_eq!(health.heard(later), Some(millis(6_600)));
    assert_eq!(health.forgiven(at(0), later), Duration::ZERO, "what came of it stands");
}

#[test]
fn a_short_deafness_is_forgiven() {
    let mut health = SelfHealth::new(INTERVAL, at(0));
    for tick in 1..=80 {
        health.tick(at(50 * tick));
    }
    assert_eq!(health.is_deaf(at(4_000), 2), (true, true));
    assert_eq!(health.heard(at(4_000)), Some(millis(4_000)));
    assert_eq!(health.forgiven(at(0), at(5_000)), millis(4_000));
}

#[test]
fn half_of_the_peers_dead_within_two_intervals_is_told_once() {
    let mut health = SelfHealth::new(INTERVAL, at(0));
    assert_eq!(health.died(2, 8, at(1_000)), None);
    assert_eq!(health.died(2, 6, at(1_400)), None);
    assert_eq!(health.died(1, 5, at(1_600)), Some(5));
    assert_eq!(health.died(1, 4, at(1_700)), None);
    assert_eq!(health.died(2, 2, at(5_000)), None, "two are no mass");
}
