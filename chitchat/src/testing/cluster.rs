//! The cluster, and the life of its nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chitchat_protocol::{LeaveOutcome, NodeStatus};
use chitchat_transport::memory::{Conditions, MemoryNetwork};
use tokio::sync::watch;
use tokio::time::Instant;

use super::builder::{ClusterBuilder, mix, node_id, wall_clock_ms};
use super::history::{History, HistoryEntry};
use super::node::TestNode;
use super::process::Process;
use super::wait::Invariant;
use crate::handle::ChitchatHandle;
use crate::spawn::prepare;

/// How long an application may take to end in good order, in virtual time. As long as Kubernetes
/// gives a pod.
const STOP_GRACE: Duration = Duration::from_secs(30);

/// The generation of a node that is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Generation {
    /// The wall clock, as in production, which moves with the virtual time; higher than the last
    /// one in any case.
    Next,
    /// That of the run before: a host whose clock stood still, or a generation that is configured.
    Same,
    /// One less than that of the run before: a host whose clock went back.
    Lower,
    /// This one.
    Exactly(u64),
}

/// A run of a node.
pub(super) struct Run<A> {
    pub(super) node: TestNode,
    pub(super) app: A,
    pub(super) paused: bool,
}

/// A place for a node.
pub(super) struct Slot<A> {
    pub(super) run: Option<Run<A>>,
    runs: u64,
    generation: u64,
    /// Why no node runs there, for messages.
    pub(super) absence: String,
}

/// Nodes in one process and in virtual time, on a network in memory, and what can happen to them.
/// Made by [`ClusterBuilder`].
///
/// Nodes are named by their numbers, from 0. `A` is what the application gives the test of itself;
/// see [`ClusterBuilder::start_with`].
///
/// Nothing happens but in methods that are `async`: virtual time passes only while the test waits.
/// When the cluster is dropped, its nodes end.
///
/// # Panics
///
/// All methods panic with a message if there is no node of the number that is given, those that
/// need a running node if it does not run, and those that wait if a task of the application has
/// panicked or an [invariant](Self::always) does not hold.
pub struct Cluster<A = ()> {
    pub(super) setup: ClusterBuilder,
    pub(super) network: MemoryNetwork,
    pub(super) history: History,
    pub(super) slots: Vec<Slot<A>>,
    pub(super) invariants: Vec<Arc<Invariant<A>>>,
    /// Directed pairs of nodes that are cut off.
    pub(super) blocked: BTreeSet<(usize, usize)>,
    /// Conditions of directed pairs of nodes that differ from the rest.
    pub(super) links: BTreeMap<(usize, usize), Conditions>,
    pub(super) interval: Duration,
    application: Box<dyn Fn(&TestNode) -> A>,
}

impl<A> Cluster<A> {
    pub(super) fn new(
        setup: ClusterBuilder,
        network: MemoryNetwork,
        interval: Duration,
        application: Box<dyn Fn(&TestNode) -> A>,
    ) -> Cluster<A> {
        let history = History::new();
        let slots = (0..setup.nodes).map(|_| Slot::empty()).collect();
        Cluster {
            setup,
            network,
            history,
            slots,
            invariants: Vec::new(),
            blocked: BTreeSet::new(),
            links: BTreeMap::new(),
            interval,
            application,
        }
    }

    /// Starts the node of a slot that has none.
    pub(super) async fn launch(&mut self, index: usize, generation: Option<u64>) {
        let elapsed = self.history.elapsed();
        let slot = &self.slots[index];
        let next = wall_clock_ms(elapsed).max(slot.generation.saturating_add(1));
        let (generation, run) = (generation.unwrap_or(next), slot.runs);
        let config = self.setup.config(index, run, generation, elapsed);
        let transport = self.setup.transport_of(index, &self.network);
        let (handle, task) = match prepare(config, transport).await {
            Ok(prepared) => prepared,
            Err(error) => panic!("{} does not start: {error}", node_id(index)),
        };
        self.history.done(format!("{} starts, generation {generation}", node_id(index)));
        self.history.follow(index, handle.events().1);
        let process = Process::new();
        process.spawn(task);
        let seed = mix(self.setup.seed ^ 1, index as u64, run);
        let stopping = watch::Sender::new(false);
        let node = TestNode { index, run, seed, handle, process, stopping };
        let app = (self.application)(&node);
        let slot = &mut self.slots[index];
        slot.run = Some(Run { node, app, paused: false });
        slot.runs += 1;
        slot.generation = generation;
    }

    /// Kills the process of a node, without a goodbye to anybody: the node and its
    /// [tasks](TestNode::spawn) are gone at once, and their messages that are under way still
    /// arrive. Also possible during a [pause](Self::pause).
    #[track_caller]
    pub fn crash(&mut self, node: usize) {
        self.expect_run(node);
        self.history.done(format!("{} crashes", node_id(node)));
        self.end(node, "crashed");
    }

    /// Starts a node again that has crashed or left, with the application, at the same address, as
    /// another process. Its generation is the wall clock, as in production.
    #[track_caller]
    pub fn restart(&mut self, node: usize) -> impl Future<Output = ()> {
        self.restart_as(node, Generation::Next)
    }

    /// As [`restart`](Self::restart), with this generation.
    #[track_caller]
    pub fn restart_as(&mut self, node: usize, generation: Generation) -> impl Future<Output = ()> {
        let slot = self.slot(node);
        assert!(
            slot.run.is_none(),
            "{} runs; crash it or let it leave before it can start again",
            node_id(node)
        );
        let last = slot.generation;
        let generation = match generation {
            Generation::Next => None,
            Generation::Same => Some(last),
            Generation::Lower => Some(last.saturating_sub(1)),
            Generation::Exactly(generation) => Some(generation),
        };
        self.launch(node, generation)
    }

    /// Adds a node to the cluster and starts it, with the application; returns its number.
    pub async fn add_node(&mut self) -> usize {
        let index = self.slots.len();
        self.slots.push(Slot::empty());
        self.launch(index, None).await;
        index
    }

    /// Stops the process of a node, as a signal, a virtual machine that moves, or a long collection
    /// of garbage does: neither the node nor its [tasks](TestNode::spawn) do anything until
    /// [`resume`](Self::resume). Timers run on, and messages queue until the queue is full.
    ///
    /// What the test itself does with the handle still happens.
    #[track_caller]
    pub fn pause(&mut self, node: usize) {
        let run = self.expect_run_mut(node);
        assert!(!run.paused, "{} is paused already", node_id(node));
        run.paused = true;
        run.node.process.pause();
        self.history.done(format!("{} is paused", node_id(node)));
    }

    /// Ends a [pause](Self::pause).
    #[track_caller]
    pub fn resume(&mut self, node: usize) {
        let run = self.expect_run_mut(node);
        assert!(run.paused, "{} is not paused", node_id(node));
        run.paused = false;
        run.node.process.resume();
        self.history.done(format!("{} goes on after a pause", node_id(node)));
    }

    /// Ends a node in good order, and returns what came of its leaving.
    ///
    /// If the application waits for [`TestNode::stopping`], it is told, and has 30 s of virtual time
    /// until all of its tasks have finished. Then the node [leaves](ChitchatHandle::leave) and
    /// [shuts down](ChitchatHandle::shutdown), if the application has not done so, and what is left
    /// of its tasks is dropped.
    ///
    /// `None`: the application had already shut the node down.
    #[track_caller]
    pub fn leave(&mut self, node: usize) -> impl Future<Output = Option<LeaveOutcome>> {
        let run = self.expect_run(node);
        assert!(!run.paused, "{} is paused, and cannot leave; resume it first", node_id(node));
        let run = run.node.clone();
        async move {
            self.history.done(format!("{} is asked to stop", node_id(node)));
            let told = run.stopping.receiver_count() > 0;
            run.stopping.send_replace(true);
            let deadline = Instant::now() + STOP_GRACE;
            // The driver is a task as well, unless the application has shut it down.
            let busy = || run.process.tasks() > usize::from(!run.handle.is_closed());
            while told && busy() && Instant::now() < deadline {
                self.step(Instant::now() + self.setup.pace).await;
            }
            let outcome = run.handle.leave().await.ok();
            // Fails only if the node has ended already.
            let _ = run.handle.shutdown().await;
            self.check();
            self.history.done(format!("{} has left", node_id(node)));
            self.end(node, "left");
            outcome
        }
    }

    fn end(&mut self, index: usize, how: &str) {
        let at = self.elapsed();
        let slot = &mut self.slots[index];
        if let Some(run) = slot.run.take() {
            // It may have found that it needs a higher one than it was given.
            slot.generation = run.node.handle.id().generation_id;
            let panics = run.node.process.take_panics();
            run.node.process.end();
            assert!(panics.is_empty(), "a task of {} panicked: {panics:?}", node_id(index));
        }
        slot.absence = format!("{how} at {:.3} s", at.as_secs_f64());
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.setup.seed
    }

    /// Virtual time since the start of the cluster.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.history.elapsed()
    }

    /// Number of nodes, running or not.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is at least one")]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// The numbers of the nodes that run, also of those that are paused, in ascending order.
    #[must_use]
    pub fn running(&self) -> Vec<usize> {
        let runs = |index: &usize| self.slots[*index].run.is_some();
        (0..self.slots.len()).filter(runs).collect()
    }

    /// Whether a node runs; also if it is paused.
    #[must_use]
    #[track_caller]
    pub fn is_running(&self, node: usize) -> bool {
        self.slot(node).run.is_some()
    }

    /// The handle of a node that runs: its snapshot, events, stats, and its own keys to write.
    #[must_use]
    #[track_caller]
    pub fn node(&self, node: usize) -> &ChitchatHandle {
        &self.expect_run(node).node.handle
    }

    /// The numbers of the nodes that a node takes for live, itself included, in ascending order.
    #[must_use]
    #[track_caller]
    pub fn live(&self, node: usize) -> Vec<usize> {
        let snapshot = self.node(node).snapshot();
        (0..self.slots.len())
            .filter(|index| {
                let state = snapshot.node(&node_id(*index));
                state.is_some_and(|state| state.status() == NodeStatus::Alive)
            })
            .collect()
    }

    /// What the application gave for the test when it was started with this node.
    #[must_use]
    #[track_caller]
    pub fn app(&self, node: usize) -> &A {
        &self.expect_run(node).app
    }

    /// What has happened so far, oldest first: what the test did to nodes and network, and every
    /// event that every node saw. At most the newest 20,000 entries are kept.
    #[must_use]
    pub fn history(&self) -> Vec<HistoryEntry> {
        self.history.all()
    }

    #[track_caller]
    pub(super) fn slot(&self, node: usize) -> &Slot<A> {
        let count = self.slots.len();
        let slot = self.slots.get(node);
        slot.unwrap_or_else(|| panic!("there is no node {node}: there are {count}, from 0 on"))
    }

    #[track_caller]
    pub(super) fn expect_run(&self, node: usize) -> &Run<A> {
        let slot = self.slot(node);
        let absence = &slot.absence;
        let run = slot.run.as_ref();
        run.unwrap_or_else(|| panic!("{} does not run: it {absence}", node_id(node)))
    }

    #[track_caller]
    fn expect_run_mut(&mut self, node: usize) -> &mut Run<A> {
        self.expect_run(node);
        match &mut self.slots[node].run {
            Some(run) => run,
            None => unreachable!("it was looked at"),
        }
    }
}

impl<A> Slot<A> {
    fn empty() -> Slot<A> {
        Slot { run: None, runs: 0, generation: 0, absence: "has not started yet".to_owned() }
    }
}

impl<A> fmt::Debug for Cluster<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report())
    }
}

impl<A> Drop for Cluster<A> {
    fn drop(&mut self) {
        let mut panics = Vec::new();
        for slot in &mut self.slots {
            if let Some(run) = slot.run.take() {
                panics.extend(run.node.process.take_panics());
                run.node.process.end();
            }
        }
        // Nobody has waited since. A second panic would end the whole test process.
        assert!(
            panics.is_empty() || std::thread::panicking(),
            "seed {}: tasks of the application panicked: {panics:?}",
            self.setup.seed
        );
    }
}
