//! One connection: made, used in both directions, and given up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chitchat_transport::errno::{Class, classify};
use chitchat_transport::{InboundMessage, InboxShare, ReplyPath, UnreachableReason};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::frame::{self, Unreadable};
use crate::queue::Waiting;
use crate::transport::Shared;

/// After a peer could not be reached: what is sent there meanwhile waits, and is then given up.
const BACKOFF: Duration = Duration::from_secs(1);
/// A connection without anything to send is closed by whoever dialled it.
const IDLE: Duration = Duration::from_secs(60);

/// Reaches a peer at one of its addresses, and serves the connection until it ends.
pub(crate) async fn dial(
    shared: Arc<Shared>,
    id: u64,
    node_id: Option<Arc<str>>,
    addrs: Vec<(SocketAddr, SocketAddr)>,
    mut waiting: Waiting,
) {
    let mut reached = None;
    for (from, to) in addrs {
        match shared.switchboard.dial(from, to) {
            Ok(stream) => {
                reached = Some((to, stream));
                break;
            }
            Err(error) => {
                let reason = match classify(&error).class {
                    Class::Peer(reason) => reason,
                    _ => UnreachableReason::Other(error.to_string().into()),
                };
                shared.news.unreachable(to, node_id.clone(), reason);
            }
        }
    }
    match reached {
        Some((to, mut stream)) => {
            if frame::greet(&mut stream).await.is_ok() {
                serve(&shared, ReplyPath::new(to, id), stream, &mut waiting, Some(IDLE)).await;
            }
        }
        None => sleep(BACKOFF).await,
    }
    end(&shared, id, waiting);
}

/// Serves a connection that a peer has dialled.
pub(crate) async fn accepted(
    shared: Arc<Shared>,
    id: u64,
    from: SocketAddr,
    mut stream: impl AsyncRead + AsyncWrite + Send + Unpin,
    mut waiting: Waiting,
) {
    match frame::take_greeting(&mut stream).await {
        Ok(()) => serve(&shared, ReplyPath::new(from, id), stream, &mut waiting, None).await,
        Err(Unreadable::Malformed) => shared.news.counters.dropped_malformed.add(1),
        Err(Unreadable::Ended) => {}
    }
    end(&shared, id, waiting);
}

/// First nobody finds the queue any more, and then nothing more comes into it.
fn end(shared: &Shared, id: u64, waiting: Waiting) {
    shared.forget(id);
    shared.news.counters.dropped_sending.add(waiting.give_up());
}

async fn serve(
    shared: &Shared,
    path: ReplyPath,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin,
    waiting: &mut Waiting,
    idle: Option<Duration>,
) {
    let Some(share) = shared.news.share_of_inbox() else { return };
    shared.news.counters.connections_opened.add(1);
    let (mut reader, mut writer) = tokio::io::split(stream);
    // Each of the two runs until the connection is over, so that nothing is cancelled half-way
    // which has to go on.
    tokio::select! {
        () = read(shared, path, &mut reader, &share) => {}
        () = write(shared, &mut writer, waiting, idle) => {}
    }
}

async fn read(
    shared: &Shared,
    path: ReplyPath,
    reader: &mut (impl AsyncRead + Unpin),
    share: &InboxShare,
) {
    loop {
        match frame::read(reader).await {
            Ok(message) => shared.news.deliver_by(share, InboundMessage::new(message, path)),
            Err(Unreadable::Malformed) => return shared.news.counters.dropped_malformed.add(1),
            Err(Unreadable::Ended) => return,
        }
    }
}

/// Ends when the transport is closed and all that waits is written, or when the peer does not take
/// it.
async fn write(
    shared: &Shared,
    writer: &mut (impl AsyncWrite + Unpin),
    waiting: &mut Waiting,
    idle: Option<Duration>,
) {
    loop {
        let next = match idle {
            Some(idle) => timeout(idle, waiting.next()).await.unwrap_or(None),
            None => waiting.next().await,
        };
        let Some(message) = next else { break };
        if let Err(error) = frame::write(writer, &message).await {
            shared.news.failure(classify(&error).name);
            return shared.news.counters.dropped_sending.add(1);
        }
        shared.news.counters.sent(message.len());
    }
    // Whether or not the peer notices: it is over.
    let _ = writer.shutdown().await;
}
