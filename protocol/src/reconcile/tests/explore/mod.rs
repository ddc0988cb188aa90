mod few;
mod many;
mod real;
mod search;
mod tell;

use crate::state::Breakage;

use few::{Few, Size};
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
    let b = env("B", 0);
    let breakage = Breakage {
        takes_gaps: b == 1,
        no_source_floor: b == 2,
        horizon_is_not_passed_on: b == 3,
        no_prune: b == 4,
        prunes_without_cursor: b == 5,
        last_part_of_a_prune_decides: b == 6,
        partial_prune_raises_gc: b == 7,
        entries_do_not_confirm: b == 8,
        no_doom: b == 9,
    };
    let size = Size { replicas: env("R", 3) as usize, slots: env("S", 1) as usize };
    let mut few = Few::new(bounds, size, breakage);
    if env("C", 0) == 1 {
        few = few.with_crashes();
    }
    let report = search(&mut few, env("L", 12_000_000) as usize);
    eprintln!(
        "{bounds:?} {size:?} {} {} {} {} {:?}",
        report.states,
        report.moves,
        report.depth,
        report.complete,
        few.real.counts()
    );
    if let Some(failure) = report.failure {
        eprintln!("{} {}", failure.way.len(), tell::tell(&mut few, &failure))
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
