//! A UDP relay with the rate, the delay, the buffer and the losses of a link, for real sockets.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Longer than any datagram.
const BUFFER: usize = 65_536;

/// What a link is like, in each direction.
#[derive(Clone, Copy, Debug)]
pub struct LinkProfile {
    /// Bits per second; `None`: no limit.
    pub rate: Option<u64>,
    /// One way.
    pub delay: Duration,
    /// Bytes that wait for the link before further ones are dropped.
    pub buffer: usize,
    /// Share of datagrams that are lost, 0 to 1.
    pub loss: f64,
}

impl Default for LinkProfile {
    fn default() -> Self {
        Self { rate: None, delay: Duration::ZERO, buffer: 1 << 20, loss: 0.0 }
    }
}

#[derive(Debug)]
struct State {
    profile: LinkProfile,
    target: SocketAddr,
    /// Nothing passes.
    cut: bool,
}

/// Counts of what passed.
#[derive(Debug, Default)]
pub struct RelayCounts {
    /// Datagrams that were passed on.
    pub passed: AtomicU64,
    /// Their bytes.
    pub bytes: AtomicU64,
    /// Datagrams that were dropped.
    pub dropped: AtomicU64,
}

/// Passes datagrams between whoever sends to it and one target, like a link. Ends when dropped.
#[derive(Debug)]
pub struct UdpRelay {
    addr: SocketAddr,
    state: Arc<Mutex<State>>,
    counts: Arc<RelayCounts>,
    _tasks: JoinSet<()>,
}

struct Lane {
    state: Arc<Mutex<State>>,
    counts: Arc<RelayCounts>,
    rng: SmallRng,
    free_at: Instant,
    departures: mpsc::UnboundedSender<(Instant, Vec<u8>)>,
}

impl Lane {
    fn new(
        state: &Arc<Mutex<State>>,
        counts: &Arc<RelayCounts>,
        seed: u64,
    ) -> (Lane, mpsc::UnboundedReceiver<(Instant, Vec<u8>)>) {
        let (departures, waiting) = mpsc::unbounded_channel();
        let lane = Lane {
            state: Arc::clone(state),
            counts: Arc::clone(counts),
            rng: SmallRng::seed_from_u64(seed),
            free_at: Instant::now(),
            departures,
        };
        (lane, waiting)
    }

    fn pass(&mut self, datagram: &[u8]) {
        let (profile, cut) = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            (state.profile, state.cut)
        };
        let now = Instant::now();
        let start = self.free_at.max(now);
        let nanos = profile.rate.map_or(0, |rate| datagram.len() as u64 * 8_000_000_000 / rate);
        let takes = Duration::from_nanos(nanos);
        let room = profile.rate.map_or(Duration::MAX, |rate| {
            Duration::from_nanos(profile.buffer as u64 * 8_000_000_000 / rate)
        });
        if cut || start.duration_since(now) > room || self.rng.random_bool(profile.loss) {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.free_at = start + takes;
        self.counts.passed.fetch_add(1, Ordering::Relaxed);
        self.counts.bytes.fetch_add(datagram.len() as u64, Ordering::Relaxed);
        // The other end is gone only when the relay is.
        let _ = self.departures.send((self.free_at + profile.delay, datagram.to_vec()));
    }
}

/// Sends what is due, in order.
async fn deliver(
    mut waiting: mpsc::UnboundedReceiver<(Instant, Vec<u8>)>,
    socket: Arc<UdpSocket>,
    to: impl Fn() -> SocketAddr,
) {
    while let Some((at, datagram)) = waiting.recv().await {
        sleep_until(at).await;
        // Lost, as datagrams are.
        let _ = socket.send_to(&datagram, to()).await;
    }
}

impl UdpRelay {
    /// A relay to `target`, on a free port of the same loopback address.
    pub async fn new(target: SocketAddr, profile: LinkProfile, seed: u64) -> std::io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind(SocketAddr::new(target.ip(), 0)).await?);
        let addr = socket.local_addr()?;
        let state = Arc::new(Mutex::new(State { profile, target, cut: false }));
        let counts = Arc::new(RelayCounts::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(run(socket, Arc::clone(&state), Arc::clone(&counts), seed));
        Ok(Self { addr, state, counts, _tasks: tasks })
    }

    /// Where to send to.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What has passed so far.
    #[must_use]
    pub fn counts(&self) -> &RelayCounts {
        &self.counts
    }

    /// Lets nothing through, or everything again.
    pub fn set_cut(&self, cut: bool) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).cut = cut;
    }

    /// From now on the link is like that.
    pub fn set_profile(&self, profile: LinkProfile) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).profile = profile;
    }

    /// From now on the relay leads elsewhere.
    pub fn set_target(&self, target: SocketAddr) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).target = target;
    }
}

async fn run(
    socket: Arc<UdpSocket>,
    state: Arc<Mutex<State>>,
    counts: Arc<RelayCounts>,
    seed: u64,
) {
    let mut clients: HashMap<SocketAddr, Lane> = HashMap::new();
    let mut tasks = JoinSet::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        let Ok((len, client)) = socket.recv_from(&mut buffer).await else { continue };
        if !clients.contains_key(&client) {
            let target = state.lock().unwrap_or_else(PoisonError::into_inner).target;
            let bound = UdpSocket::bind(SocketAddr::new(target.ip(), 0)).await;
            let Ok(upstream) = bound.map(Arc::new) else { continue };
            let number = clients.len() as u64 * 2;
            let (there, waiting) = Lane::new(&state, &counts, seed.wrapping_add(number));
            let state_too = Arc::clone(&state);
            let to = move || state_too.lock().unwrap_or_else(PoisonError::into_inner).target;
            tasks.spawn(deliver(waiting, Arc::clone(&upstream), to));
            let (mut back, waiting) = Lane::new(&state, &counts, seed.wrapping_add(number + 1));
            tasks.spawn(deliver(waiting, Arc::clone(&socket), move || client));
            tasks.spawn(async move {
                let mut buffer = vec![0; BUFFER];
                loop {
                    if let Ok((len, _)) = upstream.recv_from(&mut buffer).await {
                        back.pass(&buffer[..len]);
                    }
                }
            });
            clients.insert(client, there);
        }
        if let Some(lane) = clients.get_mut(&client) {
            lane.pass(&buffer[..len]);
        }
    }
}
