//! Errors, one enum per operation.

use thiserror::Error;

/// Why a write was refused. Nothing changed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// The key is empty.
    #[error("the key is empty; name it")]
    EmptyKey,
    /// Keys that begin with a NUL character belong to the protocol.
    #[error("keys that begin with a NUL character are reserved; choose another key")]
    ReservedKey,
    /// The key is longer than the limit.
    #[error("the key has {len} bytes and the limit is {limit}; shorten it or raise max_key_len")]
    KeyTooLong {
        /// Bytes of the key.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// The value is longer than the limit, or than the transport carries.
    #[error(
        "key and value have {len} bytes and the limit is {limit}; split the value, raise \
         max_value_len, or use a transport without a message limit"
    )]
    ValueTooLong {
        /// Bytes of key and value.
        len: usize,
        /// The limit on both together.
        limit: usize,
    },
    /// The node has as many entries as it may have; tombstones count until the grace period is
    /// over.
    #[error(
        "the node has {limit} entries, the most it may have; delete some or raise max_keys_per_node"
    )]
    TooManyKeys {
        /// The limit.
        limit: usize,
    },
    /// The node's entries take as many bytes as they may take.
    #[error(
        "the node's state would exceed {limit} bytes; delete some keys or raise max_bytes_per_node"
    )]
    StateTooLarge {
        /// The limit.
        limit: usize,
    },
    /// A time to live of zero.
    #[error("a time to live of zero expires at once; delete the key instead")]
    ZeroTtl,
    /// The key is not set, so that it cannot be given a time to live.
    #[error("the key is not set")]
    NoSuchKey,
    /// A key that does not begin with the prefix that is being replaced.
    #[error("the key {key:?} does not begin with the prefix that is replaced")]
    OutsidePrefix {
        /// The key.
        key: String,
    },
    /// The node has left the cluster.
    #[error("the node has left; start a new one to write again")]
    Left,
}

/// Why a configuration was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// No cluster id.
    #[error("the cluster id is empty; nodes gossip only within one cluster id, so name it")]
    EmptyClusterId,
    /// The cluster id is too long.
    #[error("the cluster id has {len} bytes and the limit is {limit}")]
    ClusterIdTooLong {
        /// Bytes of the id.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// No node id.
    #[error("the node id is empty; every node needs one that no other node of the cluster has")]
    EmptyNodeId,
    /// The node id is too long.
    #[error("the node id has {len} bytes and the limit is {limit}")]
    NodeIdTooLong {
        /// Bytes of the id.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// A duration that must be positive, or is beyond any use.
    #[error("{field} is {value}, and must be {expected}")]
    OutOfRange {
        /// Name of the field.
        field: &'static str,
        /// What it is.
        value: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A dead node would be forgotten before everybody has noticed its death.
    #[error(
        "dead_node_grace_period is {grace_ms} ms, and half of it must be at least 4 times the \
         expected detection time of {detection_ms} ms; use {needed_ms} ms or more, or gossip faster"
    )]
    GracePeriodTooShort {
        /// What is configured.
        grace_ms: u128,
        /// How long a death goes unnoticed with this interval and threshold.
        detection_ms: u128,
        /// The shortest grace period that is accepted.
        needed_ms: u128,
    },
    /// Limits that the transport cannot serve.
    #[error(
        "messages of {preferred} bytes preferred and {max} at most cannot carry the protocol; \
         it needs at least {needed} preferred, and a maximum that is not below that"
    )]
    LinkTooSmall {
        /// Preferred length.
        preferred: usize,
        /// Maximum length.
        max: usize,
        /// Least preferred length.
        needed: usize,
    },
    /// An address that nobody could reach.
    #[error("{addr} cannot be advertised: {reason}; advertise an address that peers can dial")]
    BadAdvertiseAddr {
        /// The address.
        addr: std::net::SocketAddr,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// More addresses than a node may advertise.
    #[error("{count} addresses to advertise, and the limit is 8")]
    TooManyAdvertiseAddrs {
        /// How many there are.
        count: usize,
    },
    /// An initial key-value that a write would refuse.
    #[error("initial key {key:?}: {source}")]
    InitialKeyValue {
        /// The key.
        key: String,
        /// Why it is refused.
        source: WriteError,
    },
}

/// Why bytes were not a message. No state changed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not a message of this protocol.
    #[error("not a message of this protocol")]
    NotOurs,
    /// The bytes end too soon.
    #[error("the message is cut")]
    Truncated,
    /// A wire version that this build does not read.
    #[error("wire version {version}, and this node reads {min} to {max}")]
    UnsupportedVersion {
        /// What the message is written in.
        version: u8,
        /// Oldest version read here.
        min: u8,
        /// Newest version read here.
        max: u8,
    },
    /// A message kind that does not exist.
    #[error("unknown message kind {0}")]
    UnknownKind(u8),
    /// The message belongs to another cluster.
    #[error("the message belongs to another cluster")]
    OtherCluster,
    /// The body would be larger than what is accepted.
    #[error("the body has {len} bytes after decompression and the limit is {limit}")]
    TooLarge {
        /// Declared length.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// The body is not what the format says.
    #[error("malformed body: {0}")]
    Malformed(&'static str),
}
