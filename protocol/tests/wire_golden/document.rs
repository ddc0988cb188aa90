//! The documentation of the format says what the vectors say.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use crate::{Refused, describe, files, parts, refused};

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/wire-format.md")
}

fn text() -> String {
    fs::read_to_string(path()).unwrap()
}

/// Where a part of the document that tests look at begins and ends, without its marks.
fn place(text: &str, name: &str) -> std::ops::Range<usize> {
    let mark = |which: &str| {
        let mark = format!("<!-- {which}: {name} -->\n");
        let at = text.find(&mark).unwrap_or_else(|| panic!("no {mark:?}"));
        (at, at + mark.len())
    };
    mark("begin").1..mark("end").0
}

/// The rows of a table, each as its cells.
fn rows(table: &str) -> Vec<Vec<String>> {
    let cells =
        |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    table.lines().skip(2).map(cells).collect()
}

fn table_of_refused(vectors: &[Refused]) -> String {
    let mut table = "| file | what | reason |\n| --- | --- | --- |\n".to_owned();
    for vector in vectors {
        let name = vector.name.strip_prefix("refused/").unwrap();
        let class = describe::error(&vector.error);
        let reason = vector.error.to_string();
        let reason = reason.strip_prefix("malformed body: ").unwrap_or(&reason);
        writeln!(table, "| `{name}` | {} | `{class}`: {reason} |", vector.says).unwrap();
    }
    table
}

/// Brings the table of what is refused up to date.
pub(crate) fn write() {
    let mut text = text();
    text.replace_range(place(&text, "refused"), &table_of_refused(&refused::all()));
    fs::write(path(), text).unwrap();
}

#[test]
fn the_document_lists_everything_that_is_refused() {
    let text = text();
    assert_eq!(&text[place(&text, "refused")], table_of_refused(&refused::all()));
}

#[test]
fn the_worked_example_of_the_document_is_a_golden_vector_byte_by_byte() {
    let text = text();
    let mut bytes = Vec::new();
    for row in rows(&text[place(&text, "example syn")]) {
        let [offset, hex, meaning] = &*row else { panic!("{row:?}") };
        assert_eq!(offset.parse(), Ok(bytes.len()), "{meaning}");
        let field = files::from_hex(hex.trim_matches('`'));
        assert!(!field.is_empty() && !meaning.is_empty(), "{row:?}");
        bytes.extend(field);
    }
    assert_eq!(bytes, files::read_bytes("syn"));
}

#[test]
fn the_document_names_every_kind_and_every_vector_that_it_speaks_of() {
    let text = text();
    let names = [
        "Unsupported",
        "Syn",
        "SynAck",
        "Ack",
        "Push",
        "PushAck",
        "Refused",
        "ColumnSyn",
        "ColumnSynAck",
        "Inquiry",
        "News",
    ];
    for (number, name) in names.iter().enumerate() {
        assert!(text.contains(&format!("| {number} | {name}")), "{number} {name}");
    }
    let found = files::found();
    let spoken: BTreeSet<&str> =
        text.split('`').filter(|word| word.starts_with("lenient_")).collect();
    assert_eq!(spoken.len(), 4);
    for name in spoken {
        assert!(found.contains(&format!("{name}.hex")), "{name}");
    }
    for (cluster, hash) in &parts::CLUSTER_HASHES[..2] {
        assert!(text.contains(&format!("{hash:016X}")), "{cluster:?}");
    }
}

/// The numbers of the section on limits are those of the code.
#[test]
fn the_document_states_the_limits_of_the_code() {
    let limits = chitchat_protocol::Limits::default();
    let text = text();
    assert_eq!(limits.max_decompressed_len, 16 << 20);
    assert!(text.contains("`max_decompressed_len` of the reader: 16 MiB"));
    assert_eq!((limits.max_key_len, limits.max_value_len), (1_024, 1 << 20));
    assert!(text.contains("`max_key_len` (1,024 bytes) and `max_value_len` (1 MiB)"));
    assert_eq!(chitchat_protocol::NodeId::MAX_LEN, 255);
    assert!(text.contains("| node id, start and end of a range | 255 bytes |"));
}
