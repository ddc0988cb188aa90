//! What was found, in words: one line for each move, with who is who kept through the sorting.

use std::fmt::Write as _;

use crate::delta::{DeltaOp, NodeDelta};
use crate::reconcile::tests::owner::{KEYS, Owner};
use crate::reconcile::tests::peer::Peer;
use crate::state::{Replica, Versions};

use super::few::{Few, Move, Slot};
use super::real::{EMPTY, Moment, Write, key_of};
use super::search::{Failure, Space};

/// The way to a violation, and the violation.
pub(super) fn tell(few: &mut Few, failure: &Failure<Move>) -> String {
    let mut text = String::new();
    let mut cluster = few.start();
    let mut names = ['P', 'Q', 'R'];
    for step in &failure.way {
        let mut after = few.apply(&cluster, *step).ok();
        let name = |replica: u8| names[usize::from(replica)];
        let source = |source: Option<u8>| {
            source.map_or("the owner".to_string(), |replica| name(replica).to_string())
        };
        let becomes = |few: &Few, replica: u8| match &after {
            Some(after) => copy(few.real.copy(after.replicas[usize::from(replica)])),
            None => "broken".into(),
        };
        let _ = match *step {
            Move::Write(write) => {
                let moment = few.real.moment(cluster.owner);
                writeln!(text, "the owner {}", owner_write(moment, write))
            }
            Move::Restart { replica } => writeln!(text, "{} starts anew", name(replica)),
            Move::Exchange { replica, source: from, part } => {
                let view = few.real.digest(cluster.replicas[usize::from(replica)]);
                let server = Few::server(&cluster, from);
                let parts = few.real.parts(cluster.owner, server, view).unwrap_or_default();
                let sent = parts
                    .get(usize::from(part))
                    .map_or("a wrong part".into(), |part| delta(few.real.delta(*part)));
                let (who, from) = (name(replica), source(from));
                writeln!(text, "{who} gets {sent} from {from}: {}", becomes(few, replica))
            }
            Move::Ask { replica } => {
                let versions = few.real.copy(cluster.replicas[usize::from(replica)]);
                let (who, digest) = (name(replica), numbers(versions.replica.versions()));
                writeln!(text, "{who} sends its digest: {digest}")
            }
            Move::Answer { slot, source: from, .. } => {
                let sent = match after.map(|after| after.slots[usize::from(slot)]) {
                    Some(Slot::Delta(part)) => delta(few.real.delta(part)),
                    _ => "a wrong part".into(),
                };
                writeln!(text, "{} answers it with {sent}", source(from))
            }
            Move::Deliver { slot, replica } => {
                let sent = match cluster.slots[usize::from(slot)] {
                    Slot::Delta(part) => delta(few.real.delta(part)),
                    _ => "nothing".into(),
                };
                writeln!(text, "{} gets {sent}, late: {}", name(replica), becomes(few, replica))
            }
            Move::Lose { .. } => writeln!(text, "what is under way is lost"),
        };
        if let Some(after) = &mut after {
            let mut named: Vec<_> = after.replicas.into_iter().zip(names).collect();
            // As the search sorts; those that take part in nothing are empty and come last there.
            let active = few.replicas();
            named[..active].sort_by_key(|(copy, _)| *copy);
            for (index, (copy, name)) in named.into_iter().enumerate() {
                (after.replicas[index], names[index]) = (copy, name);
            }
            after.slots.sort_unstable();
            cluster = *after;
        }
    }
    let _ = write!(text, "{}: {}", failure.violation.rule, failure.violation.detail);
    text
}

fn owner_write(moment: &Moment, write: Write) -> String {
    let next = moment.owner.versions().max_version + 1;
    match write {
        Write::Set(key) => format!("sets {}@{next}", KEYS[key]),
        Write::Lease(key, hours) => format!("sets {}@{next} for {hours} h", KEYS[key]),
        Write::Delete(key) => format!("deletes {}@{next}", KEYS[key]),
        Write::Collect(version) => format!("moves its watermark to {version}"),
        Write::Hour => "lets an hour pass".into(),
    }
}

fn name_of(name: &str) -> &str {
    if key_of(name) == 0 { "first" } else { name }
}

fn numbers(versions: Versions) -> String {
    let Versions { max_version: m, last_gc_version: g, cursor, .. } = versions;
    let cursor = cursor.map(|it| format!(" p {} gp {}", it.position, it.gc_version));
    format!("m {m} g {g}{}", cursor.unwrap_or_default())
}

/// What a replica has.
fn copy(peer: &Peer) -> String {
    let replica: &Replica = &peer.replica;
    let mut entries: Vec<_> = replica.entries().collect();
    entries.sort_by_key(|(_, entry)| entry.version());
    let mut text = format!("{} h {},", numbers(replica.versions()), replica.versions().horizon);
    for (name, entry) in entries {
        let _ = write!(text, " {}@{}", name_of(name), entry.version());
        let marks = [
            (entry.is_tombstone(), " deleted"),
            (entry.is_doomed(), " doomed"),
            (!entry.is_tombstone() && !entry.is_readable(), " expired"),
        ];
        text.extend(marks.into_iter().filter(|(is, _)| *is).map(|(_, mark)| mark));
    }
    text
}

fn delta(delta: &NodeDelta<'_>) -> String {
    let NodeDelta { from, to, source, horizon, last_gc_version, .. } = delta;
    let mut text = format!("[({from}, {to}] of {source} h {horizon} gc {last_gc_version}");
    if let Some(prune) = &delta.prune {
        let _ = write!(text, ", of ({}, {}] {:?} stand", prune.from, prune.to, prune.versions);
    }
    for entry in &delta.entries {
        let _ = write!(text, " {}@{}", name_of(&entry.key), entry.version);
        if entry.op == DeltaOp::Delete {
            text.push_str(" deleted");
        }
    }
    text + "]"
}
