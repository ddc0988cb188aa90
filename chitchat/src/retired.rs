//! Former snapshots, kept until no reader has them.

use std::collections::VecDeque;
use std::sync::Arc;

use chitchat_protocol::ClusterStateSnapshot;

/// Snapshots that are kept for slow readers. A reader of one that is older pays for it itself.
const MOST: usize = 64;

/// Former snapshots. Whoever lets go of one last frees what has changed since, which can be most of
/// a large state: that is the driver, so that no reader waits for it.
#[derive(Default)]
pub(crate) struct Retired {
    snapshots: VecDeque<Arc<ClusterStateSnapshot>>,
}

impl Retired {
    /// Takes a snapshot that is no longer the present one, if there is one, and frees those that
    /// nobody reads any more.
    pub(crate) fn add(&mut self, snapshot: Option<Arc<ClusterStateSnapshot>>) {
        self.snapshots.extend(snapshot);
        // No new reader can come: it is not the present one.
        self.snapshots.retain(|snapshot| Arc::strong_count(snapshot) > 1);
        while self.snapshots.len() > MOST {
            self.snapshots.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use chitchat_protocol::{Config, LinkLimits, Node, Timestamp};

    use super::*;

    #[test]
    fn a_snapshot_is_kept_while_it_is_read_and_no_longer() {
        let config = Config::new("cluster", "node");
        let node = Node::new(config, LinkLimits::default(), 1, Timestamp::ZERO).unwrap();
        let snapshot = || Arc::new(node.snapshot().clone());
        let mut retired = Retired::default();
        let read = snapshot();
        retired.add(Some(Arc::clone(&read)));
        retired.add(Some(snapshot()));
        assert_eq!(retired.snapshots.len(), 1);
        drop(read);
        retired.add(None);
        assert!(retired.snapshots.is_empty());
        let reads: Vec<_> = (0..2 * MOST).map(|_| snapshot()).collect();
        reads.iter().for_each(|read| retired.add(Some(Arc::clone(read))));
        assert_eq!(retired.snapshots.len(), MOST);
    }
}
