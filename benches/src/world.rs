//! A cluster, and the runtime that it lives in.

use std::marker::PhantomData;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use anyhow::Context as _;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep, sleep_until};

use crate::args::{Common, Time};
use crate::heap::Heap;
use crate::machine::cpu_time;
use crate::subject::{NodeSpec, Peer, Subject, Traffic, TransportKind};

/// Under which all keys are.
pub(crate) const PREFIX: &str = "k:";

/// Threads in real time.
const WORKERS: usize = 2;

pub(crate) struct World<S: Subject> {
    runtime: Runtime,
    pub(crate) network: S::Network,
    pub(crate) nodes: Vec<S::Node>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) interval: Duration,
    /// Within which [`World::start`] starts nodes.
    pub(crate) start_within: Duration,
    pub(crate) rng: StdRng,
    /// Addresses that were given out, on the network in memory.
    addresses: u32,
    is_virtual: bool,
    push_fanout: Option<usize>,
    kind: TransportKind,
    subject: PhantomData<S>,
}

/// What a stretch of time has cost.
pub(crate) struct Cost {
    pub(crate) length: Duration,
    pub(crate) cpu: Duration,
    pub(crate) traffic: Traffic,
    /// The heap before and after, if it is counted.
    pub(crate) heap: Option<(Heap, Heap)>,
}

impl<S: Subject> World<S> {
    pub(crate) fn new(common: &Common) -> anyhow::Result<World<S>> {
        let is_virtual = common.time == Time::Virtual;
        let runtime = if is_virtual {
            Builder::new_current_thread().enable_all().start_paused(true).build()
        } else {
            Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()
        };
        let kind = common.transport;
        anyhow::ensure!(
            !is_virtual || kind == TransportKind::Memory,
            "sockets know no virtual time: add --time real"
        );
        let interval = Duration::from_millis(common.interval.unwrap_or(1_000));
        Ok(World {
            runtime: runtime.context("no runtime")?,
            network: S::network(kind, common.seed)?,
            nodes: Vec::new(),
            peers: Vec::new(),
            interval,
            start_within: interval,
            rng: StdRng::seed_from_u64(common.seed),
            addresses: 0,
            is_virtual,
            push_fanout: common.push_fanout.map(usize::from),
            kind,
            subject: PhantomData,
        })
    }

    /// An id of 20 bytes without a pattern that compression could find.
    fn random_word(&mut self) -> String {
        const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let letter = |_| char::from(LETTERS[self.rng.random_range(0..LETTERS.len())]);
        (0..20).map(letter).collect()
    }

    /// A key of 20 bytes.
    pub(crate) fn key(index: usize) -> String {
        format!("{PREFIX}{index:018}")
    }

    /// Keys and values of 20 bytes each.
    fn key_values(&mut self, count: usize) -> Vec<(String, String)> {
        (0..count).map(|index| (Self::key(index), self.random_word())).collect()
    }

    /// The next peer: on the network in memory an address of its own, on sockets a free port.
    pub(crate) fn peer(&mut self) -> anyhow::Result<Peer> {
        let addr = match self.kind {
            TransportKind::Memory => {
                self.addresses += 1;
                let host =
                    Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() + self.addresses);
                SocketAddr::from((host, 7_280))
            }
            // The original cannot be asked for its port: one that was free a moment ago.
            TransportKind::Udp | TransportKind::Quic => {
                UdpSocket::bind("127.0.0.1:0")?.local_addr()?
            }
        };
        let generation = 1_760_000_000_000 + self.rng.random_range(0..86_400_000);
        Ok(Peer { node_id: self.random_word(), generation, addr })
    }

    /// Ends the last node without a word to anybody.
    pub(crate) fn kill_last(&mut self) -> Option<Peer> {
        let node = self.nodes.pop()?;
        self.runtime.block_on(S::kill(node));
        self.peers.pop()
    }

    /// Starts a node that knows the first one.
    pub(crate) fn spawn(&mut self, key_values: Vec<(String, String)>) -> anyhow::Result<()> {
        let peer = self.peer()?;
        let seed = self.peers.first().map_or(peer.addr, |first| first.addr);
        let spec = NodeSpec {
            peer: peer.clone(),
            seeds: vec![seed],
            interval: self.interval,
            push_fanout: self.push_fanout,
            key_values,
        };
        let node = self.runtime.block_on(S::spawn(&self.network, spec))?;
        self.nodes.push(node);
        self.peers.push(peer);
        Ok(())
    }

    /// Starts so many nodes at random moments, each with so many keys.
    pub(crate) fn start(&mut self, nodes: usize, keys: usize) -> anyhow::Result<()> {
        let within = self.start_within;
        let mut offsets: Vec<Duration> =
            (0..nodes).map(|_| within.mul_f64(self.rng.random())).collect();
        offsets.sort();
        let begin = self.now();
        for offset in offsets {
            self.runtime.block_on(async { sleep_until(begin + offset).await });
            let key_values = self.key_values(keys);
            self.spawn(key_values)?;
        }
        Ok(())
    }

    pub(crate) fn now(&self) -> Instant {
        let _guard = self.runtime.enter();
        Instant::now()
    }

    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Time passes.
    pub(crate) fn pass(&self, length: Duration) {
        self.runtime.block_on(async { sleep(length).await });
    }

    /// Waits until something holds that is looked at every `poll`; `None`: not within `limit`.
    pub(crate) fn until(
        &self,
        poll: Duration,
        limit: Duration,
        mut holds: impl AsyncFnMut(&World<S>) -> bool,
    ) -> Option<Duration> {
        self.runtime.block_on(async {
            let begin = Instant::now();
            loop {
                if holds(self).await {
                    return Some(begin.elapsed());
                }
                if begin.elapsed() >= limit {
                    return None;
                }
                sleep(poll).await;
            }
        })
    }

    /// Whether all nodes take all for live.
    pub(crate) async fn all_see_all(&self) -> bool {
        for node in &self.nodes {
            if S::live(node).await != self.nodes.len() {
                return false;
            }
        }
        true
    }

    /// Whether all nodes have all keys.
    pub(crate) async fn all_have_all(&self, keys: usize) -> bool {
        for node in &self.nodes {
            if S::keys(node).await != self.nodes.len() * keys {
                return false;
            }
        }
        true
    }

    /// Waits until all nodes see each other and have all keys.
    pub(crate) fn converge(&self, keys: usize, limit: Duration) -> Option<Duration> {
        // To look costs the square of the nodes: of many, less often.
        let tenths = u32::try_from(self.nodes.len() / 100).unwrap_or(u32::MAX).clamp(1, 30);
        self.until(self.interval / 10 * tenths, limit, async |world| {
            world.all_see_all().await && world.all_have_all(keys).await
        })
    }

    /// What it costs when so much time passes.
    pub(crate) fn cost(&self, length: Duration) -> Cost {
        self.cost_of(|world| world.pass(length))
    }

    /// What something costs.
    pub(crate) fn cost_of(&self, something: impl FnOnce(&World<S>)) -> Cost {
        let traffic = S::traffic(&self.network, &self.nodes);
        let (begin, cpu) = (self.now(), cpu_time());
        let heap = Heap::now();
        something(self);
        Cost {
            cpu: cpu_time() - cpu,
            length: self.now() - begin,
            traffic: S::traffic(&self.network, &self.nodes).since(traffic),
            heap: heap.zip(Heap::now()),
        }
    }

    /// Nothing runs for so long. In virtual time the clock jumps; in real time all threads of the
    /// runtime are kept busy with nothing.
    pub(crate) fn stop(&self, length: Duration) {
        self.runtime.block_on(async {
            if self.is_virtual {
                return tokio::time::advance(length).await;
            }
            let all = Arc::new(Barrier::new(WORKERS + 1));
            for _ in 0..WORKERS {
                let all = all.clone();
                tokio::spawn(async move {
                    all.wait();
                    std::thread::sleep(length);
                });
            }
            all.wait();
            std::thread::sleep(length);
        });
    }
}

impl<S: Subject> Drop for World<S> {
    /// All at once: each one says goodbye to its connections, which takes as long as for all.
    fn drop(&mut self) {
        let ends: Vec<_> =
            self.nodes.drain(..).map(|node| self.runtime.spawn(S::kill(node))).collect();
        self.runtime.block_on(async {
            for end in ends {
                // Only fails if ending panicked, which has been printed.
                let _ = end.await;
            }
        });
    }
}
