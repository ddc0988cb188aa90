//! What the node is told about peers, and how often.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::counters::TransportCounters;
use crate::inbound::{Inbound, Report};
use crate::inbox::InboxSender;

/// The least time between two reports of one kind about one address.
const INTERVAL: Duration = Duration::from_secs(10);
/// Whoever can make addresses up could have any number of them remembered.
const REMEMBERED: usize = 1_024;

/// Hands reports to the node: of one kind and about one address at most one in ten seconds, and
/// 1,024 in all.
#[derive(Debug, Default)]
pub struct Reports {
    told: Mutex<HashMap<(SocketAddr, u8), Instant>>,
}

fn subject(report: &Report) -> Option<(SocketAddr, u8)> {
    match report {
        Report::Unreachable { addr, .. } => Some((*addr, 0)),
        Report::RejectedUs { addr, .. } => Some((*addr, 1)),
        Report::IdentityRefused { addr, .. } => Some((*addr, 2)),
        // These come as rarely as files change.
        Report::Credentials(_) => None,
    }
}

impl Reports {
    /// Tells the node, unless it was told just now or its queue is full, which is counted.
    pub fn tell(&self, report: Report, inbox: &InboxSender, counters: &TransportCounters) {
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let subject = subject(&report);
        let is_new = subject.is_none_or(|subject| is_new(&mut told, subject, now));
        if !is_new || inbox.push(Inbound::Report(report)).is_err() {
            counters.reports_suppressed.add(1);
        } else if let Some(subject) = subject {
            told.insert(subject, now);
        }
    }
}

fn is_new(
    told: &mut HashMap<(SocketAddr, u8), Instant>,
    subject: (SocketAddr, u8),
    now: Instant,
) -> bool {
    let is_recent = |at: &Instant| now.saturating_duration_since(*at) < INTERVAL;
    if told.len() >= REMEMBERED {
        told.retain(|_, at| is_recent(at));
    }
    match told.get(&subject) {
        Some(at) => !is_recent(at),
        None => told.len() < REMEMBERED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::TransportReceiver;
    use crate::inbound::UnreachableReason;
    use crate::inbox::{InboxLimits, inbox};

    fn unreachable(port: u16) -> Report {
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        Report::Unreachable { node_id: None, addr, reason: UnreachableReason::Refused }
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_is_reported_once_in_ten_seconds_and_by_kind() {
        let (sender, mut inbox) = inbox(InboxLimits::default());
        let (reports, counters) = (Reports::default(), TransportCounters::default());
        let addr = SocketAddr::from(([127, 0, 0, 1], 1));
        for _ in 0..3 {
            reports.tell(unreachable(1), &sender, &counters);
            let reason = "busy".into();
            let rejected = Report::RejectedUs { node_id: None, addr, reason };
            reports.tell(rejected, &sender, &counters);
            tokio::time::advance(Duration::from_secs(4)).await;
        }
        reports.tell(unreachable(1), &sender, &counters);
        let mut told = 0;
        while inbox.try_recv().is_some() {
            told += 1;
        }
        assert_eq!((told, counters.reports_suppressed.get()), (3, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_without_number_take_bounded_memory_and_are_forgotten() {
        let (sender, mut inbox) = inbox(InboxLimits::default());
        let (reports, counters) = (Reports::default(), TransportCounters::default());
        for port in 1..=2_000 {
            reports.tell(unreachable(port), &sender, &counters);
        }
        assert_eq!(counters.reports_suppressed.get(), 2_000 - REMEMBERED as u64);
        assert_eq!(reports.told.lock().unwrap().len(), REMEMBERED);
        while inbox.try_recv().is_some() {}
        tokio::time::advance(INTERVAL).await;
        reports.tell(unreachable(2_000), &sender, &counters);
        assert!(inbox.try_recv().is_some(), "there is room again");
    }

    #[tokio::test]
    async fn a_report_that_finds_no_room_is_counted_and_told_later() {
        let (sender, mut inbox) = inbox(InboxLimits { entries: 1, bytes: 1_000 });
        let (reports, counters) = (Reports::default(), TransportCounters::default());
        reports.tell(unreachable(1), &sender, &counters);
        reports.tell(unreachable(2), &sender, &counters);
        assert_eq!(counters.reports_suppressed.get(), 1);
        assert!(inbox.try_recv().is_some());
        reports.tell(unreachable(2), &sender, &counters);
        assert!(inbox.try_recv().is_some(), "it was not told yet");
    }
}
