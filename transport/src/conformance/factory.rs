//! What the suite has to know about a transport.

use std::any::Any;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::addr::AddressFamily;
use crate::contract::Transport;

/// Makes the transports for a check, and says what they can do.
///
/// Only [`transport`](Self::transport) has to be given; the rest has defaults for a transport
/// over IP that does nothing special.
pub trait ConformanceFactory: Send + Sync {
    /// The transport to be checked.
    type Transport: Transport;

    /// A transport for the node `node_id` of the cluster `conformance`. All transports of one
    /// factory can talk to each other.
    fn transport(&self, node_id: &str) -> Self::Transport;

    /// Where to listen, for this family. `None` if the transport or the host does not know the
    /// family; by default that is found out by binding a socket.
    fn listen_addr(&self, family: AddressFamily) -> Option<SocketAddr> {
        let addr = match family {
            AddressFamily::V4 => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            AddressFamily::V6 => SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
        };
        UdpSocket::bind(addr).is_ok().then_some(addr)
    }

    /// The family for all checks that need only one.
    fn family(&self) -> AddressFamily {
        AddressFamily::V4
    }

    /// Whether the transport finds out that nobody listens at an address, and reports it.
    fn reports_unreachable(&self) -> bool {
        false
    }

    /// An address where nobody listens, with something that keeps anybody else on this host from
    /// taking it while the check runs: for UDP a socket that is connected to somewhere else, for
    /// TCP one that is bound and does not listen. By default the suite opens and closes a
    /// transport, which serves as long as nothing else takes the port.
    fn dead_addr(&self) -> Option<(SocketAddr, Box<dyn Any + Send>)> {
        None
    }

    /// An address that swallows everything without an answer, if the test can provide one: for
    /// a stream transport, a listener that never accepts.
    fn black_hole(&self) -> Option<SocketAddr> {
        None
    }

    /// No more than this many bytes are ever held between `send` and `recv`: send queue, receive
    /// queue and the buffers of the operating system. The suite floods the transport with three
    /// times as much.
    fn queue_bound(&self) -> usize {
        16 << 20
    }

    /// Sends raw bytes, that are not the transport's own format, to a listening transport. False
    /// if there is no way to do so, which skips the check.
    fn inject_garbage(&self, to: SocketAddr, bytes: &[u8]) -> impl Future<Output = bool> + Send {
        let _ = (to, bytes);
        async { false }
    }

    /// How long the suite waits for something that a transport which works does in milliseconds.
    /// Only a failure takes this long, so be generous.
    fn patience(&self) -> Duration {
        Duration::from_secs(20)
    }
}
