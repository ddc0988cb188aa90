//! Which newcomers get a handshake, before anything is known of them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What to do with a newcomer.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "a transport has to handle each")]
pub enum Verdict {
    /// Shake hands. The place is taken until this is dropped.
    Accept(Place),
    /// Let it prove its address first. That keeps no state.
    Retry,
    /// No answer: an answer is work, and might go to somebody who never asked.
    Ignore,
}

/// How many handshakes may be under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "made by the transports")]
pub struct AdmissionLimits {
    /// Above this a newcomer has to prove its address first.
    pub unproven: usize,
    /// Above this newcomers get no answer.
    pub total: usize,
    /// The same from one address (IPv4) or network (IPv6, /64).
    pub per_network: usize,
}

/// Handshakes under way, counted in total and by network.
#[derive(Debug)]
pub struct Admission {
    limits: AdmissionLimits,
    places: Arc<Mutex<Places>>,
}

#[derive(Debug, Default)]
struct Places {
    total: usize,
    networks: HashMap<IpAddr, usize>,
}

/// A handshake that is under way.
#[derive(Debug)]
pub struct Place {
    network: IpAddr,
    places: Arc<Mutex<Places>>,
}

/// One network is whatever one owner usually has: an IPv4 address, or 64 bits of IPv6.
fn network(addr: SocketAddr) -> IpAddr {
    match addr.ip().to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) & !u128::from(u64::MAX)).into()),
        ip => ip,
    }
}

impl Admission {
    /// Nobody is being greeted yet.
    #[must_use]
    pub fn new(limits: AdmissionLimits) -> Self {
        Self { limits, places: Arc::default() }
    }

    /// `proven`: the newcomer has shown that it receives what is sent to its address.
    pub fn judge(&self, addr: SocketAddr, proven: bool) -> Verdict {
        let network = network(addr);
        let mut places = lock(&self.places);
        let here = places.networks.get(&network).copied().unwrap_or(0);
        if places.total >= self.limits.total || (proven && here >= self.limits.per_network) {
            return Verdict::Ignore;
        }
        // A forged address must not use up the places of its owner.
        if !proven && (places.total >= self.limits.unproven || here >= self.limits.per_network) {
            return Verdict::Retry;
        }
        places.total += 1;
        *places.networks.entry(network).or_default() += 1;
        drop(places);
        Verdict::Accept(Place { network, places: Arc::clone(&self.places) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = lock(&self.places);
        places.total -= 1;
        if let Some(count) = places.networks.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                places.networks.remove(&self.network);
            }
        }
    }
}

fn lock(places: &Mutex<Places>) -> MutexGuard<'_, Places> {
    places.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn admission() -> Admission {
        Admission::new(AdmissionLimits { unproven: 3, total: 5, per_network: 2 })
    }

    #[test]
    fn bounds_hold_in_total_and_by_network_and_places_come_back() {
        let admission = admission();
        let mut places = Vec::new();
        for host in ["192.0.2.1:1", "192.0.2.1:2", "192.0.2.2:1"] {
            match admission.judge(addr(host), false) {
                Verdict::Accept(place) => places.push(place),
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(admission.judge(addr("192.0.2.3:1"), false), Verdict::Retry));
        for host in ["192.0.2.3:1", "192.0.2.3:2"] {
            match admission.judge(addr(host), true) {
                Verdict::Accept(place) => places.push(place),
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(admission.judge(addr("192.0.2.4:1"), true), Verdict::Ignore));
        places.clear();
        assert!(matches!(admission.judge(addr("192.0.2.3:1"), false), Verdict::Accept(_)));
        assert_eq!(lock(&admission.places).networks.len(), 0);
    }

    #[test]
    fn one_network_cannot_take_all_places_and_a_forger_cannot_shut_it_out() {
        let admission = admission();
        let _first = admission.judge(addr("[2001:db8::1]:1"), false);
        let _second = admission.judge(addr("[2001:db8::2]:1"), false);
        assert!(matches!(admission.judge(addr("[2001:db8::3]:1"), false), Verdict::Retry));
        assert!(matches!(admission.judge(addr("[2001:db8::3]:1"), true), Verdict::Ignore));
        assert!(matches!(admission.judge(addr("[2001:db8:1::3]:1"), false), Verdict::Accept(_)));
    }
}
