//! Notices that files have changed, and puts them into use.

use std::sync::Arc;

use crate::config::{ConfigInner, TlsConfig};

/// What came of a look at the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing to say: nothing new, or put into use, or failed as before.
    Quiet,
    /// Something has changed. If it is still the same in a moment, it is taken.
    Unsettled,
    /// It could not be put into use.
    Failed(Arc<str>),
}

/// Compares contents, not times: a volume of Kubernetes replaces a directory behind a link, and a
/// restored file may be older than the one before it. The files are small, and few.
#[derive(Debug, Default)]
pub(crate) struct FileWatch {
    /// What was seen at the last look, if it is not what is in use: a digest, or why there is none.
    seen: Option<Result<Vec<u8>, Arc<str>>>,
    /// The failure that was reported last.
    reported: Option<Arc<str>>,
}

impl FileWatch {
    /// Looks at the files. Blocks while it reads them.
    pub(crate) fn look(&mut self, config: &Arc<ConfigInner>) -> Look {
        let Some(changed) = config.changed_files() else {
            *self = FileWatch::default();
            return Look::Quiet;
        };
        let changed = changed.map_err(|error| Arc::from(error.to_string()));
        // Twice the same, or it may be half-written.
        if self.seen.as_ref() != Some(&changed) {
            self.seen = Some(changed);
            return Look::Unsettled;
        }
        match (TlsConfig { inner: config.clone() }).reload() {
            Ok(()) => {
                *self = FileWatch::default();
                Look::Quiet
            }
            Err(error) => {
                let reason: Arc<str> = error.to_string().into();
                if self.reported.as_ref() == Some(&reason) {
                    return Look::Quiet;
                }
                self.reported = Some(reason.clone());
                Look::Failed(reason)
            }
        }
    }
}
