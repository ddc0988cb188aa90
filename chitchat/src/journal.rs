//! The log: one line for each change of who is there, and rate-limited lines for the rest.

use std::fmt;
use std::time::{Duration, SystemTime};

use chitchat_protocol::{Event, Notice};
use chitchat_transport::{CredentialsReport, Report};

use crate::error::CloseReason;

/// Lines of one kind that one publication writes; what is beyond is summed up. A node that meets a
/// cluster of thousands does not write thousands of lines.
const MAX_LINES: usize = 16;

/// How often lines of a notice may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) kind: &'static str,
    /// Lines per minute.
    pub(crate) burst: u32,
}

/// Writes what changed. Never call it under a lock: a subscriber of the log is code of the
/// application.
pub(crate) fn write_events(events: &[Event]) {
    let (mut joined, mut recovered, mut failed, mut left) = (0, 0, 0, 0);
    for event in events {
        let count = match event {
            Event::Joined { .. } => Some(&mut joined),
            Event::Recovered { .. } => Some(&mut recovered),
            Event::Failed { .. } => Some(&mut failed),
            Event::Left { .. } => Some(&mut left),
            _ => None,
        };
        if let Some(count) = count {
            *count += 1;
            if *count > MAX_LINES {
                continue;
            }
        }
        write_event(event);
    }
    let beyond = |count: usize| count.saturating_sub(MAX_LINES);
    let (joined, recovered, left) = (beyond(joined), beyond(recovered), beyond(left));
    if beyond(failed) > 0 {
        tracing::warn!(failed = beyond(failed), "and more nodes failed at the same time");
    }
    if joined + recovered + left > 0 {
        tracing::info!(joined, recovered, left, "and more nodes changed at the same time");
    }
}

fn write_event(event: &Event) {
    match event {
        Event::Joined { state } => {
            let (id, addrs) = (state.id(), state.advertise_addrs());
            tracing::info!(
                node = %id.node_id, generation_id = id.generation_id, ?addrs, "node joined"
            );
        }
        Event::Recovered { id } => tracing::info!(node = %id.node_id, "node recovered"),
        Event::Failed { id } => tracing::warn!(
            node = %id.node_id,
            generation_id = id.generation_id,
            "node failed: not heard of for too long"
        ),
        Event::Left { id } => tracing::info!(node = %id.node_id, "node left"),
        Event::ScheduledForDeletion { id } => {
            tracing::debug!(node = %id.node_id, "node is scheduled for deletion");
        }
        Event::Removed { id } => tracing::debug!(
            node = %id.node_id,
            generation_id = id.generation_id,
            "node removed, or superseded by its next generation"
        ),
        Event::AddressesChanged { id, addrs } => {
            tracing::debug!(node = %id.node_id, ?addrs, "node has other addresses");
        }
        _ => {}
    }
}

/// Writes why the node is no more.
pub(crate) fn write_end(reason: &CloseReason) {
    if reason.is_orderly() {
        tracing::info!(%reason, "node stopped");
    } else {
        tracing::error!(%reason, "node ended; this process is no longer part of the cluster");
    }
}

/// The rate for lines of a notice: those that peers can cause come once a minute.
pub(crate) fn notice_rate(notice: &Notice) -> Rate {
    let (kind, burst) = match notice {
        Notice::GenerationBumped { .. } => ("generation bumped", 8),
        Notice::IdentityConflict { .. } => ("identity conflict", 8),
        Notice::IdentityConflictOver => ("identity conflict over", 8),
        Notice::Deaf => ("deaf", 4),
        Notice::HearingAgain { .. } => ("hearing again", 4),
        Notice::MassFailure { .. } => ("mass failure", 4),
        Notice::Paused { .. } => ("paused", 1),
        Notice::ForeignWrite { .. } => ("foreign write", 1),
        Notice::OwnerFrozen { .. } => ("owner frozen", 1),
        Notice::NodeRefused { .. } => ("node refused", 1),
        Notice::RefusedByPeer { .. } => ("refused by peer", 1),
        // Told once for each peer.
        Notice::UnsupportedVersion { .. } => ("unsupported version", 16),
        Notice::IdentityMismatch { .. } => ("identity mismatch", 1),
        Notice::EntryTooLarge { .. } => ("entry too large", 1),
        _ => ("other", 1),
    };
    Rate { kind, burst }
}

/// Writes the line of a notice. `suppressed` is how many of its kind were left out before.
pub(crate) fn write_notice(notice: &Notice, suppressed: u64) {
    match notice {
        Notice::GenerationBumped { from, to } => tracing::info!(
            %from, %to, suppressed,
            "a later generation of this node was known but does not run: took a higher one"
        ),
        Notice::IdentityConflict { other } => tracing::warn!(
            %other, suppressed,
            "another process runs under this node's id: this one is silent until the other is; \
             give every node an id of its own"
        ),
        Notice::IdentityConflictOver => {
            tracing::info!(suppressed, "the other process under this node's id is silent");
        }
        Notice::Deaf => tracing::warn!(
            suppressed,
            "nothing is heard from anybody: the fault may be ours, so nobody is declared dead"
        ),
        Notice::HearingAgain { silence } => {
            tracing::info!(?silence, suppressed, "hearing from others again");
        }
        Notice::MassFailure { failed, live } => tracing::warn!(
            failed,
            live,
            suppressed,
            "half of the live nodes or more fell silent at once: a network partition?"
        ),
        Notice::Paused { pause } => tracing::warn!(
            ?pause,
            suppressed,
            "this process did not run for a while: overload, a stop, or a suspended machine"
        ),
        Notice::ForeignWrite { peer } => tracing::warn!(
            %peer, suppressed,
            "a peer sent changes of this node's own state; they were ignored"
        ),
        Notice::OwnerFrozen { id } => tracing::warn!(
            node = %id, suppressed,
            "a node's state has reached the limits; it is not updated for now"
        ),
        Notice::NodeRefused { node_id, reason } => {
            tracing::warn!(node = %node_id, ?reason, suppressed, "a node could not be taken in");
        }
        Notice::RefusedByPeer { peer, reason } => {
            tracing::warn!(%peer, ?reason, suppressed, "a peer does not accept this node");
        }
        Notice::UnsupportedVersion { peer, addr, theirs, ours } => tracing::warn!(
            peer = peer.as_deref(),
            addr = addr.map(tracing::field::display),
            %theirs,
            %ours,
            suppressed,
            "a peer has no wire version in common with this node; upgrade the older one"
        ),
        Notice::IdentityMismatch { claimed, verified } => tracing::warn!(
            %claimed, %verified, suppressed,
            "a peer spoke under another name than its certificate's; it was refused"
        ),
        Notice::EntryTooLarge { id, version } => tracing::warn!(
            node = %id, version, suppressed,
            "an entry is too large for this node's transport, and cannot be passed on"
        ),
        other => tracing::warn!(notice = ?other, suppressed, "notice"),
    }
}

/// The rate for lines of a transport's report; `None`: none at all. That an address cannot be
/// reached shows as a failed node, and in the transport's own summary.
pub(crate) fn report_rate(report: &Report) -> Option<Rate> {
    match report {
        Report::RejectedUs { .. } => Some(Rate { kind: "rejected us", burst: 1 }),
        Report::IdentityRefused { .. } => Some(Rate { kind: "identity refused", burst: 1 }),
        Report::Credentials(_) => Some(Rate { kind: "credentials", burst: 8 }),
        _ => None,
    }
}

/// Writes the line of a report that has a rate.
pub(crate) fn write_report(report: &Report, suppressed: u64) {
    match report {
        Report::RejectedUs { node_id, addr, reason } => {
            tracing::warn!(?node_id, %addr, %reason, suppressed, "a peer rejects this node");
        }
        Report::IdentityRefused { addr, expected, presented, reason } => tracing::warn!(
            %addr, ?expected, ?presented, %reason, suppressed,
            "a peer did not prove to be who it has to be"
        ),
        Report::Credentials(report) => write_credentials(report, suppressed),
        _ => {}
    }
}

fn write_credentials(report: &CredentialsReport, suppressed: u64) {
    match report {
        CredentialsReport::Reloaded { not_after } => tracing::info!(
            expires = %Moment(*not_after), suppressed,
            "this node's credentials were loaded anew"
        ),
        CredentialsReport::ReloadFailed { reason } => tracing::warn!(
            %reason, suppressed,
            "new credentials could not be read; the former ones stay in use"
        ),
        CredentialsReport::Expiring { not_after } => tracing::warn!(
            expires = %Moment(*not_after), suppressed,
            "this node's certificate expires soon, or has expired: issue a new one"
        ),
        CredentialsReport::StaleRevocationList { issuer, next_update } => tracing::warn!(
            %issuer, expected = %Moment(*next_update), suppressed,
            "a list of revoked certificates is out of date; it stays in use"
        ),
        other => tracing::warn!(report = ?other, suppressed, "news about the credentials"),
    }
}

/// A moment relative to now, since the standard library knows no calendar.
struct Moment(SystemTime);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.duration_since(SystemTime::now()) {
            Ok(left) => write!(f, "in {}", Span(left)),
            Err(past) => write!(f, "{} ago", Span(past.duration())),
        }
    }
}

/// A duration in the largest unit that fits twice.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds @ ..120 => write!(f, "{seconds} s"),
            seconds @ 120..7_200 => write!(f, "{} min", seconds / 60),
            seconds @ 7_200..172_800 => write!(f, "{} h", seconds / 3_600),
            seconds => write!(f, "{} days", seconds / 86_400),
        }
    }
}
