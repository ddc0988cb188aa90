//! What the tests share: handshakes in memory, and folders that go away.

#![allow(dead_code)] // Not every test uses everything.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use chitchat_tls::{ClusterCa, NodeTls};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, DigitallySignedStruct, Error, ServerConfig,
    ServerConnection, SideData, SignatureScheme,
};

pub(crate) const ALPN: &[u8] = b"test/1";
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

pub(crate) fn days_ago(days: u32) -> SystemTime {
    now() - DAY * days
}

pub(crate) fn in_days(days: u32) -> SystemTime {
    now() + DAY * days
}

/// A node of cluster "c" with a proper certificate.
pub(crate) fn node(ca: &ClusterCa, id: &str) -> NodeTls {
    ca.issue(id).unwrap().tls_config().unwrap().bind("c", id).unwrap()
}

/// A CA of cluster "c".
pub(crate) fn ca() -> ClusterCa {
    ClusterCa::generate("c").unwrap()
}

/// How a handshake ended on each side, and the connections.
pub(crate) struct Handshake {
    pub(crate) client: Result<(), Error>,
    pub(crate) server: Result<(), Error>,
    pub(crate) dialler: ClientConnection,
    pub(crate) listener: ServerConnection,
}

impl Handshake {
    /// Between two nodes.
    pub(crate) fn between(dialler: &NodeTls, listener: &NodeTls) -> Handshake {
        Handshake::with(
            dialler.current().client_config(ALPN),
            listener.current().server_config(ALPN),
        )
    }

    pub(crate) fn with(client: ClientConfig, server: ServerConfig) -> Handshake {
        let name = "chitchat.invalid".try_into().unwrap();
        let mut dialler = ClientConnection::new(Arc::new(client), name).unwrap();
        let mut listener = ServerConnection::new(Arc::new(server)).unwrap();
        let (mut client, mut server) = (Ok(()), Ok(()));
        loop {
            let to_server = drain(|buffer| dialler.write_tls(buffer));
            let to_client = drain(|buffer| listener.write_tls(buffer));
            if to_server.is_empty() && to_client.is_empty() {
                return Handshake { client, server, dialler, listener };
            }
            feed(&mut listener, &to_server, &mut server);
            feed(&mut dialler, &to_client, &mut client);
        }
    }

    pub(crate) fn succeeded(&self) -> bool {
        self.client.is_ok()
            && self.server.is_ok()
            && !self.dialler.is_handshaking()
            && !self.listener.is_handshaking()
    }
}

/// Everything that a connection has to send.
fn drain(mut write: impl FnMut(&mut dyn std::io::Write) -> std::io::Result<usize>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while write(&mut bytes).unwrap() > 0 {}
    bytes
}

/// Lets a connection read, and keeps its first error.
fn feed<D: SideData>(
    connection: &mut ConnectionCommon<D>,
    mut bytes: &[u8],
    outcome: &mut Result<(), Error>,
) {
    while !bytes.is_empty() {
        connection.read_tls(&mut bytes).unwrap();
        let processed = connection.process_new_packets();
        if outcome.is_ok() {
            *outcome = processed.map(|_| ());
        }
        if outcome.is_err() {
            return;
        }
    }
}

/// A folder that is removed at the end of the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("chitchat-tls-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The cryptography of the crate's features.
pub(crate) fn provider() -> rustls::crypto::CryptoProvider {
    #[cfg(feature = "ring")]
    return rustls::crypto::ring::default_provider();
    #[cfg(not(feature = "ring"))]
    return rustls::crypto::aws_lc_rs::default_provider();
}

/// Of a client that does not care who it talks to.
#[derive(Debug)]
pub(crate) struct AcceptAll;

impl ServerCertVerifier for AcceptAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
