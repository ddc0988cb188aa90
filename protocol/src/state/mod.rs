//! What a node knows: the entries of each namespace, and the nodes of the cluster.

mod entries;
mod entry_map;
mod key;
mod own;
mod replica;
mod reserved;
mod snapshot;
mod value;
mod version_index;
mod versions;

pub(crate) use entries::ENTRY_OVERHEAD;
pub(crate) use entry_map::Difference;
pub(crate) use own::{OwnState, Seedling};
pub use replica::{ApplyOutcome, Replica};
pub(crate) use reserved::{
    KEY_ADDRS, KEY_INITIAL, KEY_PROTOCOL, KEY_STATUS, MAX_ADDRS, STATUS_LEFT, decode_addrs,
    encode_addrs,
};
pub use snapshot::{ClusterStateSnapshot, NodeState, NodeStatus};
pub use value::VersionedValue;
pub use versions::{DropReason, PruneCursor, Versions};

#[cfg(any(test, feature = "__fuzzing"))]
pub(crate) use versions::Breakage;
pub(crate) use versions::{DeltaVersions, MAX_VERSION};

#[cfg(test)]
mod tests;
