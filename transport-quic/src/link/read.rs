//! Reading a message from a stream: its length in four bytes, the message, the end.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chitchat_transport_links::BULK_FROM;
use quinn::RecvStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::code::STREAM_REFUSED;
use crate::config::MESSAGE_LIMIT;

/// For a stream of nothing; each byte adds to it.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A link that is slower than this, in bytes per second, carries no long messages.
const LEAST_RATE: u64 = 16 << 10;
/// Memory is taken as bytes arrive, not as they are announced.
const CHUNK: usize = 64 << 10;

/// A stream did not bring a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoMessage {
    /// The peer gave it up, or the connection ended.
    Cut,
    /// It is not a message: too long, or not as long as it says.
    Malformed,
    /// It came too slowly.
    TooSlow,
}

/// `room` are the bytes of long messages that may be on their way in by one connection.
pub(super) async fn read_message(
    mut stream: RecvStream,
    room: Arc<Semaphore>,
) -> Result<Bytes, NoMessage> {
    let result = read(&mut stream, &room).await;
    if result.is_err() {
        // It may have ended already.
        let _ = stream.stop(STREAM_REFUSED);
    }
    result
}

async fn read(stream: &mut RecvStream, room: &Semaphore) -> Result<Bytes, NoMessage> {
    let mut prefix = [0; 4];
    let header = timeout(TIMEOUT, stream.read_exact(&mut prefix));
    header.await.map_err(|_| NoMessage::TooSlow)?.map_err(|_| NoMessage::Cut)?;
    let len = usize::try_from(u32::from_be_bytes(prefix)).unwrap_or(usize::MAX);
    if len > MESSAGE_LIMIT {
        return Err(NoMessage::Malformed);
    }
    let seconds = u64::from(u32::from_be_bytes(prefix)) / LEAST_RATE;
    let body = timeout(TIMEOUT + Duration::from_secs(seconds), read_body(stream, len, room));
    body.await.map_err(|_| NoMessage::TooSlow)?
}

async fn read_body(
    stream: &mut RecvStream,
    len: usize,
    room: &Semaphore,
) -> Result<Bytes, NoMessage> {
    // Short ones do not wait for long ones; the number of streams bounds them.
    let permits = if len > BULK_FROM { u32::try_from(len).unwrap_or(u32::MAX) } else { 0 };
    let _room = room.acquire_many(permits).await.map_err(|_| NoMessage::Cut)?;
    let mut message = BytesMut::with_capacity(len.min(CHUNK));
    while message.len() < len {
        let chunk = stream.read_chunk(len - message.len(), true).await;
        match chunk.map_err(|_| NoMessage::Cut)? {
            Some(chunk) => message.extend_from_slice(&chunk.bytes),
            None => return Err(NoMessage::Malformed),
        }
    }
    match stream.read_chunk(1, true).await {
        Ok(None) => Ok(message.freeze()),
        Ok(Some(_)) => Err(NoMessage::Malformed),
        Err(_) => Err(NoMessage::Cut),
    }
}
