//! Logarithmic axes: where they begin and end, and which values are named.

use std::ops::Range;

/// More values than these are not named: they would run into each other.
const MOST_TICKS: usize = 10;

/// What is between the first and the last value, and some room.
pub(super) fn around(values: &[f64]) -> Range<f64> {
    let (least, greatest) = ends(values);
    let room = (greatest / least).powf(0.04).max(1.1);
    least / room..greatest * room
}

/// From the round number below all values to that above them.
pub(super) fn round(values: &[f64]) -> Range<f64> {
    let (least, greatest) = ends(values);
    let below = steps(least / 10.0, least).into_iter().next_back().unwrap_or(least);
    let above = steps(greatest, greatest * 10.0).into_iter().next().unwrap_or(greatest);
    // A flat line lies between two of them as well.
    if below < above { below..above } else { below / 2.0..above * 2.0 }
}

/// The same, and as much more as leaves this share of it free above all values.
pub(super) fn with_room_above(range: Range<f64>, values: &[f64], share: f64) -> Range<f64> {
    let (_, greatest) = ends(values);
    let top = (greatest / range.start).powf(1.0 / (1.0 - share)) * range.start;
    range.start..range.end.max(top)
}

/// The values themselves, if they are few.
pub(super) fn ticks_at(values: &[f64]) -> Vec<f64> {
    let mut ticks = values.to_vec();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    if ticks.len() <= MOST_TICKS { ticks } else { ticks_within(&around(values)) }
}

/// Round numbers of the range: 1, 2 and 5 of each power of ten, or powers of ten alone.
pub(super) fn ticks_within(range: &Range<f64>) -> Vec<f64> {
    let mut ticks = steps(range.start, range.end);
    if ticks.len() > MOST_TICKS {
        ticks.retain(|tick| (tick.log10() - tick.log10().round()).abs() < 1e-9);
    }
    ticks
}

/// With commas between thousands, and no more decimals than it has.
pub(super) fn named(value: f64) -> String {
    let text = format!("{:.6}", value);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    let (whole, decimals) = text.split_once('.').map_or((text, ""), |(whole, it)| (whole, it));
    let mut name = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            name.push(',');
        }
        name.push(digit);
    }
    if decimals.is_empty() { name } else { format!("{name}.{decimals}") }
}

fn ends(values: &[f64]) -> (f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = values.iter().copied().fold(0.0, f64::max);
    (least, greatest)
}

/// All of 1, 2 and 5 times a power of ten from `least` to `greatest`.
fn steps(least: f64, greatest: f64) -> Vec<f64> {
    // As little as numbers that are meant to be equal differ by.
    let (least, greatest) = (least * (1.0 - 1e-9), greatest * (1.0 + 1e-9));
    let (first, last) = (least.log10().floor() as i32, greatest.log10().ceil() as i32);
    let all = (first..=last).flat_map(|power| [1.0, 2.0, 5.0].map(|it| it * 10_f64.powi(power)));
    all.filter(|step| (least..=greatest).contains(step)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!(round(&[30.0, 400.5]), 20.0..500.0);
        assert_eq!(round(&[20.0, 500.0]), 20.0..500.0);
        assert_eq!(round(&[100.0]), 50.0..200.0);
        assert_eq!(round(&[130.0]), 100.0..200.0);
        assert_eq!(round(&[0.003]), 0.002..0.005);
    }

    #[test]
    fn above_all_values_there_is_room() {
        let top = with_room_above(1.0..200.0, &[100.0, 3.0], 0.5).end;
        assert!((top - 10_000.0).abs() < 1e-6, "{top}");
        assert_eq!(with_room_above(1.0..200.0, &[2.0], 0.5), 1.0..200.0);
    }

    #[test]
    fn few_values_are_named_themselves_and_many_by_round_numbers() {
        assert_eq!(ticks_at(&[100.0, 10.0, 100.0, 30.0]), [10.0, 30.0, 100.0]);
        let many: Vec<f64> = (1..=40).map(f64::from).collect();
        assert_eq!(ticks_at(&many), [1.0, 2.0, 5.0, 10.0, 20.0]);
        assert_eq!(ticks_within(&(20.0..500.0)), [20.0, 50.0, 100.0, 200.0, 500.0]);
        assert_eq!(ticks_within(&(0.01..1_000.0)), [0.01, 0.1, 1.0, 10.0, 100.0, 1_000.0]);
    }

    #[test]
    fn numbers_are_named_as_people_write_them() {
        let names = [1.0, 1_000.0, 12_345_678.0, 0.5, 0.002, 1_234.5].map(named);
        assert_eq!(names, ["1", "1,000", "12,345,678", "0.5", "0.002", "1,234.5"]);
    }
}
