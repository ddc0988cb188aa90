//! Strangers: peers that verify nobody, show whatever certificate they are given, and do with a
//! connection what no transport of ours would do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chitchat::tls::TlsConfig;
use chitchat::transport::Transport;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};

/// A certificate chain with its key.
#[derive(Debug)]
pub struct Papers {
    /// What its holder calls itself where the transport asks for that besides.
    pub name: String,
    /// The leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Of the leaf.
    pub key: PrivateKeyDer<'static>,
}

impl Clone for Papers {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

/// A secure transport, as its users and as its enemies see it. The same tests then serve for all.
pub trait Wire: Send + Sync + 'static {
    /// The transport.
    type Transport: Transport;
    /// A stranger's end of a connection.
    type Session: Session;

    /// What `quickstart` and the like call it.
    const NAME: &'static str;

    /// The transport of a node with this identity.
    fn transport(&self, identity: TlsConfig) -> Self::Transport;

    /// Connects with these papers, or with none. The handshake may seem to succeed at this end
    /// although the other one refuses.
    fn dial(
        &self,
        to: SocketAddr,
        papers: Option<Papers>,
    ) -> impl Future<Output = Result<Self::Session, String>> + Send;

    /// Listens with these papers and gives all who come the same treatment.
    fn listen(
        &self,
        papers: Papers,
    ) -> impl Future<Output = Result<RogueListener<Self::Session>, String>> + Send;

    /// Sends bytes to the port that are none of the transport's.
    fn garbage(&self, to: SocketAddr, bytes: &[u8]) -> impl Future<Output = ()> + Send;
}

/// A stranger that listens.
#[derive(Debug)]
pub struct RogueListener<S> {
    /// Where.
    pub addr: SocketAddr,
    /// Those who came.
    pub sessions: tokio::sync::mpsc::Receiver<S>,
}

/// A stranger's end of a connection. Cheap to clone.
pub trait Session: Clone + Send + Sync + 'static {
    /// Sends a message in the transport's own framing.
    fn send(&self, message: Bytes) -> impl Future<Output = Result<(), String>> + Send;

    /// The next message of the other end; `None` when the connection is closed.
    fn recv(&self) -> impl Future<Output = Option<Vec<u8>>> + Send;

    /// Opens as many messages as it can, and finishes none, for a time.
    fn flood(&self, during: Duration) -> impl Future<Output = ()> + Send;

    /// Announces a message that is longer than any may be, and sends bytes of it, for a time.
    fn endless(&self, during: Duration) -> impl Future<Output = ()> + Send;

    /// Waits until the other end closes; its words.
    fn closed(&self) -> impl Future<Output = String> + Send;
}

/// Accepts every certificate; checks that its holder has the key, as nobody can do without.
#[derive(Debug)]
pub struct VerifiesNobody(pub Arc<CryptoProvider>);

impl ServerCertVerifier for VerifiesNobody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 only".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for VerifiesNobody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        ServerCertVerifier::verify_tls12_signature(self, message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        ServerCertVerifier::verify_tls13_signature(self, message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ServerCertVerifier::supported_verify_schemes(self)
    }
}

/// What a stranger dials with.
pub(super) fn client_config(
    papers: Option<Papers>,
    alpn: &[u8],
) -> Result<rustls::ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(VerifiesNobody(provider)));
    let mut config = match papers {
        None => builder.with_no_client_auth(),
        Some(papers) => builder
            .with_client_auth_cert(papers.chain, papers.key)
            .map_err(|error| error.to_string())?,
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(config)
}

/// What a stranger listens with.
pub(super) fn server_config(papers: Papers, alpn: &[u8]) -> Result<rustls::ServerConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(Arc::new(VerifiesNobody(provider)))
        .with_single_cert(papers.chain, papers.key)
        .map_err(|error| error.to_string())?;
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(config)
}
