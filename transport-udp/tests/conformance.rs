//! Plain UDP passes the suite that every transport runs.

use std::any::Any;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use chitchat_transport::AddressFamily;
use chitchat_transport::conformance::ConformanceFactory;
use chitchat_transport_udp::PlainUdpTransport;

struct OverUdp(AddressFamily);

impl ConformanceFactory for OverUdp {
    type Transport = PlainUdpTransport;

    fn transport(&self, _node_id: &str) -> PlainUdpTransport {
        PlainUdpTransport::new()
    }

    fn family(&self) -> AddressFamily {
        self.0
    }

    fn listen_addr(&self, family: AddressFamily) -> Option<SocketAddr> {
        let addr = match family {
            AddressFamily::V4 => SocketAddr::from((own_loopback(), 0)),
            AddressFamily::V6 => SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
        };
        UdpSocket::bind(addr).is_ok().then_some(addr)
    }

    /// A socket that is connected takes nothing from anybody else, but keeps its port.
    fn dead_addr(&self) -> Option<(SocketAddr, Box<dyn Any + Send>)> {
        let listen = self.listen_addr(self.0)?;
        let socket = UdpSocket::bind(listen).ok()?;
        socket.connect(SocketAddr::new(listen.ip(), 9)).ok()?;
        Some((socket.local_addr().ok()?, Box::new(socket)))
    }

    /// The kernel's error queue is what tells.
    fn reports_unreachable(&self) -> bool {
        cfg!(target_os = "linux")
    }

    /// 4 MiB to send, 8 MiB received, and the kernel's two buffers, which it doubles.
    fn queue_bound(&self) -> usize {
        20 << 20
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

    chitchat_transport::conformance_suite!(|| async { OverUdp(AddressFamily::V4) });
}

mod on_ipv6 {
    use super::*;

    chitchat_transport::conformance_suite!(|| async { OverUdp(AddressFamily::V6) });
}
