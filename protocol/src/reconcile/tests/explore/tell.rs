//! What was found, in words.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::delta::{DeltaOp, NodeDelta};
use crate::reconcile::tests::owner::KEYS;
use crate::reconcile::tests::peer::Peer;
use crate::state::{Replica, Versions};

use super::few::{Few, Move, Slot};
use super::many::{Crowd, Found, Many};
use super::real::{EMPTY, Id, Moment, Server, Write, key_of};
use super::search::{Failure, Space};

/// The way to a violation: one line for each move, with who is who kept through the sorting.
pub(super) fn way(few: &mut Few, failure: &Failure<Move>) -> String {
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
    text
}

/// How what broke comes about, among as many replicas as it takes: their copies and the deltas between
/// them, each at the time at which it was first possible.
pub(super) fn story(many: &mut Many, found: &Found) -> String {
    let mut owners = vec![0];
    let mut events = Vec::new();
    for (index, write) in found.writes.iter().enumerate() {
        let moment = many.real.moment(owners[index]);
        events.push((index + 1, format!("the owner {}", owner_write(moment, *write))));
        let writes = many.real.writes(owners[index]);
        owners.extend(writes.iter().find(|(it, _)| it == write).map(|(_, owner)| *owner));
    }
    let (crowd, names) = (&found.crowd, HashMap::new());
    let mut story = Story { many, crowd, owners, names, events };
    if let Some(origin) = found.origin {
        let (base, sent) = (story.copy(origin.copy), story.delta(origin.delta));
        story.events.push((usize::MAX, format!("{base} takes {sent}: broken")));
    }
    // Stable: what is at one time stays in the order of cause and effect.
    story.events.sort_by_key(|(time, _)| *time);
    story.events.iter().map(|(_, line)| format!("{line}\n")).collect()
}

struct Story<'a> {
    many: &'a Many,
    crowd: &'a Crowd,
    owners: Vec<Id>,
    names: HashMap<(bool, Id), String>,
    events: Vec<(usize, String)>,
}

impl Story<'_> {
    fn tell(&mut self, owner: Id, line: String) {
        let time = self.owners.iter().position(|it| *it == owner).unwrap();
        self.events.push((time, line));
    }

    fn name(&mut self, is_copy: bool, id: Id) -> String {
        let count = self.names.keys().filter(|(it, _)| *it == is_copy).count();
        let name = format!("{}{}", if is_copy { "copy " } else { "delta " }, count + 1);
        self.names.insert((is_copy, id), name.clone());
        name
    }

    fn copy(&mut self, id: Id) -> String {
        if id == EMPTY {
            return "an empty copy".into();
        }
        if let Some(name) = self.names.get(&(true, id)) {
            return name.clone();
        }
        let origin = self.crowd.origins[&id];
        let (base, sent) = (self.copy(origin.copy), self.delta(origin.delta));
        let name = self.name(true, id);
        let content = copy(self.many.real.copy(id));
        self.tell(origin.owner, format!("{base} takes {sent}: {name} is {content}"));
        name
    }

    fn delta(&mut self, id: Id) -> String {
        if let Some(name) = self.names.get(&(false, id)) {
            return name.clone();
        }
        let sending = self.crowd.sendings[&id];
        let server = match sending.server {
            Server::Owner => "the owner".into(),
            Server::Copy(id) => self.copy(id),
        };
        let asker = self.copy(sending.asker);
        let name = self.name(false, id);
        let content = delta(self.many.real.delta(id));
        self.tell(sending.owner, format!("{server} answers {asker}: {name} is {content}"));
        name
    }
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
