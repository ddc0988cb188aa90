//! How a node ends, and how it goes on when others would end.

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chitchat::transport::memory::{MemoryNetwork, MemoryReceiver, MemorySender, MemoryTransport};
use chitchat::transport::{
    Destination, Inbound, OpenError, OpenOptions, SendError, Transport, TransportReceiver,
    TransportSender, TransportStats,
};
use chitchat::{CloseReason, Error};
use common::{live, soon, spawn_at, until, virtual_node};
use tokio::sync::Notify;

/// What the transport does when the test says so.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Panic,
    End,
}

/// A transport of memory that fails on purpose.
struct Faulty {
    inner: MemoryTransport,
    fault: Fault,
    trigger: Arc<Notify>,
    /// Messages that are refused, with each kind of error in turn, before any is sent.
    refuse: usize,
}

struct FaultySender {
    inner: MemorySender,
    refused: AtomicUsize,
    refuse: usize,
}

struct FaultyReceiver {
    inner: MemoryReceiver,
    fault: Fault,
    trigger: Arc<Notify>,
}

impl Transport for Faulty {
    type Sender = FaultySender;
    type Receiver = FaultyReceiver;

    async fn open(self, options: OpenOptions) -> Result<(FaultySender, FaultyReceiver), OpenError> {
        let (sender, receiver) = self.inner.open(options).await?;
        let refused = AtomicUsize::new(0);
        let sender = FaultySender { inner: sender, refused, refuse: self.refuse };
        let receiver = FaultyReceiver { inner: receiver, fault: self.fault, trigger: self.trigger };
        Ok((sender, receiver))
    }
}

impl TransportSender for FaultySender {
    fn send(&self, to: &Destination, message: bytes::Bytes) -> Result<(), SendError> {
        let nth = self.refused.fetch_add(1, Ordering::Relaxed);
        if nth < self.refuse {
            return Err(match nth % 3 {
                0 => SendError::QueueFull,
                1 => SendError::NoUsableAddress,
                _ => SendError::TooLarge { len: message.len(), limit: 0 },
            });
        }
        self.inner.send(to, message)
    }

    fn preferred_message_len(&self) -> usize {
        self.inner.preferred_message_len()
    }

    fn max_message_len(&self) -> usize {
        self.inner.max_message_len()
    }

    fn local_addrs(&self) -> Vec<SocketAddr> {
        self.inner.local_addrs()
    }

    fn stats(&self) -> TransportStats {
        self.inner.stats()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

impl TransportReceiver for FaultyReceiver {
    async fn recv(&mut self) -> Option<Inbound> {
        tokio::select! {
            () = self.trigger.notified() => match self.fault {
                Fault::Panic => panic!("the test wants it"),
                Fault::End => None,
            },
            inbound = self.inner.recv() => inbound,
        }
    }

    fn try_recv(&mut self) -> Option<Inbound> {
        self.inner.try_recv()
    }
}

async fn death_by(fault: Fault) -> CloseReason {
    let network = MemoryNetwork::new(1);
    let trigger = Arc::new(Notify::new());
    let transport =
        Faulty { inner: network.transport(), fault, trigger: Arc::clone(&trigger), refuse: 0 };
    let config = virtual_node("n").seeds(["10.0.0.9:7280"]).build().unwrap();
    let node = chitchat::spawn(config, transport).await.unwrap();
    let (_, mut events) = node.events();
    let mut watcher = node.live_nodes_watcher();
    let mut subscription = node.subscribe("");
    node.set("k", "v").unwrap();
    let joining = tokio::spawn({
        let node = node.clone();
        async move { node.joined().await }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!node.is_closed());

    trigger.notify_one();
    let reason = soon("it is closed", node.closed()).await;
    let closed = Error::Closed { reason: reason.clone() };
    assert!(node.is_closed());
    assert_eq!(node.close_reason(), Some(reason.clone()));
    assert_eq!(node.set("k", "w").unwrap_err(), closed);
    assert_eq!(node.delete("k").unwrap_err(), closed);
    assert_eq!(node.node_health("x").unwrap_err(), closed);
    assert_eq!(node.leave().await.unwrap_err(), closed);
    assert_eq!(node.joined().await.unwrap_err(), closed);
    assert_eq!(node.shutdown().await.unwrap_err(), closed);
    assert_eq!(soon("those who wait are told", joining).await.unwrap().unwrap_err(), closed);
    assert_eq!(watcher.changed().await.unwrap_err(), closed);
    // What was published before can still be read, and then streams end.
    assert!(matches!(events.next().await, Some(Ok(_))));
    assert_eq!(events.next().await, None);
    assert!(subscription.next().await.is_some());
    assert_eq!(subscription.next().await, None);
    assert_eq!(node.events().1.next().await, None);
    assert!(node.notices().next().await.is_none());
    assert_eq!(node.get("k").as_deref(), Some("v"));
    assert!(node.stats().protocol.rounds > 0);
    assert!(format!("{node:?}").contains("closed"));
    reason
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_driver_is_told_by_every_method_of_the_handle() {
    assert_eq!(death_by(Fault::Panic).await, CloseReason::Panicked("the test wants it".into()));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_transport_is_told_by_every_method_of_the_handle() {
    assert_eq!(death_by(Fault::End).await, CloseReason::TransportClosed);
}

#[test]
fn the_end_of_the_runtime_is_told_by_the_handle() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let network = MemoryNetwork::new(1);
    let config = virtual_node("n").build().unwrap();
    let node = runtime.block_on(chitchat::spawn(config, network.transport())).unwrap();
    drop(runtime);
    assert_eq!(node.close_reason(), Some(CloseReason::RuntimeStopped));
    let error = node.set("k", "v").unwrap_err();
    assert!(error.to_string().contains("runtime was shut down"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn messages_that_cannot_be_sent_are_counted_and_end_nothing() {
    let network = MemoryNetwork::new(1);
    let seed = spawn_at(&network, "10.0.0.1", virtual_node("seed")).await;
    let trigger = Arc::new(Notify::new());
    let transport = Faulty { inner: network.transport(), fault: Fault::End, trigger, refuse: 30 };
    let config = virtual_node("n").seeds(["10.0.0.1:7280"]).build().unwrap();
    let node = chitchat::spawn(config, transport).await.unwrap();
    until(&node, "it has joined all the same", |now| live(now) == 2).await;
    until(&seed, "and the seed knows", |now| live(now) == 2).await;
    let errors = node.stats().send_errors;
    assert_eq!((errors.queue_full, errors.no_usable_address, errors.too_large), (10, 10, 10));
}

#[tokio::test(start_paused = true)]
async fn dropping_all_handles_ends_the_node_and_frees_its_address() {
    let network = MemoryNetwork::new(1);
    let node = spawn_at(&network, "10.0.0.1", virtual_node("n")).await;
    let (_, mut events) = node.events();
    let mut watcher = node.live_nodes_watcher();
    let clone = node.clone();
    drop(node);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!clone.is_closed(), "one handle is enough");
    drop(clone);
    assert_eq!(soon("the stream ends", events.next()).await, None);
    let error = watcher.changed().await.unwrap_err();
    assert_eq!(error, Error::Closed { reason: CloseReason::HandlesDropped });
    spawn_at(&network, "10.0.0.1", virtual_node("n")).await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_may_be_called_by_several_and_again() {
    let network = MemoryNetwork::new(1);
    let node = spawn_at(&network, "10.0.0.1", virtual_node("n")).await;
    let other = node.clone();
    let (one, two) = tokio::join!(node.shutdown(), other.shutdown());
    assert_eq!((one, two, node.shutdown().await), (Ok(()), Ok(()), Ok(())));
    assert_eq!(node.close_reason(), Some(CloseReason::Shutdown));
    let error = node.set("k", "v").unwrap_err();
    assert_eq!(error, Error::Closed { reason: CloseReason::Shutdown });
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_task_of_the_application_does_not_touch_the_node() {
    let network = MemoryNetwork::new(1);
    let node = spawn_at(&network, "10.0.0.1", virtual_node("n")).await;
    let mut watcher = node.live_nodes_watcher();
    let task = tokio::spawn(async move { watcher.wait_for(|_| panic!("in a condition")).await });
    assert!(task.await.is_err());
    let handle = node.clone();
    let task = tokio::spawn(async move {
        let pairs = (0..3).map(|n| if n < 2 { (format!("p/{n}"), "v") } else { panic!("no") });
        handle.replace_prefix("p/", pairs)
    });
    assert!(task.await.is_err());
    assert_eq!(node.get("p/0"), None);
    node.set("k", "v").unwrap();
    assert!(!node.is_closed());
}
