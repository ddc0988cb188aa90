//! The files: bytes in hexadecimal, and beside them what they say.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Where the files are; those of messages that are refused stand in a folder of their own.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// `golden/<name>.<extension>`.
pub(crate) fn path(name: &str, extension: &str) -> PathBuf {
    folder().join(format!("{name}.{extension}"))
}

/// Hexadecimal digits in any number of lines; `#` begins a comment line.
pub(crate) fn from_hex(text: &str) -> Vec<u8> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let digits: Vec<u32> = lines
        .flat_map(str::chars)
        .filter(|digit| !digit.is_whitespace())
        .map(|digit| digit.to_digit(16).unwrap_or_else(|| panic!("{digit:?} is no digit")))
        .collect();
    assert!(digits.len().is_multiple_of(2), "half a byte");
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

fn read_text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| {
        panic!("{}: {error}; the top of main.rs says how to write it", path.display())
    })
}

pub(crate) fn read_bytes(name: &str) -> Vec<u8> {
    from_hex(&read_text(&path(name, "hex")))
}

pub(crate) fn read_description(name: &str) -> Value {
    let path = path(name, "json");
    serde_json::from_str(&read_text(&path))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn write(name: &str, says: &str, bytes: &[u8], description: &Value) {
    let mut text = format!("# {says}\n");
    for line in bytes.chunks(32) {
        text.extend(line.iter().map(|byte| format!("{byte:02x}")));
        text.push('\n');
    }
    let path_of = |extension| path(name, extension);
    fs::create_dir_all(path_of("hex").parent().unwrap()).unwrap();
    fs::write(path_of("hex"), text).unwrap();
    let description = serde_json::to_string_pretty(description).unwrap();
    fs::write(path_of("json"), description + "\n").unwrap();
}

/// All files, as names relative to the folder.
pub(crate) fn found() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for prefix in ["", "refused/"] {
        for file in fs::read_dir(folder().join(prefix)).unwrap() {
            let file = file.unwrap();
            if file.file_type().unwrap().is_file() {
                found.insert(format!("{prefix}{}", file.file_name().into_string().unwrap()));
            } else {
                assert_eq!((prefix, file.file_name().to_str()), ("", Some("refused")));
            }
        }
    }
    found
}
