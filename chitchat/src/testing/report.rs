//! What is shown when a test fails.

use std::fmt::Write as _;

use chitchat_protocol::{ClusterStateSnapshot, NodeState};

use super::builder::node_id;
use super::cluster::Cluster;

/// So many of the last things that happened are shown.
const LAST: usize = 60;

impl<A> Cluster<A> {
    /// The seed, what the network does, what each node sees, and what has happened last. Part of
    /// every message of a failure, and what `{:?}` gives.
    #[must_use]
    pub fn report(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_report(&mut text);
        text
    }

    fn write_report(&self, text: &mut String) -> std::fmt::Result {
        let at = self.elapsed().as_secs_f64();
        writeln!(text, "seed {}, {at:.3} s after the start in virtual time", self.seed())?;
        writeln!(text, "network: {:?}", self.setup.conditions)?;
        for ((from, to), conditions) in &self.links {
            writeln!(text, "network from {} to {}: {conditions:?}", node_id(*from), node_id(*to))?;
        }
        for (from, to) in &self.blocked {
            writeln!(text, "network: nothing gets from {} to {}", node_id(*from), node_id(*to))?;
        }
        for (index, slot) in self.slots.iter().enumerate() {
            match &slot.run {
                None => writeln!(text, "{} does not run: it {}", node_id(index), slot.absence)?,
                Some(run) => {
                    let handle = &run.node.handle;
                    write!(text, "{}", handle.id())?;
                    if run.paused {
                        write!(text, ", which is paused,")?;
                    }
                    if let Some(reason) = handle.close_reason() {
                        write!(text, ", which is closed ({reason}),")?;
                    }
                    write_view(text, &handle.snapshot())?;
                }
            }
        }
        let last = self.history.last(LAST);
        writeln!(text, "the last {} things that happened:", last.len())?;
        last.iter().try_for_each(|entry| writeln!(text, "{entry}"))
    }
}

fn write_view(text: &mut String, snapshot: &ClusterStateSnapshot) -> std::fmt::Result {
    writeln!(text, " sees:")?;
    snapshot.nodes().try_for_each(|state| write_state(text, state))
}

fn write_state(text: &mut String, state: &NodeState) -> std::fmt::Result {
    let (id, status, version) = (state.id(), state.status(), state.max_version());
    let keys = state.num_key_values();
    writeln!(text, "    {id} {status:?}, version {version}, {keys} key-values")
}
