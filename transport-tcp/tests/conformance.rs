//! TCP passes the suite that every transport runs, plain and with TLS.

use std::any::Any;
use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};

use chitchat_transport::AddressFamily;
use chitchat_transport::Transport;
use chitchat_transport::conformance::ConformanceFactory;
use chitchat_transport_tcp::PlainTcpTransport;
use socket2::{Domain, Socket, Type};

/// One way to make a transport for a node.
trait Make: Send + Sync {
    type Transport: Transport;

    fn make(&self, node_id: &str) -> Self::Transport;
}

struct Plain;

impl Make for Plain {
    type Transport = PlainTcpTransport;

    fn make(&self, _node_id: &str) -> PlainTcpTransport {
        PlainTcpTransport::new()
    }
}

struct OverTcp<M> {
    make: M,
    family: AddressFamily,
}

impl<M: Make> ConformanceFactory for OverTcp<M> {
    type Transport = M::Transport;

    fn transport(&self, node_id: &str) -> M::Transport {
        self.make.make(node_id)
    }

    fn family(&self) -> AddressFamily {
        self.family
    }

    fn listen_addr(&self, family: AddressFamily) -> Option<SocketAddr> {
        let addr = match family {
            AddressFamily::V4 => SocketAddr::from((own_loopback(), 0)),
            AddressFamily::V6 => SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
        };
        TcpListener::bind(addr).is_ok().then_some(addr)
    }

    /// A port that is taken and that nobody listens on.
    fn dead_addr(&self) -> Option<(SocketAddr, Box<dyn Any + Send>)> {
        let addr = self.listen_addr(self.family)?;
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).ok()?;
        socket.bind(&addr.into()).ok()?;
        Some((socket.local_addr().ok()?.as_socket()?, Box::new(socket)))
    }

    /// A port whose owner takes nobody in: the connection stands, and nothing is ever said.
    fn black_hole(&self) -> Option<SocketAddr> {
        let listener = TcpListener::bind(self.listen_addr(self.family)?).ok()?;
        let addr = listener.local_addr().ok()?;
        Box::leak(Box::new(listener));
        Some(addr)
    }

    fn reports_unreachable(&self) -> bool {
        true
    }

    /// 4 MiB to send, 16 MiB received, and what the kernel holds for both ends.
    fn queue_bound(&self) -> usize {
        40 << 20
    }

    async fn inject_garbage(&self, to: SocketAddr, bytes: &[u8]) -> bool {
        let Ok(mut stream) = TcpStream::connect(to) else { return false };
        let written = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
        // A transport that hangs up while it is being written to is right to do so.
        drop(written);
        true
    }
}

/// A loopback address of this process alone where the host has more than one, so that a port that
/// was just closed is not taken by another copy of these tests.
fn own_loopback() -> Ipv4Addr {
    if cfg!(target_os = "linux") {
        let [_, high, middle, low] = std::process::id().to_be_bytes();
        Ipv4Addr::new(127, high.wrapping_add(1), middle, low.clamp(1, 254))
    } else {
        Ipv4Addr::LOCALHOST
    }
}

mod plain_on_ipv4 {
    use super::*;

    chitchat_transport::conformance_suite!(|| async {
        OverTcp { make: Plain, family: AddressFamily::V4 }
    });
}

mod plain_on_ipv6 {
    use super::*;

    chitchat_transport::conformance_suite!(|| async {
        OverTcp { make: Plain, family: AddressFamily::V6 }
    });
}

#[cfg(feature = "tls")]
mod with_tls {
    use chitchat_tls::ClusterCa;
    use chitchat_transport_tcp::TlsTcpTransport;

    use super::*;

    struct Tls(ClusterCa);

    impl Make for Tls {
        type Transport = TlsTcpTransport;

        fn make(&self, node_id: &str) -> TlsTcpTransport {
            TlsTcpTransport::new(self.0.issue(node_id).unwrap().tls_config().unwrap())
        }
    }

    fn over_tls(family: AddressFamily) -> OverTcp<Tls> {
        OverTcp { make: Tls(ClusterCa::generate("conformance").unwrap()), family }
    }

    mod on_ipv4 {
        use super::*;

        chitchat_transport::conformance_suite!(|| async { over_tls(AddressFamily::V4) });
    }

    mod on_ipv6 {
        use super::*;

        chitchat_transport::conformance_suite!(|| async { over_tls(AddressFamily::V6) });
    }
}
