//! The transport in memory passes the suite that it is shipped with.

use chitchat_transport::AddressFamily;
use chitchat_transport::conformance::ConformanceFactory;
use chitchat_transport::memory::{MemoryNetwork, MemoryTransport};

struct OverMemory {
    network: MemoryNetwork,
    family: AddressFamily,
}

impl ConformanceFactory for OverMemory {
    type Transport = MemoryTransport;

    fn transport(&self, _node_id: &str) -> MemoryTransport {
        self.network.transport()
    }

    fn listen_addr(&self, family: AddressFamily) -> Option<std::net::SocketAddr> {
        // No host is asked: this network has both.
        match family {
            AddressFamily::V4 => "127.0.0.1:0".parse().ok(),
            AddressFamily::V6 => "[::1]:0".parse().ok(),
        }
    }

    fn family(&self) -> AddressFamily {
        self.family
    }

    fn reports_unreachable(&self) -> bool {
        true
    }
}

mod on_ipv4 {
    use super::*;

    chitchat_transport::conformance_suite!(|| async {
        OverMemory { network: MemoryNetwork::new(1), family: AddressFamily::V4 }
    });
}

mod on_ipv6 {
    use super::*;

    chitchat_transport::conformance_suite!(|| async {
        OverMemory { network: MemoryNetwork::new(2), family: AddressFamily::V6 }
    });
}

mod on_a_rough_network {
    use super::*;
    use chitchat_transport::memory::Conditions;
    use std::time::Duration;

    chitchat_transport::conformance_suite!(|| async {
        let network = MemoryNetwork::new(3);
        let mut conditions = Conditions::default();
        conditions.loss = 0.2;
        conditions.duplication = 0.2;
        conditions.reordering = 0.2;
        conditions.latency = Duration::ZERO..=Duration::from_millis(5);
        network.set_conditions(conditions);
        OverMemory { network, family: AddressFamily::V4 }
    });
}
