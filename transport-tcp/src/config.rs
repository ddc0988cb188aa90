//! What can be configured, and what is allowed.

use std::time::Duration;

/// No message is longer than this, whoever sends it.
pub(crate) const MESSAGE_LIMIT: usize = 4 << 20;

/// Settings of a [`PlainTcpTransport`](crate::PlainTcpTransport), and with feature `tls` of a
/// `TlsTcpTransport`.
///
/// ```
/// let mut config = chitchat_transport_tcp::TcpConfig::default();
/// config.keep_alive = Some(std::time::Duration::from_secs(60)); // a firewall that forgets
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpConfig {
    /// Length, in bytes, up to which the node packs messages. Default: 64 KiB: what a node does
    /// with one message takes well below a millisecond. Limits: 1,024 to
    /// [`max_message_len`](Self::max_message_len).
    pub preferred_message_len: usize,
    /// Longest message, in bytes, that is sent. Default: 1 MiB and 64 KiB, so that a value of
    /// 1 MiB fits. Limits: 1,024 to 4 MiB. What peers send is taken up to 4 MiB, so nodes with
    /// different settings work together.
    pub max_message_len: usize,
    /// Bytes that may wait to be sent to one peer. Default: 4 MiB. Limits: 64 KiB to 1 GiB.
    pub send_queue_bytes: usize,
    /// Bytes that may wait to be sent to all peers together. Default: 64 MiB. Limits:
    /// [`send_queue_bytes`](Self::send_queue_bytes) to 64 GiB.
    pub send_queue_bytes_total: usize,
    /// Bytes that may wait for the node, of all peers together. Default: 16 MiB. Limits: 64 KiB to
    /// 1 GiB.
    pub receive_queue_bytes: usize,
    /// Messages and reports that may wait for the node. Default: 8,192. Limits: 16 to 1,048,576.
    pub receive_queue_messages: usize,
    /// Connections that are kept open. Beyond that the one that was used longest ago is closed.
    /// Default: 256. Limits: 8 to 65,536. A node that knows more live peers than that gossips with
    /// a slowly changing part of them. When there are three times as many, newcomers are turned
    /// away.
    pub max_connections: usize,
    /// Time after which a connection that nothing came or went by is closed. Default: 300 s.
    /// Limits: 10 s to 1 day.
    pub idle_timeout: Duration,
    /// How often the operating system is to probe a connection that nothing comes or goes by, for
    /// networks with a NAT or a firewall that forgets. Default: `None`, never: an idle connection
    /// sends nothing. Limits: 1 s to half of [`idle_timeout`](Self::idle_timeout).
    pub keep_alive: Option<Duration>,
    /// Newcomers that are being taken in above which further ones are turned away. Default: 1,024.
    /// Limits: 1 to 65,536.
    pub max_handshakes: usize,
    /// Newcomers that are being taken in from one address (IPv4) or network (IPv6, /64) above
    /// which further ones are turned away. Default: 32. Limits: 1 to
    /// [`max_handshakes`](Self::max_handshakes).
    pub max_handshakes_per_network: usize,
}

impl Default for TcpConfig {
    fn default() -> Self {
        Self {
            preferred_message_len: 64 << 10,
            max_message_len: (1 << 20) + (64 << 10),
            send_queue_bytes: 4 << 20,
            send_queue_bytes_total: 64 << 20,
            receive_queue_bytes: 16 << 20,
            receive_queue_messages: 8_192,
            max_connections: 256,
            idle_timeout: Duration::from_secs(300),
            keep_alive: None,
            max_handshakes: 1_024,
            max_handshakes_per_network: 32,
        }
    }
}

/// A setting is out of its limits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} is {value}; set it to {min} to {max}")]
#[non_exhaustive]
pub struct TcpConfigError {
    /// The name of the field.
    pub setting: &'static str,
    /// Its value; durations in milliseconds.
    pub value: u128,
    /// The least value allowed, given the other settings.
    pub min: u128,
    /// The greatest value allowed, given the other settings.
    pub max: u128,
}

impl TcpConfig {
    pub(crate) fn validate(&self) -> Result<(), TcpConfigError> {
        const QUEUE: (usize, usize) = (64 << 10, 1 << 30);
        let sizes = [
            ("max_message_len", self.max_message_len, (1_024, MESSAGE_LIMIT)),
            ("preferred_message_len", self.preferred_message_len, (1_024, self.max_message_len)),
            ("send_queue_bytes", self.send_queue_bytes, QUEUE),
            (
                "send_queue_bytes_total",
                self.send_queue_bytes_total,
                (self.send_queue_bytes, 64 << 30),
            ),
            ("receive_queue_bytes", self.receive_queue_bytes, QUEUE),
            ("receive_queue_messages", self.receive_queue_messages, (16, 1 << 20)),
            ("max_connections", self.max_connections, (8, 65_536)),
            ("max_handshakes", self.max_handshakes, (1, 65_536)),
            (
                "max_handshakes_per_network",
                self.max_handshakes_per_network,
                (1, self.max_handshakes),
            ),
        ];
        let sizes = sizes
            .into_iter()
            .map(|(setting, value, (min, max))| (setting, value as u128, min as u128, max as u128));
        let idle = self.idle_timeout.as_millis();
        let keep_alive = self.keep_alive.map_or(1_000, |every| every.as_millis());
        let durations = [
            ("idle_timeout", idle, 10_000, 86_400_000),
            ("keep_alive", keep_alive, 1_000, idle / 2),
        ];
        let mut all = sizes.chain(durations);
        match all.find(|(_, value, min, max)| value < min || value > max) {
            None => Ok(()),
            Some((setting, value, min, max)) => Err(TcpConfigError { setting, value, min, max }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_checked_and_the_error_says_what_is_allowed() {
        assert_eq!(TcpConfig::default().validate(), Ok(()));
        type Spoil = fn(&mut TcpConfig);
        let wrong: [(&str, Spoil); 11] = [
            ("max_message_len", |config| config.max_message_len = MESSAGE_LIMIT + 1),
            ("preferred_message_len", |config| config.preferred_message_len = 1_023),
            ("send_queue_bytes", |config| config.send_queue_bytes = 1),
            ("send_queue_bytes_total", |config| config.send_queue_bytes_total = 1 << 20),
            ("receive_queue_bytes", |config| config.receive_queue_bytes = 1),
            ("receive_queue_messages", |config| config.receive_queue_messages = 0),
            ("max_connections", |config| config.max_connections = 7),
            ("idle_timeout", |config| config.idle_timeout = Duration::from_secs(9)),
            ("keep_alive", |config| config.keep_alive = Some(Duration::from_secs(151))),
            ("max_handshakes", |config| config.max_handshakes = 0),
            ("max_handshakes_per_network", |config| config.max_handshakes_per_network = 2_000),
        ];
        for (setting, spoil) in wrong {
            let mut config = TcpConfig::default();
            spoil(&mut config);
            assert_eq!(config.validate().unwrap_err().setting, setting, "{config:?}");
        }
    }
}
