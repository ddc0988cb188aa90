//! When to warn about what grows old. Told the time, so that it can be tested.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::credentials::Credentials;
use crate::node::CredentialsEvent;
use crate::x509::Validity;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest time ahead that is warned of expiry unless set otherwise.
const MAX_WARN_BEFORE: Duration = DAY.saturating_mul(30);

/// How long before expiry to warn.
fn warn_before(validity: Validity, setting: Option<Duration>) -> Duration {
    setting.unwrap_or_else(|| {
        let lifetime =
            validity.not_after.duration_since(validity.not_before).unwrap_or(Duration::ZERO);
        (lifetime / 3).min(MAX_WARN_BEFORE)
    })
}

/// Warns before one certificate expires, then daily, and once more when it has expired.
#[derive(Debug)]
pub(crate) struct ExpiryWatch {
    validity: Validity,
    warn_from: SystemTime,
    last: Option<SystemTime>,
}

impl ExpiryWatch {
    pub(crate) fn new(validity: Validity, setting: Option<Duration>) -> ExpiryWatch {
        let warn_from = validity
            .not_after
            .checked_sub(warn_before(validity, setting))
            .unwrap_or(SystemTime::UNIX_EPOCH);
        ExpiryWatch { validity, warn_from, last: None }
    }

    /// Whether to warn now.
    pub(crate) fn due(&mut self, now: SystemTime) -> bool {
        let not_after = self.validity.not_after;
        let due = match self.last {
            None => now >= self.warn_from,
            Some(last) => is_day_later(last, now) || (last < not_after && now >= not_after),
        };
        if due {
            self.last = Some(now);
        }
        due
    }
}

fn is_day_later(last: SystemTime, now: SystemTime) -> bool {
    now.duration_since(last).is_ok_and(|passed| passed >= DAY)
}

/// All warnings of one node.
#[derive(Debug)]
pub(crate) struct Reminders {
    setting: Option<Duration>,
    expiry: ExpiryWatch,
    /// When each issuer's stale list was last warned about.
    stale: HashMap<Arc<str>, SystemTime>,
}

impl Reminders {
    pub(crate) fn new(credentials: &Credentials, setting: Option<Duration>) -> Reminders {
        let expiry = ExpiryWatch::new(credentials.generation.validity, setting);
        Reminders { setting, expiry, stale: HashMap::new() }
    }

    /// What to warn of now.
    pub(crate) fn due(
        &mut self,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Vec<CredentialsEvent> {
        let validity = credentials.generation.validity;
        if self.expiry.validity != validity {
            self.expiry = ExpiryWatch::new(validity, self.setting);
        }
        let mut events = Vec::new();
        if self.expiry.due(now) {
            events.push(CredentialsEvent::Expiring { not_after: validity.not_after });
        }
        let mut stale = HashMap::new();
        for list in credentials.revocation_lists().filter(|list| list.next_update <= now) {
            let last = self.stale.get(&list.issuer).copied();
            if last.is_none_or(|last| is_day_later(last, now)) {
                events.push(CredentialsEvent::StaleRevocationList {
                    issuer: list.issuer.clone(),
                    next_update: list.next_update,
                });
            }
            let warned = last.filter(|last| !is_day_later(*last, now)).unwrap_or(now);
            stale.insert(list.issuer.clone(), warned);
        }
        // Issuers with a fresh list are forgotten.
        self.stale = stale;
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(days: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * days
    }

    fn validity(from: u32, to: u32) -> Validity {
        Validity { not_before: at(from), not_after: at(to) }
    }

    #[test]
    fn expiry_is_warned_of_in_time_then_daily_and_when_it_is_there() {
        let mut watch = ExpiryWatch::new(validity(0, 365), None);
        let second = Duration::from_secs(1);
        assert!(!watch.due(at(0)));
        assert!(!watch.due(at(335) - second));
        assert!(watch.due(at(335)), "30 days before");
        assert!(!watch.due(at(335) + second));
        assert!(!watch.due(at(336) - second));
        assert!(watch.due(at(336)));
        assert!(watch.due(at(364) + DAY / 2), "whenever the next look is");
        assert!(!watch.due(at(365) - second));
        assert!(watch.due(at(365)), "expired");
        assert!(!watch.due(at(365) + second));
        assert!(watch.due(at(366)));
    }

    #[test]
    fn short_lived_certificates_are_warned_of_after_two_thirds() {
        let mut watch = ExpiryWatch::new(validity(0, 3), None);
        assert!(!watch.due(at(1)));
        assert!(watch.due(at(2)));
        let mut set = ExpiryWatch::new(validity(0, 3), Some(DAY / 2));
        assert!(!set.due(at(2)));
        assert!(set.due(at(3) - DAY / 2));
    }

    #[test]
    fn odd_times_do_not_panic() {
        let mut backwards = ExpiryWatch::new(validity(9, 3), Some(Duration::MAX));
        assert!(backwards.due(at(1)));
        assert!(!backwards.due(at(0)), "the clock was set back");
    }
}
