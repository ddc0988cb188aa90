//! Letting virtual time pass, until something holds.

use std::fmt::Display;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use chitchat_protocol::NodeStatus;
use tokio::time::{Instant, sleep_until};

use super::builder::node_id;
use super::cluster::Cluster;

type Holds<A> = dyn Fn(&Cluster<A>) -> Result<(), String>;

/// Something that has to hold at all times.
pub(super) struct Invariant<A> {
    what: String,
    holds: Box<Holds<A>>,
}

/// What a condition says: `bool`, or `Result<(), E>`, whose error tells what is missing and is shown
/// when the time is over.
pub trait Verdict: sealed::Sealed {
    #[doc(hidden)]
    fn verdict(self) -> Result<(), String>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for bool {}
    impl<E: std::fmt::Display> Sealed for Result<(), E> {}
}

impl Verdict for bool {
    fn verdict(self) -> Result<(), String> {
        if self { Ok(()) } else { Err(String::new()) }
    }
}

impl<E: Display> Verdict for Result<(), E> {
    fn verdict(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

impl<A> Cluster<A> {
    /// Lets this much virtual time pass.
    pub async fn run_for(&mut self, duration: Duration) {
        let end = Instant::now() + duration;
        self.check();
        while Instant::now() < end {
            self.step(end).await;
        }
    }

    /// Lets so many gossip intervals of node 0 pass.
    pub async fn run_rounds(&mut self, rounds: u32) {
        self.run_for(self.interval * rounds).await;
    }

    /// The gossip interval of node 0: the length of a round.
    #[must_use]
    pub fn gossip_interval(&self) -> Duration {
        self.interval
    }

    /// From now on, looks at this condition whenever time passes, at the
    /// [pace](super::ClusterBuilder::pace) of the cluster, and fails the test when it does not hold.
    ///
    /// ```
    /// use chitchat::testing::{ClusterBuilder, for_each_seed};
    ///
    /// for_each_seed(2, async |seed| {
    ///     let mut cluster = ClusterBuilder::new(seed, 3).start().await;
    ///     cluster.always("every node knows itself", |cluster| {
    ///         cluster.running().into_iter().all(|node| cluster.live(node).contains(&node))
    ///     });
    ///     cluster.run_rounds(10).await;
    /// });
    /// ```
    pub fn always<V: Verdict>(
        &mut self,
        what: impl Into<String>,
        holds: impl Fn(&Cluster<A>) -> V + 'static,
    ) {
        let holds = Box::new(move |cluster: &Cluster<A>| holds(cluster).verdict());
        self.invariants.push(Arc::new(Invariant { what: what.into(), holds }));
    }

    /// Waits until the condition holds, and returns how long that took in virtual time.
    ///
    /// `what` completes the sentence "until …". The condition is looked at now, and then at the
    /// [pace](super::ClusterBuilder::pace) of the cluster.
    ///
    /// ```
    /// use chitchat::testing::{ClusterBuilder, for_each_seed};
    ///
    /// for_each_seed(2, async |seed| {
    ///     let mut cluster = ClusterBuilder::new(seed, 4).start().await;
    ///     cluster.node(0).set("colour", "blue").expect("a short value");
    ///     let taken = cluster
    ///         .until("all know the colour", |cluster| {
    ///             let knows = |node: &usize| {
    ///                 let snapshot = cluster.node(*node).snapshot();
    ///                 snapshot.node("node-0").and_then(|state| state.get("colour")).is_some()
    ///             };
    ///             match cluster.running().into_iter().find(|node| !knows(node)) {
    ///                 Some(node) => Err(format!("node-{node} does not")),
    ///                 None => Ok(()),
    ///             }
    ///         })
    ///         .await;
    ///     assert!(taken <= 10 * cluster.gossip_interval());
    /// });
    /// ```
    ///
    /// # Panics
    ///
    /// If it does not hold within the [deadline](super::ClusterBuilder::deadline). The message has
    /// the seed, what was awaited and where, what each node sees, what the network does, and what
    /// has happened last.
    #[track_caller]
    pub fn until<V: Verdict>(
        &mut self,
        what: impl Into<String>,
        condition: impl FnMut(&Cluster<A>) -> V,
    ) -> impl Future<Output = Duration> {
        self.until_within(self.setup.deadline, what, condition)
    }

    /// As [`until`](Self::until), and not longer than `limit`.
    #[track_caller]
    pub fn until_within<V: Verdict>(
        &mut self,
        limit: Duration,
        what: impl Into<String>,
        condition: impl FnMut(&Cluster<A>) -> V,
    ) -> impl Future<Output = Duration> {
        self.wait(Location::caller(), limit, what.into(), condition)
    }

    /// Waits until all nodes that run see each other live, and nobody else, each in its present
    /// generation and with its newest key-values; returns how long that took. Nodes that are
    /// [paused](Self::pause) are asked nothing, and may be seen either way.
    ///
    /// Where an application writes all the time, nodes may never be up to date at one moment: see
    /// [`until_live`](Self::until_live).
    ///
    /// # Panics
    ///
    /// As [`until`](Self::until).
    #[track_caller]
    pub fn until_converged(&mut self) -> impl Future<Output = Duration> {
        let what = "all nodes that run agree".to_owned();
        self.wait(Location::caller(), self.setup.deadline, what, |cluster| {
            let awake: Vec<usize> = cluster.awake();
            cluster.agreement(&awake)
        })
    }

    /// As [`until_converged`](Self::until_converged), for the nodes of one side of a partition: they
    /// see each other live, and nobody else.
    ///
    /// # Panics
    ///
    /// As [`until`](Self::until); at the call, if one of the nodes does not run.
    #[track_caller]
    pub fn until_converged_among(&mut self, nodes: &[usize]) -> impl Future<Output = Duration> {
        let mut nodes = nodes.to_vec();
        nodes.sort_unstable();
        for node in &nodes {
            self.expect_run(*node);
        }
        let what = format!("the nodes {nodes:?} agree");
        self.wait(Location::caller(), self.setup.deadline, what, move |cluster| {
            cluster.agreement(&nodes)
        })
    }

    /// Waits until a node takes exactly these nodes for live, itself included; returns how long that
    /// took.
    ///
    /// # Panics
    ///
    /// As [`until`](Self::until); at the call, if the node does not run, or there is no such node
    /// among those that it is to see.
    #[track_caller]
    pub fn until_live(&mut self, node: usize, live: &[usize]) -> impl Future<Output = Duration> {
        self.expect_run(node);
        let mut live = live.to_vec();
        live.sort_unstable();
        for node in &live {
            self.slot(*node);
        }
        let what = format!("{} takes {live:?} for live", node_id(node));
        self.wait(Location::caller(), self.setup.deadline, what, move |cluster| {
            let seen = cluster.live(node);
            if seen == live { Ok(()) } else { Err(format!("it takes {seen:?} for live")) }
        })
    }

    async fn wait<V: Verdict>(
        &mut self,
        caller: &Location<'_>,
        limit: Duration,
        what: String,
        mut condition: impl FnMut(&Cluster<A>) -> V,
    ) -> Duration {
        let begin = Instant::now();
        self.check();
        loop {
            let missing = match condition(self).verdict() {
                Ok(()) => return begin.elapsed(),
                Err(missing) => missing,
            };
            if begin.elapsed() >= limit {
                let because =
                    if missing.is_empty() { missing } else { format!("\nbecause: {missing}") };
                panic!(
                    "not within {limit:?} of virtual time: until {what}, awaited at \
                     {caller}{because}\n{}",
                    self.report()
                );
            }
            self.step(begin + limit).await;
        }
    }

    /// Lets a moment pass, not beyond `end`, and looks whether all is well.
    pub(super) async fn step(&mut self, end: Instant) {
        sleep_until(end.min(Instant::now() + self.setup.pace)).await;
        self.check();
    }

    /// Panics if a task of the application has, or an invariant does not hold.
    pub(super) fn check(&self) {
        for index in self.running() {
            let panics = self.expect_run(index).node.process.take_panics();
            if !panics.is_empty() {
                let name = node_id(index);
                panic!("a task of {name} panicked: {panics:?}\n{}", self.report());
            }
        }
        for invariant in &self.invariants {
            if let Err(complaint) = (invariant.holds)(self) {
                let because = if complaint.is_empty() { "" } else { ": " };
                let what = &invariant.what;
                panic!("it does not hold that {what}{because}{complaint}\n{}", self.report());
            }
        }
    }

    /// The nodes that run and are not paused.
    fn awake(&self) -> Vec<usize> {
        let awake = |index: &usize| self.slots[*index].run.as_ref().is_some_and(|run| !run.paused);
        (0..self.slots.len()).filter(awake).collect()
    }

    /// Whether these nodes see each other and nobody else, and are up to date.
    fn agreement(&self, nodes: &[usize]) -> Result<(), String> {
        for observer in nodes {
            if !self.is_running(*observer) {
                return Err(format!("{} does not run any more", node_id(*observer)));
            }
            let snapshot = self.node(*observer).snapshot();
            for index in 0..self.slots.len() {
                let name = node_id(index);
                let seen = snapshot.node(&name);
                let lives = seen.is_some_and(|state| state.status() == NodeStatus::Alive);
                if !nodes.contains(&index) {
                    let paused = self.slots[index].run.as_ref().is_some_and(|run| run.paused);
                    if lives && !paused {
                        return Err(format!("{} takes {name} for live", node_id(*observer)));
                    }
                    continue;
                }
                let own = self.node(index).snapshot();
                let complaint = match (seen, own.self_state()) {
                    (Some(seen), Some(own)) if seen.id() != own.id() => "sees another generation",
                    (Some(_), _) if !lives => "does not take for live",
                    (Some(seen), Some(own)) if seen.max_version() < own.max_version() => {
                        "has not all key-values"
                    }
                    (None, _) => "does not know",
                    _ => continue,
                };
                return Err(format!("{}, of {name}: {complaint}", node_id(*observer)));
            }
        }
        Ok(())
    }
}
