//! Counters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use chitchat_protocol::Counters;
use chitchat_transport::{Report, SendError, TransportStats};
use serde::Serialize;

/// What a node did, refused and lost since its start. Made by
/// [`ChitchatHandle::stats`](crate::ChitchatHandle::stats); serialises to plain numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// The protocol: rounds, messages, refusals by reason.
    pub protocol: Counters,
    /// The transport: messages, drops, failures that were survived, queue lengths.
    #[serde(with = "TransportStatsShape")]
    pub transport: TransportStats,
    /// Messages that the transport did not take.
    pub send_errors: SendErrors,
    /// What the transport reported of peers.
    pub reports: ReportCounts,
    /// Lookups of the seeds' names.
    pub seeds: SeedStats,
    /// Publications of the state: changes that became visible together count once.
    pub publications: u64,
    /// Events that were published. Those of keys count while there are event streams: without any,
    /// nobody looks which keys changed.
    pub events: u64,
    /// Events and notices that slow readers missed, each reader counted.
    pub missed_by_readers: u64,
}

/// Messages that the transport did not take, by reason. All lost; gossip repeats what matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SendErrors {
    /// The queue was full.
    pub queue_full: u64,
    /// The message was too long: a mismatch between the node and the transport.
    pub too_large: u64,
    /// No address of the peer can be used from here.
    pub no_usable_address: u64,
    /// The transport was closed already.
    pub closed: u64,
    /// Anything else.
    pub other: u64,
}

/// Reports of the transport, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReportCounts {
    /// An address could not be reached.
    pub unreachable: u64,
    /// A peer refused us.
    pub rejected_us: u64,
    /// A peer did not prove to be who it has to be.
    pub identity_refused: u64,
    /// News about this node's own credentials.
    pub credentials: u64,
    /// Anything else.
    pub other: u64,
}

/// Lookups of the seeds' names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SeedStats {
    /// Names that were looked up, each time counted.
    pub lookups: u64,
    /// Lookups that failed or took too long.
    pub failures: u64,
    /// Addresses of all seeds at present.
    pub addresses: u64,
}

/// For serde: the fields of [`TransportStats`], whose crate does not know serde.
#[derive(Serialize)]
#[serde(remote = "TransportStats")]
struct TransportStatsShape {
    messages_sent: u64,
    bytes_sent: u64,
    messages_received: u64,
    bytes_received: u64,
    refused_queue_full: u64,
    refused_too_large: u64,
    refused_no_usable_address: u64,
    dropped_sending: u64,
    dropped_receive_queue_full: u64,
    dropped_malformed: u64,
    reports_suppressed: u64,
    reopened: u64,
    failures: BTreeMap<&'static str, u64>,
    identities_refused: BTreeMap<&'static str, u64>,
    connections_opened: u64,
    connections: usize,
    #[serde(serialize_with = "unix_seconds")]
    credentials_expire_at: Option<SystemTime>,
    send_queue_bytes: usize,
    receive_queue_bytes: usize,
}

/// A moment as seconds since 1970, as the metrics have it.
fn unix_seconds<S: serde::Serializer>(
    at: &Option<SystemTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    at.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok())
        .map(|since| since.as_secs())
        .serialize(serializer)
}

/// A counter that several tasks share.
#[derive(Debug, Default)]
pub(crate) struct Tally(AtomicU64);

impl Tally {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters that are this crate's own.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    send_queue_full: Tally,
    send_too_large: Tally,
    send_no_usable_address: Tally,
    send_closed: Tally,
    send_other: Tally,
    report_unreachable: Tally,
    report_rejected_us: Tally,
    report_identity_refused: Tally,
    report_credentials: Tally,
    report_other: Tally,
    pub(crate) seed_lookups: Tally,
    pub(crate) seed_failures: Tally,
    pub(crate) seed_addresses: Tally,
    pub(crate) publications: Tally,
    pub(crate) events: Tally,
    /// Counted by the readers themselves.
    pub(crate) missed: Arc<AtomicU64>,
}

impl Tallies {
    /// Counts an error and names its kind.
    pub(crate) fn send_error(&self, error: &SendError) -> &'static str {
        let (tally, kind) = match error {
            SendError::QueueFull => (&self.send_queue_full, "send queue full"),
            SendError::TooLarge { .. } => (&self.send_too_large, "message too long"),
            SendError::NoUsableAddress => (&self.send_no_usable_address, "no usable address"),
            SendError::Closed => (&self.send_closed, "transport closed"),
            _ => (&self.send_other, "other"),
        };
        tally.add(1);
        kind
    }

    pub(crate) fn report(&self, report: &Report) {
        let tally = match report {
            Report::Unreachable { .. } => &self.report_unreachable,
            Report::RejectedUs { .. } => &self.report_rejected_us,
            Report::IdentityRefused { .. } => &self.report_identity_refused,
            Report::Credentials(_) => &self.report_credentials,
            _ => &self.report_other,
        };
        tally.add(1);
    }

    pub(crate) fn stats(&self, protocol: Counters, transport: TransportStats) -> Stats {
        Stats {
            protocol,
            transport,
            send_errors: SendErrors {
                queue_full: self.send_queue_full.get(),
                too_large: self.send_too_large.get(),
                no_usable_address: self.send_no_usable_address.get(),
                closed: self.send_closed.get(),
                other: self.send_other.get(),
            },
            reports: ReportCounts {
                unreachable: self.report_unreachable.get(),
                rejected_us: self.report_rejected_us.get(),
                identity_refused: self.report_identity_refused.get(),
                credentials: self.report_credentials.get(),
                other: self.report_other.get(),
            },
            seeds: SeedStats {
                lookups: self.seed_lookups.get(),
                failures: self.seed_failures.get(),
                addresses: self.seed_addresses.get(),
            },
            publications: self.publications.get(),
            events: self.events.get(),
            missed_by_readers: self.missed.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_serialise_to_plain_numbers() {
        let tallies = Tallies::default();
        assert_eq!(tallies.send_error(&SendError::QueueFull), "send queue full");
        let mut transport = TransportStats::default();
        transport.failures.insert("ENOBUFS", 3);
        let stats = tallies.stats(Counters::default(), transport);
        let json = serde_json::to_value(&stats).unwrap();
        assert_eq!(json["send_errors"]["queue_full"], 1);
        assert_eq!(json["transport"]["failures"]["ENOBUFS"], 3);
        assert_eq!(json["protocol"]["rounds"], 0);
    }
}
