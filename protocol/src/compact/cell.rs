//! A member's life in eleven bits, and what can be made of it.
//!
//! A cell has the heartbeat modulo [`HEARTBEAT_WRAP`] and its age. Its reader completes it to the
//! heartbeat that is nearest to its own. That is right only if both are young, and if the time between
//! them is about what so many heartbeats take: a heartbeat that was completed too high would be repeated
//! by everybody, and the owner's own ones would count for nothing until they have passed it. So what does
//! not fit together is not read, and asked for in full (rule P12).

use std::time::Duration;

use crate::columns::{Cell, HEARTBEAT_WRAP, MAX_CELL_AGE};

/// By how many quarters of an interval the time between two heartbeats may be shorter than their number
/// says: ages are rounded, and the time that messages take is not in them. Less than four, so that nothing
/// that was emitted before is taken for later, however short its owner's interval is.
const TOLERANCE: i64 = 3;

/// What a cell says beside what its reader knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The reader knows a later life.
    Older,
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
    let tenths = age.saturating_add(tenth / 2) / tenth;
    match u8::try_from(tenths) {
        Ok(age) if age <= MAX_CELL_AGE => {
            let [low, ..] = heartbeat.to_le_bytes();
            Cell::Young { heartbeat: low % HEARTBEAT_WRAP, age }
        }
        _ => Cell::Listed,
    }
}

/// Reads a young cell, of this age, beside a heartbeat that is `known` since `known_age`.
pub(crate) fn read(
    heartbeat: u8,
    age: Duration,
    known: u64,
    known_age: Duration,
    interval: Duration,
) -> Reading {
    if known_age > interval * u32::from(MAX_CELL_AGE) / 10 {
        return Reading::Unreadable;
    }
    let [low, ..] = known.to_le_bytes();
    let ahead = heartbeat.wrapping_sub(low) % HEARTBEAT_WRAP;
    let interval = micros(interval);
    let tolerance = interval.saturating_mul(TOLERANCE) / 4;
    // How much later it was emitted than the one that is known.
    let later = micros(known_age) - micros(age);
    let take = |heartbeats: u8| interval.saturating_mul(i64::from(heartbeats));
    if ahead == 0 {
        return if later.abs() <= tolerance { Reading::Same } else { Reading::Unreadable };
    }
    if ahead < HEARTBEAT_WRAP / 2 {
        let fits = take(ahead) <= later.saturating_add(tolerance);
        return if fits { Reading::Newer(known + u64::from(ahead)) } else { Reading::Unreadable };
    }
    let behind = HEARTBEAT_WRAP - ahead;
    let fits = take(behind) <= tolerance.saturating_sub(later) && u64::from(behind) <= known;
    if fits { Reading::Older } else { Reading::Unreadable }
}

/// Microseconds, which is what clocks here count.
fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Duration = Duration::from_millis(500);

    fn read_cell(cell: Cell, known: u64, known_age: Duration) -> Reading {
        let Cell::Young { heartbeat, age } = cell else { panic!("{cell:?}") };
        read(heartbeat, T / 10 * u32::from(age), known, known_age, T)
    }

    #[test]
    fn what_one_interval_apart_emits_is_read_rightly_whoever_is_ahead() {
        for known in 20..60_u64 {
            for sent in known.saturating_sub(6)..known + 7 {
                // The newer one was emitted now.
                let newest = known.max(sent);
                let age = |heartbeat: u64| T * u32::try_from(newest - heartbeat).unwrap();
                let cell = cell_of(sent, age(sent), T / 10);
                let expected = match sent.cmp(&known) {
                    std::cmp::Ordering::Less => Reading::Older,
                    std::cmp::Ordering::Equal => Reading::Same,
                    std::cmp::Ordering::Greater => Reading::Newer(sent),
                };
                assert_eq!(read_cell(cell, known, age(known)), expected, "{sent} beside {known}");
            }
        }
    }

    #[test]
    fn no_cell_whatever_is_read_as_later_than_it_is() {
        // An owner that emits at any pace, and two nodes that know any two of its heartbeats.
        for per_interval in [1_u32, 2, 3, 10, 50] {
            let pace = T / per_interval;
            for (known, sent) in (100..200_u64).flat_map(|a| (100..200).map(move |b| (a, b))) {
                for idle in [0, 1, 3, 6] {
                    let newest = known.max(sent);
                    let age = |it: u64| pace * u32::try_from(newest - it).unwrap() + T * idle;
                    let cell = cell_of(sent, age(sent), T / 10);
                    if matches!(cell, Cell::Listed) {
                        continue;
                    }
                    if let Reading::Newer(read) = read_cell(cell, known, age(known)) {
                        assert!(read <= sent, "{sent} was read as {read}, beside {known}");
                    }
                }
            }
        }
    }

    #[test]
    fn neither_old_knowledge_nor_old_news_is_completed() {
        assert_eq!(cell_of(5, T * 8, T / 10), Cell::Listed);
        let fresh = cell_of(20, Duration::ZERO, T / 10);
        assert_eq!(read_cell(fresh, 3, T * 17), Reading::Unreadable);
        assert_eq!(read_cell(fresh, 4, T * 17), Reading::Unreadable);
    }
}
