//! A UDP socket: how it is opened, and the little that the loop needs of it.

use std::io;
use std::net::SocketAddr;

use chitchat_transport::canonical;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// An ICMP error about a datagram that was sent earlier.
#[derive(Debug)]
pub(crate) struct LateError {
    /// Where the datagram was going.
    pub(crate) addr: SocketAddr,
    pub(crate) error: io::Error,
}

/// A socket as the loop sees it. A trait so that tests can inject every error.
pub(crate) trait Datagrams: Send + Sync + 'static {
    /// Waits until there may be something to read (or an error to learn of), or room to write.
    fn ready(&self, read: bool, write: bool) -> impl Future<Output = io::Result<()>> + Send;
    fn try_send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize>;
    fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
    /// The next ICMP error that the kernel keeps for us, where it does so.
    fn try_late_error(&self) -> Option<LateError>;
}

/// Opens sockets, at the start and after failures.
pub(crate) trait OpenSocket: Send + Sync + 'static {
    type Socket: Datagrams;
    /// The socket and the address that it is bound to.
    fn open(&self, addr: SocketAddr) -> io::Result<(Self::Socket, SocketAddr)>;
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct RealSockets {
    pub(crate) buffer_bytes: usize,
}

impl OpenSocket for RealSockets {
    type Socket = RealSocket;

    fn open(&self, addr: SocketAddr) -> io::Result<(RealSocket, SocketAddr)> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        if addr.is_ipv6() {
            // IPv4 has a socket of its own, if it is wanted.
            socket.set_only_v6(true)?;
        }
        if self.buffer_bytes > 0 {
            // The host may allow less; then there is less.
            for granted in [
                socket.set_recv_buffer_size(self.buffer_bytes),
                socket.set_send_buffer_size(self.buffer_bytes),
            ] {
                if let Err(error) = granted {
                    tracing::debug!(%addr, %error, "cannot enlarge a socket buffer");
                }
            }
        }
        if let Err(error) = late_errors::enable(&socket, addr) {
            tracing::debug!(%addr, %error, "cannot ask for ICMP errors");
        }
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        let local = canonical(socket.local_addr()?);
        Ok((RealSocket { socket }, local))
    }
}

#[derive(Debug)]
pub(crate) struct RealSocket {
    socket: UdpSocket,
}

impl Datagrams for RealSocket {
    async fn ready(&self, read: bool, write: bool) -> io::Result<()> {
        let interest = match (read, write) {
            (_, false) => late_errors::READ,
            (true, true) => late_errors::READ.add(Interest::WRITABLE),
            (false, true) => Interest::WRITABLE,
        };
        self.socket.ready(interest).await.map(drop)
    }

    fn try_send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.socket.try_send_to(bytes, to)
    }

    fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.try_recv_from(buffer)
    }

    fn try_late_error(&self) -> Option<LateError> {
        late_errors::next(&self.socket)
    }
}

/// The error queue of Linux tells which address an ICMP error was about; without it an
/// unconnected socket never learns that nobody listens at its peer.
#[cfg(target_os = "linux")]
mod late_errors {
    use std::io::{self, IoSliceMut};
    use std::net::SocketAddr;
    use std::os::fd::AsRawFd;

    use nix::cmsg_space;
    use nix::libc::{sock_extended_err, sockaddr_in6};
    use nix::sys::socket::{
        ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt,
    };
    use tokio::io::Interest;
    use tokio::net::UdpSocket;

    use super::LateError;

    pub(super) const READ: Interest = Interest::READABLE.add(Interest::ERROR);

    pub(super) fn enable(socket: &socket2::Socket, addr: SocketAddr) -> io::Result<()> {
        if addr.is_ipv4() {
            setsockopt(socket, sockopt::Ipv4RecvErr, &true)?;
        } else {
            setsockopt(socket, sockopt::Ipv6RecvErr, &true)?;
        }
        Ok(())
    }

    pub(super) fn next(socket: &UdpSocket) -> Option<LateError> {
        // An entry that does not say enough is skipped; the number of turns is bounded.
        for _ in 0..16 {
            let entry = socket.try_io(Interest::ERROR, || {
                // Whatever goes wrong with reading this queue means that there is nothing in it,
                // so that the readiness is cleared.
                read(socket).map_err(|_| io::ErrorKind::WouldBlock.into())
            });
            match entry {
                Ok(Some(late)) => return Some(late),
                Ok(None) => {}
                Err(_) => return None,
            }
        }
        None
    }

    fn read(socket: &UdpSocket) -> io::Result<Option<LateError>> {
        // Of the datagram itself nothing is wanted.
        let mut payload = [0; 1];
        let mut payload = [IoSliceMut::new(&mut payload)];
        let mut control = cmsg_space!(sock_extended_err, sockaddr_in6);
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<SockaddrStorage>(
            socket.as_raw_fd(),
            &mut payload,
            Some(&mut control),
            flags,
        )?;
        let number = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::Ipv4RecvErr(error, _) => i32::try_from(error.ee_errno).ok(),
            ControlMessageOwned::Ipv6RecvErr(error, _) => i32::try_from(error.ee_errno).ok(),
            _ => None,
        });
        let addr = message.address.and_then(|addr| {
            let v4 = addr.as_sockaddr_in().map(|addr| SocketAddr::from(*addr));
            v4.or_else(|| addr.as_sockaddr_in6().map(|addr| SocketAddr::from(*addr)))
        });
        Ok(addr.zip(number).map(|(addr, number)| {
            let addr = chitchat_transport::canonical(addr);
            LateError { addr, error: io::Error::from_raw_os_error(number) }
        }))
    }
}

#[cfg(not(target_os = "linux"))]
mod late_errors {
    use std::io;
    use std::net::SocketAddr;

    use tokio::io::Interest;
    use tokio::net::UdpSocket;

    use super::LateError;

    pub(super) const READ: Interest = Interest::READABLE;

    #[allow(clippy::unnecessary_wraps, reason = "the same signature as on Linux")]
    pub(super) fn enable(_socket: &socket2::Socket, _addr: SocketAddr) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn next(_socket: &UdpSocket) -> Option<LateError> {
        None
    }
}
