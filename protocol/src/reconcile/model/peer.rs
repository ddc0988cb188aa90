//! A replica with what a node keeps beside it, and with a reader that remembers what it saw.

use crate::delta::NodeDelta;
use crate::digest::DigestEntry;
use crate::id::Incarnation;
use crate::reconcile::plan::PeerView;
use crate::state::{ApplyOutcome, Breakage, DropReason, Replica, Versions};
use crate::time::Timestamp;

use super::check::{Reader, Violation, check_peer};
use super::owner::{OWNER, Owner};

/// Deltas that a peer keeps aside.
const MAX_PARKED: usize = 8;

#[derive(Clone, Default)]
pub(crate) struct Peer {
    pub(crate) replica: Replica,
    /// A second copy, of which the peer fetches all from the start (rule F1).
    pub(crate) fresh: Option<Replica>,
    /// The watermark of the peer that it is fetched from: what lies above is not taken.
    pub(crate) fresh_gc: u64,
    pub(crate) parked: Vec<NodeDelta<'static>>,
    pub(crate) reader: Reader,
    pub(crate) cut_off: bool,
}

impl Peer {
    /// What the peer's digest says.
    pub(crate) fn view(&self) -> PeerView {
        let versions = self.digest_versions();
        PeerView::from_digest(&DigestEntry {
            node_id: OWNER.into(),
            incarnation: Incarnation::default(),
            heartbeat: 0,
            age: None,
            max_version: versions.max_version,
            last_gc_version: versions.last_gc_version,
            cursor: versions.cursor,
            parked: if self.fresh.is_some() { None } else { self.parked_range() },
            frozen: false,
        })
    }

    pub(crate) fn digest_versions(&self) -> Versions {
        self.fresh.as_ref().unwrap_or(&self.replica).versions()
    }

    fn parked_range(&self) -> Option<(u64, u64)> {
        let first = self.parked.iter().min_by_key(|delta| delta.from)?;
        let (from, mut to) = (first.from, first.to);
        while let Some(next) = self.parked.iter().find(|delta| delta.from <= to && delta.to > to) {
            to = next.to;
        }
        (from < to).then_some((from, to))
    }

    /// Takes in a delta as a node does, and checks every invariant.
    pub(crate) fn receive(
        &mut self,
        delta: &NodeDelta<'static>,
        owner: &Owner,
        now: Timestamp,
        breakage: Breakage,
    ) -> Result<Result<ApplyOutcome, DropReason>, Violation> {
        if let Some(fresh) = &mut self.fresh
            && delta.last_gc_version <= self.fresh_gc
        {
            let _ = fresh.apply_with(delta, now, breakage);
            // Caught up with the peer that it was fetched from.
            if fresh.versions().max_version >= delta.source
                && fresh.versions().max_version > self.replica.versions().max_version
            {
                self.reader.swapped();
                self.replica.replace_with(self.fresh.take().unwrap_or_default());
                self.replica.expire(now);
            }
        }
        let versions = self.replica.versions();
        if versions.max_version >= versions.last_gc_version {
            self.fresh = None;
        }
        let result = self.replica.apply_with(delta, now, breakage);
        if result == Err(DropReason::Gap) && self.parked.len() < MAX_PARKED {
            self.parked.push(delta.clone());
        }
        self.replica.expire(now);
        check_peer(self, owner, now)?;
        // What was kept aside and now follows on what is there.
        loop {
            let m = self.replica.versions().max_version;
            let Some(index) = self.parked.iter().position(|it| it.from <= m) else {
                break;
            };
            let parked = self.parked.swap_remove(index);
            let _ = self.replica.apply_with(&parked, now, breakage);
            self.replica.expire(now);
            check_peer(self, owner, now)?;
        }
        Ok(result)
    }

    /// Rule F1: our copy lies below a watermark that its silent owner can no longer help it over,
    /// and a peer has a longer copy.
    pub(crate) fn consider_fresh(&mut self, theirs: Versions) {
        let ours = self.replica.versions();
        if theirs.max_version > ours.max_version
            && theirs.max_version.max(theirs.last_gc_version) >= ours.last_gc_version
        {
            // This peer can help the first copy.
            self.fresh = None;
            return;
        }
        if ours.max_version < ours.last_gc_version
            && theirs.max_version > ours.max_version
            && theirs.max_version < ours.last_gc_version
            && (self.fresh.is_none() || theirs.last_gc_version > self.fresh_gc)
        {
            self.fresh = Some(Replica::new());
            self.fresh_gc = theirs.last_gc_version;
        }
    }
}
