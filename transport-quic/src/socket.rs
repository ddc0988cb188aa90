//! The UDP socket under an endpoint. No error of the operating system gets through to quinn, which
//! would give up the endpoint or write a line in the log for each.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use chitchat_transport::canonical;
use chitchat_transport::errno::{Class, Failure, classify};
use quinn::udp::{RecvMeta, Transmit, UdpSocketState};
use quinn::{AsyncUdpSocket, UdpPoller};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::sync::watch;
use tokio::time::{Sleep, sleep};

/// Errors in a row after which receiving waits a little: each can be about one datagram, but so
/// many are about the socket.
const ERRORS_IN_A_ROW: u32 = 32;
const PAUSE: Duration = Duration::from_millis(20);

/// Learns what went wrong. Must not block.
pub(crate) trait SocketObserver: Send + Sync + 'static {
    /// A datagram could not be sent. It is lost, as any datagram may be.
    fn send_failed(&self, to: SocketAddr, failure: Failure);
    /// Receiving failed. It goes on.
    fn recv_failed(&self, failure: Failure);
}

/// A bound socket, not yet watched by a runtime.
#[derive(Debug)]
pub(crate) struct BoundSocket {
    socket: std::net::UdpSocket,
    pub(crate) local: SocketAddr,
}

impl BoundSocket {
    /// Binds one address of one family.
    pub(crate) fn bind(addr: SocketAddr, buffer_bytes: usize) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        if addr.is_ipv6() {
            // IPv4 has a socket of its own, if it is wanted.
            socket.set_only_v6(true)?;
        }
        if buffer_bytes > 0 {
            // The host may allow less; then there is less.
            for granted in [
                socket.set_recv_buffer_size(buffer_bytes),
                socket.set_send_buffer_size(buffer_bytes),
            ] {
                if let Err(error) = granted {
                    tracing::debug!(%addr, %error, "cannot enlarge a socket buffer");
                }
            }
        }
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        let socket: std::net::UdpSocket = socket.into();
        let local = canonical(socket.local_addr()?);
        Ok(Self { socket, local })
    }
}

/// A socket that survives every error.
pub(crate) struct SteadySocket {
    io: tokio::net::UdpSocket,
    state: UdpSocketState,
    observer: Arc<dyn SocketObserver>,
    receiving: Mutex<Receiving>,
    /// Counts the sockets of the transport that are open.
    open: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Receiving {
    errors_in_a_row: u32,
    pause: Option<Pin<Box<Sleep>>>,
}

impl SteadySocket {
    /// `open` is the number of open sockets, lowered again when this one is dropped.
    pub(crate) fn new(
        bound: BoundSocket,
        observer: Arc<dyn SocketObserver>,
        open: watch::Sender<usize>,
    ) -> io::Result<Self> {
        let state = UdpSocketState::new((&bound.socket).into())?;
        let io = tokio::net::UdpSocket::from_std(bound.socket)?;
        open.send_modify(|count| *count += 1);
        Ok(Self { io, state, observer, receiving: Mutex::default(), open })
    }
}

impl Drop for SteadySocket {
    fn drop(&mut self) {
        self.open.send_modify(|count| *count -= 1);
    }
}

impl fmt::Debug for SteadySocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SteadySocket").field("io", &self.io).finish_non_exhaustive()
    }
}

impl AsyncUdpSocket for SteadySocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable { socket: self, waiting: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let sent =
            self.io.try_io(Interest::WRITABLE, || self.state.try_send((&self.io).into(), transmit));
        let Err(error) = sent else { return Ok(()) };
        let failure = classify(&error);
        match failure.class {
            Class::WouldBlock => Err(error),
            // Path MTU probes and the like; QUIC finds out by itself.
            Class::TooLong | Class::Interrupted => Ok(()),
            _ => {
                self.observer.send_failed(canonical(transmit.destination), failure);
                Ok(())
            }
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut receiving = self.receiving.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(pause) = &mut receiving.pause {
                ready!(pause.as_mut().poll(cx));
                receiving.pause = None;
            }
            let received = match ready!(self.io.poll_recv_ready(cx)) {
                Ok(()) => self
                    .io
                    .try_io(Interest::READABLE, || self.state.recv((&self.io).into(), bufs, meta)),
                Err(error) => Err(error),
            };
            match received {
                Ok(count) => {
                    receiving.errors_in_a_row = 0;
                    return Poll::Ready(Ok(count));
                }
                Err(error) => {
                    let failure = classify(&error);
                    if failure.class == Class::WouldBlock {
                        continue;
                    }
                    self.observer.recv_failed(failure);
                    receiving.errors_in_a_row += 1;
                    if receiving.errors_in_a_row >= ERRORS_IN_A_ROW {
                        receiving.errors_in_a_row = 0;
                        receiving.pause = Some(Box::pin(sleep(PAUSE)));
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }
}

/// Waits until the socket takes datagrams again.
struct Writable {
    socket: Arc<SteadySocket>,
    waiting: Option<Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>>,
}

impl UdpPoller for Writable {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = Arc::clone(&self.socket);
        let waiting =
            self.waiting.get_or_insert_with(|| Box::pin(async move { socket.io.writable().await }));
        let ready = ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        Poll::Ready(ready)
    }
}

impl fmt::Debug for Writable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writable").finish_non_exhaustive()
    }
}
