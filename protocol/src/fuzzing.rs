//! What the fuzz targets of this repository need of the inside. No part of the API: it may change or
//! go with any release.

use crate::reconcile::model::{Code, Schedule, decode};
use crate::state::Breakage;

/// Most steps of a schedule: what is longer only takes longer.
const MAX_STEPS: usize = 256;

/// A rule that is left out on purpose, to see that it is missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// Rule (c): deltas from below the watermark are taken.
    SourceFloor,
    /// Every part of a prune raises the watermark.
    WholePrune,
    /// A delta's own entries do not count as confirmed.
    Confirmation,
    /// Refuted entries go at once, as if there were no horizon.
    Horizon,
}

impl LeftOut {
    /// All of them.
    pub const ALL: [LeftOut; 4] =
        [LeftOut::SourceFloor, LeftOut::WholePrune, LeftOut::Confirmation, LeftOut::Horizon];

    fn breakage(left_out: Option<LeftOut>) -> Breakage {
        let is = |rule| left_out == Some(rule);
        Breakage {
            no_source_floor: is(LeftOut::SourceFloor),
            partial_prune_raises_gc: is(LeftOut::WholePrune),
            entries_do_not_confirm: is(LeftOut::Confirmation),
            no_doom: is(LeftOut::Horizon),
            ..Breakage::default()
        }
    }
}

/// Runs the schedule that the bytes mean against an owner and some replicas, and says which invariant
/// of ALGORITHM.md was broken, if one was.
///
/// Three bytes say how many replicas there are, how much room a part has at the end, and whether the
/// owner dies before that; then each step takes six.
///
/// # Errors
///
/// The invariant, and what is wrong.
pub fn run_deltas(bytes: &[u8], left_out: Option<LeftOut>) -> Result<(), String> {
    let Some((&[peers, room, crash], codes)) = bytes.split_first_chunk() else {
        return Ok(());
    };
    let (codes, _) = codes.as_chunks::<{ size_of::<Code>() }>();
    let schedule = Schedule {
        peers: 2 + usize::from(peers % 4),
        room: room.into(),
        crash: crash % 4 == 0,
        steps: codes.iter().take(MAX_STEPS).copied().map(decode).collect(),
    };
    let complain = |violation: crate::reconcile::model::Violation| {
        format!("{}: {} by {:#?}", violation.rule, violation.detail, schedule.steps)
    };
    schedule.run(LeftOut::breakage(left_out)).map_err(complain)
}
