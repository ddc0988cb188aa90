//! The beginning of a connection: TLS where it is wanted, and who is there.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use chitchat_transport::UnreachableReason;
use chitchat_transport::errno::{Class, classify};
use chitchat_transport_links::CloseCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::ending::rejection;
use crate::frame::{Decoder, FRAME_LIMIT, GOODBYE, HEADER, Received, put_goodbye};
use crate::link::Established;
use crate::preface::Preface;
use crate::security::{Security, alert};
use crate::stream::Stream;

/// What a peer has sent before it knows that it is refused is read for this long, so that no reset
/// takes away what it is told.
const LINGER: Duration = Duration::from_secs(1);

/// Why a connection did not come about.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Nothing came back, or the connection broke.
    Unreachable(UnreachableReason),
    /// The peer will not have us.
    Rejected(Arc<str>),
    /// We will not have the peer, which has not proved to be who it has to be.
    #[cfg(feature = "tls")]
    Refused(chitchat_tls::IdentityError),
    /// Another node is there than the one that was looked for. Nobody has proved anything.
    AnotherNode(Arc<str>),
    /// The peer went away before it said anything of interest: a race that it lost, a port scan.
    Gone,
    /// What is there does not speak as a node does.
    Malformed,
}

/// Something went wrong with the connection itself.
pub(crate) fn broken(error: &io::Error) -> Failed {
    if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) {
        return Failed::Gone;
    }
    Failed::Unreachable(match classify(error).class {
        Class::Peer(reason) => reason,
        Class::Route | Class::Family => UnreachableReason::NetworkUnreachable,
        _ => UnreachableReason::Other(error.to_string().into()),
    })
}

/// For whoever dialled `addr`. `expected` is the node that has to be there.
pub(crate) async fn greet(
    stream: TcpStream,
    security: &Security,
    own: &Preface,
    addr: SocketAddr,
    expected: Option<&Arc<str>>,
) -> Result<Established, Failed> {
    let mut secured = security.dial(stream, expected).await?;
    // A peer that refuses us may have closed already, and what it said is there to be read.
    let said = write(&mut secured.stream, &own.encode()).await;
    let mut came = BytesMut::new();
    let theirs = match hear(&mut secured.stream, &mut came, true).await {
        Ok(theirs) => theirs,
        Err(Failed::Gone) if let Err(error) = said => return Err(broken(&error)),
        Err(failed) => return Err(failed),
    };
    let named = secured.node_id().unwrap_or(&theirs.node_id);
    if *named != theirs.node_id {
        return Err(Failed::Malformed);
    }
    if let Some(expected) = expected
        && *expected != theirs.node_id
    {
        tell(&mut secured.stream, CloseCode::WrongNode, "").await;
        return Err(Failed::AnotherNode(theirs.node_id));
    }
    Ok(Established {
        stream: secured.stream,
        came,
        node_id: theirs.node_id,
        remote: addr,
        dialled: Some(addr),
        #[cfg(feature = "tls")]
        proof: secured.proof,
    })
}

/// For a newcomer.
pub(crate) async fn welcome(
    stream: TcpStream,
    security: &Security,
    own: &Preface,
    addr: SocketAddr,
) -> Result<Established, Failed> {
    let mut secured = security.accept(stream).await?;
    let mut came = BytesMut::new();
    let theirs = hear(&mut secured.stream, &mut came, false).await?;
    let named = secured.node_id().unwrap_or(&theirs.node_id);
    if *named != theirs.node_id {
        return Err(Failed::Malformed);
    }
    write(&mut secured.stream, &own.encode()).await.map_err(|error| broken(&error))?;
    let mut remote = addr;
    if theirs.listens_on != 0 {
        // Where it can be dialled, as far as it is known. It comes from some other port.
        remote.set_port(theirs.listens_on);
    }
    Ok(Established {
        stream: secured.stream,
        came,
        node_id: theirs.node_id,
        remote,
        dialled: None,
        #[cfg(feature = "tls")]
        proof: secured.proof,
    })
}

async fn write(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Reads the other end's preface, or why it will not have us; what follows is left in `came`.
async fn hear(
    stream: &mut Stream,
    came: &mut BytesMut,
    dialled_by_us: bool,
) -> Result<Preface, Failed> {
    read_some(stream, came).await?;
    if came.first() == Some(&GOODBYE) {
        return Err(hear_goodbye(stream, came, dialled_by_us).await);
    }
    loop {
        match Preface::decode(came) {
            Ok(Some(preface)) => return Ok(preface),
            Ok(None) => read_some(stream, came).await?,
            Err(_) => return Err(Failed::Malformed),
        }
    }
}

async fn hear_goodbye(stream: &mut Stream, came: &mut BytesMut, dialled_by_us: bool) -> Failed {
    let mut decoder = Decoder::default();
    loop {
        match decoder.next(came) {
            Ok(Some(Received::Goodbye { code, reason })) => {
                return rejection(code, &reason, dialled_by_us)
                    .map_or(Failed::Gone, Failed::Rejected);
            }
            Ok(Some(_)) | Err(_) => return Failed::Malformed,
            Ok(None) => {}
        }
        if let Err(failed) = read_some(stream, came).await {
            return failed;
        }
    }
}

async fn read_some(stream: &mut Stream, came: &mut BytesMut) -> Result<(), Failed> {
    came.reserve(FRAME_LIMIT + HEADER);
    match stream.read_buf(came).await {
        Ok(0) => Err(Failed::Gone),
        Ok(_) => Ok(()),
        Err(error) => Err(alert(&error).unwrap_or_else(|| broken(&error))),
    }
}

/// Tells the other end why it is refused, and waits until it has closed, or for a moment.
pub(crate) async fn tell(stream: &mut Stream, code: CloseCode, reason: &str) {
    let mut goodbye = BytesMut::new();
    put_goodbye(&mut goodbye, code, reason);
    let told = async {
        write(stream, &goodbye).await?;
        stream.shutdown().await?;
        drain(stream).await
    };
    // Whoever does not listen is not told.
    let _ = timeout(LINGER, told).await;
}

/// Reads until the other end closes. Closing before that would send a reset, which takes away
/// what is still on its way to the other end.
pub(crate) async fn drain(stream: &mut (impl AsyncReadExt + Unpin)) -> io::Result<()> {
    let mut sink = [0; 1_024];
    while stream.read(&mut sink).await? > 0 {}
    Ok(())
}

/// The same for a connection that TLS has given up.
#[cfg(feature = "tls")]
pub(crate) async fn linger(mut stream: TcpStream) {
    let closed = async {
        stream.shutdown().await?;
        drain(&mut stream).await
    };
    // Whoever does not listen is not told.
    let _ = timeout(LINGER, closed).await;
}
