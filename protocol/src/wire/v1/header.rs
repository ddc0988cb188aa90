//! The header: what every message carries beside the envelope.

use std::borrow::Cow;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::scalar::{AgeUnit, Incarnation, interval, interval_ms};
use crate::error::DecodeError;
use crate::message::{self, SelfReport, SenderEntry};
use crate::wire::Envelope;
use crate::wire::codec::{
    Reader, Writer, bounded, difference, flags, known_flags, node_id, relative,
};

const OBSERVER: u8 = 1;
const OBSERVED: u8 = 2;
const ABOUT_YOU: u8 = 4;
const GC: u8 = 8;
/// From wire version 2 on.
const POSITION: u8 = 16;

#[derive(Serialize, Deserialize)]
struct Start {
    flags: u8,
    gossip_interval_ms: u32,
    // Then a `Name`, or the position of the sender, as flagged.
}

#[derive(Serialize, Deserialize)]
struct Name<'a> {
    node_id: &'a str,
    incarnation: Incarnation,
}

#[derive(Serialize, Deserialize)]
struct Log {
    heartbeat: u64,
    age: u64,
    max_version: u64,
    // Then `gc_difference: i64`, `observed: SocketAddr` and `about_you: Report`, as flagged.
}

/// See [`SelfReport`].
#[derive(Serialize, Deserialize)]
struct Report {
    incarnation: Incarnation,
    heartbeat: u64,
    age: u64,
    max_version: u64,
    gc_difference: i64,
}

/// Writes the header. Returns the unit of all ages that follow.
pub(in crate::wire) fn encode(header: &message::Header<'_>, writer: &mut Writer<'_>) -> AgeUnit {
    let gossip_interval_ms = interval_ms(header.gossip_interval);
    let unit = AgeUnit::new(gossip_interval_ms);
    let sender = &header.sender;
    let flags = flags(&[
        (OBSERVER, header.observer),
        (OBSERVED, header.observed.is_some()),
        (ABOUT_YOU, header.about_you.is_some()),
        (GC, sender.last_gc_version != 0),
        (POSITION, sender.position.is_some()),
    ]);
    writer.put(&Start { flags, gossip_interval_ms });
    match &sender.position {
        Some(position) => writer.put(position),
        None => {
            writer.put(&Name { node_id: &sender.node_id, incarnation: sender.incarnation.into() })
        }
    }
    writer.put(&Log {
        heartbeat: sender.heartbeat,
        age: unit.encode(sender.age),
        max_version: sender.max_version,
    });
    if sender.last_gc_version != 0 {
        writer.put(&difference(sender.max_version, sender.last_gc_version));
    }
    if let Some(addr) = &header.observed {
        writer.put(addr);
    }
    if let Some(report) = &header.about_you {
        writer.put(&Report {
            incarnation: report.incarnation.into(),
            heartbeat: report.heartbeat,
            age: unit.encode_known(report.age),
            max_version: report.max_version,
            gc_difference: difference(report.max_version, report.last_gc_version),
        });
    }
    unit
}

/// Reads the header of a message that names its sender.
pub(in crate::wire) fn decode<'a>(
    envelope: &Envelope,
    reader: &mut Reader<'a>,
) -> Result<(message::Header<'a>, AgeUnit), DecodeError> {
    decode_with(OBSERVER | OBSERVED | ABOUT_YOU | GC, envelope, reader)
}

/// Reads the header of a message that may say its sender's position instead.
pub(in crate::wire) fn decode_positioned<'a>(
    envelope: &Envelope,
    reader: &mut Reader<'a>,
) -> Result<(message::Header<'a>, AgeUnit), DecodeError> {
    decode_with(OBSERVER | OBSERVED | ABOUT_YOU | GC | POSITION, envelope, reader)
}

fn decode_with<'a>(
    known: u8,
    envelope: &Envelope,
    reader: &mut Reader<'a>,
) -> Result<(message::Header<'a>, AgeUnit), DecodeError> {
    let Start { flags, gossip_interval_ms } = reader.take()?;
    known_flags(flags, known)?;
    let gossip_interval = interval(gossip_interval_ms)?;
    let unit = AgeUnit::new(gossip_interval_ms);
    let (name, incarnation, position) = if flags & POSITION != 0 {
        ("", crate::id::Incarnation::default(), Some(reader.take()?))
    } else {
        let name: Name<'a> = reader.take()?;
        (node_id(name.node_id)?, name.incarnation.decode()?, None)
    };
    let log: Log = reader.take()?;
    let max_version = bounded(log.max_version)?;
    let last_gc_version = if flags & GC != 0 { relative(max_version, reader.take()?)? } else { 0 };
    let sender = SenderEntry {
        node_id: Cow::Borrowed(name),
        incarnation,
        position,
        heartbeat: bounded(log.heartbeat)?,
        age: unit.decode(log.age),
        max_version,
        last_gc_version,
    };
    let observed = if flags & OBSERVED != 0 { Some(reader.take::<SocketAddr>()?) } else { None };
    let about_you =
        if flags & ABOUT_YOU != 0 { Some(reader.take::<Report>()?.decode(unit)?) } else { None };
    let header = message::Header {
        cluster_id_hash: envelope.cluster_id_hash,
        nonce: envelope.nonce,
        echo: envelope.echo,
        versions: envelope.versions()?,
        gossip_interval,
        sender,
        observer: flags & OBSERVER != 0,
        observed,
        about_you,
    };
    Ok((header, unit))
}

impl Report {
    fn decode(self, unit: AgeUnit) -> Result<SelfReport, DecodeError> {
        let max_version = bounded(self.max_version)?;
        Ok(SelfReport {
            incarnation: self.incarnation.decode()?,
            heartbeat: bounded(self.heartbeat)?,
            age: unit.decode_known(self.age),
            max_version,
            last_gc_version: relative(max_version, self.gc_difference)?,
        })
    }
}
