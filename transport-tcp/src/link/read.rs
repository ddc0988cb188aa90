//! Taking in what comes.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chitchat_transport::errno::classify;
use chitchat_transport::{InboundMessage, InboxShare};
use chitchat_transport_links::{Link as _, Linked as _, SharedBucket};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, sleep, timeout_at};

use crate::ending::{End, rejection};
use crate::frame::{Decoder, FRAME_LIMIT, HEADER, Received};
use crate::greeting::drain;
use crate::link::TcpLink;
use crate::shared::Shared;

/// For a frame of nothing, and for a long message of nothing; each byte of that adds to it.
const PATIENCE: Duration = Duration::from_secs(10);
/// A peer that sends long messages more slowly than this, in bytes per second, is given up.
const LEAST_RATE: u64 = 16 << 10;

/// The receiving side of a connection.
#[derive(Debug)]
pub(super) struct Reader<R> {
    half: R,
    came: BytesMut,
    decoder: Decoder,
    inbox: Option<InboxShare>,
    bucket: SharedBucket,
    /// When the frame that has begun has to be there.
    frame_due: Option<Instant>,
    /// When the long message that has begun has to be there.
    long_due: Option<Instant>,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(super) fn new(half: R, came: BytesMut, link: &TcpLink, shared: &Shared) -> Self {
        Self {
            half,
            came,
            decoder: Decoder::default(),
            inbox: shared.hub.news.share_of_inbox(),
            bucket: shared.hub.buckets.of(link.node_id()),
            frame_due: None,
            long_due: None,
        }
    }

    /// Takes in what comes, until the connection ends. Dropping the future loses nothing.
    pub(super) async fn run(&mut self, link: &TcpLink, shared: &Shared) -> End {
        loop {
            if let Err(end) = self.take_frames(link, shared).await {
                return end;
            }
            match self.read().await {
                Err(end) => return end,
                Ok(Err(error)) => return link.broken_off(lost(&error)),
                Ok(Ok(0)) => return link.broken_off("closed without a word"),
                Ok(Ok(_)) => link.note_heard(),
            }
        }
    }

    /// Reads what still comes, and takes none of it in. Behind a goodbye, TLS says that it closes:
    /// with that unread, closing would send a reset, which takes away what we have sent.
    pub(super) async fn drain(&mut self) {
        // It ends with the connection, one way or the other.
        let _ = drain(&mut self.half).await;
    }

    async fn read(&mut self) -> Result<io::Result<usize>, End> {
        let reading = read_some(&mut self.half, &mut self.came);
        match [self.frame_due, self.long_due].into_iter().flatten().min() {
            None => Ok(reading.await),
            Some(due) => timeout_at(due, reading).await.map_err(|_| End::TooSlow),
        }
    }

    async fn take_frames(&mut self, link: &TcpLink, shared: &Shared) -> Result<(), End> {
        while let Some(received) = self.decoder.next(&mut self.came).map_err(End::Malformed)? {
            self.frame_due = None;
            match received {
                Received::Message(message) => {
                    if self.decoder.awaits().is_none() {
                        self.long_due = None;
                    }
                    self.deliver(message, link, shared);
                }
                Received::Part { first: true } => {
                    let seconds = self.decoder.awaits().unwrap_or_default() as u64 / LEAST_RATE;
                    self.long_due = Some(Instant::now() + PATIENCE + Duration::from_secs(seconds));
                    // It is paid for when it is whole.
                    continue;
                }
                Received::Part { first: false } => continue,
                Received::Goodbye { code, reason } => {
                    let by_us = link.dialled().is_some();
                    let rejected = rejection(code, &reason, by_us);
                    return Err(rejected.map_or(End::Theirs, End::Rejected));
                }
                Received::Ping => {
                    link.pong_due.store(true, Ordering::Relaxed);
                    link.queue().filled.notify_one();
                }
                Received::Pong => {}
            }
            self.spend().await;
        }
        if self.came.is_empty() {
            // A connection at rest holds no buffer.
            self.came = BytesMut::new();
        } else {
            self.frame_due.get_or_insert_with(|| Instant::now() + PATIENCE);
        }
        Ok(())
    }

    /// One more message of the peer. When there are too many, nothing is taken in for a moment:
    /// TCP holds the peer up.
    async fn spend(&mut self) {
        while let Err(wait) = self.bucket.take(Instant::now()) {
            let wait = wait.max(Duration::from_millis(1));
            sleep(wait).await;
            for due in [&mut self.frame_due, &mut self.long_due].into_iter().flatten() {
                *due += wait;
            }
        }
    }

    fn deliver(&self, message: Bytes, link: &TcpLink, shared: &Shared) {
        link.note_message();
        let message = InboundMessage::new(message, link.reply_path());
        let message = match link.verified_node_id() {
            Some(node_id) => message.with_peer(node_id.clone()),
            None => message,
        };
        if let Some(inbox) = &self.inbox {
            shared.hub.news.deliver_by(inbox, message);
        }
    }
}

/// Reads what is there into a buffer that is on the stack, and not kept while waiting.
async fn read_some(half: &mut (impl AsyncRead + Unpin), came: &mut BytesMut) -> io::Result<usize> {
    poll_fn(|cx| {
        let mut buffer = [const { MaybeUninit::uninit() }; FRAME_LIMIT + HEADER];
        let mut buffer = ReadBuf::uninit(&mut buffer);
        ready!(Pin::new(&mut *half).poll_read(cx, &mut buffer))?;
        came.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    })
    .await
}

fn lost(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionReset => "reset by the peer",
        io::ErrorKind::UnexpectedEof => "closed without a word",
        io::ErrorKind::InvalidData => "TLS error",
        _ => classify(error).name,
    }
}
