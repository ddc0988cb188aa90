//! What a node reports to the [`metrics`](https://docs.rs/metrics) facade (feature `metrics`).
//!
//! Install a recorder of your choice; every node then reports once per gossip interval, with the
//! labels `cluster_id` and `node_id`. All numbers stand in [`Stats`] and in the
//! snapshot as well.
//!
//! | Name | Kind | Meaning |
//! | --- | --- | --- |
//! | [`NODES`] | gauge | nodes by `status`: `alive`, `dead`, `left`, `scheduled_for_deletion` |
//! | [`QUEUE_BYTES`] | gauge | bytes that wait in the transport, by `queue`: `send`, `receive` |
//! | [`CONNECTIONS`] | gauge | connections that the transport holds open |
//! | [`CREDENTIALS_EXPIRE`] | gauge | when this node's certificate expires, in seconds since 1970 |
//! | [`SEED_ADDRESSES`] | gauge | addresses that the seeds have |
//! | [`ROUNDS`] | counter | rounds of gossip |
//! | [`MESSAGES`] | counter | messages, by `direction`: `sent`, `received` |
//! | [`BYTES`] | counter | bytes of messages, by `direction` |
//! | [`DELTAS`] | counter | deltas by `outcome`: `applied`, `stale`, `parked`, `park_full`, `frozen`, `invalid`, `behind_floor` |
//! | [`REFUSED`] | counter | what was refused, by `reason`: `malformed`, `version`, `cluster`, `unsolicited`, `identity`, `own`, `superseded`, `future`, `expired`, `nodes`, `foreign_writes`, `pushes` |
//! | [`RENEGOTIATED`] | counter | questions that were asked again in another wire version |
//! | [`NO_COMMON_VERSION`] | counter | messages, and members, that have no wire version in common with this node |
//! | [`SEND_ERRORS`] | counter | messages that the transport did not take, by `reason`: `queue_full`, `too_large`, `no_usable_address`, `closed`, `other` |
//! | [`DROPPED`] | counter | messages that the transport lost, by `reason`: `sending`, `receive_queue_full`, `malformed` |
//! | [`FAILURES`] | counter | failures of the environment that the transport survived, by `error` |
//! | [`IDENTITIES_REFUSED`] | counter | peers refused because of their identity or certificate, by `reason` |
//! | [`CONNECTIONS_OPENED`] | counter | connections that were set up |
//! | [`REPORTS`] | counter | reports of the transport, by `kind`: `unreachable`, `rejected_us`, `identity_refused`, `credentials`, `other` |
//! | [`SEED_LOOKUPS`] | counter | lookups of seeds, by `outcome`: `ok`, `failed` |
//! | [`EVENTS`] | counter | events that were published; of keys, while anybody reads them |
//! | [`MISSED`] | counter | events and notices that slow readers missed |

use std::time::SystemTime;

use chitchat_protocol::{ClusterStateSnapshot, NodeStatus, Timestamp};
use metrics::{Label, counter, gauge};

use crate::shared::Shared;
use crate::stats::Stats;

/// Nodes by status.
pub const NODES: &str = "chitchat_nodes";
/// Bytes that wait in the transport.
pub const QUEUE_BYTES: &str = "chitchat_queue_bytes";
/// Addresses that the seeds have.
pub const SEED_ADDRESSES: &str = "chitchat_seed_addresses";
/// Rounds of gossip.
pub const ROUNDS: &str = "chitchat_rounds_total";
/// Messages by direction.
pub const MESSAGES: &str = "chitchat_messages_total";
/// Bytes of messages by direction.
pub const BYTES: &str = "chitchat_message_bytes_total";
/// Deltas by outcome.
pub const DELTAS: &str = "chitchat_deltas_total";
/// What was refused, by reason.
pub const REFUSED: &str = "chitchat_refused_total";
/// Questions that were asked again in another wire version.
pub const RENEGOTIATED: &str = "chitchat_renegotiated_total";
/// Messages, and members, that have no wire version in common with this node.
pub const NO_COMMON_VERSION: &str = "chitchat_no_common_version_total";
/// Messages that the transport did not take, by reason.
pub const SEND_ERRORS: &str = "chitchat_send_errors_total";
/// News of writes, by whether they were told at once or withheld because of what pushes may take.
pub const PUSHES: &str = "chitchat_pushes_total";
/// Messages that the transport lost, by reason.
pub const DROPPED: &str = "chitchat_transport_dropped_total";
/// Failures of the environment that the transport survived, by error.
pub const FAILURES: &str = "chitchat_transport_failures_total";
/// Peers refused because of their identity or certificate, by reason.
pub const IDENTITIES_REFUSED: &str = "chitchat_identities_refused_total";
/// Connections that were set up.
pub const CONNECTIONS_OPENED: &str = "chitchat_connections_opened_total";
/// Connections that the transport holds open.
pub const CONNECTIONS: &str = "chitchat_connections";
/// When this node's certificate expires.
pub const CREDENTIALS_EXPIRE: &str = "chitchat_credentials_expire_timestamp_seconds";
/// Reports of the transport, by kind.
pub const REPORTS: &str = "chitchat_transport_reports_total";
/// Lookups of seeds, by outcome.
pub const SEED_LOOKUPS: &str = "chitchat_seed_lookups_total";
/// Events that were published.
pub const EVENTS: &str = "chitchat_events_total";
/// Events and notices that slow readers missed.
pub const MISSED: &str = "chitchat_missed_by_readers_total";

/// Reports the numbers of one node.
pub(crate) struct Meter {
    labels: [Label; 2],
    due: Timestamp,
}

impl Meter {
    pub(crate) fn new(snapshot: &ClusterStateSnapshot) -> Meter {
        let cluster_id = Label::new("cluster_id", snapshot.cluster_id().to_owned());
        let node_id = Label::new("node_id", snapshot.self_id().node_id.to_string());
        Meter { labels: [cluster_id, node_id], due: Timestamp::MIN }
    }

    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.due <= now
    }

    /// Reports everything. The recorder is code of the application: never under a lock.
    pub(crate) fn update(&mut self, shared: &Shared, next: Timestamp) {
        self.due = next;
        let stats = shared.stats();
        self.report_gauges(&shared.snapshot(), &stats);
        self.report_counters(&stats);
    }

    fn with(&self, label: Option<(&'static str, &'static str)>) -> Vec<Label> {
        let mut labels = self.labels.to_vec();
        labels.extend(label.map(|(key, value)| Label::from_static_parts(key, value)));
        labels
    }

    fn report_gauges(&self, snapshot: &ClusterStateSnapshot, stats: &Stats) {
        let statuses = [
            ("alive", NodeStatus::Alive),
            ("dead", NodeStatus::Dead),
            ("left", NodeStatus::Left),
            ("scheduled_for_deletion", NodeStatus::ScheduledForDeletion),
        ];
        for (name, status) in statuses {
            let nodes = snapshot.with_status(status).count();
            gauge!(NODES, self.with(Some(("status", name)))).set(number(nodes as u64));
        }
        let queues = [
            ("send", stats.transport.send_queue_bytes),
            ("receive", stats.transport.receive_queue_bytes),
        ];
        for (name, bytes) in queues {
            gauge!(QUEUE_BYTES, self.with(Some(("queue", name)))).set(number(bytes as u64));
        }
        gauge!(CONNECTIONS, self.with(None)).set(number(stats.transport.connections as u64));
        let expire_at = stats.transport.credentials_expire_at;
        if let Some(at) = expire_at.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok()) {
            gauge!(CREDENTIALS_EXPIRE, self.with(None)).set(number(at.as_secs()));
        }
        gauge!(SEED_ADDRESSES, self.with(None)).set(number(stats.seeds.addresses));
    }

    fn report_counters(&self, stats: &Stats) {
        let Stats { protocol, transport, send_errors, reports, seeds, .. } = stats;
        let count = |name, label, value| counter!(name, self.with(label)).absolute(value);
        count(ROUNDS, None, protocol.rounds);
        count(EVENTS, None, stats.events);
        count(MISSED, None, stats.missed_by_readers);
        count(RENEGOTIATED, None, protocol.renegotiated);
        count(NO_COMMON_VERSION, None, protocol.no_common_version);
        count(CONNECTIONS_OPENED, None, transport.connections_opened);
        let labelled = [
            (MESSAGES, "direction", "sent", protocol.messages_sent),
            (MESSAGES, "direction", "received", protocol.messages_received),
            (BYTES, "direction", "sent", protocol.bytes_sent),
            (BYTES, "direction", "received", protocol.bytes_received),
            (DELTAS, "outcome", "applied", protocol.deltas_applied),
            (DELTAS, "outcome", "stale", protocol.deltas_stale),
            (DELTAS, "outcome", "parked", protocol.deltas_parked),
            (DELTAS, "outcome", "park_full", protocol.deltas_park_full),
            (DELTAS, "outcome", "frozen", protocol.deltas_frozen),
            (DELTAS, "outcome", "invalid", protocol.deltas_invalid),
            (DELTAS, "outcome", "behind_floor", protocol.deltas_behind_floor),
            (PUSHES, "outcome", "told", protocol.pushes),
            (PUSHES, "outcome", "withheld", protocol.pushes_withheld),
            (REFUSED, "reason", "malformed", protocol.refused_malformed),
            (REFUSED, "reason", "version", protocol.refused_version),
            (REFUSED, "reason", "cluster", protocol.refused_cluster),
            (REFUSED, "reason", "unsolicited", protocol.refused_unsolicited),
            (REFUSED, "reason", "identity", protocol.refused_identity),
            (REFUSED, "reason", "own", protocol.refused_own),
            (REFUSED, "reason", "superseded", protocol.refused_superseded),
            (REFUSED, "reason", "future", protocol.refused_future),
            (REFUSED, "reason", "expired", protocol.refused_expired),
            (REFUSED, "reason", "nodes", protocol.refused_nodes),
            (REFUSED, "reason", "foreign_writes", protocol.refused_foreign_writes),
            (REFUSED, "reason", "pushes", protocol.refused_pushes),
            (SEND_ERRORS, "reason", "queue_full", send_errors.queue_full),
            (SEND_ERRORS, "reason", "too_large", send_errors.too_large),
            (SEND_ERRORS, "reason", "no_usable_address", send_errors.no_usable_address),
            (SEND_ERRORS, "reason", "closed", send_errors.closed),
            (SEND_ERRORS, "reason", "other", send_errors.other),
            (DROPPED, "reason", "sending", transport.dropped_sending),
            (DROPPED, "reason", "receive_queue_full", transport.dropped_receive_queue_full),
            (DROPPED, "reason", "malformed", transport.dropped_malformed),
            (REPORTS, "kind", "unreachable", reports.unreachable),
            (REPORTS, "kind", "rejected_us", reports.rejected_us),
            (REPORTS, "kind", "identity_refused", reports.identity_refused),
            (REPORTS, "kind", "credentials", reports.credentials),
            (REPORTS, "kind", "other", reports.other),
            (SEED_LOOKUPS, "outcome", "ok", seeds.lookups.saturating_sub(seeds.failures)),
            (SEED_LOOKUPS, "outcome", "failed", seeds.failures),
        ];
        for (name, key, label, value) in labelled {
            count(name, Some((key, label)), value);
        }
        for (error, times) in &transport.failures {
            count(FAILURES, Some(("error", error)), *times);
        }
        for (reason, times) in &transport.identities_refused {
            count(IDENTITIES_REFUSED, Some(("reason", reason)), *times);
        }
    }
}

/// Gauges are floating-point numbers; beyond 2^53 the last digits do not matter.
fn number(value: u64) -> f64 {
    value as f64
}
