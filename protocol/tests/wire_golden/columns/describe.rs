//! What questions and answers in columns say, as JSON.

use chitchat_protocol::columns::{
    Cell, ColumnAnswer, Columns, Layout, Life, PositionVersions, Standing,
};
use chitchat_protocol::message::Header;
use serde_json::{Value, json};

use crate::describe::{cursor, hex, parked, tenths};

pub(crate) fn question(columns: &Columns<'_>, header: &Header<'_>) -> Value {
    let layout = match &columns.layout {
        Layout::Set { fingerprint, first } => {
            json!({ "by": "set", "fingerprint": hex(*fingerprint), "first": first })
        }
        Layout::Hashes { start, end, hashes } => {
            let hashes: Value = hashes.iter().map(|hash| format!("{hash:012x}")).collect();
            json!({ "by": "hashes", "start": start, "end": end, "hashes": hashes })
        }
    };
    let not_live =
        columns.cells.contains(&Cell::NotLive).then(|| format!("{:08x}", columns.not_live));
    json!({
        "layout": layout,
        "cells": columns.cells.iter().map(cell).collect::<Value>(),
        "lives": lives(&columns.lives, header),
        "not_live": not_live,
        "buckets": columns.buckets.iter().map(|it| format!("{it:04x}")).collect::<Value>(),
        "versions": columns.versions.iter().map(versions).collect::<Value>(),
    })
}

pub(crate) fn answer(answer: &ColumnAnswer, header: &Header<'_>) -> Value {
    let newer = |(position, it): &(u32, Cell)| json!({ "position": position, "cell": cell(it) });
    json!({
        "standing": match answer.standing {
            Standing::Same => "same",
            Standing::Other => "other",
            Standing::Unknown => "unknown",
        },
        "count": answer.count,
        "newer": answer.newer.iter().map(newer).collect::<Value>(),
        "lives": lives(&answer.lives, header),
        "asked": answer.asked,
        "unknown": answer.unknown,
        "versions": answer.versions.iter().map(versions).collect::<Value>(),
    })
}

fn cell(cell: &Cell) -> Value {
    match cell {
        Cell::Young { heartbeat, age } => json!({ "heartbeat": heartbeat, "age": age }),
        Cell::NotLive => json!("not_live"),
        Cell::Listed => json!("listed"),
    }
}

fn lives(lives: &[Life], header: &Header<'_>) -> Value {
    let life = |life: &Life| {
        json!({
            "position": life.position,
            "heartbeat": life.heartbeat,
            "age": life.age.map(|age| tenths(age, header)),
        })
    };
    lives.iter().map(life).collect()
}

fn versions(it: &PositionVersions) -> Value {
    json!({
        "position": it.position,
        "max_version": it.max_version,
        "last_gc_version": it.last_gc_version,
        "cursor": cursor(it.cursor),
        "parked": parked(it.parked),
        "frozen": it.frozen,
    })
}
