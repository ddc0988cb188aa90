//! Prints the tables of docs/failure-detection.md.

mod conditions;
mod original;
mod ours;

use std::time::Duration;

use conditions::{CONDITIONS, Outcome};

/// Seeds of the runs of each row.
const SEEDS: u64 = 5;
/// Seeds of the runs for detection times: one death each.
const DEATHS: u64 = 10;

fn sum(outcomes: impl Iterator<Item = Outcome>) -> Outcome {
    outcomes.fold(Outcome::default(), Outcome::add)
}

/// Median, 95th percentile, and the longest.
fn summary(mut taken: Vec<Duration>) -> String {
    taken.sort();
    let at = |share: f64| taken[((taken.len() - 1) as f64 * share).round() as usize].as_secs_f64();
    format!("{:.1} / {:.1} / {:.1}", at(0.5), at(0.95), at(1.0))
}

fn main() {
    println!("| condition | node-hours of each | false deaths per node-hour | chitchat 0.13.0 |");
    println!("| --- | --- | --- | --- |");
    for condition in &CONDITIONS {
        let ours = sum((0..SEEDS).map(|seed| ours::false_deaths(condition, seed)));
        let theirs = sum((0..SEEDS).map(|seed| original::false_deaths(condition, seed)));
        println!(
            "| {} | {:.0} | {:.2} | {:.2} |",
            condition.name,
            ours.node_hours,
            ours.per_node_hour(),
            theirs.per_node_hour()
        );
    }
    println!();
    println!("| loss | a death is noticed after, s (median / 95 % / longest) | chitchat 0.13.0 |");
    println!("| --- | --- | --- |");
    for loss in [0.0, 0.1, 0.3] {
        let ours = (0..DEATHS).flat_map(|seed| ours::detection(loss, seed)).collect();
        let theirs: Vec<Option<Duration>> =
            (0..DEATHS).flat_map(|seed| original::detection(loss, seed)).collect();
        let missed = theirs.iter().filter(|taken| taken.is_none()).count();
        let theirs = summary(theirs.into_iter().flatten().collect());
        let never = if missed > 0 { format!(", {missed} not within 90 s") } else { String::new() };
        println!("| {:.0} % | {} | {theirs}{never} |", loss * 100.0, summary(ours));
    }
}
