//! Random schedules, and the search for the shortest one that still fails.

use std::fmt::Write;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::reconcile::model::{Code, Schedule, Violation, decode};
use crate::state::Breakage;

impl Schedule {
    pub(super) fn random(seed: u64, crash: bool) -> Schedule {
        let mut rng = SmallRng::seed_from_u64(seed);
        let len = rng.random_range(10..90);
        // Some schedules write more than they exchange, others less.
        let bias: u8 = rng.random_range(0..3);
        let code = |rng: &mut SmallRng| {
            let mut code: Code = rng.random();
            if rng.random_range(0..6) == 0 {
                code[0] = match bias {
                    0 => code[0] % 84,
                    1 => 96 + code[0] % 140,
                    _ => code[0],
                };
            }
            code
        };
        Schedule {
            peers: rng.random_range(2..6),
            room: if rng.random() { rng.random_range(0..50) } else { 1_000 },
            crash,
            steps: (0..len).map(|_| decode(code(&mut rng))).collect(),
        }
    }

    /// Leaves out steps for as long as the schedule still breaks the same rule.
    pub(super) fn shrink(mut self, breakage: Breakage, rule: &str) -> Schedule {
        let fails = |schedule: &Schedule| {
            schedule.run(breakage).is_err_and(|violation| violation.rule == rule)
        };
        loop {
            let before = self.steps.len();
            for width in [8, 4, 2, 1] {
                let mut start = 0;
                while start + width <= self.steps.len() {
                    let mut shorter = self.clone();
                    shorter.steps.drain(start..start + width);
                    if fails(&shorter) { self = shorter } else { start += 1 }
                }
            }
            if self.steps.len() == before {
                return self;
            }
        }
    }
}

/// Number of schedules, and the first seed: `CHITCHAT_SCHEDULES` and `CHITCHAT_SEED`.
pub(super) fn seeds(count: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("CHITCHAT_SEED") {
        Some(seed) => seed..seed + number("CHITCHAT_SCHEDULES").unwrap_or(1),
        None => 0..number("CHITCHAT_SCHEDULES").unwrap_or(count),
    }
}

/// Runs schedules until one fails. Returns its seed and what it broke.
pub(super) fn first_failure(
    seeds: std::ops::Range<u64>,
    crash: bool,
    breakage: Breakage,
) -> Option<(u64, Violation)> {
    seeds.into_iter().find_map(|seed| {
        let violation = Schedule::random(seed, crash).run(breakage).err()?;
        Some((seed, violation))
    })
}

/// The seed, the rule and the shortest schedule found, to print when a test fails.
pub(super) fn explain(seed: u64, violation: &Violation, crash: bool, breakage: Breakage) -> String {
    let schedule = Schedule::random(seed, crash).shrink(breakage, violation.rule);
    let detail = schedule.run(breakage).err().map(|violation| violation.detail);
    let mut text = format!("seed={seed} breaks {}: {}\n", violation.rule, violation.detail);
    let _ = writeln!(
        text,
        "shortest: {} ({} peers, room {})",
        detail.unwrap_or_default(),
        schedule.peers,
        schedule.room
    );
    for step in &schedule.steps {
        let _ = writeln!(text, "    {step:?}");
    }
    text
}
