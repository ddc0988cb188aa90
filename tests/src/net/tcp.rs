//! TCP with mutual TLS, as its enemies see it. They have their own idea of the framing, so that a
//! mistake on both sides of the transport would show here.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use chitchat::tcp::TlsTcpTransport;
use chitchat::tls::TlsConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, WriteHalf, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::rogue::{Papers, RogueListener, Session, Wire, client_config, server_config};

const ALPN: &[u8] = b"chitchat/1";
const MAGIC: &[u8] = b"\xc8\x17TCP\x01";
const FRAME: usize = 16 << 10;
const MESSAGE: u8 = 0;
const BEGIN: u8 = 1;
const CONTINUE: u8 = 2;
const GOODBYE: u8 = 3;
const PING: u8 = 4;
const PONG: u8 = 5;

/// TCP with mutual TLS.
#[derive(Clone, Copy, Debug, Default)]
pub struct TlsTcp;

type Writing = Arc<Mutex<WriteHalf<TlsStream<TcpStream>>>>;

/// A stranger's connection.
#[derive(Clone, Debug)]
pub struct TcpSession {
    writing: Writing,
    messages: Arc<Mutex<mpsc::UnboundedReceiver<Vec<u8>>>>,
    /// What the other end said last, once it has closed.
    closed: watch::Receiver<Option<String>>,
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

fn preface(name: &str) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    // Nobody listens.
    bytes.put_u16(0);
    bytes.put_u8(u8::try_from(name.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(name.as_bytes());
    bytes
}

fn frame(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.put_u16(u16::try_from(content.len()).unwrap_or(u16::MAX));
    bytes.extend_from_slice(content);
    bytes
}

impl TcpSession {
    async fn new(stream: TlsStream<TcpStream>, name: &str) -> Self {
        let (reading, mut writing) = split(stream);
        // If the other end is gone already, reading tells.
        let _ = writing.write_all(&preface(name)).await;
        let _ = writing.flush().await;
        let writing = Arc::new(Mutex::new(writing));
        let (message, messages) = mpsc::unbounded_channel();
        let (closing, closed) = watch::channel(None);
        let answering = Arc::clone(&writing);
        tokio::spawn(async move {
            let words = listen_to(reading, answering, message).await;
            closing.send_replace(Some(words));
        });
        Self { writing, messages: Arc::new(Mutex::new(messages)), closed }
    }

    async fn write(&self, bytes: &[u8]) -> Result<(), String> {
        let mut writing = self.writing.lock().await;
        writing.write_all(bytes).await.map_err(text)?;
        writing.flush().await.map_err(text)
    }
}

/// Hands over all messages, and returns the other end's last words.
async fn listen_to(
    mut reading: impl AsyncRead + Unpin,
    answering: Writing,
    message: mpsc::UnboundedSender<Vec<u8>>,
) -> String {
    let mut heard = BytesMut::new();
    let mut greeted = false;
    let mut long = (Vec::new(), 0);
    loop {
        while let Some(bytes) = next(&mut heard, &mut greeted) {
            let (kind, content) = bytes.split_at(3);
            match kind[0] {
                MESSAGE => drop(message.send(content.to_vec())),
                BEGIN => {
                    let (len, part) = content.split_at(4);
                    let len = u32::from_be_bytes(len.try_into().unwrap_or_default());
                    long = (part.to_vec(), len as usize);
                }
                CONTINUE => {
                    long.0.extend_from_slice(content);
                    if long.0.len() == long.1 {
                        drop(message.send(std::mem::take(&mut long.0)));
                    }
                }
                GOODBYE => {
                    let words = String::from_utf8_lossy(&content[1..]);
                    return format!("goodbye {}: {words}", content[0]);
                }
                PING => {
                    let mut writing = answering.lock().await;
                    let _ = writing.write_all(&frame(PONG, &[])).await;
                    let _ = writing.flush().await;
                }
                _ => {}
            }
        }
        match reading.read_buf(&mut heard).await {
            Ok(0) => return "closed without a word".to_owned(),
            Ok(_) => {}
            Err(error) => return error.to_string(),
        }
    }
}

/// The next frame, with its header; the preface is passed over.
fn next(heard: &mut BytesMut, greeted: &mut bool) -> Option<BytesMut> {
    if !*greeted && heard.starts_with(MAGIC) {
        let end = 9 + usize::from(*heard.get(8)?);
        heard.get(..end)?;
        let _ = heard.split_to(end);
        *greeted = true;
    }
    let end = 3 + usize::from(u16::from_be_bytes([*heard.get(1)?, *heard.get(2)?]));
    heard.get(..end)?;
    Some(heard.split_to(end))
}

impl Wire for TlsTcp {
    type Transport = TlsTcpTransport;
    type Session = TcpSession;

    const NAME: &'static str = "tcp-tls";

    fn transport(&self, identity: TlsConfig) -> TlsTcpTransport {
        TlsTcpTransport::new(identity)
    }

    async fn dial(&self, to: SocketAddr, papers: Option<Papers>) -> Result<TcpSession, String> {
        let name = papers.as_ref().map_or_else(|| "mallory".to_owned(), |p| p.name.clone());
        let connector = TlsConnector::from(Arc::new(client_config(papers, ALPN)?));
        let stream = TcpStream::connect(to).await.map_err(text)?;
        let server = ServerName::try_from("stranger.invalid").map_err(text)?;
        let stream = connector.connect(server, stream).await.map_err(text)?;
        Ok(TcpSession::new(stream.into(), &name).await)
    }

    async fn listen(&self, papers: Papers) -> Result<RogueListener<TcpSession>, String> {
        let name = papers.name.clone();
        let acceptor = TlsAcceptor::from(Arc::new(server_config(papers, ALPN)?));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(text)?;
        let addr = listener.local_addr().map_err(text)?;
        let (came, sessions) = mpsc::channel(64);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(stream) = acceptor.accept(stream).await else { continue };
                if came.send(TcpSession::new(stream.into(), &name).await).await.is_err() {
                    return;
                }
            }
        });
        Ok(RogueListener { addr, sessions })
    }

    async fn garbage(&self, to: SocketAddr, bytes: &[u8]) {
        if let Ok(mut stream) = TcpStream::connect(to).await {
            // Whether it is read is the other end's business.
            let _ = stream.write_all(bytes).await;
        }
    }
}

impl Session for TcpSession {
    async fn send(&self, message: Bytes) -> Result<(), String> {
        if message.len() <= FRAME {
            return self.write(&frame(MESSAGE, &message)).await;
        }
        let len = u32::try_from(message.len()).map_err(text)?.to_be_bytes();
        let (first, rest) = message.split_at(FRAME - len.len());
        let mut bytes = frame(BEGIN, &[&len[..], first].concat());
        for part in rest.chunks(FRAME) {
            bytes.extend_from_slice(&frame(CONTINUE, part));
        }
        self.write(&bytes).await
    }

    async fn recv(&self) -> Option<Vec<u8>> {
        self.messages.lock().await.recv().await
    }

    async fn flood(&self, during: Duration) {
        let end = Instant::now() + during;
        let mut frames = frame(PING, &[]);
        for _ in 0..100 {
            frames.extend_from_slice(&frame(MESSAGE, &[0xff; 1_000]));
        }
        while Instant::now() < end
            && matches!(timeout(during, self.write(&frames)).await, Ok(Ok(())))
        {}
    }

    async fn endless(&self, during: Duration) {
        let endless = async {
            let len = (4_u32 << 20).to_be_bytes();
            let mut bytes = frame(BEGIN, &[&len[..], &[0xff]].concat());
            while self.write(&bytes).await.is_ok() {
                bytes = frame(CONTINUE, &[0xff; FRAME]);
            }
        };
        let _ = timeout(during, endless).await;
        let _ = self.writing.lock().await.shutdown().await;
    }

    async fn closed(&self) -> String {
        let mut closed = self.closed.clone();
        let words = closed.wait_for(Option::is_some).await;
        words.ok().and_then(|words| words.clone()).unwrap_or_default()
    }
}
