//! How messages stand in a stream: after a greeting, each with its length in front.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// The longest message.
pub const MAX_MESSAGE: usize = 1 << 20;

/// What whoever dials says first, so that a stranger who speaks something else is noticed at once.
const GREETING: [u8; 8] = *b"outside1";
/// For a greeting, a message that has begun, and a peer that does not read.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why nothing more can be read.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// It ended between two messages, broke, or got stuck.
    Ended,
    /// The peer does not keep to the format.
    Malformed,
}

pub(crate) async fn greet(stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    stream.write_all(&GREETING).await
}

pub(crate) async fn take_greeting(stream: &mut (impl AsyncRead + Unpin)) -> Result<(), Unreadable> {
    let mut greeting = [0; GREETING.len()];
    match timeout(PATIENCE, stream.read_exact(&mut greeting)).await {
        Ok(Ok(_)) if greeting == GREETING => Ok(()),
        // A few bytes and then the end are no greeting either.
        Ok(_) => Err(Unreadable::Malformed),
        Err(_) => Err(Unreadable::Ended),
    }
}

/// The next message. Waits for its first byte as long as it takes. Not cancel-safe.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Bytes, Unreadable> {
    let mut head = [0; 4];
    stream.read_exact(&mut head[..1]).await.map_err(|_| Unreadable::Ended)?;
    let rest = async {
        stream.read_exact(&mut head[1..]).await.map_err(|_| Unreadable::Malformed)?;
        let len = usize::try_from(u32::from_be_bytes(head)).map_err(|_| Unreadable::Malformed)?;
        if len > MAX_MESSAGE {
            return Err(Unreadable::Malformed);
        }
        let mut message = BytesMut::zeroed(len);
        stream.read_exact(&mut message).await.map_err(|_| Unreadable::Malformed)?;
        Ok(message.freeze())
    };
    timeout(PATIENCE, rest).await.unwrap_or(Err(Unreadable::Ended))
}

/// Writes a message, which is not longer than [`MAX_MESSAGE`]. An error ends the stream: part of
/// it may be written.
pub(crate) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &[u8],
) -> io::Result<()> {
    let len = u32::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let writing = async {
        stream.write_all(&len.to_be_bytes()).await?;
        stream.write_all(message).await?;
        stream.flush().await
    };
    timeout(PATIENCE, writing).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_keep_their_boundaries_the_empty_one_too() {
        let (mut ours, mut theirs) = tokio::io::duplex(7);
        let writing = tokio::spawn(async move {
            greet(&mut ours).await.expect("greeting");
            for message in [&b"one"[..], b"", &[3; 1_000]] {
                write(&mut ours, message).await.expect("writing");
            }
        });
        take_greeting(&mut theirs).await.expect("a greeting");
        for expected in [&b"one"[..], b"", &[3; 1_000]] {
            assert_eq!(read(&mut theirs).await.expect("a message"), expected);
        }
        assert!(matches!(read(&mut theirs).await, Err(Unreadable::Ended)));
        writing.await.expect("the writer");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_cut_too_long_or_stuck_is_no_message() {
        for (bytes, is_malformed) in
            [(&b"\0\0\0\x05four"[..], true), (b"\0\x10\0\x01", true), (b"\0\0", true)]
        {
            let outcome = read(&mut &bytes[..]).await;
            assert_eq!(matches!(outcome, Err(Unreadable::Malformed)), is_malformed, "{bytes:?}");
        }
        let (mut ours, mut theirs) = tokio::io::duplex(64);
        ours.write_all(b"\0\0\0\x05four").await.expect("writing");
        // The writer keeps silent, and the stream open: it is given up all the same.
        assert!(matches!(read(&mut theirs).await, Err(Unreadable::Ended)));
    }
}
