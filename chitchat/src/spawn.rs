//! Starts a node, and watches over its task.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::task::Poll;

use chitchat_protocol::{LinkLimits, Node};
use chitchat_transport::{OpenOptions, Transport, TransportSender};
use tracing::Instrument as _;

use crate::clock::Clock;
use crate::config::ChitchatConfig;
use crate::driver::Driver;
use crate::error::{CloseReason, ConfigError, SpawnError};
use crate::handle::ChitchatHandle;
use crate::shared::{Shared, TransportGauge};

/// Starts a node: opens the transport, and spawns the task that gossips until
/// [`shutdown`](ChitchatHandle::shutdown) or until the last handle is dropped.
///
/// It returns as soon as the node listens. It does not wait for any other node: see
/// [`joined`](ChitchatHandle::joined).
///
/// ```
/// use chitchat::ChitchatConfig;
/// use chitchat::transport::memory::MemoryNetwork;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let network = MemoryNetwork::new(7); // for tests; `chitchat::udp::PlainUdpTransport` is real
/// let config = ChitchatConfig::builder("my-cluster", "node-1").listen(["0.0.0.0:0"]).build()?;
/// let node = chitchat::spawn(config, network.transport()).await?;
/// assert_eq!(node.id().node_id.as_str(), "node-1");
/// node.shutdown().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`SpawnError`]: there is no tokio runtime, the transport cannot be opened, or the configuration
/// does not fit the transport. Nothing stays open.
pub async fn spawn<T: Transport>(
    config: ChitchatConfig,
    transport: T,
) -> Result<ChitchatHandle, SpawnError> {
    let (handle, task) = prepare(config, transport).await?;
    tokio::spawn(task);
    Ok(handle)
}

/// Opens the transport and makes the node; what is left to do is to run its task.
pub(crate) async fn prepare<T: Transport>(
    config: ChitchatConfig,
    transport: T,
) -> Result<(ChitchatHandle, impl Future<Output = ()> + Send + use<T>), SpawnError> {
    if tokio::runtime::Handle::try_current().is_err() {
        return Err(SpawnError::NoRuntime);
    }
    let ChitchatConfig { mut protocol, listen, seeds, seeds_interval, event_capacity, .. } = config;
    let random_seed = match config.random_seed {
        Some(seed) => seed,
        None => getrandom::u64().map_err(|error| SpawnError::Randomness(error.into()))?,
    };
    // The level decides when the span is left out, and no line should lack it.
    let span = tracing::error_span!("chitchat", node_id = %protocol.node_id);
    let options = OpenOptions::new(
        Arc::clone(&protocol.cluster_id),
        Arc::clone(protocol.node_id.as_arc()),
        listen,
    );
    let (sender, receiver) = transport.open(options).instrument(span.clone()).await?;
    let local_addrs = sender.local_addrs();
    protocol.bound_addrs.clone_from(&local_addrs);
    let clock = if config.tokio_clock { Clock::tokio() } else { Clock::system() };
    protocol.wall_clock_ms = config.wall_clock_ms.unwrap_or_else(|| clock.wall_clock_ms());
    let link = LinkLimits::new(sender.preferred_message_len(), sender.max_message_len())
        .with_max_peers(sender.peer_capacity());
    // On failure the halves are dropped, which closes the transport.
    let node =
        Node::new(protocol, link, random_seed, clock.now()).map_err(ConfigError::Protocol)?;
    span.in_scope(|| {
        let generation_id = node.id().generation_id;
        tracing::info!(generation_id, listening = ?local_addrs, ?seeds, "node started");
    });
    let sender = Arc::new(sender);
    let gauge: Weak<dyn TransportGauge> = Arc::downgrade(&(Arc::clone(&sender) as _));
    let shared =
        Arc::new(Shared::new(node, clock, event_capacity, local_addrs, gauge, span.clone()));
    let driver = Driver::new(Arc::clone(&shared), sender, receiver, &seeds, seeds_interval);
    // Made here, because the task may be dropped before it has begun.
    let teller = EndTeller(Arc::clone(&shared));
    let task = supervise(teller, driver.run()).instrument(span);
    Ok((ChitchatHandle::new(shared), task))
}

/// Sees to it that the end of a node is told, however it comes.
struct EndTeller(Arc<Shared>);

impl Drop for EndTeller {
    fn drop(&mut self) {
        // Does nothing if a reason was given already. Else the task was dropped by its runtime.
        self.0.close(CloseReason::RuntimeStopped);
    }
}

async fn supervise(teller: EndTeller, driver: impl Future<Output = CloseReason>) {
    let mut driver = Box::pin(driver);
    let reason = poll_fn(|cx| {
        let poll = AssertUnwindSafe(|| driver.as_mut().poll(cx));
        // After a panic the driver is not polled again, and its state not looked at.
        catch_unwind(poll).unwrap_or_else(|payload| {
            Poll::Ready(CloseReason::Panicked(panic_message(&*payload).into()))
        })
    })
    .await;
    // The transport closes before anybody learns of the end.
    drop(driver);
    teller.0.close(reason);
}

fn panic_message(payload: &(dyn Any + Send)) -> &str {
    if let Some(message) = payload.downcast_ref::<&str>() {
        message
    } else if let Some(message) = payload.downcast_ref::<String>() {
        message
    } else {
        "no message"
    }
}
