//! The application: which node serves which shard.
//!
//! Every node works it out for itself, from the live nodes, so that all that agree on these agree on
//! the shards (rendezvous hashing: Thaler and Ravishankar 1998). A node says with a key what it
//! serves, and takes a shard over only when nobody else says so. There is no consensus in this: where
//! nodes disagree about who lives, as in a partition, a shard may be served twice until they agree.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chitchat::{ChitchatHandle, ClusterStateSnapshot, Event, NodeStatus};
use tokio::time::{Instant, sleep_until};

/// Number of shards.
pub(crate) const SHARDS: u32 = 32;

/// How shards are placed. Rules can be left out, which is wrong: the tests show that they would
/// notice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Nothing is taken over until who is there has not changed for so long.
    pub(crate) settle: Duration,
    /// A node that has failed serves nothing.
    pub(crate) heed_failures: bool,
    /// A shard is taken over only when nobody alive says that it serves it.
    pub(crate) wait_for_release: bool,
    /// A shard that another node should serve is given up.
    pub(crate) yield_to_others: bool,
}

impl Rules {
    /// All rules, for this gossip interval: news reaches everybody in about three rounds.
    pub(crate) fn new(gossip_interval: Duration) -> Self {
        Self {
            settle: gossip_interval * 4,
            heed_failures: true,
            wait_for_release: true,
            yield_to_others: true,
        }
    }
}

/// What one node serves. Clones show the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Placement {
    serving: Arc<Mutex<BTreeSet<u32>>>,
}

impl Placement {
    /// The shards that the node serves now.
    pub(crate) fn serving(&self) -> BTreeSet<u32> {
        self.serving.lock().expect("nothing panics under it").clone()
    }

    /// Serves shards until the node ends, or until `stopping`, and then none any more.
    pub(crate) async fn run(
        self,
        node: ChitchatHandle,
        rules: Rules,
        stopping: impl Future<Output = ()>,
    ) {
        let (_, mut events) = node.events();
        let mut stopping = std::pin::pin!(stopping);
        let (mut settled, mut settles_at) = (false, Instant::now() + rules.settle);
        loop {
            let members_changed = tokio::select! {
                biased;
                () = &mut stopping => break,
                event = events.next() => match event {
                    None => break,
                    Some(Ok(Event::KeySet { .. } | Event::KeyDeleted { .. })) => false,
                    // Or some were missed, and we do not know which.
                    Some(_) => true,
                },
                () = sleep_until(settles_at), if !settled => {
                    settled = true;
                    false
                }
            };
            if members_changed {
                (settled, settles_at) = (false, Instant::now() + rules.settle);
            }
            self.place(&node, rules, settled);
        }
        for shard in self.serving() {
            self.release(&node, shard);
        }
    }

    /// Gives up what others should serve, and takes over what this node should.
    fn place(&self, node: &ChitchatHandle, rules: Rules, settled: bool) {
        let snapshot = node.snapshot();
        let own = &snapshot.self_id().node_id;
        for shard in 0..SHARDS {
            let serves = self.serving().contains(&shard);
            let should = preferred(shard, &snapshot, rules).is_some_and(|id| id == own.as_str());
            if serves && !should && rules.yield_to_others {
                self.release(node, shard);
            }
            let free = !rules.wait_for_release || !is_served_elsewhere(shard, &snapshot);
            if !serves && should && settled && free {
                self.take(node, shard);
            }
        }
    }

    /// Whoever takes a shard over says so first.
    fn take(&self, node: &ChitchatHandle, shard: u32) {
        if node.set(key(shard), "served").is_ok() {
            self.serving.lock().expect("nothing panics under it").insert(shard);
        }
    }

    /// Whoever gives a shard up says so last. If that fails, the node has ended, and its keys too.
    fn release(&self, node: &ChitchatHandle, shard: u32) {
        self.serving.lock().expect("nothing panics under it").remove(&shard);
        let _ = node.delete(key(shard));
    }
}

fn key(shard: u32) -> String {
    format!("shard/{shard}")
}

/// The node that should serve a shard: of those that live, the one with the highest weight for it.
fn preferred(shard: u32, snapshot: &ClusterStateSnapshot, rules: Rules) -> Option<&str> {
    let candidates = snapshot.nodes().filter(|state| match state.status() {
        NodeStatus::Alive => true,
        NodeStatus::Dead => !rules.heed_failures,
        _ => false,
    });
    candidates.map(|state| state.id().node_id.as_str()).max_by_key(|id| weight(shard, id))
}

fn is_served_elsewhere(shard: u32, snapshot: &ClusterStateSnapshot) -> bool {
    let others = snapshot.live_nodes().filter(|state| state.id() != snapshot.self_id());
    others.into_iter().any(|state| state.get(&key(shard)).is_some())
}

/// The same on every node and in every build, unlike the standard library's hashes: FNV-1a, with the
/// final mixing of MurmurHash3, since FNV alone moves little upwards.
fn weight(shard: u32, node_id: &str) -> u64 {
    let bytes = shard.to_le_bytes().into_iter().chain(node_id.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53)
}
