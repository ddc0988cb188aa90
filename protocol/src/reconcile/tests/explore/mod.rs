//! Exhaustive exploration of the rules, on the code that keeps them.

mod few;
mod many;
mod real;
mod search;

use crate::state::Breakage;

use few::Few;
use many::Many;
use real::Bounds;
use search::search;

fn env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn try_few() {
    let bounds =
        Bounds { writes: env("W", 2), keys: env("K", 2) as usize, hours: env("H", 0) as u32 };
    let mut few = Few::new(bounds, env("S", 1) as usize, Breakage::default());
    let report = search(&mut few, env("L", 3_000_000) as usize);
    eprintln!(
        "{bounds:?} {} {} {} {} {:?}",
        report.states,
        report.moves,
        report.depth,
        report.complete,
        few.real.counts()
    );
    if let Some(failure) = report.failure {
        panic!("{:?} {:#?}", failure.violation, failure.way)
    }
}

#[test]
fn try_many() {
    let bounds = Bounds { writes: env("W", 2), keys: env("K", 2) as usize, hours: 0 };
    let mut many = Many::new(bounds, Breakage::default());
    let result = many.explore();
    eprintln!("{bounds:?} {:?} {:?}", many.report, many.real.counts());
    if let Err(found) = result {
        panic!("{:?} {:?}", found.violation, found.writes)
    }
}
