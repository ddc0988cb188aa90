//! Looks up the addresses of the seeds, again and again, beside the driver.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::shared::Shared;

/// While something is missing, the first pause; it doubles from lookup to lookup.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// For one lookup. Resolvers give up after 5 s or 10 s, and asking again is better than waiting.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// Names that are looked up at the same time: each takes a thread.
const MAX_LOOKUPS: usize = 16;

/// What is known of the seeds' addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SeedAddrs {
    /// Of all seeds. A seed that does not resolve any more keeps those it had.
    pub(crate) addrs: Arc<[SocketAddr]>,
    /// Whether every seed has been resolved.
    pub(crate) complete: bool,
}

/// A seed's name could not be looked up.
#[derive(Debug)]
pub(crate) struct SeedFailure {
    pub(crate) seed: Arc<str>,
    pub(crate) error: Arc<str>,
}

#[derive(Debug)]
struct Seed {
    name: Arc<str>,
    addrs: Option<BTreeSet<SocketAddr>>,
    /// Whether the failure has been told.
    failing: bool,
}

/// Looks up names until it is dropped.
pub(crate) struct Resolver {
    seeds: Vec<Seed>,
    interval: Duration,
    addrs: watch::Sender<SeedAddrs>,
    failures: mpsc::Sender<SeedFailure>,
    shared: Arc<Shared>,
}

impl Resolver {
    /// Addresses that stand in the configuration are there from the start; `None` in place of the
    /// resolver: there are only such.
    pub(crate) fn new(
        seeds: &[String],
        interval: Duration,
        failures: mpsc::Sender<SeedFailure>,
        shared: Arc<Shared>,
    ) -> (Option<Resolver>, watch::Receiver<SeedAddrs>) {
        let seed = |name: &String| Seed {
            name: name.as_str().into(),
            addrs: name
                .parse()
                .ok()
                .map(|addr| BTreeSet::from([chitchat_transport::canonical(addr)])),
            failing: false,
        };
        let (addrs, receiver) = watch::channel(SeedAddrs::default());
        let seeds = seeds.iter().map(seed).collect();
        let resolver = Resolver { seeds, interval, addrs, failures, shared };
        resolver.publish();
        let done = resolver.addrs.borrow().complete;
        ((!done).then_some(resolver), receiver)
    }

    pub(crate) async fn run(mut self) {
        let is_name = |index: &usize| self.seeds[*index].addrs.is_none();
        let names: Vec<usize> = (0..self.seeds.len()).filter(is_name).collect();
        let mut pause = FIRST_PAUSE;
        loop {
            let all_resolved = self.look_up_all(&names).await;
            // The node's first look at others; itself is live, too.
            let alone = self.shared.snapshot().live_nodes().nth(1).is_none();
            if all_resolved && !alone {
                pause = FIRST_PAUSE;
                sleep(self.interval).await;
            } else {
                sleep(pause).await;
                pause = (pause * 2).min(self.interval);
            }
        }
    }

    /// Looks up all names, and makes known each result as it comes. True if all were found.
    async fn look_up_all(&mut self, names: &[usize]) -> bool {
        let mut all_resolved = true;
        let mut waiting = names.iter().copied();
        let mut lookups = JoinSet::new();
        loop {
            while lookups.len() < MAX_LOOKUPS
                && let Some(index) = waiting.next()
            {
                let name = Arc::clone(&self.seeds[index].name);
                lookups.spawn(async move { (index, look_up(&name).await) });
            }
            let Some(done) = lookups.join_next().await else { break };
            self.shared.tallies.seed_lookups.add(1);
            // A lookup that panicked says nothing; the next one is soon.
            let Ok((index, result)) = done else {
                all_resolved = false;
                continue;
            };
            all_resolved &= self.take_in(index, result);
        }
        all_resolved
    }

    fn take_in(&mut self, index: usize, result: Result<BTreeSet<SocketAddr>, String>) -> bool {
        let Some(seed) = self.seeds.get_mut(index) else { return false };
        match result {
            Ok(addrs) => {
                if seed.failing {
                    tracing::info!(seed = %seed.name, ?addrs, "seed resolves again");
                }
                seed.failing = false;
                seed.addrs = Some(addrs);
                self.publish();
                true
            }
            Err(error) => {
                self.shared.tallies.seed_failures.add(1);
                if !std::mem::replace(&mut seed.failing, true) {
                    tracing::warn!(
                        seed = %seed.name, %error,
                        "seed does not resolve; it is looked up again until it does"
                    );
                    let failure = SeedFailure { seed: Arc::clone(&seed.name), error: error.into() };
                    // Bounded by the number of seeds, so there is room; and if not, it is logged.
                    let _ = self.failures.try_send(failure);
                }
                false
            }
        }
    }

    fn publish(&self) {
        let known = self.seeds.iter().filter_map(|seed| seed.addrs.as_ref());
        let union: BTreeSet<SocketAddr> = known.flatten().copied().collect();
        let complete = self.seeds.iter().all(|seed| seed.addrs.is_some());
        self.shared.tallies.seed_addresses.set(union.len() as u64);
        let next = SeedAddrs { addrs: union.into_iter().collect(), complete };
        self.addrs.send_if_modified(|addrs| {
            let changed = *addrs != next;
            *addrs = next;
            changed
        });
    }
}

/// All addresses of `host:port`.
async fn look_up(name: &str) -> Result<BTreeSet<SocketAddr>, String> {
    match timeout(LOOKUP_TIMEOUT, lookup_host(name)).await {
        Ok(Ok(addrs)) => {
            let addrs: BTreeSet<SocketAddr> =
                addrs.map(chitchat_transport::canonical).filter(is_dialable).collect();
            if addrs.is_empty() { Err("the name has no address".to_owned()) } else { Ok(addrs) }
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {LOOKUP_TIMEOUT:?}")),
    }
}

/// Names that are blocked resolve to the unspecified address with some resolvers.
fn is_dialable(addr: &SocketAddr) -> bool {
    !addr.ip().is_unspecified()
}
