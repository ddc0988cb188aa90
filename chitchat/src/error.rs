//! What can go wrong, and why a node is no more.

use std::fmt;
use std::net::AddrParseError;
use std::sync::Arc;

use chitchat_protocol::WriteError;
use chitchat_transport::OpenError;

/// A call on a [`ChitchatHandle`](crate::ChitchatHandle) failed. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The write is over a limit, or makes no sense. The caller can change that.
    #[error(transparent)]
    Refused(#[from] WriteError),
    /// The node does not run any more. Only a new [`spawn`](crate::spawn) helps.
    #[error("the node is closed: {reason}; spawn a new one")]
    Closed {
        /// Why it does not run.
        reason: CloseReason,
    },
}

impl From<CloseReason> for Error {
    fn from(reason: CloseReason) -> Error {
        Error::Closed { reason }
    }
}

/// Why a node does not run any more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// [`shutdown`](crate::ChitchatHandle::shutdown) was called.
    Shutdown,
    /// The last handle was dropped.
    HandlesDropped,
    /// The transport ended by itself.
    TransportClosed,
    /// The node's task panicked, with this message: a bug in this library or in the transport.
    Panicked(Arc<str>),
    /// The tokio runtime that the node was spawned on was shut down.
    RuntimeStopped,
}

impl CloseReason {
    /// Whether the application wanted it so.
    #[must_use]
    pub fn is_orderly(&self) -> bool {
        matches!(self, CloseReason::Shutdown | CloseReason::HandlesDropped)
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::Shutdown => f.write_str("it was shut down"),
            CloseReason::HandlesDropped => f.write_str("its last handle was dropped"),
            CloseReason::TransportClosed => f.write_str("its transport ended"),
            CloseReason::Panicked(message) => {
                write!(f, "its task panicked, which is a bug: {message}")
            }
            CloseReason::RuntimeStopped => f.write_str("the tokio runtime was shut down"),
        }
    }
}

/// A configuration was refused by
/// [`build`](crate::ChitchatConfigBuilder::build).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No address to listen on.
    #[error(
        "no listen address; give at least one with listen, for example 0.0.0.0:7280 or [::]:7280"
    )]
    NoListenAddress,
    /// A text that is not an IP address with a port.
    #[error(
        "{option}: {text:?} is not an IP address with a port; write for example 192.0.2.7:7280 or \
         [2001:db8::7]:7280"
    )]
    BadAddress {
        /// Which option: `listen` or `advertise`.
        option: &'static str,
        /// What was given.
        text: String,
        /// What the parser says.
        source: AddrParseError,
    },
    /// A seed without a port.
    #[error("seed {seed:?} has no port; write host:port, for example seed.example.org:7280")]
    SeedWithoutPort {
        /// What was given.
        seed: String,
    },
    /// A seed that is not `host:port`.
    #[error("seed {seed:?}: {reason}; write host:port, for example seed.example.org:7280")]
    BadSeed {
        /// What was given.
        seed: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A setting of this crate that is out of its limits.
    #[error("{option} is {value}; set it to {expected}")]
    OutOfRange {
        /// Which option.
        option: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// Anything that the protocol itself refuses: empty or too long ids, intervals, limits,
    /// addresses that nobody could dial, initial key-values.
    #[error(transparent)]
    Protocol(#[from] chitchat_protocol::ConfigError),
}

/// A node could not be started. Nothing stays open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// [`spawn`](crate::spawn) was not called from within a tokio runtime.
    #[error("no tokio runtime; call spawn from within one, with time and I/O enabled")]
    NoRuntime,
    /// The transport could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The configuration and the transport do not fit: the messages that it carries are too short,
    /// or too short for an initial key-value.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The operating system gave no random bytes.
    #[error("no randomness from the operating system: {0}")]
    Randomness(#[source] std::io::Error),
}
