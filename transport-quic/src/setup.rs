//! How quinn is configured, and why.

use std::sync::Arc;
use std::time::Duration;

use chitchat_tls::Credentials;
use chitchat_transport_links::RefusalSlot;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, EndpointConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt};

use quinn_proto::RandomConnectionIdGenerator;

use crate::config::QuicConfig;
use crate::reset_key::ResetKey;

/// The application protocol: one that speaks another one, or another version, is not let in.
const ALPN: &[u8] = b"chitchat/1";
/// Streams that a peer may have open. Each is one message.
pub(crate) const MAX_STREAMS: u32 = 64;
/// Shared by all streams of a connection. Our own bound on bulk keeps half of it free for gossip.
const WINDOW: u32 = 8 << 20;
const STREAM_WINDOW: u32 = 1 << 20;
/// Datagrams that wait; beyond that the oldest ones give way, which gossip survives.
const DATAGRAM_BUFFER: usize = 512 << 10;
/// Before there is a measurement. quinn's own value makes the first retransmission wait a second,
/// longer than a gossip interval.
const INITIAL_RTT: Duration = Duration::from_millis(100);
/// Connections that wait to be looked at. They are, at once, so more is an attack.
const MAX_INCOMING: usize = 512;
const INCOMING_BUFFER: u64 = 16 << 10;
const INCOMING_BUFFER_TOTAL: u64 = 4 << 20;

/// The configurations that new connections are made from.
#[derive(Debug)]
pub(crate) struct Setup {
    dialling: Arc<TransportConfig>,
    accepting: Arc<TransportConfig>,
}

/// The credentials cannot be used for QUIC: no cipher suite of TLS 1.3 that QUIC knows.
#[derive(Debug, thiserror::Error)]
#[error("the crypto provider has no cipher suite that QUIC can use; add TLS13_AES_128_GCM_SHA256")]
pub(crate) struct NoCipherSuite;

impl Setup {
    pub(crate) fn new(config: &QuicConfig) -> Self {
        Self {
            dialling: Arc::new(transport(config, config.keep_alive)),
            accepting: Arc::new(transport(config, None)),
        }
    }

    /// For dialling once: what the peer's certificate was refused for is found in `refusal`.
    pub(crate) fn client(
        &self,
        credentials: &Credentials,
        refusal: &RefusalSlot,
    ) -> Result<ClientConfig, NoCipherSuite> {
        let crypto = {
            let refusal = refusal.clone();
            credentials.client_config_reporting(ALPN, move |error| refusal.put(error))
        };
        let crypto = QuicClientConfig::try_from(crypto).map_err(|_| NoCipherSuite)?;
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::clone(&self.dialling));
        Ok(config)
    }

    /// What an endpoint listens with. Clone it for each newcomer with [`Self::server_crypto`].
    pub(crate) fn server(&self, credentials: &Credentials) -> Result<ServerConfig, NoCipherSuite> {
        let crypto = self.server_crypto(credentials, &RefusalSlot::default())?;
        let mut config = ServerConfig::with_crypto(crypto);
        config
            .transport_config(Arc::clone(&self.accepting))
            .max_incoming(MAX_INCOMING)
            .incoming_buffer_size(INCOMING_BUFFER)
            .incoming_buffer_size_total(INCOMING_BUFFER_TOTAL);
        Ok(config)
    }

    /// For one newcomer: what its certificate was refused for is found in `refusal`.
    pub(crate) fn server_crypto(
        &self,
        credentials: &Credentials,
        refusal: &RefusalSlot,
    ) -> Result<Arc<QuicServerConfig>, NoCipherSuite> {
        let crypto = {
            let refusal = refusal.clone();
            credentials.server_config_reporting(ALPN, move |error| refusal.put(error))
        };
        Ok(Arc::new(QuicServerConfig::try_from(crypto).map_err(|_| NoCipherSuite)?))
    }

    pub(crate) fn endpoint(&self, reset_key: Arc<ResetKey>) -> EndpointConfig {
        let mut config = EndpointConfig::new(reset_key);
        // With quinn's default, ids of a former run are not recognised as ours, and a peer that
        // uses one gets no reset: its messages vanish until the connection times out.
        config.cid_generator(|| Box::new(RandomConnectionIdGenerator::default()));
        config
    }
}

fn transport(config: &QuicConfig, keep_alive: Option<Duration>) -> TransportConfig {
    let idle = u32::try_from(config.idle_timeout.as_millis()).unwrap_or(u32::MAX);
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_uni_streams(VarInt::from_u32(MAX_STREAMS))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(u64::from(WINDOW))
        // Messages one after the other: one that is complete is of use, two halves are not.
        .send_fairness(false)
        .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER))
        .datagram_send_buffer_size(DATAGRAM_BUFFER)
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(idle))))
        .keep_alive_interval(keep_alive)
        // An idle connection is to cost nothing, and probing costs 11 KB for each new one.
        .mtu_discovery_config(None)
        .initial_rtt(INITIAL_RTT);
    transport
}

#[cfg(test)]
mod tests {
    use chitchat_transport_links::BULK_FROM;

    use super::*;
    use crate::code::{STREAM_CUT, STREAM_REFUSED};
    use crate::config::MESSAGE_LIMIT;

    #[test]
    fn the_document_of_the_wire_format_states_how_messages_are_mapped() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/wire-format.md");
        let text = std::fs::read_to_string(path).unwrap();
        let section = text.split("\n## QUIC\n").nth(1).unwrap();
        let section: Vec<&str> = section.split_whitespace().collect();
        let section = section.join(" ");
        let alpn = std::str::from_utf8(ALPN).unwrap();
        let idle = QuicConfig::default().idle_timeout.as_secs();
        for statement in [
            format!("ALPN is `{alpn}`."),
            format!("up to {} KiB goes into a datagram", BULK_FROM >> 10),
            format!("of any length up to {} MiB", MESSAGE_LIMIT >> 20),
            format!("says more than {} MiB", MESSAGE_LIMIT >> 20),
            format!("STOP_SENDING, code {STREAM_REFUSED}"),
            format!("resets the stream with code {STREAM_CUT}"),
            format!("At most {MAX_STREAMS} unidirectional streams"),
            format!("closed after {idle} s"),
        ] {
            assert!(section.contains(&statement), "{statement:?}");
        }
    }
}
