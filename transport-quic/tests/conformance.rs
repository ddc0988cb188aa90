//! QUIC passes the suite that every transport runs.

use std::any::Any;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use chitchat_tls::ClusterCa;
use chitchat_transport::AddressFamily;
use chitchat_transport::conformance::ConformanceFactory;
use chitchat_transport_quic::QuicTransport;

struct OverQuic {
    ca: ClusterCa,
    family: AddressFamily,
}

impl OverQuic {
    fn new(family: AddressFamily) -> Self {
        Self { ca: ClusterCa::generate("conformance").unwrap(), family }
    }
}

impl ConformanceFactory for OverQuic {
    type Transport = QuicTransport;

    fn transport(&self, node_id: &str) -> QuicTransport {
        let identity = self.ca.issue(node_id).unwrap().tls_config().unwrap();
        QuicTransport::new(identity)
    }

    fn family(&self) -> AddressFamily {
        self.family
    }

    fn listen_addr(&self, family: AddressFamily) -> Option<SocketAddr> {
        let addr = match family {
            AddressFamily::V4 => SocketAddr::from((own_loopback(), 0)),
            AddressFamily::V6 => SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
        };
        UdpSocket::bind(addr).is_ok().then_some(addr)
    }

    /// A socket that nobody reads, so that the handshake gets no answer.
    fn dead_addr(&self) -> Option<(SocketAddr, Box<dyn Any + Send>)> {
        let socket = UdpSocket::bind(self.listen_addr(self.family)?).ok()?;
        Some((socket.local_addr().ok()?, Box::new(socket)))
    }

    fn black_hole(&self) -> Option<SocketAddr> {
        // The same: there is no other kind of silence with datagrams.
        let (addr, socket) = self.dead_addr()?;
        Box::leak(socket);
        Some(addr)
    }

    fn reports_unreachable(&self) -> bool {
        true
    }

    /// 4 MiB to send, as much unacknowledged, 16 MiB received, 8 MiB in quinn's window, and what
    /// streams are being read.
    fn queue_bound(&self) -> usize {
        40 << 20
    }

    async fn inject_garbage(&self, to: SocketAddr, bytes: &[u8]) -> bool {
        let from = SocketAddr::new(to.ip(), 0);
        UdpSocket::bind(from).and_then(|socket| socket.send_to(bytes, to)).is_ok()
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

mod on_ipv4 {
    use super::*;

    chitchat_transport::conformance_suite!(|| async { OverQuic::new(AddressFamily::V4) });
}

mod on_ipv6 {
    use super::*;

    chitchat_transport::conformance_suite!(|| async { OverQuic::new(AddressFamily::V6) });
}
