//! Random schedules, and the search for the shortest one that still fails.

use std::fmt::Write;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::state::Breakage;

use super::check::Violation;
use super::model::{Step, World};

/// A step in bytes, so that a generator of bytes generates schedules.
pub(super) type Code = [u8; 6];

/// Which step a code means.
pub(super) fn decode(code: Code) -> Step {
    let [kind, a, b, c, d, e] = code;
    match kind {
        0..32 => Step::Set { key: a, value: b },
        32..38 => Step::Lease { key: a, value: b, ms: c },
        38..42 => Step::Renew { key: a, ms: b },
        42..68 => Step::Delete { key: a },
        68..84 => Step::Collect,
        84..96 => Step::Advance { ms: a },
        96..128 => Step::Ask { asker: a, server: b, room: room(c, e), parts: d },
        128..140 => Step::Wild { asker: a, server: b, view: c, cursor: d, room: room(e, b) },
        140..186 => Step::Deliver { index: a, keep: b < 64 },
        186..192 => Step::Lose { index: a },
        192..236 => Step::Exchange { asker: a, server: b, room: room(c, e), parts: d },
        236..242 => Step::Join { peer: a },
        242..248 => Step::CutOff { peer: a },
        248..=255 => Step::Reconnect { peer: a },
    }
}

/// Bytes beside the header: mostly so few that parts are cut everywhere.
fn room(byte: u8, scale: u8) -> u8 {
    match scale % 3 {
        0 => byte % 16,
        1 => byte % 64,
        _ => byte,
    }
}

/// A whole run: the schedule, then a calm network. With `crash`, the owner dies before that.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    pub(super) peers: usize,
    pub(super) room: usize,
    pub(super) crash: bool,
    pub(super) steps: Vec<Step>,
}

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

    pub(super) fn run(&self, breakage: Breakage) -> Result<(), Violation> {
        let mut world = World::new(self.peers, breakage);
        for step in &self.steps {
            world.step(*step)?;
        }
        world.crashed = self.crash;
        if self.crash {
            let before = world.clone();
            world.settle(self.room)?;
            return world.check_spread(&before);
        }
        world.settle(self.room)?;
        world.check_equal()?;
        world.deliver_the_rest()
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
