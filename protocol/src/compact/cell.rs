//! A member's life in eleven bits, and what can be made of it.
//!
//! A cell has the heartbeat modulo [`HEARTBEAT_WRAP`] and its age. Its reader completes it to the
//! heartbeat that is nearest to its own. That is right only if both are of about the same time, and if the
//! time between them is about what so many heartbeats take: a heartbeat that was completed too high would
//! be repeated by everybody, and the owner's own ones would count for nothing until they have passed it. So
//! what does not fit together is not read, and asked for in full (rule P12).

use std::time::Duration;

use crate::columns::{Cell, HEARTBEAT_WRAP, MAX_CELL_AGE, MAX_YOUNG_AGE};

/// By how many quarters of an interval the time between two heartbeats may be shorter than their number
/// says: ages are rounded, and the time that messages take is not in them. Less than four, so that nothing
/// that was emitted before is taken for later, however short its owner's interval is.
const TOLERANCE: u8 = 3;

/// From so many heartbeats ahead on they are taken for behind.
const HALF: u8 = HEARTBEAT_WRAP / 2;

/// Tenths of an interval between two ages that are told above [`MAX_YOUNG_AGE`]. Their rounding is within the
/// tolerance.
const OLD_STEP: u8 = 5;

/// What a cell says beside what its reader knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The reader knows a later life.
    Older,
    /// The reader knows one that is so much later that no cell can tell it to the sender.
    LongAgo,
    /// Both know the same.
    Same,
    /// The sender knows this heartbeat, which is later.
    Newer(u64),
    /// It cannot be said.
    Unreadable,
}

/// The cell of a live member. `tenth` is a tenth of the own interval.
pub(crate) fn cell_of(heartbeat: u64, age: Duration, tenth: Duration) -> Cell {
    let (age, tenth) = (micros(age), micros(tenth).max(1));
    let steps = |part: i64| age.saturating_add(part / 2) / part;
    let young = steps(tenth);
    let code = if young <= i64::from(MAX_YOUNG_AGE) {
        young
    } else {
        let (step, begin) = (i64::from(OLD_STEP), i64::from(MAX_YOUNG_AGE));
        begin + steps(tenth.saturating_mul(step)) - begin / step
    };
    match u8::try_from(code) {
        Ok(age) if age <= MAX_CELL_AGE => {
            let [low, ..] = heartbeat.to_le_bytes();
            Cell::Young { heartbeat: low % HEARTBEAT_WRAP, age }
        }
        _ => Cell::Listed,
    }
}

/// What a cell says of an age. `tenth` is a tenth of its sender's interval.
pub(crate) fn cell_age(age: u8, tenth: Duration) -> Duration {
    let old = age.saturating_sub(MAX_YOUNG_AGE);
    tenth * (u32::from(age - old) + u32::from(old) * u32::from(OLD_STEP))
}

/// Reads a young cell, of this age, beside a heartbeat that is `known` since `known_age`.
///
/// What is not later is told from what is the same or older by the heartbeat alone: it does no harm to be
/// wrong there. Where it would, of the own life, `strictly` asks whether the times fit as well.
pub(crate) fn read(
    heartbeat: u8,
    age: Duration,
    (known, known_age): (u64, Duration),
    interval: Duration,
    strictly: bool,
) -> Reading {
    let [low, ..] = known.to_le_bytes();
    let ahead = heartbeat.wrapping_sub(low) % HEARTBEAT_WRAP;
    let behind = HEARTBEAT_WRAP - ahead;
    let interval = micros(interval);
    let take = |heartbeats: u8| interval.saturating_mul(i64::from(heartbeats));
    let tolerance = take(TOLERANCE) / 4;
    // How much later it was emitted than the one that is known.
    let later = micros(known_age) - micros(age);
    if (1..HALF).contains(&ahead) && take(ahead) <= later.saturating_add(tolerance) {
        // If it is sixteen more, it is still later than the one that is known, and as young as it says.
        return Reading::Newer(known + u64::from(ahead));
    }
    if strictly {
        let is_older = ahead > HALF
            && u64::from(behind) <= known
            && take(behind) <= tolerance.saturating_sub(later);
        return match ahead {
            0 if later.abs() <= tolerance => Reading::Same,
            _ if is_older => Reading::Older,
            _ => Reading::Unreadable,
        };
    }
    let is_far = later.abs() >= take(HALF);
    match ahead {
        _ if is_far && later > 0 => Reading::Unreadable,
        HALF.. if u64::from(behind) > known => Reading::Unreadable,
        _ if is_far && ahead <= HALF => Reading::LongAgo,
        0 => Reading::Same,
        1..HALF => Reading::Unreadable,
        _ => Reading::Older,
    }
}

/// Microseconds, which is what clocks here count.
fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Duration = Duration::from_millis(500);

    fn read_cell(cell: Cell, known: u64, known_age: Duration, strictly: bool) -> Reading {
        let Cell::Young { heartbeat, age } = cell else { panic!("{cell:?}") };
        read(heartbeat, cell_age(age, T / 10), (known, known_age), T, strictly)
    }

    #[test]
    fn what_one_interval_apart_emits_is_read_rightly_whoever_is_ahead() {
        for (known, silent) in (20..60_u64).flat_map(|known| [0, 1, 5, 9, 20].map(|it| (known, it)))
        {
            for sent in known.saturating_sub(6)..known + 7 {
                // The newer one was emitted some time ago.
                let newest = known.max(sent);
                let age = |heartbeat: u64| T * u32::try_from(newest - heartbeat + silent).unwrap();
                let cell = cell_of(sent, age(sent), T / 10);
                let expected = match sent.cmp(&known) {
                    std::cmp::Ordering::Less => Reading::Older,
                    std::cmp::Ordering::Equal => Reading::Same,
                    std::cmp::Ordering::Greater => Reading::Newer(sent),
                };
                for strictly in [false, true] {
                    let read = read_cell(cell, known, age(known), strictly);
                    assert_eq!(read, expected, "{sent} beside {known}");
                }
            }
        }
    }

    #[test]
    fn no_cell_whatever_is_read_as_later_than_it_is() {
        // An owner that emits at any pace, and two nodes that know any two of its heartbeats.
        for per_interval in [1_u32, 2, 3, 10, 50] {
            let pace = T / per_interval;
            for (known, sent) in (100..200_u64).flat_map(|a| (100..200).map(move |b| (a, b))) {
                for idle in [0, 1, 3, 6, 7, 8, 20] {
                    let newest = known.max(sent);
                    let age = |it: u64| pace * u32::try_from(newest - it).unwrap() + T * idle;
                    let cell = cell_of(sent, age(sent), T / 10);
                    if matches!(cell, Cell::Listed) {
                        continue;
                    }
                    if let Reading::Newer(read) = read_cell(cell, known, age(known), false) {
                        assert!(read <= sent, "{sent} was read as {read}, beside {known}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_far_apart_is_not_completed() {
        assert_eq!(cell_of(5, T * 35, T / 10), Cell::Listed);
        // Nine to sixteen heartbeats.
        for apart in 9..=16 {
            let fresh = cell_of(20, Duration::ZERO, T / 10);
            let (known, age) = (20 - u64::from(apart), T * apart);
            assert_eq!(read_cell(fresh, known, age, false), Reading::Unreadable, "{apart}");
            let old = cell_of(known, age, T / 10);
            assert_eq!(read_cell(old, 20, Duration::ZERO, false), Reading::LongAgo, "{apart}");
        }
    }

    #[test]
    fn what_is_late_is_read_if_it_can_be_told_from_what_was_before() {
        // An owner that is slow: three heartbeats in twenty intervals.
        let fresh = cell_of(23, Duration::ZERO, T / 10);
        assert_eq!(read_cell(fresh, 20, T * 20, false), Reading::Newer(23));
        let old = cell_of(20, T * 20, T / 10);
        assert_eq!(read_cell(old, 23, Duration::ZERO, false), Reading::Older);
        // Sixteen more look the same. What is read is not too high.
        let fresh = cell_of(23 + 16, Duration::ZERO, T / 10);
        assert_eq!(read_cell(fresh, 20, T * 20, false), Reading::Newer(23));
    }

    #[test]
    fn who_is_told_more_of_itself_than_is_true_sees_it() {
        // Eight to fifteen heartbeats ahead look like so many less than sixteen behind.
        for ahead in 8..HEARTBEAT_WRAP {
            let cell = cell_of(100 + u64::from(ahead), Duration::ZERO, T / 10);
            assert_eq!(read_cell(cell, 100, T / 4, true), Reading::Unreadable, "{ahead}");
        }
    }

    #[test]
    fn ages_are_told_to_a_tenth_and_later_to_a_half_of_an_interval() {
        let told = |age| match cell_of(1, age, T / 10) {
            Cell::Young { age, .. } => cell_age(age, T / 10),
            cell => panic!("{cell:?}"),
        };
        for tenths in 0..=340 {
            let age = T * tenths / 10;
            let off = told(age).abs_diff(age);
            assert!(off <= if tenths <= 70 { Duration::ZERO } else { T / 4 }, "{age:?}: {off:?}");
        }
        assert_eq!(told(T * 7 + T / 4), T * 15 / 2);
        assert_eq!(told(T * 34), T * 34);
    }
}
