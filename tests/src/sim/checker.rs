//! Judges every publication of every node against what the owners wrote.
//!
//! The owner's own snapshots are the truth: nobody else writes its namespace. What others show of
//! it must be a state that the owner's log explains, and must never go back.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chitchat_protocol::{ClusterStateSnapshot, Incarnation, NodeId, NodeState, Timestamp};

use crate::sim::HostId;

/// One run of a node on a host: what it saw before a restart does not bind it afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Observer {
    /// Which host.
    pub host: HostId,
    /// Which run.
    pub run: usize,
}

/// A key-value as readers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Version of the write.
    pub version: u64,
    /// The value.
    pub value: String,
    /// When it expires by the clock of the simulation, if it does.
    pub deadline: Option<Timestamp>,
}

/// A node as readers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Which run of it.
    pub incarnation: Incarnation,
    /// Its log is known up to here.
    pub max_version: u64,
    /// Tombstones up to here may be gone.
    pub last_gc_version: u64,
    /// The readable keys.
    pub keys: BTreeMap<String, Seen>,
}

impl View {
    /// The view that a state gives to a reader whose clock is behind by `lag`.
    pub fn of(state: &NodeState, lag: Duration) -> View {
        let seen = |entry: &chitchat_protocol::VersionedValue| Seen {
            version: entry.version(),
            value: entry.value().unwrap_or_default().to_owned(),
            deadline: entry.deadline().map(|deadline| deadline + lag),
        };
        View {
            incarnation: state.incarnation(),
            max_version: state.max_version(),
            last_gc_version: state.last_gc_version(),
            keys: state.iter_prefix("").map(|(key, entry)| (key.to_owned(), seen(entry))).collect(),
        }
    }
}

/// The log of one incarnation, as far as it was ever visible to its owner.
#[derive(Debug, Default)]
struct Log {
    max_version: u64,
    last_gc_version: u64,
    current: BTreeMap<String, Seen>,
    writes: HashMap<u64, (String, Seen)>,
    /// What became of the write at this version.
    ended: HashMap<u64, End>,
    /// Version of the newest operation on each key, at the latest.
    newest: HashMap<String, u64>,
}

/// The end of a write.
#[derive(Clone, Copy, Debug)]
enum End {
    /// Overwritten at this version.
    Overwritten(u64),
    /// Deleted, or expired.
    Deleted,
}

impl Log {
    /// Whether the key of this write has had a value ever since, and has it still.
    fn is_set_ever_since(&self, mut version: u64, at: Timestamp) -> bool {
        loop {
            let Some((_, write)) = self.writes.get(&version) else { return false };
            if write.deadline.is_some_and(|deadline| deadline <= at) {
                return false;
            }
            match self.ended.get(&version) {
                Some(End::Overwritten(next)) => version = *next,
                Some(End::Deleted) => return false,
                None => return true,
            }
        }
    }
}

/// What one observer was shown of one node.
#[derive(Debug)]
struct Shown {
    view: View,
    /// The newest version of each key that was ever shown of this incarnation.
    newest: HashMap<String, u64>,
}

/// Keeps the truth, and complains of any publication that contradicts it.
#[derive(Debug, Default)]
pub struct Checker {
    logs: HashMap<(NodeId, Incarnation), Log>,
    shown: HashMap<(Observer, NodeId), Shown>,
    /// The highest incarnation that was ever shown.
    floors: HashMap<(Observer, NodeId), Incarnation>,
    /// Nodes may forget whom they removed, since their bound on that is low. Then an older
    /// incarnation that still runs may be shown again.
    pub forgetful: bool,
    /// Number of views judged.
    pub judged: u64,
}

impl Checker {
    /// Judges the step from one snapshot of an observer to the next.
    pub fn publication(
        &mut self,
        at: Timestamp,
        lag: Duration,
        observer: Observer,
        before: Option<&ClusterStateSnapshot>,
        after: &ClusterStateSnapshot,
    ) -> Result<(), String> {
        let own = &after.self_id().node_id;
        let own_state = after.self_state().ok_or("the own state is missing")?;
        if own_state.id() != after.self_id() {
            return Err(format!("own id {} with state of {}", after.self_id(), own_state.id()));
        }
        for state in after.nodes() {
            let node_id = &state.id().node_id;
            let unchanged = before
                .and_then(|before| before.node(node_id))
                .is_some_and(|old| std::sync::Arc::ptr_eq(old, state));
            if unchanged {
                continue;
            }
            if node_id == own {
                self.own(node_id, View::of(state, lag))?;
            } else {
                self.shown(at, observer, node_id, View::of(state, lag))?;
            }
        }
        for state in before.into_iter().flat_map(ClusterStateSnapshot::nodes) {
            if after.node(&state.id().node_id).is_none() {
                self.removed(observer, &state.id().node_id);
            }
        }
        Ok(())
    }

    /// An owner publishes its own state: that is the truth.
    pub fn own(&mut self, node_id: &NodeId, view: View) -> Result<(), String> {
        let log = self.logs.entry((node_id.clone(), view.incarnation)).or_default();
        if view.max_version < log.max_version {
            return Err(format!("{node_id}: its own log fell from version {}", log.max_version));
        }
        let g = view.last_gc_version;
        if g < log.last_gc_version || g > view.max_version {
            let old = log.last_gc_version;
            return Err(format!("{node_id}: its own watermark went from {old} to {g}"));
        }
        log.last_gc_version = g;
        for (key, seen) in &view.keys {
            // The first deadline counts: others do not know that the owner's clock stood still since.
            if log.current.get(key).is_some_and(|old| old.version == seen.version) {
                continue;
            }
            let old = log.current.insert(key.clone(), seen.clone());
            if seen.version <= log.max_version || seen.version > view.max_version {
                return Err(format!("{node_id}: {key} was written at version {}", seen.version));
            }
            log.newest.insert(key.clone(), seen.version);
            log.writes.insert(seen.version, (key.clone(), seen.clone()));
            if let Some(old) = old {
                log.ended.insert(old.version, End::Overwritten(seen.version));
            }
        }
        let (max_version, ended, newest) = (view.max_version, &mut log.ended, &mut log.newest);
        log.current.retain(|key, seen| {
            let stays = view.keys.contains_key(key);
            if !stays {
                ended.insert(seen.version, End::Deleted);
                newest.insert(key.clone(), max_version);
            }
            stays
        });
        log.max_version = max_version;
        Ok(())
    }

    /// An observer no longer shows a node.
    pub fn removed(&mut self, observer: Observer, node_id: &NodeId) {
        let place = (observer, node_id.clone());
        self.shown.remove(&place);
        if self.forgetful {
            self.floors.remove(&place);
        }
    }

    /// An observer shows a node in this state.
    pub fn shown(
        &mut self,
        at: Timestamp,
        observer: Observer,
        node_id: &NodeId,
        view: View,
    ) -> Result<(), String> {
        self.judged += 1;
        let place = (observer, node_id.clone());
        let incarnation = view.incarnation;
        let floor = self.floors.entry(place.clone()).or_insert(incarnation);
        if incarnation < *floor {
            return Err(format!("{node_id}: {incarnation} is shown after {floor}"));
        }
        *floor = incarnation;
        let Some(log) = self.logs.get(&(node_id.clone(), incarnation)) else {
            return Err(format!("{node_id}: {incarnation} never was"));
        };
        if view.max_version > log.max_version {
            return Err(format!("{node_id}: version {} is not written yet", view.max_version));
        }
        // I4.
        if view.last_gc_version > log.last_gc_version {
            let g = view.last_gc_version;
            return Err(format!("{node_id}: watermark {g} is not its owner's yet"));
        }
        let mut former = self.shown.remove(&place);
        if former.as_ref().is_some_and(|former| former.view.incarnation != incarnation) {
            former = None;
        }
        judge_content(at, node_id, log, &view)?;
        let mut newest = HashMap::new();
        if let Some(former) = former {
            judge_step(at, node_id, log, &former, &view)?;
            newest = former.newest;
        } else {
            for (key, seen) in &view.keys {
                judge_appearance(node_id, log, &view, key, seen)?;
            }
        }
        for (key, seen) in &view.keys {
            newest.insert(key.clone(), seen.version);
        }
        self.shown.insert(place, Shown { view, newest });
        Ok(())
    }
}

/// Every value shown is one that the owner wrote, and up to `max_version` nothing is missing.
fn judge_content(at: Timestamp, node_id: &NodeId, log: &Log, view: &View) -> Result<(), String> {
    for (key, seen) in &view.keys {
        let written = log.writes.get(&seen.version);
        if written.is_none_or(|(other, write)| other != key || write.value != seen.value) {
            let (version, value) = (seen.version, &seen.value);
            return Err(format!("{node_id}: nobody wrote {key} = {value} at version {version}"));
        }
    }
    for (key, write) in &log.current {
        let expired = write.deadline.is_some_and(|deadline| deadline <= at);
        if write.version > view.max_version || expired {
            continue;
        }
        match view.keys.get(key) {
            Some(seen) if seen.version == write.version => {}
            Some(seen) => {
                let (m, old, new) = (view.max_version, seen.version, write.version);
                return Err(format!("{node_id}: {key}@{old} at max_version {m} instead of @{new}"));
            }
            None => {
                let (m, version) = (view.max_version, write.version);
                return Err(format!("{node_id}: {key}@{version} is missing at max_version {m}"));
            }
        }
    }
    Ok(())
}

/// What appears must not be superseded by what the view claims to know (I1, I2). Where the newest
/// operation on the key lies above `max_version`, any older value is in order: what came between
/// may have been overwritten before it was sent.
fn judge_appearance(
    node_id: &NodeId,
    log: &Log,
    view: &View,
    key: &str,
    seen: &Seen,
) -> Result<(), String> {
    let (version, m) = (seen.version, view.max_version);
    match log.newest.get(key) {
        Some(newest) if version < *newest && *newest <= m => Err(format!(
            "{node_id}: {key}@{version} appears at max_version {m}, and it ended by {newest}"
        )),
        _ => Ok(()),
    }
}

/// Nothing goes back, and nothing disappears without a reason.
fn judge_step(
    at: Timestamp,
    node_id: &NodeId,
    log: &Log,
    former: &Shown,
    view: &View,
) -> Result<(), String> {
    if view.max_version < former.view.max_version {
        let (old, new) = (former.view.max_version, view.max_version);
        return Err(format!("{node_id}: max_version fell from {old} to {new}"));
    }
    for (key, seen) in &view.keys {
        let stood = former.view.keys.get(key).is_some_and(|old| old.version == seen.version);
        if stood {
            continue;
        }
        if let Some(newest) = former.newest.get(key).filter(|newest| seen.version <= **newest) {
            let version = seen.version;
            return Err(format!("{node_id}: {key}@{version} came back after @{newest}"));
        }
        judge_appearance(node_id, log, view, key, seen)?;
    }
    // Also a key that was overwritten stays, with its former value, until the new one is here.
    for (key, old) in &former.view.keys {
        if !view.keys.contains_key(key) && log.is_set_ever_since(old.version, at) {
            let version = old.version;
            return Err(format!("{node_id}: {key}@{version} disappeared, and was never deleted"));
        }
    }
    Ok(())
}
