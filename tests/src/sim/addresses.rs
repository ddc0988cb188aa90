//! Where hosts are, and which way messages go.

use std::net::SocketAddr;

use chitchat_protocol::Transmit;

use crate::sim::{HostId, Sim};

impl Sim {
    /// Address of the host with this position.
    pub fn addr_of(id: HostId) -> SocketAddr {
        let [high, low] = u16::try_from(id).expect("fewer than 65,536 hosts").to_be_bytes();
        SocketAddr::from(([10, 0, high, low], 7280))
    }

    /// An IPv6 address for the host with this position.
    pub fn v6_addr_of(id: HostId) -> SocketAddr {
        let id = u16::try_from(id).expect("fewer than 65,536 hosts");
        SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, id], 7280))
    }

    /// Gives a host other addresses: what is sent to the former ones is lost from now on. The node on
    /// it is not told.
    pub fn set_addrs(&mut self, host: HostId, addrs: Vec<SocketAddr>) {
        self.by_addr.retain(|_, id| *id != host);
        self.by_addr.extend(addrs.iter().map(|addr| (*addr, host)));
        self.hosts[host].addrs = addrs;
    }

    /// From and to which address a message goes. Of several it is one at which there is a host, if
    /// there is any: transports find that out.
    pub(super) fn route(
        &self,
        host: HostId,
        message: &Transmit,
    ) -> Option<(SocketAddr, SocketAddr)> {
        let host = &self.hosts[host];
        let pair = |to: SocketAddr| Some((host.addr_towards(to)?, to));
        if let Some(way_back) = message.target.reply.and_then(|path| pair(path.remote)) {
            return Some(way_back);
        }
        let usable = || message.target.addrs.iter().filter_map(|addr| pair(*addr));
        usable().find(|(_, to)| self.by_addr.contains_key(to)).or_else(|| usable().next())
    }
}
