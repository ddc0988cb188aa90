//! What tests wait for.

use chitchat_protocol::{ChitchatId, Event, NodeStatus, Timestamp};

use crate::sim::{HostId, Sim};

/// A text of this many bytes that does not compress.
pub fn text_of(len: usize, seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + (state % 90) as u8)
    };
    (0..len).map(|_| next()).collect()
}

impl Sim {
    /// Whether every running node lists every running node as live, and nobody else.
    pub fn all_see_all(&self) -> bool {
        let count = self.running().count();
        self.running().all(|(_, host)| host.live() == count)
    }

    /// Whether every running node has the same incarnation, keys, versions and watermark of every
    /// running node.
    pub fn all_equal(&self) -> bool {
        let states: Vec<_> = self.running().map(|(_, host)| host.snapshot()).collect();
        let own: Vec<_> = states.iter().filter_map(|state| state.self_state()).collect();
        own.len() == states.len()
            && own.iter().all(|own| {
                states.iter().all(|state| {
                    state.node(&own.id().node_id).is_some_and(|theirs| {
                        theirs.incarnation() == own.incarnation()
                            && theirs.max_version() == own.max_version()
                            && theirs.last_gc_version() == own.last_gc_version()
                            && theirs.key_values().eq(own.key_values())
                    })
                })
            })
    }

    /// Whether each of these hosts has this value of the key; `None`: does not have it.
    pub fn all_have(
        &self,
        hosts: impl IntoIterator<Item = HostId>,
        node_id: &str,
        key: &str,
        value: Option<&str>,
    ) -> bool {
        hosts.into_iter().all(|host| self.host(host).get(node_id, key) == value)
    }

    /// Whether every running node but the node itself gives it this status; `None`: does not know
    /// it.
    pub fn all_give(&self, node_id: &str, status: Option<NodeStatus>) -> bool {
        self.running()
            .filter(|(_, host)| host.node_id() != node_id)
            .all(|(_, host)| host.status_of(node_id) == status)
    }

    /// Whether any running node but the node itself lists it as live.
    pub fn anybody_lists_live(&self, node_id: &str) -> bool {
        self.running()
            .filter(|(_, host)| host.node_id() != node_id)
            .any(|(_, host)| host.lists_live(node_id))
    }

    /// How often running nodes have declared others dead since their starts. Where nobody has died,
    /// each time is false.
    pub fn false_deaths(&self) -> usize {
        self.deaths().count()
    }

    /// Who has declared whom dead since then, of those that run now, and when. Of somebody who is
    /// dead indeed, a node may hear late.
    pub fn false_deaths_since(&self, since: Timestamp) -> Vec<(Timestamp, &str, &ChitchatId)> {
        let runs = |id: &ChitchatId| self.running().any(|(_, host)| host.running().id() == *id);
        self.deaths().filter(|(at, _, id)| *at >= since && runs(id)).collect()
    }

    /// When running nodes have declared others dead: who, and whom.
    fn deaths(&self) -> impl Iterator<Item = (Timestamp, &str, &ChitchatId)> {
        self.running().flat_map(|(_, host)| {
            host.events.iter().filter_map(|(at, event)| match event {
                Event::Failed { id } => Some((*at, host.node_id(), id)),
                _ => None,
            })
        })
    }

    /// A table of who sees whom how, for messages of failed assertions.
    pub fn describe(&self) -> String {
        let mut text = format!("seed {} at {}\n", self.seed(), self.now());
        for (id, host) in self.running() {
            let own = host.running().incarnation();
            text += &format!("host {id} ({}, {own}):", host.node_id());
            for node in host.snapshot().nodes() {
                text += &format!(
                    " {}={:?} {} m{} g{} n{};",
                    node.id().node_id,
                    node.status(),
                    node.incarnation(),
                    node.max_version(),
                    node.last_gc_version(),
                    node.num_key_values(),
                );
            }
            text += "\n";
        }
        text + "what was done last:" + &self.trace()
    }
}
