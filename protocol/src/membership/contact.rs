//! How to reach a node, and what it understands.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::node::Path;
use crate::time::Timestamp;
use crate::wire::VersionRange;

/// How to reach a node, and what it understands.
#[derive(Clone, Debug)]
pub(crate) struct Contact {
    addrs: Arc<[SocketAddr]>,
    /// The way that its last message came.
    pub(crate) path: Option<Path>,
    /// When that was; long ago, once it has announced other addresses since.
    path_at: Timestamp,
    /// Proves to the node that we can be reached at our address.
    pub(crate) token: u64,
    /// The wire versions that the node reads: as its last message said, or before there was one, as
    /// its namespace says (rule W1).
    pub(crate) versions: Option<VersionRange>,
    /// That we have none of them has been told.
    pub(crate) told_of_versions: bool,
}

impl Default for Contact {
    fn default() -> Contact {
        Contact {
            addrs: Arc::from([]),
            path: None,
            path_at: Timestamp::MIN,
            token: 0,
            versions: None,
            told_of_versions: false,
        }
    }
}

impl Contact {
    /// The addresses that the node advertises.
    pub(crate) fn addrs(&self) -> &Arc<[SocketAddr]> {
        &self.addrs
    }

    /// The node advertises these.
    pub(super) fn set_addrs(&mut self, addrs: Vec<SocketAddr>) {
        if *addrs != *self.addrs {
            self.addrs = addrs.into();
            // It may have moved: what it says counts for more than where it was last.
            self.path_at = Timestamp::MIN;
        }
    }

    /// A message came this way, from a node that has proven that it is there.
    pub(crate) fn set_path(&mut self, path: Path, now: Timestamp) {
        self.path = Some(path);
        self.path_at = now;
    }

    /// The way that its last message came, if that was after `since`.
    pub(crate) fn path_since(&self, since: Timestamp) -> Option<Path> {
        self.path.filter(|_| self.path_at >= since)
    }
}
