//! Digests in columns (rules P10 to P13): asking with them, answering, and what comes of the answer.

mod answer;
mod ask;
mod conclude;
mod inquire;

pub(super) use ask::Asked;

use std::time::Duration;

use crate::columns::{Cell, Life};
use crate::compact::{self, Reading};
use crate::membership::Member;
use crate::node::Node;
use crate::state::Versions;

impl Node {
    /// The age of what is known of a member.
    fn age_of(&self, member: &Member) -> Duration {
        self.now.since(member.vitals.last_sign_of_life())
    }

    /// A member's life in full.
    fn life(&self, position: u32, member: &Member) -> Life {
        let heartbeat = member.vitals.heartbeat();
        Life { position, heartbeat, age: Some(self.age_of(member)) }
    }

    /// What a column says of a member's life.
    fn cell_of(&self, member: &Member) -> Cell {
        if !member.is_live() {
            return Cell::NotLive;
        }
        let tenth = self.config.gossip_interval / 10;
        compact::cell_of(member.vitals.heartbeat(), self.age_of(member), tenth)
    }

    /// What a young cell says, beside what we know.
    fn read_cell(&self, heartbeat: u8, age: Duration, member: &Member) -> Reading {
        let known = (member.vitals.heartbeat(), self.age_of(member));
        compact::read(heartbeat, age, known, self.config.gossip_interval, false)
    }
}

/// What the hashes of versions are made of.
fn pair(versions: Versions) -> (u64, u64) {
    (versions.max_version, versions.last_gc_version)
}
