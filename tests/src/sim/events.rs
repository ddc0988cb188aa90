//! The event queue: deliveries and wake-ups, in order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::Duration;

use chitchat_protocol::{ClusterStateSnapshot, NodeId, Origin, Path, Timestamp};
use rand::Rng;

use crate::sim::{Captured, HostId, Observer, Sim};

/// What is due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Deliver { to: HostId, from: SocketAddr, peer: Option<NodeId>, bytes: Vec<u8> },
    Wake { host: HostId },
}

/// What is due when, in the order in which it was put here.
#[derive(Debug, Default)]
pub(super) struct Queue {
    sequence: u64,
    heap: BinaryHeap<Reverse<(Timestamp, u64, Due)>>,
}

impl Queue {
    fn push(&mut self, at: Timestamp, due: Due) {
        self.sequence += 1;
        self.heap.push(Reverse((at, self.sequence, due)));
    }

    fn pop_until(&mut self, end: Timestamp) -> Option<(Timestamp, Due)> {
        let Reverse((at, ..)) = self.heap.peek()?;
        if *at > end {
            return None;
        }
        self.heap.pop().map(|Reverse((at, _, due))| (at, due))
    }
}

impl Sim {
    /// Delivers bytes to a host as if they came from this address.
    pub fn inject(&mut self, host: HostId, from: SocketAddr, bytes: &[u8]) {
        self.deliver(host, from, None, bytes);
    }

    /// As [`Sim::inject`], from a peer whose identity is verified.
    pub fn inject_from(&mut self, host: HostId, from: SocketAddr, peer: NodeId, bytes: &[u8]) {
        self.deliver(host, from, Some(peer), bytes);
    }

    fn deliver(&mut self, host: HostId, from: SocketAddr, peer: Option<NodeId>, bytes: &[u8]) {
        let clock = self.hosts[host].clock(self.now);
        let Some(node) = self.hosts[host].node.as_mut() else {
            return;
        };
        let path = Path { remote: from, token: 0 };
        node.handle_message(&Origin { path, peer }, bytes, clock);
        self.after(host);
    }

    /// Has a publication of a host judged; `before` is the one before it in this run of the node.
    pub(super) fn judge(&mut self, host: HostId, before: Option<&ClusterStateSnapshot>) {
        let observer = Observer { host, run: self.hosts[host].runs };
        let (now, lag) = (self.now, self.hosts[host].lag);
        let node = self.hosts[host].running();
        let after = node.snapshot();
        let mut verdict = Ok(());
        if let Some(checker) = &mut self.checker {
            verdict = checker.publication(now, lag, observer, before, after);
        }
        if let Some(lives) = &self.lives {
            let timeout = |node_id: &str| Some(node.node_health(node_id, now)?.timeout);
            verdict = verdict.and_then(|()| lives.publication(now, before, after, timeout));
        }
        if let Err(complaint) = verdict {
            let (seed, counters, trace) = (self.seed(), node.counters(), self.trace());
            panic!("seed {seed}: at {now}: host {host}: {complaint}\n{counters:?}{trace}");
        }
    }

    /// Takes the outputs of a node and schedules its next wake-up.
    pub(super) fn after(&mut self, host: HostId) {
        let outputs = self.hosts[host].drain(self.now);
        if let Some(before) = outputs.published_before {
            self.judge(host, Some(&before));
        }
        let peer = self.verified.then(|| self.hosts[host].config.node_id.clone());
        let link = self.hosts[host].link;
        for message in outputs.messages {
            self.traffic.messages += 1;
            self.traffic.bytes += message.bytes.len() as u64;
            self.traffic.longest = self.traffic.longest.max(message.bytes.len());
            assert!(
                message.bytes.len() <= link.max_message_len,
                "seed {}: a message of {} bytes exceeds the link",
                self.seed(),
                message.bytes.len()
            );
            let Some((from, to)) = self.route(host, &message) else {
                self.hosts[host].wasted += 1;
                continue;
            };
            if let Some(tap) = &mut self.tap {
                tap.push(Captured { at: self.now, from, to, bytes: message.bytes.clone() });
            }
            let to = self.by_addr.get(&to).copied();
            let runs = to.is_some_and(|to| self.hosts[to].node.is_some());
            self.hosts[host].wasted += u64::from(!runs);
            let Some(to) = to else { continue };
            for delay in self.links.pass(host, to, self.now, &mut self.rng) {
                let bytes = message.bytes.clone();
                let peer = peer.clone();
                self.queue.push(self.now + delay, Due::Deliver { to, from, peer, bytes });
            }
        }
        if let Some(node) = &self.hosts[host].node {
            let due = (node.poll_timeout() + self.hosts[host].lag).max(self.now);
            if due < self.hosts[host].wake_at {
                self.hosts[host].wake_at = due;
                self.queue.push(due, Due::Wake { host });
            }
        }
    }

    /// Handles the next thing that is due before `end`.
    pub(super) fn step(&mut self, end: Timestamp) -> bool {
        let Some((at, due)) = self.queue.pop_until(end) else {
            return false;
        };
        self.now = self.now.max(at);
        let now = self.now;
        let (id, is_message) = match &due {
            Due::Deliver { to, .. } => (*to, true),
            Due::Wake { host } => (*host, false),
        };
        let host = &mut self.hosts[id];
        if is_message && host.suspended_until > now {
            return true;
        }
        let free = host.stopped_until.max(host.suspended_until).max(host.busy_until);
        if free > now {
            // A process that does not run finds everything when it goes on, in order.
            self.queue.push(free, due);
            return true;
        }
        if let Some(longest) = host.starved {
            host.busy_until = now + self.rng.random_range(Duration::ZERO..longest);
        }
        match due {
            Due::Deliver { to, from, peer, bytes } => self.deliver(to, from, peer, &bytes),
            Due::Wake { host } => {
                self.hosts[host].wake_at = Timestamp::MAX;
                let clock = self.hosts[host].clock(now);
                if let Some(node) = self.hosts[host].node.as_mut() {
                    if node.poll_timeout() <= clock {
                        node.handle_timeout(clock);
                    }
                    self.after(host);
                }
            }
        }
        true
    }
}
