//! The transport passes the suite that every transport runs, alone and with somebody looking on.

use std::net::SocketAddr;

use chitchat_outside::{Inspected, PipeTransport, Switchboard, Tally};
use chitchat_transport::AddressFamily;
use chitchat_transport::conformance::ConformanceFactory;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Both families, whatever the host has: these are pipes.
fn loopback(family: AddressFamily) -> Option<SocketAddr> {
    let addr = match family {
        AddressFamily::V4 => "127.0.0.1:0",
        AddressFamily::V6 => "[::1]:0",
    };
    addr.parse().ok()
}

async fn inject(switchboard: &Switchboard, to: SocketAddr, bytes: &[u8]) -> bool {
    let Ok(mut stream) = switchboard.dial(SocketAddr::from(([127, 0, 0, 1], 9)), to) else {
        return false;
    };
    // It may be closed on us at any byte.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let _ = stream.read_to_end(&mut Vec::new()).await;
    true
}

/// An address that somebody listens at who never accepts.
fn black_hole(switchboard: &Switchboard) -> Option<SocketAddr> {
    let listener = switchboard.listen(SocketAddr::from(([127, 0, 0, 2], 0))).ok()?;
    let addr = listener.addr();
    std::mem::forget(listener);
    Some(addr)
}

struct OverPipes(Switchboard);

impl ConformanceFactory for OverPipes {
    type Transport = PipeTransport;

    fn transport(&self, _node_id: &str) -> PipeTransport {
        PipeTransport::new(&self.0)
    }

    fn listen_addr(&self, family: AddressFamily) -> Option<SocketAddr> {
        loopback(family)
    }

    fn reports_unreachable(&self) -> bool {
        true
    }

    fn black_hole(&self) -> Option<SocketAddr> {
        black_hole(&self.0)
    }

    async fn inject_garbage(&self, to: SocketAddr, bytes: &[u8]) -> bool {
        inject(&self.0, to, bytes).await
    }
}

struct OverInspectedPipes(OverPipes, Tally);

impl ConformanceFactory for OverInspectedPipes {
    type Transport = Inspected<PipeTransport>;

    fn transport(&self, node_id: &str) -> Self::Transport {
        Inspected::new(self.0.transport(node_id), &self.1)
    }

    fn listen_addr(&self, family: AddressFamily) -> Option<SocketAddr> {
        loopback(family)
    }

    fn reports_unreachable(&self) -> bool {
        true
    }

    fn black_hole(&self) -> Option<SocketAddr> {
        self.0.black_hole()
    }

    async fn inject_garbage(&self, to: SocketAddr, bytes: &[u8]) -> bool {
        self.0.inject_garbage(to, bytes).await
    }
}

mod alone {
    use super::*;

    chitchat_transport::conformance_suite!(|| async { OverPipes(Switchboard::default()) });
}

mod inspected {
    use super::*;

    chitchat_transport::conformance_suite!(|| async {
        OverInspectedPipes(OverPipes(Switchboard::default()), Tally::default())
    });
}
