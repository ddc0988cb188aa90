//! What has to be looked at from time to time: connections that are broken, out of time, no longer
//! trusted, or one too many.

use std::sync::Arc;
use std::time::Duration;

use chitchat_transport_links::{
    CloseCode, Link as _, Linked as _, RENEWAL_TAKES, Renewals, close_if_due, evict, tell_refused,
    verify_again,
};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::link::QuicLink;
use crate::shared::Shared;

/// Short against a gossip interval, so that nobody waits for it.
const EVERY: Duration = Duration::from_millis(250);
/// When the last look is this long ago, we were stopped or starved, and what peers have answered
/// meanwhile is yet to be read.
const STALLED: Duration = Duration::from_secs(1);

/// Looks after the connections until the transport ends.
pub(crate) async fn tend(shared: Arc<Shared>) {
    let mut janitor = Janitor { looked: Instant::now(), renewals: Renewals::default(), shared };
    let mut epochs = janitor.shared.tls.subscribe();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut epochs_open = true;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            // At once: whoever was revoked is to be cut off now.
            changed = epochs.changed(), if epochs_open => epochs_open = changed.is_ok(),
        }
        janitor.look();
    }
}

struct Janitor {
    shared: Arc<Shared>,
    looked: Instant,
    renewals: Renewals,
}

impl Janitor {
    fn look(&mut self) {
        let now = Instant::now();
        let stalled = now - std::mem::replace(&mut self.looked, now) >= STALLED;
        let links = self.shared.hub.connections().all();
        let credentials = self.shared.credentials();
        verify_again(&links, &credentials, |link, error| {
            tell_refused(
                &self.shared.hub.news,
                link.remote(),
                Some(Arc::clone(link.node_id())),
                error,
            );
        });
        for link in self.renewals.due(&links, &credentials, now) {
            self.shared.hub.connections().retire(&link, RENEWAL_TAKES, now);
        }
        self.leave_lost_ways(&links, now);
        for (link, _) in &links {
            if stalled {
                link.wait_anew(now);
            }
            self.look_at(link, now);
        }
        evict(&links, self.shared.config.max_connections, now);
        if let Some(failures) = self.shared.hub.news.summary() {
            tracing::warn!(
                listening = ?self.shared.hub.locals,
                %failures,
                "quic: failures since the last summary; peers or the network are down, or peers \
                 are refused"
            );
        }
    }

    /// A connection that we accepted has to be answered from the address that the peer dialled. When
    /// that is no longer ours, we dial the peer, from whatever address we have now.
    fn leave_lost_ways(&self, links: &[(Arc<QuicLink>, bool)], now: Instant) {
        let unroutable = self.shared.take_unroutable();
        if unroutable.is_empty() {
            return;
        }
        let lost =
            |link: &QuicLink| link.dialled().is_none() && unroutable.contains(&link.remote());
        for (link, _) in links.iter().filter(|(link, drains)| !drains && lost(link)) {
            self.shared.hub.connections().retire(link, RENEWAL_TAKES, now);
        }
    }

    fn look_at(&self, link: &QuicLink, now: Instant) {
        if link.is_unanswered(now) {
            self.shared.hub.news.failure("unanswered");
            link.close(CloseCode::Unanswered, "");
        } else {
            close_if_due(link, now);
        }
    }
}
