//! Closing.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::stage::{Stage, pattern};
use super::{ConformanceFactory, ConformanceFailure, Outcome};
use crate::contract::{TransportReceiver, TransportSender};
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
        return Err(ConformanceFailure::new("close takes forever"));
    }
    let refused = one.sender.send(&other.destination(), pattern(1, 0));
    if refused != Err(SendError::Closed) {
        return Err(ConformanceFailure::new(format_args!(
            "sending after close gave {refused:?}, expected Closed"
        )));
    }
    expect_end::<F>(factory, &mut one.receiver).await?;
    if timeout(factory.patience(), one.sender.close()).await.is_err() {
        return Err(ConformanceFailure::new("closing twice takes forever"));
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

async fn expect_end<F: ConformanceFactory>(
    factory: &F,
    receiver: &mut impl TransportReceiver,
) -> Result<(), ConformanceFailure> {
    let drained = timeout(factory.patience(), async { while receiver.recv().await.is_some() {} });
    drained.await.map_err(|_| ConformanceFailure::new("recv does not end when it is closed"))
}
