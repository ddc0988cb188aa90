//! A simulated host: its addresses, and a node that may run on it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chitchat_protocol::{
    ClusterStateSnapshot, Config, Event, LinkLimits, Node, NodeState, NodeStatus, Notice,
    Timestamp, Transmit, diff,
};

/// Position of a host in its [`Sim`](crate::sim::Sim).
pub type HostId = usize;

/// What a node wants done.
#[derive(Default)]
pub(crate) struct Outputs {
    pub(crate) messages: Vec<Transmit>,
    /// The former snapshot, if there is a new one.
    pub(crate) published_before: Option<ClusterStateSnapshot>,
}

/// A host. The node on it can be killed and started again.
pub struct Host {
    /// At least one; of one or both families.
    pub(crate) addrs: Vec<SocketAddr>,
    pub(crate) config: Config,
    pub(crate) link: LinkLimits,
    pub(crate) seeds: Vec<SocketAddr>,
    pub(crate) node: Option<Node>,
    /// The process is stopped until then: nothing is handled, everything queues.
    pub(crate) stopped_until: Timestamp,
    /// The machine is suspended until then: as if stopped, and what arrives is lost.
    pub(crate) suspended_until: Timestamp,
    /// How far its clock is behind: one that does not count suspends.
    pub(crate) lag: Duration,
    /// The longest that the process is kept waiting after each thing that it handles.
    pub(crate) starved: Option<Duration>,
    /// The process waits for the processor until then.
    pub(crate) busy_until: Timestamp,
    /// The earliest wake-up that is scheduled.
    pub(crate) wake_at: Timestamp,
    snapshot: Option<ClusterStateSnapshot>,
    first: Option<ClusterStateSnapshot>,
    /// How many times a node was started here.
    pub(crate) runs: usize,
    /// Messages of the node that went where no node runs, or could not be sent for want of an address
    /// of a family that the host has.
    pub wasted: u64,
    /// Events that hold states or values are not kept.
    pub(crate) frugal: bool,
    /// All events since the node was started, with their times.
    pub events: Vec<(Timestamp, Event)>,
    /// All notices since the node was started, with their times.
    pub notices: Vec<(Timestamp, Notice)>,
}

impl Host {
    pub(crate) fn new(
        addrs: Vec<SocketAddr>,
        config: Config,
        link: LinkLimits,
        seeds: Vec<SocketAddr>,
    ) -> Host {
        Host {
            addrs,
            config,
            link,
            seeds,
            node: None,
            stopped_until: Timestamp::MIN,
            suspended_until: Timestamp::MIN,
            lag: Duration::ZERO,
            starved: None,
            busy_until: Timestamp::MIN,
            wake_at: Timestamp::MAX,
            snapshot: None,
            first: None,
            runs: 0,
            wasted: 0,
            frugal: false,
            events: Vec::new(),
            notices: Vec::new(),
        }
    }

    pub(crate) fn start(&mut self, seed: u64, now: Timestamp) {
        let mut node = Node::new(self.config.clone(), self.link, seed, now)
            .expect("the simulated configuration is valid");
        node.set_seed_addrs(self.seeds.clone());
        self.snapshot = Some(node.snapshot().clone());
        self.first = self.snapshot.clone();
        self.runs += 1;
        self.events.clear();
        self.notices.clear();
        self.node = Some(node);
    }

    /// Fetches all outputs: events and notices are kept, messages returned.
    pub(crate) fn drain(&mut self, now: Timestamp) -> Outputs {
        let mut outputs = Outputs::default();
        let Some(node) = &mut self.node else {
            return outputs;
        };
        while let Some(transmit) = node.poll_transmit() {
            outputs.messages.push(transmit);
        }
        while let Some(notice) = node.poll_notice() {
            self.notices.push((now, notice));
        }
        if let Some(after) = node.publish() {
            if let Some(before) = &self.snapshot {
                let holds =
                    |event: &Event| matches!(event, Event::Joined { .. } | Event::KeySet { .. });
                let kept = diff(before, after).into_iter();
                let kept = kept.filter(|event| !self.frugal || !holds(event));
                self.events.extend(kept.map(|event| (now, event)));
            }
            outputs.published_before = self.snapshot.replace(after.clone());
        }
        outputs
    }

    /// What the clock of this host says.
    pub(crate) fn clock(&self, now: Timestamp) -> Timestamp {
        now - self.lag
    }

    /// The host's first address.
    pub fn addr(&self) -> SocketAddr {
        self.addrs[0]
    }

    /// Its address of the family of `other`, if it has one.
    pub(crate) fn addr_towards(&self, other: SocketAddr) -> Option<SocketAddr> {
        self.addrs.iter().find(|addr| addr.is_ipv4() == other.is_ipv4()).copied()
    }

    /// The node, if one runs.
    pub fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    /// The node. Panics if none runs.
    pub fn running(&self) -> &Node {
        self.node.as_ref().expect("a node runs on this host")
    }

    /// The state as the node sees it. Panics if none runs.
    pub fn snapshot(&self) -> &ClusterStateSnapshot {
        self.node.as_ref().expect("a node runs on this host").snapshot()
    }

    /// The snapshot that the node began with: all events come after it. Panics if none was started.
    pub fn first_snapshot(&self) -> &ClusterStateSnapshot {
        self.first.as_ref().expect("a node was started on this host")
    }

    /// A node's state as this one sees it.
    pub fn state_of(&self, node_id: &str) -> Option<&Arc<NodeState>> {
        self.snapshot().node(node_id)
    }

    /// A node's status as this one sees it.
    pub fn status_of(&self, node_id: &str) -> Option<NodeStatus> {
        Some(self.state_of(node_id)?.status())
    }

    /// The value of a node's key as this one sees it.
    pub fn get(&self, node_id: &str, key: &str) -> Option<&str> {
        self.state_of(node_id)?.get(key)
    }

    /// Number of nodes that this one lists as live, itself included.
    pub fn live(&self) -> usize {
        self.snapshot().live_nodes().count()
    }

    /// Whether this one lists a node as live.
    pub fn lists_live(&self, node_id: &str) -> bool {
        self.status_of(node_id) == Some(NodeStatus::Alive)
    }

    /// The node id that the host is configured with.
    pub fn node_id(&self) -> &str {
        &self.config.node_id
    }

    /// The times at which an event for which this holds was seen.
    pub fn times_of(&self, holds: impl Fn(&Event) -> bool) -> Vec<Timestamp> {
        self.events.iter().filter(|(_, event)| holds(event)).map(|(at, _)| *at).collect()
    }

    /// The gossip interval.
    pub fn interval(&self) -> Duration {
        self.config.gossip_interval
    }
}
