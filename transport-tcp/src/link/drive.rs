//! The task of a connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chitchat_transport::errno::classify;
use chitchat_transport_links::{CloseCode, Link as _};
use tokio::io::split;
use tokio::time::timeout;

use crate::ending::End;
use crate::link::TcpLink;
use crate::link::read::Reader;
use crate::link::write::Writer;
use crate::shared::Shared;
use crate::stream::Stream;

/// For the peer to close after we have. What it had sent before is taken in meanwhile.
const CLOSES_WITHIN: Duration = Duration::from_secs(1);

/// Runs until the connection ends. Returns why, and what could not be sent.
pub(crate) async fn drive(
    link: Arc<TcpLink>,
    stream: Stream,
    came: BytesMut,
    shared: Arc<Shared>,
) -> (End, Vec<Bytes>) {
    let (read_half, write_half) = split(stream);
    let mut reader = Reader::new(read_half, came, &link, &shared);
    let mut writer = Writer::new(write_half);
    let end = tokio::select! {
        end = reader.run(&link, &shared) => Some(end),
        error = writer.run(&link, &shared) => {
            // The peer may have said goodbye before it closed.
            let heard = timeout(CLOSES_WITHIN, reader.run(&link, &shared)).await;
            Some(heard.unwrap_or(End::Lost(classify(&error).name)))
        }
        () = link.close_now.notified() => None,
    };
    let mut unsent = link.queue().close();
    unsent.extend(writer.unsent());
    let Some(end) = end else {
        say_goodbye(&mut reader, &mut writer, &link, &shared).await;
        return (End::Ours, unsent);
    };
    if !matches!(end, End::Lost(_)) {
        let closed = async {
            // So that the peer has what was begun, knows that nothing more comes, and closes its
            // own end in order.
            let _ = writer.end(None).await;
            if matches!(end, End::Theirs | End::Rejected(_)) {
                reader.drain().await;
            }
        };
        let _ = timeout(CLOSES_WITHIN, closed).await;
    }
    (end, unsent)
}

async fn say_goodbye<R, W>(
    reader: &mut Reader<R>,
    writer: &mut Writer<W>,
    link: &TcpLink,
    shared: &Shared,
) where
    R: tokio::io::AsyncRead + Unpin,
    W: tokio::io::AsyncWrite + Unpin,
{
    let Some((code, reason)) = link.closing() else { return };
    let told = async {
        // A peer that cannot be told finds out by itself.
        let _ = writer.end(Some((code, &reason))).await;
        if code == CloseCode::Unanswered {
            return;
        }
        if code.is_rejection() {
            // Whoever was cut off is not listened to. But closing with its bytes unread would send
            // a reset, which takes away what it is told.
            reader.drain().await;
        } else {
            // What was under way arrives, until the peer closes as well.
            reader.run(link, shared).await;
            reader.drain().await;
        }
    };
    let _ = timeout(CLOSES_WITHIN, told).await;
}
