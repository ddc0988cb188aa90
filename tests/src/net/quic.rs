//! QUIC, as its enemies see it.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chitchat::quic::QuicTransport;
use chitchat::tls::TlsConfig;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Connection, Endpoint, ServerConfig, VarInt};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::rogue::{Papers, RogueListener, Session, Wire, client_config, server_config};

const ALPN: &[u8] = b"chitchat/1";

/// QUIC with mutual TLS.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quic;

/// A stranger's QUIC connection. The endpoint lives as long as it does.
#[derive(Clone, Debug)]
pub struct QuicSession {
    connection: Connection,
    _endpoint: Endpoint,
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

impl Wire for Quic {
    type Transport = QuicTransport;
    type Session = QuicSession;

    const NAME: &'static str = "quic";

    fn transport(&self, identity: TlsConfig) -> QuicTransport {
        QuicTransport::new(identity)
    }

    async fn dial(&self, to: SocketAddr, papers: Option<Papers>) -> Result<QuicSession, String> {
        let endpoint = Endpoint::client(SocketAddr::new(to.ip(), 0)).map_err(text)?;
        let crypto = QuicClientConfig::try_from(client_config(papers, ALPN)?).map_err(text)?;
        let config = ClientConfig::new(Arc::new(crypto));
        let connecting = endpoint.connect_with(config, to, "stranger.invalid").map_err(text)?;
        let connection = connecting.await.map_err(text)?;
        Ok(QuicSession { connection, _endpoint: endpoint })
    }

    async fn listen(&self, papers: Papers) -> Result<RogueListener<QuicSession>, String> {
        let crypto = QuicServerConfig::try_from(server_config(papers, ALPN)?).map_err(text)?;
        let config = ServerConfig::with_crypto(Arc::new(crypto));
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let endpoint = Endpoint::server(config, addr).map_err(text)?;
        let addr = endpoint.local_addr().map_err(text)?;
        let (came, sessions) = mpsc::channel(64);
        tokio::spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                let Ok(connection) = incoming.await else { continue };
                let session = QuicSession { connection, _endpoint: endpoint.clone() };
                if came.send(session).await.is_err() {
                    return;
                }
            }
        });
        Ok(RogueListener { addr, sessions })
    }

    async fn garbage(&self, to: SocketAddr, bytes: &[u8]) {
        if let Ok(socket) = UdpSocket::bind(SocketAddr::new(to.ip(), 0)) {
            // Whether it gets there is the other end's business.
            let _ = socket.send_to(bytes, to);
        }
    }
}

impl Session for QuicSession {
    async fn send(&self, message: Bytes) -> Result<(), String> {
        if self.connection.max_datagram_size().is_some_and(|limit| message.len() <= limit) {
            return self.connection.send_datagram(message).map_err(text);
        }
        let mut stream = self.connection.open_uni().await.map_err(text)?;
        let len = u32::try_from(message.len()).map_err(text)?;
        stream.write_all(&len.to_be_bytes()).await.map_err(text)?;
        stream.write_all(&message).await.map_err(text)?;
        stream.finish().map_err(text)
    }

    async fn recv(&self) -> Option<Vec<u8>> {
        tokio::select! {
            datagram = self.connection.read_datagram() => Some(datagram.ok()?.to_vec()),
            stream = self.connection.accept_uni() => {
                let mut message = stream.ok()?.read_to_end(8 << 20).await.ok()?;
                Some(message.split_off(4.min(message.len())))
            }
        }
    }

    async fn flood(&self, during: Duration) {
        let end = Instant::now() + during;
        let mut open = Vec::new();
        while Instant::now() < end && self.connection.close_reason().is_none() {
            // Datagrams as fast as they go, and every stream that there is.
            let _ = self.connection.send_datagram(Bytes::from_static(&[0xff; 1_000]));
            if let Ok(Ok(mut stream)) =
                timeout(Duration::from_micros(100), self.connection.open_uni()).await
            {
                let _ = stream.write_all(&100_000_u32.to_be_bytes()).await;
                open.push(stream);
            }
        }
    }

    async fn endless(&self, during: Duration) {
        let endless = async {
            let announced = [u32::MAX, 4 << 20];
            for len in announced.into_iter().cycle() {
                let Ok(mut stream) = self.connection.open_uni().await else { return };
                let _ = stream.write_all(&len.to_be_bytes()).await;
                while stream.write_all(&[0xff; 65_536]).await.is_ok() {}
            }
        };
        let _ = timeout(during, endless).await;
        self.connection.close(VarInt::from_u32(0), b"");
    }

    async fn closed(&self) -> String {
        self.connection.closed().await.to_string()
    }
}
