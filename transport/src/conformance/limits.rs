//! Lengths of messages and of queues.

use std::time::Duration;

use bytes::Bytes;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use super::stage::{Node, RESEND_AFTER, Stage, pattern};
use super::{ConformanceFactory, ConformanceFailure, Outcome};
use crate::contract::{TransportReceiver, TransportSender};
use crate::error::SendError;
use crate::inbound::Inbound;

/// Messages of many lengths, the empty one included, sent in one burst, arrive whole and
/// separate.
///
/// # Errors
///
/// What the transport does wrong.
pub async fn keeps_message_boundaries<F: ConformanceFactory>(
    factory: &F,
) -> Result<Outcome, ConformanceFailure> {
    let mut stage = Stage::new(factory);
    let (from, mut to) = (stage.open("node-1").await?, stage.open("node-2").await?);
    let (preferred, max) = lens(&from)?;
    let lens = [0, 1, 2, 3, 64, 255, 256, 1_000, 4_096, preferred - 1, preferred, max];
    let mut missing: Vec<Bytes> = Vec::new();
    for len in lens.into_iter().filter(|len| *len <= max) {
        let message = pattern(len, 0);
        stage.note(&message);
        if !missing.contains(&message) {
            missing.push(message);
        }
    }
    while !missing.is_empty() && Instant::now() < stage.deadline {
        for message in &missing {
            stage.send_off_thread(&from, &to.destination(), message).await?;
        }
        while let Some(arrived) = stage.receive(&mut to, RESEND_AFTER).await? {
            missing.retain(|message| *message != arrived.bytes);
            if missing.is_empty() {
                break;
            }
        }
    }
    match missing[..] {
        [] => Ok(Outcome::Passed),
        [ref first, ..] => Err(ConformanceFailure::new(format_args!(
            "{} messages never arrived, the first of {} bytes: every length from 0 to \
             max_message_len() is a message",
            missing.len(),
            first.len()
        ))),
    }
}

/// One byte more than the maximum is refused with [`SendError::TooLarge`] that names the limit,
/// and counted.
///
/// # Errors
///
/// What the transport does wrong.
pub async fn refuses_a_message_that_is_too_large<F: ConformanceFactory>(
    factory: &F,
) -> Result<Outcome, ConformanceFailure> {
    let mut stage = Stage::new(factory);
    let (mut from, mut to) = (stage.open("node-1").await?, stage.open("node-2").await?);
    let (_, limit) = lens(&from)?;
    let len = limit + 1;
    let refused = from.sender.send(&to.destination(), pattern(len, 0));
    if refused != Err(SendError::TooLarge { len, limit }) {
        return Err(ConformanceFailure::new(format_args!(
            "sending {len} bytes with a limit of {limit} gave {refused:?}, expected TooLarge with \
             both numbers: compare with max_message_len() before anything else"
        )));
    }
    if from.sender.stats().refused_too_large != 1 {
        return Err(ConformanceFailure::new(
            "the refusal is not counted: give every error of send to TransportCounters::refused",
        ));
    }
    stage.exchange(&mut from, &mut to).await?;
    Ok(Outcome::Passed)
}

/// A message of exactly the maximum length arrives.
///
/// # Errors
///
/// What the transport does wrong.
pub async fn delivers_a_message_of_maximum_length<F: ConformanceFactory>(
    factory: &F,
) -> Result<Outcome, ConformanceFailure> {
    let mut stage = Stage::new(factory);
    let (from, mut to) = (stage.open("node-1").await?, stage.open("node-2").await?);
    let (_, max) = lens(&from)?;
    let destination = to.destination();
    stage.deliver(&from, &destination, &mut to, pattern(max, 0)).await?;
    Ok(Outcome::Passed)
}

/// A flood that nobody reads is refused or dropped and counted, and held in bounded memory; when
/// it is over, messages flow again.
///
/// # Errors
///
/// What the transport does wrong.
pub async fn bounds_its_queues<F: ConformanceFactory>(
    factory: &F,
) -> Result<Outcome, ConformanceFailure> {
    let mut stage = Stage::new(factory);
    let (mut from, mut to) = (stage.open("node-1").await?, stage.open("node-2").await?);
    let (preferred, _) = lens(&from)?;
    let bound = factory.queue_bound();
    let message = pattern(preferred, 0);
    stage.note(&message);
    // Connections are made first, so that the flood hits the queues and not a handshake.
    stage.exchange(&mut from, &mut to).await?;

    let destination = to.destination();
    for sent in 0..=3 * bound / preferred {
        match from.sender.send(&destination, message.clone()) {
            Ok(()) | Err(SendError::QueueFull) => {}
            Err(error) => {
                return Err(ConformanceFailure::new(format_args!(
                    "flooding gave: {error}; the only answer to a full queue is QueueFull"
                )));
            }
        }
        if sent % 16 == 0 {
            yield_now().await;
        }
    }
    let held = from.sender.stats().send_queue_bytes + to.sender.stats().receive_queue_bytes;
    // What really was held, whatever the transport says about itself.
    let mut drained = 0;
    while let Ok(Some(inbound)) = timeout(Duration::from_millis(500), to.receiver.recv()).await {
        if let Inbound::Message(message) = inbound {
            drained += message.bytes.len();
        }
    }
    if held > bound || drained > bound {
        return Err(ConformanceFailure::new(format_args!(
            "a flood made the transport hold {} bytes, more than its bound of {bound}: \
             bound its queues in bytes (see `inbox`), or tell the factory what they hold in \
             queue_bound()",
            held.max(drained)
        )));
    }
    let lost = from.sender.stats().lost_to_full_queues() + to.sender.stats().lost_to_full_queues();
    if lost == 0 {
        return Err(ConformanceFailure::new(
            "a flood of three times the bound was neither refused nor counted as dropped: \
             answer QueueFull, or count dropped_receive_queue_full",
        ));
    }
    // The flood took its time.
    stage.deadline = Instant::now() + factory.patience();
    stage.exchange(&mut from, &mut to).await?;
    Ok(Outcome::Passed)
}

fn lens<F: ConformanceFactory>(node: &Node<F>) -> Result<(usize, usize), ConformanceFailure> {
    let (preferred, max) = (node.sender.preferred_message_len(), node.sender.max_message_len());
    if preferred == 0 || preferred > max {
        return Err(ConformanceFailure::new(format_args!(
            "the preferred message length is {preferred}, expected 1 to the maximum of \
             {max}: the node packs its messages up to it"
        )));
    }
    Ok((preferred, max))
}
