//! The decoder in another language, which was written from the document, reads what this one reads.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use chitchat_protocol::wire::{DecodeLimits, Frame, Kind};
use serde_json::Value;

use crate::{accepted, describe, files, parts, refused};

/// With this set to 1, as in continuous integration, a Python that is missing is a failure.
const REQUIRED: &str = "CHITCHAT_REQUIRE_PYTHON";

#[allow(clippy::print_stderr, reason = "whoever runs the tests is told what was not run")]
fn skipped(error: &std::io::Error) {
    eprintln!("skipped: python3: {error}");
}

/// Runs the decoder with this as its standard input. `None`: there is no Python here.
fn decode(arguments: &[String], input: &str) -> Option<Output> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/wire-format/decode.py");
    // The name of a cluster need not be ASCII.
    let child = Command::new("python3")
        .env("PYTHONUTF8", "1")
        .arg(script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    match child {
        Ok(mut child) => {
            let mut stdin = child.stdin.take().unwrap();
            let input = input.to_owned();
            // One that reads nothing of it may have ended.
            let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
            let output = child.wait_with_output().unwrap();
            writer.join().unwrap();
            Some(output)
        }
        Err(error) => {
            let required = std::env::var(REQUIRED).is_ok_and(|value| value == "1");
            assert!(!required, "python3: {error}");
            skipped(&error);
            None
        }
    }
}

/// What it prints for each of these files.
fn decode_files(names: &[String]) -> Option<BTreeMap<String, Value>> {
    let paths: Vec<String> =
        names.iter().map(|name| files::path(name, "hex").to_str().unwrap().to_owned()).collect();
    let lines = lines_of(decode(&paths, "")?);
    assert_eq!(lines.len(), names.len());
    Some(names.iter().cloned().zip(lines).collect())
}

fn lines_of(output: Output) -> Vec<Value> {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.is_empty(), "{errors}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_decoder_in_python_reads_every_golden_message_as_it_is_described() {
    let names: Vec<_> = accepted::all().iter().map(|vector| vector.name.to_owned()).collect();
    let Some(decoded) = decode_files(&names) else { return };
    for name in names {
        let (said, described) = (&decoded[&name], files::read_description(&name));
        assert!(said["message"].is_object(), "{name}: {said}");
        assert_eq!(said["message"], described["message"], "{name}");
    }
}

#[test]
fn a_decoder_in_python_refuses_what_has_to_be_refused() {
    let names: Vec<_> = refused::all().into_iter().map(|vector| vector.name).collect();
    let Some(decoded) = decode_files(&names) else { return };
    for name in names {
        let (said, described) = (&decoded[&name], files::read_description(&name));
        assert!(said["error"].is_string(), "{name}: {said}");
        assert_eq!(said["error"], described["error"], "{name}: {said}");
    }
}

#[test]
fn a_decoder_in_python_hashes_cluster_ids_in_the_same_way() {
    for (cluster, hash) in parts::CLUSTER_HASHES {
        let Some(output) = decode(&["--hash".to_owned(), cluster.to_owned()], "") else { return };
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), format!("{hash:016x}"));
    }
}

/// What this project's reader makes of a message; `None`: it refuses it.
fn described(bytes: &[u8]) -> Option<Value> {
    let frame = Frame::parse(bytes, &DecodeLimits::default()).ok()?;
    if frame.kind() == Kind::Unsupported {
        return Some(describe::frame(bytes, &frame, None));
    }
    let message = frame.message().ok()?;
    Some(describe::frame(bytes, &frame, Some(&message)))
}

#[test]
fn a_decoder_in_python_and_this_one_agree_on_messages_that_were_damaged() {
    let mut messages = Vec::new();
    for vector in accepted::all() {
        let bytes = vector.bytes;
        if bytes.len() > 250 {
            continue;
        }
        messages.extend((0..bytes.len()).map(|len| bytes[..len].to_vec()));
        for at in 0..bytes.len() {
            // Neighbours, other flags and tags, longer and shorter numbers, and what is not UTF-8.
            for mask in [0x01, 0x02, 0x04, 0x08, 0x40, 0x80, 0xFF] {
                let mut damaged = bytes.clone();
                damaged[at] ^= mask;
                messages.push(damaged);
            }
        }
    }
    let mut lines = String::new();
    for bytes in &messages {
        lines.extend(bytes.iter().map(|byte| format!("{byte:02x}")));
        lines.push('\n');
    }
    let Some(output) = decode(&["-".to_owned()], &lines) else { return };
    let said = lines_of(output);
    assert_eq!(said.len(), messages.len());
    let (mut taken, mut dropped) = (0, 0);
    for (bytes, said) in messages.iter().zip(said) {
        match described(bytes) {
            Some(expected) => {
                assert_eq!(said["message"], expected, "{bytes:02x?}: {said}");
                taken += 1;
            }
            None => {
                assert!(said["error"].is_string(), "{bytes:02x?}: {said}");
                dropped += 1;
            }
        }
    }
    assert!(taken > 1_000 && dropped > 1_000, "{taken} taken and {dropped} refused");
}
