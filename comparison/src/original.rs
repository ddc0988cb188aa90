//! chitchat 0.13 as it is published, on tokio with its clock paused: time passes when all tasks wait.
//!
//! Its network is a transport of our own. Its random numbers are not seeded, so that runs differ.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use chitchat_original::transport::{RecvOutcome, SendOutcome, Socket, Transport};
use chitchat_original::{
    ChitchatConfig, ChitchatEnvelope, ChitchatHandle, ChitchatId, FailureDetectorConfig,
    ProtocolVersion, spawn_chitchat,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep, sleep_until};

use crate::conditions::{Condition, DELAY_US, INTERVAL, NODES, Outcome};

/// How often it is looked at who is live. Its verdicts change once in a round.
const SAMPLE: Duration = Duration::from_millis(100);

struct State {
    rng: StdRng,
    loss: f64,
    inboxes: HashMap<SocketAddr, UnboundedSender<RecvOutcome>>,
    /// Who is held up, until when, and whether what arrives is lost.
    held: HashMap<SocketAddr, (Instant, bool)>,
}

#[derive(Clone)]
struct Network(Arc<Mutex<State>>);

impl Network {
    fn new(seed: u64, loss: f64) -> Network {
        let rng = StdRng::seed_from_u64(seed);
        let (inboxes, held) = (HashMap::new(), HashMap::new());
        Network(Arc::new(Mutex::new(State { rng, loss, inboxes, held })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics under this lock")
    }

    fn is_held(&self, addr: SocketAddr) -> bool {
        self.state().held.get(&addr).is_some_and(|(until, _)| *until > Instant::now())
    }

    /// A process that is held up gets no further than to its next message.
    async fn pass_hold(&self, addr: SocketAddr) {
        loop {
            let until = self.state().held.get(&addr).map(|(until, _)| *until);
            match until.filter(|until| *until > Instant::now()) {
                Some(until) => sleep_until(until).await,
                None => return,
            }
        }
    }
}

#[async_trait]
impl Transport for Network {
    async fn open(&self, listen_addr: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let (sender, inbox) = unbounded_channel();
        self.state().inboxes.insert(listen_addr, sender);
        Ok(Box::new(Endpoint { addr: listen_addr, network: self.clone(), inbox }))
    }
}

struct Endpoint {
    addr: SocketAddr,
    network: Network,
    inbox: UnboundedReceiver<RecvOutcome>,
}

#[async_trait]
impl Socket for Endpoint {
    fn local_addr(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.addr)
    }

    async fn send(
        &mut self,
        to: SocketAddr,
        envelope: ChitchatEnvelope,
    ) -> anyhow::Result<SendOutcome> {
        self.network.pass_hold(self.addr).await;
        let delay = {
            let mut state = self.network.state();
            let loss = state.loss;
            let lost = state.rng.random_bool(loss);
            (!lost).then(|| Duration::from_micros(state.rng.random_range(DELAY_US)))
        };
        if let Some(delay) = delay {
            let (network, from_addr) = (self.network.clone(), self.addr);
            tokio::spawn(async move {
                sleep(delay).await;
                let state = network.state();
                let now = Instant::now();
                if state.held.get(&to).is_some_and(|(until, lossy)| *lossy && *until > now) {
                    return;
                }
                if let Some(inbox) = state.inboxes.get(&to) {
                    inbox.send(RecvOutcome { from_addr, envelope, num_bytes_received: 0 }).ok();
                }
            });
        }
        Ok(SendOutcome { num_bytes_sent: 0 })
    }

    async fn recv(&mut self) -> anyhow::Result<RecvOutcome> {
        self.network.pass_hold(self.addr).await;
        self.inbox.recv().await.ok_or_else(|| anyhow::anyhow!("the network is gone"))
    }
}

fn addr_of(index: usize) -> SocketAddr {
    let low = u8::try_from(index + 1).expect("few nodes");
    SocketAddr::from(([10, 0, 0, low], 7280))
}

struct Cluster {
    network: Network,
    handles: Vec<ChitchatHandle>,
}

impl Cluster {
    async fn start(nodes: usize, seed: u64, loss: f64) -> Cluster {
        let network = Network::new(seed, loss);
        let mut handles = Vec::new();
        for index in 0..nodes {
            let addr = addr_of(index);
            let config = ChitchatConfig {
                chitchat_id: ChitchatId::new(format!("node-{index}"), 1, addr),
                cluster_id: "comparison".to_owned(),
                gossip_interval: INTERVAL,
                listen_addr: addr,
                seed_nodes: vec![addr_of(0).to_string()],
                failure_detector_config: FailureDetectorConfig::default(),
                marked_for_deletion_grace_period: Duration::from_secs(7_200),
                catchup_callback: None,
                extra_liveness_predicate: None,
                protocol_version: ProtocolVersion::V1,
            };
            let handle = spawn_chitchat(config, Vec::new(), &network).await;
            handles.push(handle.expect("a network that opens"));
            sleep(INTERVAL / u32::try_from(nodes).expect("few nodes")).await;
        }
        Cluster { network, handles }
    }

    async fn live(&self, index: usize) -> BTreeSet<SocketAddr> {
        let addrs = |chitchat: &mut chitchat_original::Chitchat| {
            chitchat.live_nodes().map(|id| id.gossip_advertise_addr).collect()
        };
        self.handles[index].with_chitchat(addrs).await
    }
}

/// Runs a future in virtual time.
fn in_virtual_time<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().expect("a runtime").block_on(future)
}

/// How often a node that was not held up was declared dead.
pub(crate) fn false_deaths(condition: &Condition, seed: u64) -> Outcome {
    in_virtual_time(async {
        let cluster = Cluster::start(condition.nodes, seed, condition.loss).await;
        sleep(condition.warm_up).await;
        cluster.network.state().loss = condition.later_loss;
        let begin = Instant::now();
        let mut before: Vec<BTreeSet<SocketAddr>> = Vec::new();
        for index in 0..condition.nodes {
            before.push(cluster.live(index).await);
        }
        let (mut deaths, mut next_hold, mut host) = (0, begin, 0);
        let mut rng = StdRng::seed_from_u64(seed);
        while begin.elapsed() < condition.length {
            if let Some(holds) = condition.holds
                && Instant::now() >= next_hold
                && begin.elapsed() + holds.every <= condition.length
            {
                let until = Instant::now() + holds.draw(&mut rng);
                cluster.network.state().held.insert(addr_of(host), (until, holds.lossy));
                next_hold += holds.every;
                host = (host + 1) % condition.nodes;
            }
            sleep(SAMPLE).await;
            for (index, before) in before.iter_mut().enumerate() {
                let now = cluster.live(index).await;
                let gone = before.difference(&now);
                deaths += gone.filter(|addr| !cluster.network.is_held(**addr)).count();
                *before = now;
            }
        }
        Outcome::of(condition, deaths)
    })
}

/// How long after its death each of the others declares a node dead; `None`: not within 90 s.
pub(crate) fn detection(loss: f64, seed: u64) -> Vec<Option<Duration>> {
    in_virtual_time(async {
        let mut cluster = Cluster::start(NODES, seed, loss).await;
        sleep(Duration::from_secs(180)).await;
        let victim = addr_of(NODES - 1);
        if let Some(handle) = cluster.handles.pop() {
            handle.shutdown().await.expect("it ends");
        }
        // Not before: a node whose inbox is gone ends with an error.
        cluster.network.state().inboxes.remove(&victim);
        let died = Instant::now();
        let mut last_live = vec![died; NODES - 1];
        while died.elapsed() < Duration::from_secs(90) {
            for (index, last) in last_live.iter_mut().enumerate() {
                if cluster.live(index).await.contains(&victim) {
                    *last = Instant::now();
                }
            }
            sleep(SAMPLE).await;
        }
        let taken = |last: Instant| {
            let detected = last.elapsed() > SAMPLE * 2;
            detected.then(|| last.duration_since(died) + SAMPLE)
        };
        last_live.into_iter().map(taken).collect()
    })
}
