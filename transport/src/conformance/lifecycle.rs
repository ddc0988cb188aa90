//! Opening and closing.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::stage::{Stage, pattern};
use super::{ConformanceFactory, ConformanceFailure, Outcome};
use crate::contract::{OpenOptions, Transport, TransportReceiver, TransportSender};
use crate::error::SendError;

/// After `close`, `recv` ends and `send` is refused; closing again does no harm.
///
/// # Errors
///
/// What the transport does wrong.
pub async fn ends_when_closed<F: ConformanceFactory>(
    factory: &F,
) -> Result<Outcome, ConformanceFailure> {
    let mut stage = Stage::new(factory);
    let (mut one, mut other) = (stage.open("node-1").await?, stage.open("node-2").await?);
    stage.exchange(&mut one, &mut other).await?;
    if timeout(factory.patience(), one.sender.close()).await.is_err() {
        return Err(ConformanceFailure::new(
            "close takes forever: send what is queued for a bounded time only",
        ));
    }
    let refused = one.sender.send(&other.destination(), pattern(1, 0));
    if refused != Err(SendError::Closed) {
        return Err(ConformanceFailure::new(format_args!(
            "sending after close gave {refused:?}, expected Closed: refuse from the moment \
             that close returns"
        )));
    }
    expect_end::<F>(factory, &mut one.receiver).await?;
    if timeout(factory.patience(), one.sender.close()).await.is_err() {
        return Err(ConformanceFailure::new(
            "closing twice takes forever: the second time there is nothing to wait for",
        ));
    }
    Ok(Outcome::Passed)
}

/// Dropping the sending half closes the transport: `recv` ends.
///
/// # Errors
///
/// What the transport does wrong.
pub async fn ends_when_the_sender_is_dropped<F: ConformanceFactory>(
    factory: &F,
) -> Result<Outcome, ConformanceFailure> {
    let stage = Stage::new(factory);
    let mut node = stage.open("node-1").await?;
    drop(node.sender);
    expect_end::<F>(factory, &mut node.receiver).await?;
    Ok(Outcome::Passed)
}

/// When `close` returns, the port can be bound again at once, also while the halves live on.
///
/// # Errors
///
/// What the transport does wrong.
pub async fn releases_its_port_when_closed<F: ConformanceFactory>(
    factory: &F,
) -> Result<Outcome, ConformanceFailure> {
    // Something else on this host may take the port in between, though hardly three times.
    let mut attempts = 0;
    loop {
        let mut stage = Stage::new(factory);
        let (mut one, mut other) = (stage.open("node-1").await?, stage.open("node-2").await?);
        stage.exchange(&mut one, &mut other).await?;
        let addr = one.addr()?;
        one.sender.close().await;
        attempts += 1;
        match stage.open_at("node-1", addr).await {
            Ok(mut again) => {
                stage.exchange(&mut again, &mut other).await?;
                return Ok(Outcome::Passed);
            }
            Err(failure) if attempts == 3 => return Err(failure),
            Err(_) => {}
        }
    }
}

/// When both halves are dropped, the port becomes free soon.
///
/// # Errors
///
/// What the transport does wrong.
pub async fn releases_its_port_when_dropped<F: ConformanceFactory>(
    factory: &F,
) -> Result<Outcome, ConformanceFailure> {
    let mut stage = Stage::new(factory);
    let (mut one, mut other) = (stage.open("node-1").await?, stage.open("node-2").await?);
    stage.exchange(&mut one, &mut other).await?;
    let addr = one.addr()?;
    drop(one);
    loop {
        // The task that owns the socket has to run once to see that its owners are gone.
        match stage.open_at("node-1", addr).await {
            Ok(mut again) => {
                stage.exchange(&mut again, &mut other).await?;
                return Ok(Outcome::Passed);
            }
            Err(failure) if Instant::now() >= stage.deadline => return Err(failure),
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

/// If one of several listen addresses is taken, nothing is opened, and the others are free.
///
/// # Errors
///
/// What the transport does wrong.
pub async fn opens_all_addresses_or_none<F: ConformanceFactory>(
    factory: &F,
) -> Result<Outcome, ConformanceFailure> {
    // Something else on this host may take the port in between, though hardly three times.
    let mut attempts = 0;
    loop {
        let mut stage = Stage::new(factory);
        let (mut one, free) = (stage.open("node-1").await?, stage.open("node-2").await?);
        let (taken, addr) = (one.addr()?, free.addr()?);
        free.sender.close().await;
        drop(free);
        let options = OpenOptions::new("conformance", "node-2", vec![addr, taken]);
        if factory.transport("node-2").open(options).await.is_ok() {
            return Err(ConformanceFailure::new(format_args!(
                "opened at {addr} and {taken}, though somebody listens at {taken} already: answer \
                 OpenError::Bind"
            )));
        }
        attempts += 1;
        match stage.open_at("node-2", addr).await {
            Ok(mut other) => {
                stage.exchange(&mut one, &mut other).await?;
                return Ok(Outcome::Passed);
            }
            Err(failure) if attempts == 3 => {
                return Err(ConformanceFailure::new(format_args!(
                    "{addr} stays taken after opening it together with a taken address: close what \
                     was bound before the failure ({failure})"
                )));
            }
            Err(_) => {}
        }
    }
}

async fn expect_end<F: ConformanceFactory>(
    factory: &F,
    receiver: &mut impl TransportReceiver,
) -> Result<(), ConformanceFailure> {
    let drained = timeout(factory.patience(), async { while receiver.recv().await.is_some() {} });
    drained.await.map_err(|_| {
        ConformanceFailure::new(
            "recv does not end when it is closed: drop all ends that write to its queue, tasks \
             included, on close and when the sending half is dropped",
        )
    })
}
