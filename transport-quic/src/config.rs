//! What can be configured, and what is allowed.

use std::time::Duration;

/// No message is longer than this, whoever sends it.
pub(crate) const MESSAGE_LIMIT: usize = 4 << 20;

/// Settings of a [`QuicTransport`](crate::QuicTransport).
///
/// ```
/// let mut config = chitchat_transport_quic::QuicConfig::default();
/// config.max_connections = 1_024; // a large cluster on large machines: 30 KiB each, idle
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuicConfig {
    /// Length, in bytes, up to which the node packs messages. Default: 64 KiB: what a node does
    /// with one message takes well below a millisecond. Limits: 1,024 to
    /// [`max_message_len`](Self::max_message_len). No datagram limits it: what does not fit into
    /// one goes over a stream.
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
    /// What is asked for as the operating system's buffers, in bytes, per socket and direction;
    /// it may grant less. Default: 2 MiB. Limits: 0 (leave as it is) to 1 GiB.
    pub socket_buffer_bytes: usize,
    /// Connections that are kept open. Beyond that the one that was used longest ago is closed.
    /// Default: 256. Limits: 8 to 65,536. An idle one takes about 30 KiB at each end. A node that
    /// knows more live peers than that gossips with a slowly changing part of them.
    pub max_connections: usize,
    /// Time after which a connection that nothing was sent on is closed. Default: 300 s. Limits:
    /// 10 s to 1 day.
    pub idle_timeout: Duration,
    /// How often the connections that this node dialled are kept alive, for nodes behind a NAT or
    /// a firewall that forgets. Default: `None`, never: an idle connection sends nothing. Limits:
    /// 1 s to half of [`idle_timeout`](Self::idle_timeout); 20 s suits most networks.
    pub keep_alive: Option<Duration>,
    /// Handshakes under way above which a newcomer has to prove its address first, which costs it
    /// a round trip. Default: 64. Limits: 1 to [`max_handshakes`](Self::max_handshakes).
    pub max_unproven_handshakes: usize,
    /// Handshakes under way above which newcomers get no answer. Default: 1,024. Limits: 1 to
    /// 65,536.
    pub max_handshakes: usize,
    /// Handshakes under way from one address (IPv4) or network (IPv6, /64) above which further
    /// ones get no answer. Default: 32. Limits: 1 to [`max_handshakes`](Self::max_handshakes).
    pub max_handshakes_per_network: usize,
}

impl Default for QuicConfig {
    fn default() -> Self {
        Self {
            preferred_message_len: 64 << 10,
            max_message_len: (1 << 20) + (64 << 10),
            send_queue_bytes: 4 << 20,
            send_queue_bytes_total: 64 << 20,
            receive_queue_bytes: 16 << 20,
            receive_queue_messages: 8_192,
            socket_buffer_bytes: 2 << 20,
            max_connections: 256,
            idle_timeout: Duration::from_secs(300),
            keep_alive: None,
            max_unproven_handshakes: 64,
            max_handshakes: 1_024,
            max_handshakes_per_network: 32,
        }
    }
}

/// A setting is out of its limits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} is {value}; set it to {min} to {max}")]
#[non_exhaustive]
pub struct QuicConfigError {
    /// The name of the field.
    pub setting: &'static str,
    /// Its value; durations in milliseconds.
    pub value: u128,
    /// The least value allowed, given the other settings.
    pub min: u128,
    /// The greatest value allowed, given the other settings.
    pub max: u128,
}

impl QuicConfig {
    pub(crate) fn validate(&self) -> Result<(), QuicConfigError> {
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
            ("socket_buffer_bytes", self.socket_buffer_bytes, (0, 1 << 30)),
            ("max_connections", self.max_connections, (8, 65_536)),
            ("max_handshakes", self.max_handshakes, (1, 65_536)),
            ("max_unproven_handshakes", self.max_unproven_handshakes, (1, self.max_handshakes)),
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
            Some((setting, value, min, max)) => Err(QuicConfigError { setting, value, min, max }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_checked_and_the_error_says_what_is_allowed() {
        assert_eq!(QuicConfig::default().validate(), Ok(()));
        type Spoil = fn(&mut QuicConfig);
        let wrong: [(&str, Spoil); 13] = [
            ("max_message_len", |config| config.max_message_len = MESSAGE_LIMIT + 1),
            ("preferred_message_len", |config| config.preferred_message_len = 1_023),
            ("send_queue_bytes", |config| config.send_queue_bytes = 1),
            ("send_queue_bytes_total", |config| config.send_queue_bytes_total = 1 << 20),
            ("receive_queue_bytes", |config| config.receive_queue_bytes = 1),
            ("receive_queue_messages", |config| config.receive_queue_messages = 0),
            ("socket_buffer_bytes", |config| config.socket_buffer_bytes = usize::MAX),
            ("max_connections", |config| config.max_connections = 7),
            ("idle_timeout", |config| config.idle_timeout = Duration::from_secs(9)),
            ("keep_alive", |config| config.keep_alive = Some(Duration::from_secs(151))),
            ("max_unproven_handshakes", |config| config.max_unproven_handshakes = 0),
            ("max_handshakes", |config| config.max_handshakes = 0),
            ("max_handshakes_per_network", |config| config.max_handshakes_per_network = 2_000),
        ];
        for (setting, spoil) in wrong {
            let mut config = QuicConfig::default();
            spoil(&mut config);
            assert_eq!(config.validate().unwrap_err().setting, setting, "{config:?}");
        }
        let config = QuicConfig { max_message_len: 2_000, ..QuicConfig::default() };
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "preferred_message_len is 65536; set it to 1024 to 2000"
        );
    }
}
