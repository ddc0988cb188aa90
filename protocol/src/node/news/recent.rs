//! Whose copies have changed lately, so that a push does not look at all members.

use std::collections::VecDeque;

use crate::id::NodeId;
use crate::time::Timestamp;

/// Owners whose copies have changed lately; at least those since some time.
#[derive(Clone, Debug)]
pub(super) struct Recent {
    /// By when they changed, or before.
    owners: VecDeque<(Timestamp, NodeId)>,
    /// Whoever has changed since then is among them.
    since: Timestamp,
}

impl Recent {
    pub(super) fn new(now: Timestamp) -> Recent {
        Recent { owners: VecDeque::new(), since: now }
    }

    /// A copy has changed, and had `before` for the last time.
    pub(super) fn note(&mut self, node_id: &NodeId, before: Timestamp, now: Timestamp) {
        if before < self.since {
            self.owners.push_back((now, node_id.clone()));
        }
    }

    /// Forgets who has not changed since then. `changed_at` says when a copy did, if there is one.
    pub(super) fn trim(
        &mut self,
        since: Timestamp,
        changed_at: impl Fn(&NodeId) -> Option<Timestamp>,
    ) {
        self.since = self.since.max(since);
        while self.owners.front().is_some_and(|(at, _)| *at < self.since) {
            let Some((_, node_id)) = self.owners.pop_front() else { break };
            if let Some(at) = changed_at(&node_id).filter(|at| *at >= self.since) {
                self.owners.push_back((at, node_id));
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.owners.len()
    }

    /// Not all of them have changed lately. Whoever has begun anew may be there twice.
    pub(super) fn owners(&self) -> impl Iterator<Item = &NodeId> {
        self.owners.iter().map(|(_, node_id)| node_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn who_changes_again_stays_and_who_does_not_goes() {
        let [quiet, busy] = ["quiet", "busy"].map(NodeId::from);
        let mut recent = Recent::new(at(0));
        recent.note(&quiet, Timestamp::MIN, at(1));
        recent.note(&busy, Timestamp::MIN, at(1));
        recent.note(&busy, at(1), at(5));
        assert_eq!(recent.owners().count(), 2, "nobody is noted twice");

        let changed_at = |it: &NodeId| Some(if *it == quiet { at(1) } else { at(5) });
        recent.trim(at(3), changed_at);
        assert_eq!(recent.owners().collect::<Vec<_>>(), [&busy]);
        recent.trim(at(3), |_| None);
        assert_eq!(recent.owners().collect::<Vec<_>>(), [&busy], "it was not looked at again");
        recent.note(&quiet, at(1), at(6));
        assert_eq!(recent.owners().count(), 2, "it is noted anew");
        recent.trim(at(10), |_| None);
        assert_eq!(recent.owners().count(), 0);
    }
}
