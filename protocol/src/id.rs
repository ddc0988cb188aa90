//! Who is who: node ids and incarnations.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The name of a node: stable over restarts, unique in its cluster. Cheap to clone.
///
/// 1 to [`NodeId::MAX_LEN`] bytes of UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// The longest node id, in bytes.
    pub const MAX_LEN: usize = 255;

    /// Wraps a name. The length is checked where ids enter: by the configuration and by the
    /// decoder.
    pub fn new(name: impl Into<Arc<str>>) -> NodeId {
        NodeId(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The shared string behind the name.
    pub fn as_arc(&self) -> &Arc<str> {
        &self.0
    }
}

impl Deref for NodeId {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for NodeId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for NodeId {
    fn from(name: &str) -> NodeId {
        NodeId(name.into())
    }
}

impl From<String> for NodeId {
    fn from(name: String) -> NodeId {
        NodeId(name.into())
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// One run of a node: what separates the state of this process from that of its predecessors.
///
/// Compared lexicographically. The highest incarnation of a node id wins, everywhere and at once
/// (ALGORITHM.md, rule L2).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Incarnation {
    /// Grows with every start. By default the wall clock in milliseconds.
    pub generation_id: u64,
    /// Random bits that keep apart two processes that start with one generation.
    pub boot: u64,
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:016x}", self.generation_id, self.boot)
    }
}

/// What users call a node: its id and its generation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChitchatId {
    /// The name of the node.
    pub node_id: NodeId,
    /// Which run of it.
    pub generation_id: u64,
}

impl ChitchatId {
    /// An id from its parts.
    pub fn new(node_id: impl Into<NodeId>, generation_id: u64) -> ChitchatId {
        ChitchatId { node_id: node_id.into(), generation_id }
    }
}

impl fmt::Display for ChitchatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.node_id, self.generation_id)
    }
}
