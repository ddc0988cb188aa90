//! What is shown, step by step.

use std::time::{Duration, Instant};

use chitchat::{ClusterStateSnapshot, NodeStatus};
use serde::Serialize;

use crate::args::Args;
use crate::cluster::{Cluster, StepError, name};
use crate::report::Report;

/// How long each step took; the final line of `--json`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Figures {
    transport: &'static str,
    nodes: u16,
    converged_ms: u64,
    propagated_ms: u64,
    deleted_ms: u64,
    expired_ms: u64,
    failed_ms: u64,
    rejoined_ms: u64,
    left_ms: u64,
}

/// The step that did not come about, and why.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) step: &'static str,
    pub(crate) error: StepError,
}

/// The demonstration.
pub(crate) struct Demonstration {
    args: Args,
    cluster: Cluster,
    report: Report,
    figures: Figures,
}

fn status(state: &ClusterStateSnapshot, node: &str) -> Option<NodeStatus> {
    Some(state.node(node)?.status())
}

fn value<'a>(state: &'a ClusterStateSnapshot, node: &str, key: &str) -> Option<&'a str> {
    state.node(node)?.get(key)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Demonstration {
    pub(crate) fn new(args: &Args) -> Result<Demonstration, StepError> {
        Ok(Demonstration {
            args: args.clone(),
            cluster: Cluster::new(args)?,
            report: Report::new(args),
            figures: Figures {
                transport: args.transport.name(),
                nodes: args.nodes,
                ..Figures::default()
            },
        })
    }

    /// Runs all steps; ends all nodes, whatever happens.
    pub(crate) async fn run(mut self) -> Result<Figures, Failure> {
        let result = self.steps().await;
        self.cluster.shutdown().await;
        result.map(|()| self.figures)
    }

    async fn steps(&mut self) -> Result<(), Failure> {
        let at = |step: &'static str| move |error: StepError| Failure { step, error };
        self.figures.converged_ms = self.converge().await.map_err(at("converge"))?;
        self.figures.propagated_ms = self.propagate().await.map_err(at("propagate"))?;
        self.figures.deleted_ms = self.delete().await.map_err(at("delete"))?;
        self.figures.expired_ms = self.expire().await.map_err(at("expire"))?;
        self.figures.failed_ms = self.fail().await.map_err(at("fail"))?;
        self.figures.rejoined_ms = self.rejoin().await.map_err(at("rejoin"))?;
        self.figures.left_ms = self.leave().await.map_err(at("leave"))?;
        Ok(())
    }

    fn nodes(&self) -> usize {
        usize::from(self.args.nodes)
    }

    /// The node that dies and returns.
    fn victim(&self) -> usize {
        self.nodes() - 1
    }

    fn end(&mut self, took: Duration) -> u64 {
        self.report.end(&self.cluster, took);
        millis(took)
    }

    async fn converge(&mut self) -> Result<u64, StepError> {
        let addrs = self.cluster.listen().join(" and ");
        let count = self.nodes();
        self.report.begin(
            &self.cluster,
            &format!("{count} nodes, each on {addrs}, find each other through one seed"),
        );
        self.cluster.start(0).await?;
        for index in 1..count {
            self.cluster.start(index).await?;
        }
        let since = Instant::now();
        let all_live = |state: &ClusterStateSnapshot| state.live_nodes().count() == count;
        let took = self.cluster.until_all_see(since, all_live).await?;
        Ok(self.end(took))
    }

    async fn propagate(&mut self) -> Result<u64, StepError> {
        self.report.begin(&self.cluster, "a key that node-1 sets is read on every node");
        let since = Instant::now();
        self.cluster.node(1)?.set("color", "green")?;
        let seen = |state: &ClusterStateSnapshot| value(state, &name(1), "color") == Some("green");
        let took = self.cluster.until_all_see(since, seen).await?;
        Ok(self.end(took))
    }

    async fn delete(&mut self) -> Result<u64, StepError> {
        self.report.begin(&self.cluster, "node-1 deletes the key, and it is gone everywhere");
        let since = Instant::now();
        self.cluster.node(1)?.delete("color")?;
        let gone = |state: &ClusterStateSnapshot| {
            state.node(&name(1)).is_some() && value(state, &name(1), "color").is_none()
        };
        let took = self.cluster.until_all_see(since, gone).await?;
        Ok(self.end(took))
    }

    async fn expire(&mut self) -> Result<u64, StepError> {
        let ttl = Duration::from_millis(self.args.interval) * 10;
        let what =
            format!("a lease of {} ms spreads, and ends everywhere in time", ttl.as_millis());
        self.report.begin(&self.cluster, &what);
        let since = Instant::now();
        self.cluster.node(1)?.set_with_ttl("lease", "mine", ttl)?;
        let held = |state: &ClusterStateSnapshot| value(state, &name(1), "lease") == Some("mine");
        self.cluster.until_all_see(since, held).await?;
        let over = |state: &ClusterStateSnapshot| value(state, &name(1), "lease").is_none();
        let took = self.cluster.until_all_see(since, over).await?;
        Ok(self.end(took.saturating_sub(ttl)))
    }

    async fn fail(&mut self) -> Result<u64, StepError> {
        let victim = self.victim();
        self.report.begin(
            &self.cluster,
            &format!("{} is killed, and every other node lists it as dead", name(victim)),
        );
        let node = self.cluster.take(victim)?;
        node.shutdown().await?;
        let since = Instant::now();
        let dead =
            |state: &ClusterStateSnapshot| status(state, &name(victim)) == Some(NodeStatus::Dead);
        let took = self.cluster.until_all_see(since, dead).await?;
        Ok(self.end(took))
    }

    async fn rejoin(&mut self) -> Result<u64, StepError> {
        let victim = self.victim();
        self.report.begin(
            &self.cluster,
            &format!("{} returns with a higher generation, and is live everywhere", name(victim)),
        );
        let before = self.cluster.node(0)?.snapshot();
        let before = before.node(&name(victim)).map(|node| node.id().generation_id);
        let since = Instant::now();
        self.cluster.start(victim).await?;
        let count = self.nodes();
        let back = |state: &ClusterStateSnapshot| {
            state.live_nodes().count() == count
                && state.node(&name(victim)).map(|node| node.id().generation_id) > before
                && value(state, &name(victim), "role") == Some("worker")
        };
        let took = self.cluster.until_all_see(since, back).await?;
        Ok(self.end(took))
    }

    async fn leave(&mut self) -> Result<u64, StepError> {
        let leaver = self.victim() - 1;
        self.report.begin(
            &self.cluster,
            &format!("{} leaves, and no node takes that for a failure", name(leaver)),
        );
        let node = self.cluster.take(leaver)?;
        let since = Instant::now();
        // Says how many peers confirmed it in time; that all have heard of it is what is waited for.
        node.leave().await?;
        let left =
            |state: &ClusterStateSnapshot| status(state, &name(leaver)) == Some(NodeStatus::Left);
        let took = self.cluster.until_all_see(since, left).await?;
        node.shutdown().await?;
        Ok(self.end(took))
    }
}
