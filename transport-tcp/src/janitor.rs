//! What has to be looked at from time to time: connections that are broken, out of time, no longer
//! trusted, or one too many.

use std::sync::Arc;
use std::time::Duration;

use chitchat_transport_links::{CloseCode, Link as _, close_if_due, evict};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::link::TcpLink;
use crate::shared::Shared;
use crate::trust::Trust;

/// Short against a gossip interval, so that nobody waits for it.
const EVERY: Duration = Duration::from_millis(250);
/// When the last look is this long ago, we were stopped or starved, and what peers have answered
/// meanwhile is yet to be read.
const STALLED: Duration = Duration::from_secs(1);

/// Looks after the connections until the transport ends.
pub(crate) async fn tend(shared: Arc<Shared>) {
    let mut trust = Trust::new(&shared.security);
    let mut looked = Instant::now();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            // At once: whoever was revoked is to be cut off now.
            () = trust.changed() => {}
        }
        let now = Instant::now();
        let stalled = now - std::mem::replace(&mut looked, now) >= STALLED;
        let mut links = shared.hub.connections().all();
        // Their tasks take a moment to say goodbye.
        links.retain(|(link, _)| !link.is_closing());
        trust.keep(&shared, &links, now);
        for (link, _) in &links {
            if stalled {
                link.wait_anew(now);
            }
            look_at(&shared, link, now);
        }
        evict(&links, shared.config.max_connections, now);
        if let Some(failures) = shared.hub.news.summary() {
            tracing::warn!(
                listening = ?shared.hub.locals,
                %failures,
                "tcp: failures since the last summary; peers or the network are down, or peers \
                 are refused"
            );
        }
    }
}

fn look_at(shared: &Shared, link: &TcpLink, now: Instant) {
    if link.is_lost(now) {
        shared.hub.news.failure("unanswered");
        link.close(CloseCode::Unanswered, "");
    } else if link.quiet(now) >= shared.config.idle_timeout && link.is_flushed() {
        link.close(CloseCode::Idle, "");
    } else {
        close_if_due(link, now);
    }
}
