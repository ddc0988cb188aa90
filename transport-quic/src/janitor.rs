//! What has to be looked at from time to time: connections that are broken, out of time, no longer
//! trusted, or one too many.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use chitchat_tls::Credentials;
use rand::Rng;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::code::CloseCode;
use crate::link::{Ending, Link, QUIET_FOR};
use crate::registry::Linked as _;
use crate::shared::Shared;

/// Short against a gossip interval, so that nobody waits for it.
const EVERY: Duration = Duration::from_millis(250);
/// When the last look is this long ago, we were stopped or starved, and what peers have answered
/// meanwhile is yet to be read.
const STALLED: Duration = Duration::from_secs(1);
/// Connections are renewed within this time after a new certificate, not all at once.
const RENEW_WITHIN: Duration = Duration::from_secs(5);
/// What is under way has this long before a renewed connection is closed.
const RENEWAL_TAKES: Duration = Duration::from_secs(5);

/// Looks after the connections until the transport ends.
pub(crate) async fn tend(shared: Arc<Shared>) {
    let mut janitor = Janitor { looked: Instant::now(), renewals: HashMap::new(), shared };
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
    /// When connections on which the peer knows a former certificate of ours begin to drain.
    renewals: HashMap<u64, Instant>,
}

impl Janitor {
    fn look(&mut self) {
        let now = Instant::now();
        let stalled = now - std::mem::replace(&mut self.looked, now) >= STALLED;
        let links: Vec<(Arc<Link>, bool)> = {
            let connections = self.shared.connections();
            connections.registry.iter().map(|(link, drains)| (Arc::clone(link), drains)).collect()
        };
        let credentials = self.shared.credentials();
        self.verify(&links, &credentials);
        self.renew(&links, &credentials, now);
        self.leave_lost_ways(&links, now);
        for (link, _) in &links {
            if stalled {
                link.wait_anew(now);
            }
            self.look_at(link, now);
        }
        self.evict(&links, now);
        if let Some(failures) = self.shared.reports.summary() {
            tracing::warn!(
                listening = ?self.shared.locals,
                %failures,
                "quic: failures since the last summary; peers or the network are down, or peers \
                 are refused"
            );
        }
    }

    /// Verifies peers again that were verified with former credentials, and those whose time is
    /// over. Each connection knows: one may be verified before a reload and taken in after it.
    fn verify(&self, links: &[(Arc<Link>, bool)], credentials: &Credentials) {
        let now = SystemTime::now();
        let epoch = credentials.epoch();
        for (link, _) in links {
            let former = link.verified.swap(epoch, Ordering::Relaxed);
            if former == epoch && link.identity.not_after >= now {
                continue;
            }
            let node_id = Some(&**link.node_id());
            let Err(error) = credentials.authorize(&link.chain, link.role, now, node_id) else {
                continue;
            };
            link.close(CloseCode::of(&error), &error.to_string());
            self.shared.refused(link.remote(), Some(link.node_id()), &error);
        }
    }

    /// Peers are to see our new certificate before the former one expires.
    fn renew(&mut self, links: &[(Arc<Link>, bool)], credentials: &Credentials, now: Instant) {
        let outdated = |link: &Link| link.leaf_epoch != credentials.leaf_epoch();
        for (link, drains) in links.iter().filter(|(link, _)| outdated(link)) {
            let soon = || now + RENEW_WITHIN.mul_f64(rand::rng().random_range(0.0..1.0));
            let at = *self.renewals.entry(link.token()).or_insert_with(soon);
            if at <= now && !drains {
                self.shared.connections().registry.drain(link.token());
                let deadline = now + RENEWAL_TAKES;
                link.set_ending(Ending { code: CloseCode::Normal, by_us: true, deadline });
            }
        }
        if !self.renewals.is_empty() {
            let known: HashSet<u64> = links.iter().map(|(link, _)| link.token()).collect();
            self.renewals.retain(|token, _| known.contains(token));
        }
    }

    /// A connection that we accepted has to be answered from the address that the peer dialled. When
    /// that is no longer ours, we dial the peer, from whatever address we have now.
    fn leave_lost_ways(&self, links: &[(Arc<Link>, bool)], now: Instant) {
        let unroutable = self.shared.take_unroutable();
        if unroutable.is_empty() {
            return;
        }
        let lost = |link: &Link| link.dialled().is_none() && unroutable.contains(&link.remote());
        for (link, _) in links.iter().filter(|(link, drains)| !drains && lost(link)) {
            self.shared.connections().registry.drain(link.token());
            let deadline = now + RENEWAL_TAKES;
            link.set_ending(Ending { code: CloseCode::Normal, by_us: true, deadline });
        }
    }

    fn look_at(&self, link: &Link, now: Instant) {
        if link.is_unanswered(now) {
            self.shared.failure("unanswered");
            link.close(CloseCode::Unanswered, "");
            return;
        }
        let Some(ending) = link.ending() else { return };
        let is_quiet = link.quiet(now) >= QUIET_FOR && link.is_flushed();
        if now >= ending.deadline || ending.by_us && is_quiet {
            link.close(ending.code, "");
        }
    }

    /// Keeps to the number of connections. One that is in use is closed only when there are twice
    /// as many as there should be.
    fn evict(&self, links: &[(Arc<Link>, bool)], now: Instant) {
        let limit = self.shared.config.max_connections;
        let surplus = links.len().saturating_sub(limit);
        if surplus == 0 {
            return;
        }
        let mut by_quiet: Vec<_> = links.iter().map(|(link, _)| (link.quiet(now), link)).collect();
        by_quiet.sort_by_key(|(quiet, _)| std::cmp::Reverse(*quiet));
        for (index, (quiet, link)) in by_quiet.into_iter().take(surplus).enumerate() {
            let too_many = links.len() - index > limit * 2;
            if too_many || quiet >= QUIET_FOR && link.is_flushed() {
                link.close(CloseCode::Idle, "");
            }
        }
    }
}
