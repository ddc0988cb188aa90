//! A transport over Unix datagram sockets, for nodes on one host.
//!
//! A node knows addresses like `127.0.0.1:7280`, and a Unix socket is a file. So the network is a
//! directory, and an address is the file of that name in it: port 0 takes the first name that is
//! free, and the IP says no more than which host a node plays. Whoever may write there can pretend
//! to be any node: let the directory belong to one user (mode 0700).

use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io, time::Duration};

use bytes::Bytes;
use chitchat_transport::errno::classify;
use chitchat_transport::{
    Destination, InboundMessage, Inbox, InboxLimits, News, OpenError, OpenOptions, ReplyPath,
    SendError, Transport, TransportSender, TransportStats, inbox,
};
use tokio::{sync::Mutex, task::JoinSet};

/// The longest datagram: what Linux and macOS carry with their default settings.
const MAX_FRAME: usize = if cfg!(target_os = "linux") { 65_536 } else { 2_048 };
/// What stands in front of a message: the sender's address and a line feed, at most.
const MAX_HEADER: usize = 64;

/// All that there is to configure is the directory.
pub(crate) struct UnixTransport(pub(crate) PathBuf);

/// The sending half. The receiving half is the inbox as it is.
pub(crate) struct UnixSender {
    dir: PathBuf,
    locals: Vec<SocketAddr>,
    header: String,
    news: Arc<News>,
    tasks: Mutex<JoinSet<()>>, // one for each socket; they end with it
}

/// A bound socket, its address, and its file, which goes when this does.
struct Bound(tokio::net::UnixDatagram, SocketAddr, PathBuf);

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.2);
    }
}

fn bind(dir: &Path, addr: SocketAddr) -> io::Result<Bound> {
    for port in if addr.port() == 0 { 1..=u16::MAX } else { addr.port()..=addr.port() } {
        let addr = SocketAddr::new(addr.ip(), port);
        let path = dir.join(addr.to_string());
        // A process that was killed leaves its file: it is there, and nobody listens.
        let probe = UnixDatagram::unbound()?.connect(&path);
        if probe.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            let _ = fs::remove_file(&path);
        }
        match tokio::net::UnixDatagram::bind(&path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            bound => return Ok(Bound(bound?, addr, path)),
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

impl Transport for UnixTransport {
    type Sender = UnixSender;
    type Receiver = Inbox;

    async fn open(self, options: OpenOptions) -> Result<(UnixSender, Inbox), OpenError> {
        // All of them or none: if one fails, those that are bound are dropped.
        let mut bound = Vec::new();
        for addr in options.listen {
            bound.push(bind(&self.0, addr).map_err(|source| OpenError::Bind { addr, source })?);
        }
        let locals: Vec<_> = bound.iter().map(|bound| bound.1).collect();
        // Any of them is reached from anywhere: a directory knows no families and no routes.
        let header = format!("{}\n", locals.first().ok_or(OpenError::NoListenAddress)?);
        let (sender, receiver) = inbox(InboxLimits::default());
        let (news, mut tasks) = (Arc::new(News::new(sender)), JoinSet::new());
        for bound in bound {
            tasks.spawn(receive(bound, Arc::clone(&news)));
        }
        Ok((UnixSender { dir: self.0, locals, header, news, tasks: tasks.into() }, receiver))
    }
}

/// Runs until it is aborted: no error ends it.
async fn receive(bound: Bound, news: Arc<News>) {
    let mut buffer = vec![0; MAX_FRAME + 1]; // one more, so that a longer datagram shows
    loop {
        match bound.0.recv(&mut buffer).await.map(|len| parse(&buffer[..len])) {
            Ok(Some(message)) => news.deliver(message),
            Ok(None) => news.counters.dropped_malformed.add(1),
            Err(error) => {
                news.failure(classify(&error).name);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn parse(frame: &[u8]) -> Option<InboundMessage> {
    let end = frame.iter().position(|byte| *byte == b'\n').filter(|_| frame.len() <= MAX_FRAME)?;
    let from = str::from_utf8(&frame[..end]).ok()?.parse().ok()?;
    // No `with_peer`: the sender says where it listens, and proves nothing.
    Some(InboundMessage::new(Bytes::copy_from_slice(&frame[end + 1..]), ReplyPath::new(from, 0)))
}

/// Puts it into the peer's own queue, in the kernel, or says that it is full. By a fresh socket:
/// what a peer does not read counts against the socket that it was sent from, and one that serves
/// all peers would soon have no room for the others.
fn send_frame(path: &Path, frame: &[u8]) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to(frame, path).map(drop)
}

impl TransportSender for UnixSender {
    fn send(&self, to: &Destination, message: Bytes) -> Result<(), SendError> {
        self.news.may_send(message.len(), self.max_message_len())?;
        let frame = [self.header.as_bytes(), &message].concat();
        let send = |addr: SocketAddr| send_frame(&self.dir.join(addr.to_string()), &frame);
        self.news.send_to_any(to, message.len(), send)
    }

    fn preferred_message_len(&self) -> usize {
        self.max_message_len().min(8_192)
    }

    fn max_message_len(&self) -> usize {
        MAX_FRAME - MAX_HEADER
    }

    fn local_addrs(&self) -> Vec<SocketAddr> {
        self.locals.clone()
    }

    fn stats(&self) -> TransportStats {
        self.news.stats()
    }

    /// Nothing waits to be sent. When the tasks have ended, their files are gone.
    async fn close(&self) {
        self.news.close();
        self.tasks.lock().await.shutdown().await;
    }
}
