//! Messages get through, and answers get back.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::stage::{RESEND_AFTER, Stage, ended_early, pattern};
use super::{ConformanceFactory, ConformanceFailure, Outcome};
use crate::addr::canonical;
use crate::contract::{TransportReceiver, TransportSender};
use crate::destination::Destination;
use crate::inbound::Inbound;

/// Two nodes reach each other, and count what they sent and received.
///
/// # Errors
///
/// What the transport does wrong.
pub async fn delivers_both_ways<F: ConformanceFactory>(
    factory: &F,
) -> Result<Outcome, ConformanceFailure> {
    let mut stage = Stage::new(factory);
    let (mut one, mut other) = (stage.open("node-1").await?, stage.open("node-2").await?);
    stage.exchange(&mut one, &mut other).await?;
    for node in [&one, &other] {
        let stats = node.sender.stats();
        if stats.messages_sent == 0 || stats.bytes_sent < 100 {
            return Err(ConformanceFailure::new(
                "what was sent is not counted: add to messages_sent and bytes_sent when a message \
                 goes out",
            ));
        }
        if stats.messages_received == 0 || stats.bytes_received < 100 {
            return Err(ConformanceFailure::new(
                "what was received is not counted: add to messages_received and bytes_received \
                 when a message is queued for the node",
            ));
        }
    }
    Ok(Outcome::Passed)
}

/// A node answers by [`Destination::reply`] alone, knowing nothing of the peer's addresses.
///
/// # Errors
///
/// What the transport does wrong.
pub async fn answers_by_the_reply_path<F: ConformanceFactory>(
    factory: &F,
) -> Result<Outcome, ConformanceFailure> {
    let mut stage = Stage::new(factory);
    let (mut asks, mut answers) = (stage.open("node-1").await?, stage.open("node-2").await?);
    // A bare address, as of a seed, and not a known node.
    let seed = Destination::addr(answers.addr()?);
    let question = stage.deliver(&asks, &seed, &mut answers, pattern(64, 1)).await?;
    if question.from.remote() != canonical(question.from.remote()) {
        return Err(ConformanceFailure::new(
            "the sender's address is not canonical: make the reply path with ReplyPath::new",
        ));
    }
    let back = Destination::reply(question.from);
    stage.deliver(&answers, &back, &mut asks, pattern(64, 2)).await?;
    Ok(Outcome::Passed)
}

/// `try_recv` gives what has arrived, and nothing otherwise.
///
/// # Errors
///
/// What the transport does wrong.
pub async fn hands_out_what_is_ready_without_waiting<F: ConformanceFactory>(
    factory: &F,
) -> Result<Outcome, ConformanceFailure> {
    let mut stage = Stage::new(factory);
    let (from, mut to) = (stage.open("node-1").await?, stage.open("node-2").await?);
    if let Some(Inbound::Message(_)) = to.receiver.try_recv() {
        return Err(ConformanceFailure::new(
            "try_recv gave a message before one was sent: hand out what peers sent, and nothing else",
        ));
    }
    let message = pattern(32, 1);
    stage.note(&message);
    while Instant::now() < stage.deadline {
        stage.send_off_thread(&from, &to.destination(), &message).await?;
        let resend = Instant::now() + RESEND_AFTER;
        while Instant::now() < resend {
            match to.receiver.try_recv() {
                Some(Inbound::Message(arrived)) => {
                    stage.check_known(&arrived)?;
                    return Ok(Outcome::Passed);
                }
                Some(Inbound::Report(_)) => {}
                None => sleep(Duration::from_millis(1)).await,
            }
        }
    }
    Err(ConformanceFailure::new(
        "try_recv never gave a message that was sent: it has to look into the same queue as recv",
    ))
}

/// Dropping the future of `recv` after it was polled once loses no message.
///
/// # Errors
///
/// What the transport does wrong.
pub async fn loses_nothing_when_recv_is_cancelled<F: ConformanceFactory>(
    factory: &F,
) -> Result<Outcome, ConformanceFailure> {
    let mut stage = Stage::new(factory);
    let (from, mut to) = (stage.open("node-1").await?, stage.open("node-2").await?);
    for salt in 0..20 {
        let message = pattern(48, salt);
        stage.note(&message);
        let mut resend = Instant::now();
        loop {
            if Instant::now() >= stage.deadline {
                return Err(ConformanceFailure::new(
                    "messages disappear when recv is polled once and dropped: it takes a message \
                     before it can hand it out; let nothing wait between the two",
                ));
            }
            if Instant::now() >= resend {
                stage.send_off_thread(&from, &to.destination(), &message).await?;
                resend = Instant::now() + RESEND_AFTER;
            }
            let polled = {
                let mut recv = pin!(to.receiver.recv());
                poll_fn(|context| Poll::Ready(recv.as_mut().poll(context))).await
            };
            match polled {
                Poll::Ready(Some(Inbound::Message(arrived))) => {
                    stage.check_known(&arrived)?;
                    if arrived.bytes == message {
                        break;
                    }
                }
                Poll::Ready(None) => {
                    return Err(ended_early());
                }
                Poll::Ready(Some(Inbound::Report(_))) => {}
                Poll::Pending => sleep(Duration::from_millis(1)).await,
            }
        }
    }
    Ok(Outcome::Passed)
}

/// Two nodes reach each other over IPv4, and two over IPv6.
///
/// # Errors
///
/// What the transport does wrong.
pub async fn works_on_ipv4_and_ipv6<F: ConformanceFactory>(
    factory: &F,
) -> Result<Outcome, ConformanceFailure> {
    let mut stage = Stage::new(factory);
    let (v4, v6) = stage.listen_addrs();
    for addr in [v4, v6].into_iter().flatten() {
        let mut one = stage.open_at("node-1", addr).await?;
        let mut other = stage.open_at("node-2", addr).await?;
        stage.exchange(&mut one, &mut other).await?;
        one.sender.close().await;
        other.sender.close().await;
    }
    match (v4, v6) {
        (Some(_), Some(_)) => Ok(Outcome::Passed),
        (Some(_), None) => Ok(Outcome::Skipped("no IPv6 on this host; IPv4 works")),
        (None, Some(_)) => Ok(Outcome::Skipped("no IPv4 on this host; IPv6 works")),
        (None, None) => Err(ConformanceFailure::new(
            "neither IPv4 nor IPv6 to run on: let listen_addr of the factory give an address",
        )),
    }
}
