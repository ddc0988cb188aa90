//! A TCP relay with the rate, the delay and the buffer of a link, that can also do to connections
//! what networks and middleboxes do.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::relay::LinkProfile;

/// As much as is read at once: short against what the link carries in a millisecond.
const CHUNK: usize = 4 << 10;

/// What happens to bytes, and to connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    Fair,
    /// Connections stand, and nothing passes.
    Stalled,
    /// Whatever is there is reset, and newcomers as well.
    Resetting,
}

#[derive(Debug)]
struct State {
    profile: LinkProfile,
    target: SocketAddr,
}

/// Passes bytes between whoever connects to it and one target, like a link. Ends when dropped.
#[derive(Debug)]
pub struct TcpRelay {
    addr: SocketAddr,
    state: Arc<Mutex<State>>,
    weather: watch::Sender<Weather>,
    /// Tells all connections to send an end to the target, and go on in the other direction.
    half_close: Arc<Notify>,
    accepted: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl TcpRelay {
    /// A relay to `target`, on a free port of the same loopback address. Losses are the kernel's
    /// business with TCP, and not made here.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub async fn new(target: SocketAddr, profile: LinkProfile) -> io::Result<Self> {
        let socket = if target.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // What waits in front of the link waits in the kernel, which doubles the figure.
        socket.set_recv_buffer_size(u32::try_from(profile.buffer / 2).unwrap_or(u32::MAX))?;
        socket.bind(SocketAddr::new(target.ip(), 0))?;
        let listener = socket.listen(64)?;
        let addr = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State { profile, target }));
        let weather = watch::Sender::new(Weather::Fair);
        let half_close = Arc::new(Notify::new());
        let accepted = Arc::new(AtomicU64::new(0));
        let relay = Relay {
            state: Arc::clone(&state),
            weather: weather.subscribe(),
            half_close: Arc::clone(&half_close),
            accepted: Arc::clone(&accepted),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(relay.run(listener));
        Ok(Self { addr, state, weather, half_close, accepted, _tasks: tasks })
    }

    /// Where to connect to.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many have connected so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Lets nothing through on connections that stay open, or everything again.
    pub fn set_stalled(&self, stalled: bool) {
        self.weather.send_replace(if stalled { Weather::Stalled } else { Weather::Fair });
    }

    /// Resets all connections, and all that come, or no more.
    pub fn set_resetting(&self, resetting: bool) {
        self.weather.send_replace(if resetting { Weather::Resetting } else { Weather::Fair });
    }

    /// Ends all connections in the direction of the target, and only in that.
    pub fn half_close(&self) {
        self.half_close.notify_waiters();
    }

    /// From now on new connections lead elsewhere.
    pub fn set_target(&self, target: SocketAddr) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).target = target;
    }
}

#[derive(Clone)]
struct Relay {
    state: Arc<Mutex<State>>,
    weather: watch::Receiver<Weather>,
    half_close: Arc<Notify>,
    accepted: Arc<AtomicU64>,
}

impl Relay {
    async fn run(self, listener: TcpListener) {
        let mut tasks = JoinSet::new();
        loop {
            let Ok((client, _)) = listener.accept().await else { continue };
            self.accepted.fetch_add(1, Ordering::Relaxed);
            while tasks.try_join_next().is_some() {}
            let mut relay = self.clone();
            tasks.spawn(async move { relay.connection(client).await });
        }
    }

    async fn connection(&mut self, client: TcpStream) {
        let (profile, target) = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            (state.profile, state.target)
        };
        let Ok(upstream) = TcpStream::connect(target).await else { return };
        for stream in [&client, &upstream] {
            let _ = stream.set_nodelay(true);
        }
        let (client_in, client_out) = client.into_split();
        let (upstream_in, upstream_out) = upstream.into_split();
        let there = lane(client_in, upstream_out, profile, self.weather.clone());
        let back = lane(upstream_in, client_out, profile, self.weather.clone());
        let half_closed = self.half_close.notified();
        let there = async {
            tokio::select! {
                ended = there => ended,
                // Dropping the lane sends an end in its direction, and in no other.
                () = half_closed => Ok(()),
            }
        };
        let mut weather = self.weather.clone();
        tokio::select! {
            // An end in one direction lets the other one go on; a failure ends both.
            _ = async { tokio::try_join!(there, back) } => {}
            _ = weather.wait_for(|weather| *weather == Weather::Resetting) => {}
        }
        // What was not read when a socket is closed makes the kernel send a reset. So does this.
    }
}

/// One direction.
async fn lane(
    reading: OwnedReadHalf,
    mut writing: OwnedWriteHalf,
    profile: LinkProfile,
    weather: watch::Receiver<Weather>,
) -> io::Result<()> {
    let (departures, mut under_way) = mpsc::unbounded_channel();
    let enter = enter(reading, profile, weather.clone(), departures);
    let leave = async {
        let mut weather = weather;
        while let Some((at, bytes)) = under_way.recv().await {
            let bytes: Vec<u8> = bytes;
            sleep_until(at).await;
            fair(&mut weather).await;
            writing.write_all(&bytes).await?;
        }
        writing.shutdown().await
    };
    tokio::try_join!(enter, leave).map(|_| ())
}

async fn fair(weather: &mut watch::Receiver<Weather>) {
    // It ends with the relay.
    let _ = weather.wait_for(|weather| *weather == Weather::Fair).await;
}

/// Reads no faster than the link carries.
async fn enter(
    mut reading: OwnedReadHalf,
    profile: LinkProfile,
    mut weather: watch::Receiver<Weather>,
    departures: mpsc::UnboundedSender<(Instant, Vec<u8>)>,
) -> io::Result<()> {
    let mut free_at = Instant::now();
    let mut buffer = vec![0; CHUNK];
    loop {
        fair(&mut weather).await;
        sleep_until(free_at).await;
        let len = reading.read(&mut buffer).await?;
        if len == 0 {
            return Ok(());
        }
        let nanos = profile.rate.map_or(0, |rate| len as u64 * 8_000_000_000 / rate);
        free_at = free_at.max(Instant::now() - Duration::from_millis(2));
        free_at += Duration::from_nanos(nanos);
        // The other end is gone only when the connection is.
        let _ = departures.send((free_at + profile.delay, buffer[..len].to_vec()));
    }
}
