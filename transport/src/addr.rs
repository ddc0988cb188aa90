//! The one form in which addresses cross a boundary.

use std::fmt;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// The canonical form of a socket address.
///
/// An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`) becomes the IPv4 address that it stands for;
/// the flow label is dropped, and the scope id is dropped unless the address is link-local (where
/// it says which link). Two addresses that reach the same socket then compare equal.
///
/// ```
/// use chitchat_transport::canonical;
/// let mapped = "[::ffff:192.0.2.1]:7280".parse().unwrap();
/// assert_eq!(canonical(mapped), "192.0.2.1:7280".parse().unwrap());
/// ```
#[must_use]
pub fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(_) => addr,
        SocketAddr::V6(v6) => match v6.ip().to_canonical() {
            IpAddr::V4(ip) => SocketAddr::from((ip, v6.port())),
            IpAddr::V6(ip) => {
                let scope_id = if ip.is_unicast_link_local() { v6.scope_id() } else { 0 };
                SocketAddr::V6(SocketAddrV6::new(ip, v6.port(), 0, scope_id))
            }
        },
    }
}

/// IPv4 or IPv6, of a canonical address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::exhaustive_enums, reason = "there are two")]
pub enum AddressFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl AddressFamily {
    /// The family of `addr` in its [`canonical`] form.
    #[must_use]
    pub fn of(addr: SocketAddr) -> Self {
        if canonical(addr).is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

impl fmt::Display for AddressFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_mapped_address_is_an_ipv4_address() {
        assert_eq!(canonical(addr("[::ffff:10.0.0.1]:7")), addr("10.0.0.1:7"));
        assert_eq!(AddressFamily::of(addr("[::ffff:10.0.0.1]:7")), AddressFamily::V4);
        assert_eq!(AddressFamily::of(addr("[::1]:7")), AddressFamily::V6);
    }

    #[test]
    fn only_a_link_local_address_keeps_its_scope() {
        let scoped = |ip: &str| SocketAddr::V6(SocketAddrV6::new(ip.parse().unwrap(), 7, 5, 3));
        assert_eq!(canonical(scoped("2001:db8::1")), addr("[2001:db8::1]:7"));
        let SocketAddr::V6(link_local) = canonical(scoped("fe80::1")) else { unreachable!() };
        assert_eq!((link_local.scope_id(), link_local.flowinfo()), (3, 0));
    }
}
