//! What happens to the network of a cluster.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use chitchat_transport::memory::{Conditions, NetworkStats};

use super::builder::addr_of;
use super::cluster::Cluster;

impl<A> Cluster<A> {
    /// Changes what happens to messages that are sent from now on: latency, loss, duplication,
    /// reordering, a limit on their length. Links with
    /// [conditions of their own](Self::set_conditions_between) keep them, and partitions stay.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.history.done(format!("the network has {conditions:?}"));
        self.network.set_conditions(conditions.clone());
        self.setup.conditions = conditions;
    }

    /// Changes what happens to messages from a node in `from` to a node in `to`, in this direction
    /// only. `None`: they are treated like all others again.
    #[track_caller]
    pub fn set_conditions_between(
        &mut self,
        from: &[usize],
        to: &[usize],
        conditions: Option<Conditions>,
    ) {
        let (senders, receivers) = (self.addrs(from), self.addrs(to));
        self.network.set_conditions_between(&senders, &receivers, conditions.as_ref());
        for pair in pairs(from, to) {
            match &conditions {
                Some(conditions) => self.links.insert(pair, conditions.clone()),
                None => self.links.remove(&pair),
            };
        }
        let words = conditions.map_or("what is everywhere".to_owned(), |it| format!("{it:?}"));
        self.history.done(format!("the network has from {from:?} to {to:?}: {words}"));
    }

    /// Cuts two groups of nodes off from each other, in both directions. Nodes in neither group
    /// reach both. Messages that are under way still arrive.
    ///
    /// # Panics
    ///
    /// If a node is in both groups.
    #[track_caller]
    pub fn partition(&mut self, one: &[usize], other: &[usize]) {
        let both: Vec<_> = one.iter().filter(|node| other.contains(node)).collect();
        assert!(both.is_empty(), "nodes cannot be on both sides of a partition: {both:?}");
        let (left, right) = (self.addrs(one), self.addrs(other));
        self.network.partition(&left, &right);
        self.blocked.extend(pairs(one, other));
        self.blocked.extend(pairs(other, one));
        self.history.done(format!("{one:?} and {other:?} are cut off from each other"));
    }

    /// Cuts a node off from all others that are there now, in both directions.
    #[track_caller]
    pub fn isolate(&mut self, node: usize) {
        let others: Vec<usize> = (0..self.slots.len()).filter(|other| *other != node).collect();
        self.partition(&[node], &others);
    }

    /// From now on nothing from a node in `from` reaches a node in `to`; the other direction is not
    /// touched.
    #[track_caller]
    pub fn block(&mut self, from: &[usize], to: &[usize]) {
        let (senders, receivers) = (self.addrs(from), self.addrs(to));
        self.network.block(&senders, &receivers);
        self.blocked.extend(pairs(from, to));
        self.history.done(format!("nothing gets from {from:?} to {to:?}"));
    }

    /// Ends all partitions and blocks. Conditions stay as they are.
    pub fn heal(&mut self) {
        self.network.heal();
        self.blocked.clear();
        self.history.done("the network heals");
    }

    /// Counters of the network: what was sent, delivered and lost, and why.
    #[must_use]
    pub fn network_stats(&self) -> NetworkStats {
        self.network.stats()
    }

    #[track_caller]
    fn addrs(&self, nodes: &[usize]) -> Vec<SocketAddr> {
        for node in nodes {
            self.slot(*node);
        }
        nodes.iter().copied().map(addr_of).collect()
    }
}

fn pairs(from: &[usize], to: &[usize]) -> BTreeSet<(usize, usize)> {
    from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to))).collect()
}
