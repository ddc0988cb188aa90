//! The task of a connection: takes in what comes, and sends what waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use chitchat_transport::{InboundMessage, InboxShare};
use chitchat_transport_links::{BULK_FROM, Linked as _, SharedBucket};
use quinn::{ConnectionError, SendDatagramError};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::config::MESSAGE_LIMIT;
use crate::link::QuicLink;
use crate::link::read::{NoMessage, read_message};
use crate::link::write::send_message;
use crate::setup::MAX_STREAMS;
use crate::shared::Shared;

/// Bulk that may be unacknowledged. The send window is shared by all streams: without this bound
/// a small message waits for all bulk before it, whatever its priority.
const BULK_IN_FLIGHT: usize = 4 << 20;
/// Half of the peer's streams stay free for others.
const BULK_STREAMS: usize = MAX_STREAMS as usize / 2;
const BULK_PRIORITY: i32 = -1;

/// What has been sent, or will never be.
enum Sent {
    Datagram { len: usize, sent: bool },
    Stream { len: usize, acknowledged: bool },
}

struct Driver {
    link: Arc<QuicLink>,
    shared: Arc<Shared>,
    inbox: Option<InboxShare>,
    sending: JoinSet<Sent>,
    bulk_streams: usize,
    bulk_in_flight: usize,
    /// A datagram waits for room, and all others behind it.
    datagram_waits: bool,
    /// A message that waits for a stream.
    held: Option<Bytes>,
    reading: JoinSet<Result<Bytes, NoMessage>>,
    room: Arc<Semaphore>,
    bucket: SharedBucket,
    /// The peer has sent too many messages for now.
    paused_until: Option<Instant>,
    /// A message of the peer has come.
    heard: bool,
}

/// Runs until the connection ends. Returns why, and what could not be sent.
pub(crate) async fn drive(
    link: Arc<QuicLink>,
    shared: Arc<Shared>,
) -> (ConnectionError, Vec<Bytes>) {
    let bucket = shared.hub.buckets.of(&link.proof.identity.node_id);
    let mut driver = Driver {
        link,
        inbox: shared.hub.news.share_of_inbox(),
        shared,
        sending: JoinSet::new(),
        bulk_streams: 0,
        bulk_in_flight: 0,
        datagram_waits: false,
        held: None,
        reading: JoinSet::new(),
        room: Arc::new(Semaphore::new(MESSAGE_LIMIT)),
        bucket,
        paused_until: None,
        heard: false,
    };
    let error = driver.run().await;
    // Whoever was cut off by us is not listened to any more.
    if error != ConnectionError::LocallyClosed {
        driver.take_what_has_arrived().await;
    }
    let mut unsent = driver.link.queue.close();
    unsent.extend(driver.held.take());
    (error, unsent)
}

impl Driver {
    async fn run(&mut self) -> ConnectionError {
        let connection = self.link.connection.clone();
        loop {
            self.send_what_waits();
            let paused = self.paused_until;
            let takes_streams = paused.is_none() && self.reading.len() < MAX_STREAMS as usize;
            tokio::select! {
                error = connection.closed() => return error,
                datagram = connection.read_datagram(), if paused.is_none() => match datagram {
                    Ok(message) => {
                        self.spend();
                        self.deliver(message);
                    }
                    Err(error) => return error,
                },
                stream = connection.accept_uni(), if takes_streams => match stream {
                    Ok(stream) => {
                        self.spend();
                        self.reading.spawn(read_message(stream, Arc::clone(&self.room)));
                    }
                    Err(error) => return error,
                },
                Some(Ok(read)) = self.reading.join_next() => self.take(read),
                Some(sent) = self.sending.join_next() => {
                    if let Ok(sent) = sent {
                        self.note(&sent);
                    }
                }
                () = self.link.queue.filled.notified() => {}
                () = sleep_until(paused.unwrap_or_else(Instant::now)), if paused.is_some() => {
                    self.paused_until = None;
                }
            }
        }
    }

    /// One more message of the peer. When there are too many, nothing is taken in for a moment:
    /// quinn's own bounds then hold the peer up.
    fn spend(&mut self) {
        let now = Instant::now();
        if let Err(wait) = self.bucket.take(now) {
            self.paused_until = Some(now + wait.max(Duration::from_millis(1)));
        }
    }

    fn take(&mut self, read: Result<Bytes, NoMessage>) {
        match read {
            Ok(message) => self.deliver(message),
            Err(NoMessage::Malformed | NoMessage::TooSlow) => {
                self.shared.hub.news.counters.dropped_malformed.add(1);
            }
            // Cut by the peer: it gave up itself.
            Err(NoMessage::Cut) => {}
        }
    }

    /// A peer that sends and then closes has its last messages read. They are in quinn's buffers,
    /// so nothing here waits for the network.
    async fn take_what_has_arrived(&mut self) {
        let connection = self.link.connection.clone();
        while let Ok(message) = connection.read_datagram().await {
            self.deliver(message);
        }
        while let Ok(stream) = connection.accept_uni().await {
            self.reading.spawn(read_message(stream, Arc::clone(&self.room)));
        }
        while let Some(read) = self.reading.join_next().await {
            if let Ok(read) = read {
                self.take(read);
            }
        }
    }

    fn deliver(&mut self, message: Bytes) {
        self.link.note_received();
        if !std::mem::replace(&mut self.heard, true)
            && let Some(addr) = self.link.dialled()
        {
            self.shared.hub.connections().backoffs.succeeded(addr, self.link.node_id());
        }
        let message = InboundMessage::new(message, self.link.reply_path())
            .with_peer(Arc::clone(&self.link.proof.identity.node_id));
        if let Some(inbox) = &self.inbox {
            self.shared.hub.news.deliver_by(inbox, message);
        }
    }

    fn send_what_waits(&mut self) {
        // What has left the queue and is not with quinn yet is not flushed.
        self.link.in_flight.fetch_add(1, Ordering::Relaxed);
        while !self.datagram_waits {
            let Some(message) = self.held.take().or_else(|| self.link.queue.pop_small()) else {
                break;
            };
            if !self.send_small(message) {
                break;
            }
        }
        while self.bulk_streams < BULK_STREAMS && self.bulk_in_flight < BULK_IN_FLIGHT {
            let Some(message) = self.link.queue.pop_bulk() else { break };
            self.bulk_streams += 1;
            self.bulk_in_flight += message.len();
            self.send_on_stream(message, BULK_PRIORITY);
        }
        self.link.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// False if the message has to wait, and others with it.
    fn send_small(&mut self, message: Bytes) -> bool {
        let connection = &self.link.connection;
        if connection.max_datagram_size().is_none_or(|limit| message.len() > limit) {
            if self.sending.len() >= MAX_STREAMS as usize {
                self.held = Some(message);
                return false;
            }
            self.send_on_stream(message, 0);
            return true;
        }
        let len = message.len();
        self.link.note_sent();
        if connection.datagram_send_buffer_space() >= len {
            let sent = connection.send_datagram(message);
            self.note_datagram(len, sent.is_ok());
            return true;
        }
        // quinn would drop an older one to make room.
        let connection = connection.clone();
        self.datagram_waits = true;
        self.sending.spawn(async move {
            let sent: Result<(), SendDatagramError> = connection.send_datagram_wait(message).await;
            Sent::Datagram { len, sent: sent.is_ok() }
        });
        false
    }

    fn send_on_stream(&mut self, message: Bytes, priority: i32) {
        let len = message.len();
        self.link.note_sent();
        self.link.in_flight.fetch_add(1, Ordering::Relaxed);
        self.shared.hub.news.counters.sent(len);
        let connection = self.link.connection.clone();
        self.sending.spawn(async move {
            let acknowledged = send_message(connection, message, priority).await;
            Sent::Stream { len, acknowledged }
        });
    }

    fn note_datagram(&self, len: usize, sent: bool) {
        if sent {
            self.shared.hub.news.counters.sent(len);
        } else {
            self.shared.hub.news.counters.dropped_sending.add(1);
        }
    }

    fn note(&mut self, sent: &Sent) {
        match *sent {
            Sent::Datagram { len, sent } => {
                self.datagram_waits = false;
                self.note_datagram(len, sent);
            }
            Sent::Stream { len, acknowledged } => {
                self.link.in_flight.fetch_sub(1, Ordering::Relaxed);
                if len > BULK_FROM {
                    self.bulk_streams -= 1;
                    self.bulk_in_flight -= len;
                }
                if acknowledged {
                    self.link.confirm();
                } else {
                    self.shared.hub.news.counters.dropped_sending.add(1);
                }
            }
        }
    }
}
