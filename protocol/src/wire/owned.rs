//! Copies of messages that borrow from nothing.

use std::borrow::Cow;

use crate::columns::{Columns, Layout};
use crate::delta::NodeDelta;
use crate::digest::{Digest, DigestEntry};
use crate::message::{Body, Header, Message, SenderEntry};

impl Message<'_> {
    /// A copy that borrows from nothing.
    pub fn into_owned(self) -> Message<'static> {
        Message { header: header(self.header), body: body(self.body) }
    }
}

fn text(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

fn header(header: Header<'_>) -> Header<'static> {
    let sender = header.sender;
    Header {
        cluster_id_hash: header.cluster_id_hash,
        nonce: header.nonce,
        echo: header.echo,
        versions: header.versions,
        gossip_interval: header.gossip_interval,
        sender: SenderEntry {
            node_id: text(sender.node_id),
            incarnation: sender.incarnation,
            position: sender.position,
            heartbeat: sender.heartbeat,
            age: sender.age,
            max_version: sender.max_version,
            last_gc_version: sender.last_gc_version,
        },
        observer: header.observer,
        observed: header.observed,
        about_you: header.about_you,
    }
}

fn body(body: Body<'_>) -> Body<'static> {
    match body {
        Body::Syn { budget, digest } => Body::Syn {
            budget,
            digest: Digest {
                start: text(digest.start),
                end: digest.end.map(text),
                entries: entries(digest.entries),
            },
        },
        Body::SynAck { part, budget, entries: listed, deltas: sent } => {
            Body::SynAck { part, budget, entries: entries(listed), deltas: deltas(sent) }
        }
        Body::ColumnSyn { budget, columns } => {
            let layout = match columns.layout {
                Layout::Set { fingerprint, first } => Layout::Set { fingerprint, first },
                Layout::Hashes { start, end, hashes } => {
                    Layout::Hashes { start: text(start), end: end.map(text), hashes }
                }
            };
            let Columns { cells, lives, not_live, buckets, versions, .. } = columns;
            let columns = Columns { layout, cells, lives, not_live, buckets, versions };
            Body::ColumnSyn { budget, columns }
        }
        Body::ColumnSynAck { part, budget, answer, entries: listed, deltas: sent } => {
            let (entries, deltas) = (entries(listed), deltas(sent));
            Body::ColumnSynAck { part, budget, answer, entries, deltas }
        }
        Body::Inquiry { budget, entries: listed, unnamed } => {
            Body::Inquiry { budget, entries: entries(listed), unnamed }
        }
        Body::News { changed, deltas: sent } => Body::News { changed, deltas: deltas(sent) },
        Body::Ack { part, deltas: sent } => Body::Ack { part, deltas: deltas(sent) },
        Body::Push { deltas: sent } => Body::Push { deltas: deltas(sent) },
        Body::PushAck { max_version } => Body::PushAck { max_version },
        Body::Refused { reason } => Body::Refused { reason },
    }
}

fn entries(entries: Vec<DigestEntry<'_>>) -> Vec<DigestEntry<'static>> {
    let own = |entry: DigestEntry<'_>| DigestEntry {
        node_id: text(entry.node_id),
        incarnation: entry.incarnation,
        heartbeat: entry.heartbeat,
        age: entry.age,
        max_version: entry.max_version,
        last_gc_version: entry.last_gc_version,
        cursor: entry.cursor,
        parked: entry.parked,
        frozen: entry.frozen,
    };
    entries.into_iter().map(own).collect()
}

fn deltas(deltas: Vec<NodeDelta<'_>>) -> Vec<NodeDelta<'static>> {
    deltas.into_iter().map(NodeDelta::into_owned).collect()
}
