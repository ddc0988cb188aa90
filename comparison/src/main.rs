//! Prints the tables of docs/failure-detection.md: both, or the one that is named, `deaths` or `detection`.

mod conditions;
mod original;
mod ours;

use std::thread;
use std::time::Duration;

use conditions::{CONDITIONS, Outcome};

/// Seeds of the runs of each row.
const SEEDS: u64 = 5;
/// Seeds of the runs for detection times: one death each.
const DEATHS: u64 = 10;

fn sum(outcomes: Vec<Outcome>) -> Outcome {
    outcomes.into_iter().fold(Outcome::default(), Outcome::add)
}

/// Runs seeds from 0 on beside each other. Time is virtual, so that they do not disturb each other.
fn each_seed<T: Send>(count: u64, run: impl Fn(u64) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let run = &run;
        let runs: Vec<_> = (0..count).map(|seed| scope.spawn(move || run(seed))).collect();
        runs.into_iter().map(|run| run.join().expect("a run ends")).collect()
    })
}

/// Median, 95th percentile, and the longest.
fn summary(mut taken: Vec<Duration>) -> String {
    taken.sort();
    let at = |share: f64| taken[((taken.len() - 1) as f64 * share).round() as usize].as_secs_f64();
    format!("{:.1} / {:.1} / {:.1}", at(0.5), at(0.95), at(1.0))
}

fn false_deaths() {
    println!("| condition | node-hours of each | false deaths per node-hour | chitchat 0.13.0 |");
    println!("| --- | --- | --- | --- |");
    for condition in &CONDITIONS {
        let ours = sum(each_seed(SEEDS, |seed| ours::false_deaths(condition, seed)));
        let theirs = sum(each_seed(SEEDS, |seed| original::false_deaths(condition, seed)));
        println!(
            "| {} | {:.0} | {:.2} | {:.2} |",
            condition.name,
            ours.node_hours,
            ours.per_node_hour(),
            theirs.per_node_hour()
        );
    }
}

fn detection_times() {
    println!("| loss | a death is noticed after, s (median / 95 % / longest) | chitchat 0.13.0 |");
    println!("| --- | --- | --- |");
    for loss in [0.0, 0.1, 0.3] {
        let ours = each_seed(DEATHS, |seed| ours::detection(loss, seed)).concat();
        let theirs = each_seed(DEATHS, |seed| original::detection(loss, seed)).concat();
        let missed = theirs.iter().filter(|taken| taken.is_none()).count();
        let theirs = summary(theirs.into_iter().flatten().collect());
        let never = if missed > 0 { format!(", {missed} not within 90 s") } else { String::new() };
        println!("| {:.0} % | {} | {theirs}{never} |", loss * 100.0, summary(ours));
    }
}

fn main() {
    let chosen = std::env::args().nth(1);
    let is_chosen = |table| chosen.as_deref().is_none_or(|chosen| chosen == table);
    if is_chosen("deaths") {
        false_deaths();
        println!();
    }
    if is_chosen("detection") {
        detection_times();
    }
}
