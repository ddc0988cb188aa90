//! Sockets: how they are made, and what is set on them.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use chitchat_transport::AddressFamily;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Newcomers that the operating system keeps for us until we look.
const BACKLOG: i32 = 1_024;
/// Bytes that the operating system takes from us ahead of what it has sent. A short message waits
/// for no more of a long one than this: 3 ms at 100 Mbit/s. It costs no throughput, since the
/// congestion window is not part of it.
const UNSENT_LIMIT: u32 = 32 << 10;

/// Listens on one address of one family.
pub(crate) fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        // IPv4 has a socket of its own, if it is wanted.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    // A port whose connections have not all ended can be listened on again. On Windows the option
    // means something else, and is not needed.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Of our own addresses the one to speak to `addr` from: of its family, and bound to the same kind
/// of address.
pub(crate) fn fitting(locals: &[SocketAddr], addr: SocketAddr) -> Option<SocketAddr> {
    let family = AddressFamily::of(addr);
    let fits = |local: &SocketAddr| {
        let (local, addr) = (local.ip(), addr.ip());
        (local.is_unspecified() || local.is_loopback() == addr.is_loopback(), local == addr)
    };
    locals.iter().copied().filter(|local| AddressFamily::of(*local) == family).max_by_key(fits)
}

/// Connects to `addr` from the address that peers know us by, if there is one.
pub(crate) async fn connect(addr: SocketAddr, local: SocketAddr) -> io::Result<TcpStream> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if !local.ip().is_unspecified() {
        let mut from = local;
        from.set_port(0);
        socket.bind(from)?;
    }
    socket.connect(addr).await
}

/// What a connection needs, whoever dialled it.
pub(crate) fn prepare(stream: &TcpStream, keep_alive: Option<Duration>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    limit_unsent(&socket)?;
    if let Some(every) = keep_alive {
        let probes = TcpKeepalive::new().with_time(every);
        #[cfg(not(target_os = "openbsd"))]
        let probes = probes.with_interval(every);
        socket.set_tcp_keepalive(&probes)?;
    }
    Ok(())
}

#[cfg(any(target_os = "android", target_os = "linux"))]
fn limit_unsent(socket: &SockRef<'_>) -> io::Result<()> {
    // What only looks like Linux (a sandbox) may not have the option.
    socket.set_tcp_notsent_lowat(UNSENT_LIMIT).or_else(|_| limit_buffer(socket))
}

#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn limit_unsent(socket: &SockRef<'_>) -> io::Result<()> {
    limit_buffer(socket)
}

/// Where there is no such option, or none that can be set safely, a small buffer bounds what is
/// ahead of a short message. It bounds the throughput of a long link as well: 128 KiB per round
/// trip.
fn limit_buffer(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_send_buffer_size(UNSENT_LIMIT as usize * 4)
}
