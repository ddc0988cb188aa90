//! Sending what waits: short messages first, long ones frame by frame between them.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::Poll;

use bytes::{Buf, Bytes, BytesMut};
use chitchat_transport_links::CloseCode;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::frame::{FRAME_LIMIT, LongMessage, put_goodbye, put_message, put_ping, put_pong};
use crate::link::TcpLink;
use crate::shared::Shared;

/// Bytes that are handed to the operating system at once. With it, at most as many and a frame are
/// ahead of a short message that comes just now, besides what the operating system holds.
const BATCH: usize = FRAME_LIMIT;

/// The sending side of a connection.
#[derive(Debug)]
pub(super) struct Writer<W> {
    half: W,
    /// Frames on their way to the operating system.
    out: BytesMut,
    /// A long message that is being sent.
    long: Option<LongMessage>,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    pub(super) fn new(half: W) -> Self {
        Self { half, out: BytesMut::new(), long: None }
    }

    /// Sends what waits, as long as it goes. Dropping the future loses nothing.
    pub(super) async fn run(&mut self, link: &TcpLink, shared: &Shared) -> io::Error {
        loop {
            // Before anything leaves the queue, so that it never seems to be nowhere.
            link.writing.store(true, Ordering::Release);
            if self.out.is_empty() {
                self.fill(link, shared);
            }
            if self.out.is_empty() {
                // A connection at rest holds no buffer.
                self.out = BytesMut::new();
                link.writing.store(false, Ordering::Release);
                link.queue.filled.notified().await;
                continue;
            }
            if let Err(error) = self.hand_over(link).await {
                return error;
            }
        }
    }

    fn fill(&mut self, link: &TcpLink, shared: &Shared) {
        let counters = &shared.hub.news.counters;
        let count = |message_len| counters.sent(message_len);
        if link.pong_due.swap(false, Ordering::Relaxed) {
            put_pong(&mut self.out);
        }
        if link.takes_ping() {
            put_ping(&mut self.out);
        }
        let before = self.out.len();
        while self.out.len() < BATCH {
            let Some(message) = link.queue.pop_small() else { break };
            put_message(&mut self.out, &message);
            count(message.len());
        }
        if self.out.len() < BATCH {
            if self.long.is_none() {
                self.long = link.queue.pop_bulk().map(LongMessage::new);
            }
            if let Some(long) = &mut self.long
                && long.put_next(&mut self.out)
            {
                count(long.len());
                self.long = None;
            }
        }
        if self.out.len() > before {
            link.note_sent();
        }
    }

    async fn hand_over(&mut self, link: &TcpLink) -> io::Result<()> {
        while !self.out.is_empty() {
            let (half, out) = (&mut self.half, &self.out);
            let written = patiently(link, |cx| Pin::new(&mut *half).poll_write(cx, out)).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.out.advance(written);
        }
        let half = &mut self.half;
        // TLS holds back what did not fit.
        patiently(link, |cx| Pin::new(&mut *half).poll_flush(cx)).await
    }

    /// Sends the frames that have left the queue, and says goodbye behind them, if that is to be
    /// said. Nothing is sent after it.
    pub(super) async fn end(&mut self, goodbye: Option<(CloseCode, &str)>) -> io::Result<()> {
        if let Some((code, reason)) = goodbye {
            put_goodbye(&mut self.out, code, reason);
        }
        self.half.write_all(&self.out).await?;
        self.half.flush().await?;
        self.half.shutdown().await
    }

    /// A message that was not sent, or not all of it.
    pub(super) fn unsent(&mut self) -> Option<Bytes> {
        self.long.take().map(LongMessage::into_message)
    }
}

/// Waits for the operating system, and lets it be known.
async fn patiently<T>(
    link: &TcpLink,
    mut poll: impl FnMut(&mut std::task::Context<'_>) -> Poll<io::Result<T>>,
) -> io::Result<T> {
    let result = poll_fn(|cx| {
        let polled = poll(cx);
        if polled.is_pending() {
            link.note_stuck();
        }
        polled
    })
    .await;
    if result.is_ok() {
        link.note_unstuck();
    }
    result
}
