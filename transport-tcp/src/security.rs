//! Connections over TLS, or without it.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

#[cfg(feature = "tls")]
use chitchat_tls::{IdentityError, NodeTls, PeerRole};
#[cfg(feature = "tls")]
use chitchat_transport_links::{CloseCode, Proof, RefusalSlot};
use tokio::net::TcpStream;
#[cfg(feature = "tls")]
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::greeting::Failed;
#[cfg(feature = "tls")]
use crate::greeting::{broken, linger, tell};
use crate::stream::Stream;

/// The application protocol: one that speaks another one, or another version, is not let in.
#[cfg(feature = "tls")]
const ALPN: &[u8] = b"chitchat/1";

/// How connections are secured.
#[derive(Debug)]
pub(crate) enum Security {
    /// Not at all.
    None,
    /// Both ends prove who they are.
    #[cfg(feature = "tls")]
    Tls(NodeTls),
}

/// A connection after its handshake.
pub(crate) struct Secured {
    pub(crate) stream: Stream,
    #[cfg(feature = "tls")]
    pub(crate) proof: Option<Proof>,
}

impl Secured {
    fn plain(stream: TcpStream) -> Self {
        Self {
            stream: Stream::Plain(stream),
            #[cfg(feature = "tls")]
            proof: None,
        }
    }

    /// The node that has proved to be at the other end; `None` where anybody may claim anything.
    pub(crate) fn node_id(&self) -> Option<&Arc<str>> {
        #[cfg(feature = "tls")]
        if let Some(proof) = &self.proof {
            return Some(&proof.identity.node_id);
        }
        None
    }
}

impl Security {
    /// Our credentials, if there are any.
    #[cfg(feature = "tls")]
    pub(crate) fn tls(&self) -> Option<&NodeTls> {
        match self {
            Self::None => None,
            Self::Tls(tls) => Some(tls),
        }
    }

    /// When our certificate expires, if there is one.
    pub(crate) fn expires_at(&self) -> Option<SystemTime> {
        #[cfg(feature = "tls")]
        return self.tls().map(|tls| tls.current().not_after());
        #[cfg(not(feature = "tls"))]
        None
    }

    /// The handshake of whoever dialled; `expected` has to be at the other end.
    pub(crate) async fn dial(
        &self,
        stream: TcpStream,
        expected: Option<&Arc<str>>,
    ) -> Result<Secured, Failed> {
        match self {
            Self::None => {
                // Whoever is there claims to be somebody later on.
                let _ = expected;
                Ok(Secured::plain(stream))
            }
            #[cfg(feature = "tls")]
            Self::Tls(tls) => {
                let credentials = tls.current();
                let leaf_epoch = credentials.leaf_epoch();
                let refusal = RefusalSlot::default();
                let config = {
                    let refusal = refusal.clone();
                    credentials.client_config_reporting(ALPN, move |error| refusal.put(error))
                };
                let connector = TlsConnector::from(Arc::new(config));
                let connecting = connector.connect(credentials.server_name(), stream);
                match connecting.into_fallible().await {
                    Ok(stream) => {
                        let role = PeerRole::Listener;
                        let expected = expected.map(|node_id| &**node_id);
                        check(tls, stream.into(), role, expected, leaf_epoch).await
                    }
                    Err((error, stream)) => Err(failed(&error, stream, &refusal).await),
                }
            }
        }
    }

    /// The handshake with a newcomer.
    pub(crate) async fn accept(&self, stream: TcpStream) -> Result<Secured, Failed> {
        match self {
            Self::None => Ok(Secured::plain(stream)),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => {
                let credentials = tls.current();
                let leaf_epoch = credentials.leaf_epoch();
                let refusal = RefusalSlot::default();
                let config = {
                    let refusal = refusal.clone();
                    credentials.server_config_reporting(ALPN, move |error| refusal.put(error))
                };
                let accepting = TlsAcceptor::from(Arc::new(config)).accept(stream);
                match accepting.into_fallible().await {
                    Ok(stream) => {
                        check(tls, stream.into(), PeerRole::Dialler, None, leaf_epoch).await
                    }
                    Err((error, stream)) => Err(failed(&error, stream, &refusal).await),
                }
            }
        }
    }
}

/// Lets the other end in if its certificate names a node of this cluster; else tells it why not.
#[cfg(feature = "tls")]
async fn check(
    tls: &NodeTls,
    stream: TlsStream<TcpStream>,
    role: PeerRole,
    expected: Option<&str>,
    leaf_epoch: u64,
) -> Result<Secured, Failed> {
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
    let mut stream = Stream::Tls(Box::new(stream));
    // The credentials may have been replaced since the handshake began.
    match Proof::of(&tls.current(), chain, role, expected, leaf_epoch) {
        Ok(proof) => Ok(Secured { stream, proof: Some(proof) }),
        Err(error) => {
            tell(&mut stream, CloseCode::of(&error), &error.to_string()).await;
            Err(Failed::Refused(error))
        }
    }
}

/// A handshake has failed. TLS has told the other end, if it was to be told.
#[cfg(feature = "tls")]
async fn failed(error: &io::Error, stream: TcpStream, refusal: &RefusalSlot) -> Failed {
    linger(stream).await;
    if let Some(error) = refusal.take() {
        return Failed::Refused(error);
    }
    alert(error).unwrap_or_else(|| match tls_error(error) {
        // No verifier gets to see that.
        Some(rustls::Error::NoCertificatesPresented) => {
            Failed::Refused(IdentityError::NoCertificate)
        }
        Some(_) => Failed::Malformed,
        None => broken(error),
    })
}

#[cfg(feature = "tls")]
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// What the other end thinks of our certificate, if it says so by TLS (RFC 8446, section 6).
#[cfg(feature = "tls")]
pub(crate) fn alert(error: &io::Error) -> Option<Failed> {
    match tls_error(error)? {
        rustls::Error::AlertReceived(alert) => {
            Some(Failed::Rejected(format!("TLS alert {}: {alert:?}", u8::from(*alert)).into()))
        }
        _ => None,
    }
}

/// Without TLS nobody says anything.
#[cfg(not(feature = "tls"))]
pub(crate) fn alert(_error: &io::Error) -> Option<Failed> {
    None
}
