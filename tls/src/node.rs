//! Credentials in the hands of a node.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::config::{Binding, ConfigInner};
use crate::credentials::Credentials;
use crate::file_watch::{FileWatch, Look};
use crate::reminder::Reminders;

/// How often the clock is looked at where no files are watched.
const CLOCK_INTERVAL: Duration = Duration::from_secs(60);
/// The longest time between two looks that have to see the same.
const MAX_SETTLE: Duration = Duration::from_millis(500);

/// The credentials of one node, which change while it runs. Cheap to clone.
#[derive(Clone)]
pub struct NodeTls {
    pub(crate) config: Arc<ConfigInner>,
    pub(crate) binding: Arc<Binding>,
    /// The credentials at the time of binding: what comes later is news.
    pub(crate) bound_epoch: u64,
}

/// News about a node's credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialsEvent {
    /// New credentials are in use, whether files had changed or the application called.
    Reloaded {
        /// When the first certificate of this node's own chain expires.
        not_after: SystemTime,
    },
    /// Files had changed, and could not be put into use. The former credentials stay in use, and
    /// the files are tried again at every look. Reported once for the same failure.
    ReloadFailed {
        /// What is wrong and what to do.
        reason: Arc<str>,
    },
    /// The first certificate of this node's own chain expires soon, or has expired: peers refuse
    /// this node from then on. Reported daily.
    Expiring {
        /// When.
        not_after: SystemTime,
    },
    /// A revocation list is older than it says that it may be. It stays in use. Reported daily.
    StaleRevocationList {
        /// Whose list: a distinguished name, escaped.
        issuer: Arc<str>,
        /// When the next list was to come.
        next_update: SystemTime,
    },
}

impl NodeTls {
    /// The credentials in use. Take them anew for every connection.
    #[must_use]
    pub fn current(&self) -> Arc<Credentials> {
        self.binding.current()
    }

    /// The epoch of the credentials in use; it changes with every reload, and then
    /// [`current`](Self::current) has the new ones.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.config.epochs.subscribe()
    }

    /// Watches files, and reports what happens to the credentials, until it is dropped; it never
    /// returns. One task per node runs it; without it, nothing is watched or reported.
    ///
    /// `on_event` is called between two waits, and must not block. Files are read on tokio's
    /// threads for blocking work.
    pub async fn run(&self, mut on_event: impl FnMut(CredentialsEvent) + Send) {
        let settings = &self.config.settings;
        let watches = settings.watch_files && self.config.has_files();
        let interval = if watches { settings.watch_interval } else { CLOCK_INTERVAL };
        let settle = (interval / 2).min(MAX_SETTLE);

        let mut epochs = self.subscribe();
        // A task may begin to run some time after it was started.
        let mut epoch = self.bound_epoch;
        let mut reminders = Reminders::new(&self.current(), settings.warn_before_expiry);
        let mut files = FileWatch::default();
        let mut pause = Duration::ZERO;
        loop {
            let elapsed = tokio::time::timeout(pause, epochs.changed()).await.is_err();
            pause = interval;
            if elapsed && watches {
                let look;
                (files, look) = self.look(files).await;
                match look {
                    Look::Quiet => {}
                    Look::Unsettled => pause = settle,
                    Look::Failed(reason) => on_event(CredentialsEvent::ReloadFailed { reason }),
                }
            }
            let credentials = self.current();
            if credentials.epoch() != epoch {
                epoch = credentials.epoch();
                on_event(CredentialsEvent::Reloaded { not_after: credentials.not_after() });
            }
            for event in reminders.due(&credentials, SystemTime::now()) {
                on_event(event);
            }
        }
    }

    async fn look(&self, mut files: FileWatch) -> (FileWatch, Look) {
        let config = self.config.clone();
        let look = tokio::task::spawn_blocking(move || {
            let look = files.look(&config);
            (files, look)
        });
        // It fails only while the runtime shuts down.
        look.await.unwrap_or_else(|_| (FileWatch::default(), Look::Quiet))
    }

    /// A secret of 32 bytes that is derived from this node's private key (HKDF), for uses that the
    /// `label` keeps apart: the key of stateless resets, say. The same over restarts with the same
    /// key file, another one for another key. It does not reveal the key.
    #[must_use]
    pub fn secret(&self, label: &[u8]) -> [u8; 32] {
        self.current().secret(label)
    }

    /// The cluster.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.binding.names.cluster_id
    }

    /// The node.
    #[must_use]
    pub fn node_id(&self) -> &str {
        &self.binding.names.node_id
    }
}

impl fmt::Debug for NodeTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NodeTls").field(&self.current()).finish()
    }
}
