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

#[derive(Serialize, Deserialize)]
struct Header<'a> {
    flags: u8,
    gossip_interval_ms: u32,
    node_id: &'a str,
    incarnation: Incarnation,
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
    writer.put(&Header {
        flags: flags(&[
            (OBSERVER, header.observer),
            (OBSERVED, header.observed.is_some()),
            (ABOUT_YOU, header.about_you.is_some()),
            (GC, sender.last_gc_version != 0),
        ]),
        gossip_interval_ms,
        node_id: &sender.node_id,
        incarnation: sender.incarnation.into(),
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

pub(in crate::wire) fn decode<'a>(
    envelope: &Envelope,
    reader: &mut Reader<'a>,
) -> Result<(message::Header<'a>, AgeUnit), DecodeError> {
    let wire: Header<'a> = reader.take()?;
    known_flags(wire.flags, OBSERVER | OBSERVED | ABOUT_YOU | GC)?;
    let gossip_interval = interval(wire.gossip_interval_ms)?;
    let unit = AgeUnit::new(wire.gossip_interval_ms);
    let max_version = bounded(wire.max_version)?;
    let last_gc_version =
        if wire.flags & GC != 0 { relative(max_version, reader.take()?)? } else { 0 };
    let sender = SenderEntry {
        node_id: Cow::Borrowed(node_id(wire.node_id)?),
        incarnation: wire.incarnation.decode()?,
        heartbeat: bounded(wire.heartbeat)?,
        age: unit.decode(wire.age),
        max_version,
        last_gc_version,
    };
    let observed =
        if wire.flags & OBSERVED != 0 { Some(reader.take::<SocketAddr>()?) } else { None };
    let about_you = if wire.flags & ABOUT_YOU != 0 {
        Some(reader.take::<Report>()?.decode(unit)?)
    } else {
        None
    };
    let header = message::Header {
        cluster_id_hash: envelope.cluster_id_hash,
        nonce: envelope.nonce,
        echo: envelope.echo,
        versions: envelope.versions()?,
        gossip_interval,
        sender,
        observer: wire.flags & OBSERVER != 0,
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
