//! A run of the model, and its form in bytes.

use crate::state::Breakage;

use super::check::Violation;
use super::world::{Step, World};

/// A step in bytes, so that a generator of bytes generates schedules.
pub(crate) type Code = [u8; 6];

/// Which step a code means.
pub(crate) fn decode(code: Code) -> Step {
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
pub(crate) struct Schedule {
    pub(crate) peers: usize,
    pub(crate) room: usize,
    pub(crate) crash: bool,
    pub(crate) steps: Vec<Step>,
}

impl Schedule {
    pub(crate) fn run(&self, breakage: Breakage) -> Result<(), Violation> {
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
}
