//! Dead peers and garbage.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::stage::{Stage, pattern};
use super::{ConformanceFactory, ConformanceFailure, Outcome};
use crate::contract::TransportReceiver;
use crate::destination::Destination;
use crate::inbound::{Inbound, Report};

/// `send` returns at once for a dead peer, however much is sent there, and a live peer is reached
/// all the while.
///
/// # Errors
///
/// What the transport does wrong.
pub async fn is_not_blocked_by_a_dead_peer<F: ConformanceFactory>(
    factory: &F,
) -> Result<Outcome, ConformanceFailure> {
    let mut stage = Stage::new(factory);
    let (from, mut live) = (stage.open("node-1").await?, stage.open("node-2").await?);
    let (dead, _keep) = stage.dead_addr("node-3").await?;
    let dead = Destination::node("node-3", [dead]);
    let black_hole = factory.black_hole().map(|addr| Destination::node("node-4", [addr]));
    let live_destination = live.destination();
    for salt in 0..10 {
        for nobody in [Some(&dead), black_hole.as_ref()].into_iter().flatten() {
            for _ in 0..20 {
                stage.send_off_thread(&from, nobody, &pattern(1_000, salt)).await?;
            }
        }
        stage.deliver(&from, &live_destination, &mut live, pattern(200, salt)).await?;
    }
    Ok(Outcome::Passed)
}

/// Bytes that are not in the transport's format neither stop it nor keep it from talking to its
/// peers.
///
/// # Errors
///
/// What the transport does wrong.
pub async fn survives_garbage<F: ConformanceFactory>(
    factory: &F,
) -> Result<Outcome, ConformanceFailure> {
    let mut stage = Stage::new(factory);
    let (mut one, mut other) = (stage.open("node-1").await?, stage.open("node-2").await?);
    stage.tolerates_garbage = true;
    let garbage: [&[u8]; 8] = [
        b"",
        b"\0",
        &[0; 1_400],
        &[0xff; 1_400],
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        &pattern(9_000, 1),
    ];
    for bytes in garbage {
        for node in [&one, &other] {
            if !factory.inject_garbage(node.addr()?, bytes).await {
                return Ok(Outcome::Skipped("no way to inject raw bytes into this transport"));
            }
        }
    }
    stage.exchange(&mut one, &mut other).await?;
    Ok(Outcome::Passed)
}

/// Sending to an address where nobody listens brings a [`Report::Unreachable`] with that address
/// and the node that was meant, if the transport
/// [can](ConformanceFactory::reports_unreachable).
///
/// # Errors
///
/// What the transport does wrong.
pub async fn reports_an_unreachable_peer<F: ConformanceFactory>(
    factory: &F,
) -> Result<Outcome, ConformanceFailure> {
    if !factory.reports_unreachable() {
        return Ok(Outcome::Skipped("this transport does not report unreachable peers"));
    }
    let stage = Stage::new(factory);
    let mut from = stage.open("node-1").await?;
    let (dead, _keep) = stage.dead_addr("node-2").await?;
    let destination = Destination::node("node-2", [dead]);
    while Instant::now() < stage.deadline {
        stage.send_off_thread(&from, &destination, &pattern(50, 1)).await?;
        let inbound = timeout(Duration::from_millis(50), from.receiver.recv()).await;
        let Ok(Some(Inbound::Report(Report::Unreachable { node_id, addr, .. }))) = inbound else {
            continue;
        };
        if addr != dead || node_id.as_deref().is_some_and(|id| id != "node-2") {
            return Err(ConformanceFailure::new(format_args!(
                "{addr} ({node_id:?}) was reported unreachable, but it was {dead} of \
                 node-2: report the address that failed, and the node id of the destination"
            )));
        }
        return Ok(Outcome::Passed);
    }
    Err(ConformanceFailure::new(
        "nobody listens at the address, and no report came: push Report::Unreachable when the \
         network says so, or let reports_unreachable() of the factory be false",
    ))
}
