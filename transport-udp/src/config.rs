//! What can be configured, and what is allowed.

/// The longest payload of a UDP datagram over IPv4: 65,535 less 20 bytes of IP and 8 of UDP
/// header. IPv6 has room for 20 bytes more, but a limit that depends on the address would help
/// nobody.
pub(crate) const MAX_DATAGRAM: usize = 65_507;

/// Settings of a [`PlainUdpTransport`](crate::PlainUdpTransport).
///
/// ```
/// let mut config = chitchat_transport_udp::PlainUdpConfig::default();
/// config.preferred_message_len = 1_200; // behind a tunnel
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlainUdpConfig {
    /// Length, in bytes, up to which the node packs messages. Default: 1,400, which fits into an
    /// Ethernet frame with IPv6 and a tunnel's header. Limits: 1 to
    /// [`max_message_len`](Self::max_message_len). Take the smallest MTU between any two nodes
    /// less 48.
    pub preferred_message_len: usize,
    /// Longest message, in bytes, that is sent at all; for single entries that are longer than
    /// the preferred length. What peers send is taken up to 65,507 bytes, so nodes with different
    /// settings work together. Default and upper limit: 65,507. Set it to the preferred length
    /// where fragments do not get through.
    pub max_message_len: usize,
    /// Bytes that may wait to be sent, per socket. Default: 4 MiB. Limits: 64 KiB to 1 GiB.
    pub send_queue_bytes: usize,
    /// Bytes that may wait for the node, of all sockets together. Default: 8 MiB. Limits: 64 KiB
    /// to 1 GiB.
    pub receive_queue_bytes: usize,
    /// Messages and reports that may wait for the node. Default: 8,192. Limits: 16 to 1,048,576.
    pub receive_queue_messages: usize,
    /// What is asked for as the operating system's buffers, in bytes, per socket and direction;
    /// it may grant less. Default: 2 MiB. Limits: 0 (leave as it is) to 1 GiB.
    pub socket_buffer_bytes: usize,
}

impl Default for PlainUdpConfig {
    fn default() -> Self {
        Self {
            preferred_message_len: 1_400,
            max_message_len: MAX_DATAGRAM,
            send_queue_bytes: 4 << 20,
            receive_queue_bytes: 8 << 20,
            receive_queue_messages: 8_192,
            socket_buffer_bytes: 2 << 20,
        }
    }
}

/// A setting is out of its limits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} is {value}; set it to {min} to {max}")]
#[non_exhaustive]
pub struct PlainUdpConfigError {
    /// The name of the field.
    pub setting: &'static str,
    /// Its value.
    pub value: usize,
    /// The least value allowed, given the other settings.
    pub min: usize,
    /// The greatest value allowed, given the other settings.
    pub max: usize,
}

impl PlainUdpConfig {
    pub(crate) fn validate(&self) -> Result<(), PlainUdpConfigError> {
        const QUEUE: (usize, usize) = (64 << 10, 1 << 30);
        let limits = [
            ("max_message_len", self.max_message_len, (1, MAX_DATAGRAM)),
            ("preferred_message_len", self.preferred_message_len, (1, self.max_message_len)),
            ("send_queue_bytes", self.send_queue_bytes, QUEUE),
            ("receive_queue_bytes", self.receive_queue_bytes, QUEUE),
            ("receive_queue_messages", self.receive_queue_messages, (16, 1 << 20)),
            ("socket_buffer_bytes", self.socket_buffer_bytes, (0, 1 << 30)),
        ];
        match limits.into_iter().find(|(_, value, (min, max))| value < min || value > max) {
            None => Ok(()),
            Some((setting, value, (min, max))) => {
                Err(PlainUdpConfigError { setting, value, min, max })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_of_the_wire_format_states_the_lengths() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/wire-format.md");
        let text = std::fs::read_to_string(path).unwrap();
        let config = PlainUdpConfig::default();
        let lengths = [
            (MAX_DATAGRAM, "A message has at most 65,507 bytes"),
            (config.preferred_message_len, "packed up to 1,400 bytes"),
        ];
        for (length, statement) in lengths {
            let digits: String = statement.chars().filter(char::is_ascii_digit).collect();
            assert_eq!(digits.parse(), Ok(length));
            assert!(text.contains(statement), "{statement:?}");
        }
    }

    #[test]
    fn every_setting_is_checked_and_the_error_says_what_is_allowed() {
        assert_eq!(PlainUdpConfig::default().validate(), Ok(()));
        let wrong: [fn(&mut PlainUdpConfig); 7] = [
            |config| config.max_message_len = 65_508,
            |config| config.max_message_len = 0,
            |config| config.preferred_message_len = 0,
            |config| config.send_queue_bytes = 1,
            |config| config.receive_queue_bytes = 1,
            |config| config.receive_queue_messages = 0,
            |config| config.socket_buffer_bytes = usize::MAX,
        ];
        for spoil in wrong {
            let mut config = PlainUdpConfig::default();
            spoil(&mut config);
            assert!(config.validate().is_err(), "{config:?}");
        }
        let config = PlainUdpConfig { max_message_len: 1_000, ..PlainUdpConfig::default() };
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "preferred_message_len is 1400; set it to 1 to 1000"
        );
    }
}
