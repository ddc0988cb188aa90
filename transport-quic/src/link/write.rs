//! Sending a message over a stream of its own.

use bytes::Bytes;
use quinn::{Connection, SendStream};

use crate::code::STREAM_CUT;

/// A stream that was dropped half written would look complete to the peer.
struct CutOnDrop {
    stream: SendStream,
    complete: bool,
}

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        if !self.complete {
            // It may have ended already.
            let _ = self.stream.reset(STREAM_CUT);
        }
    }
}

/// Sends a message, and waits until all of it is acknowledged. False if it was not: the connection
/// has ended, or the peer does not want it.
pub(super) async fn send_message(connection: Connection, message: Bytes, priority: i32) -> bool {
    let Ok(len) = u32::try_from(message.len()) else { return false };
    let Ok(stream) = connection.open_uni().await else { return false };
    let mut stream = CutOnDrop { stream, complete: false };
    let mut chunks = [Bytes::copy_from_slice(&len.to_be_bytes()), message];
    if stream.stream.set_priority(priority).is_err()
        || stream.stream.write_all_chunks(&mut chunks).await.is_err()
        || stream.stream.finish().is_err()
    {
        return false;
    }
    stream.complete = true;
    matches!(stream.stream.stopped().await, Ok(None))
}
