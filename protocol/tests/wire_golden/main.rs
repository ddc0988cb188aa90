//! Messages byte by byte: what `golden/*.hex` holds must be read the same for ever, and written the
//! same as long as there are the wire versions that they are in. What a message says stands beside it in `golden/*.json`;
//! `golden/refused` has what every reader must refuse, and why.
//!
//! A file that is missing, differs, or belongs to nothing is a failure, and is never written by these
//! tests. After a change that adds a message or a wire version, write the files with
//!
//! ```sh
//! cargo test -p chitchat-protocol --test wire_golden -- --ignored write_all_files
//! ```
//!
//! and look at the difference: a changed line of an old `.hex` file breaks every cluster in operation.

mod accepted;
mod columns;
mod describe;
mod document;
mod files;
mod parts;
mod python;
mod refused;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use chitchat_protocol::DecodeError;
use chitchat_protocol::message::Message;
use chitchat_protocol::wire::{
    DecodeLimits, EncodeOptions, Frame, Kind, WIRE_VERSION_MAX, WIRE_VERSION_MIN, cluster_id_hash,
    encode_unsupported,
};
use serde_json::{Value, json};

/// A message that every reader takes.
pub(crate) struct Accepted {
    pub(crate) name: &'static str,
    pub(crate) says: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// Any writer writes these bytes and no others for what the message says. Which matches lz4 finds
    /// is no part of the format, and some things can be written in a longer way.
    pub(crate) canonical: bool,
}

/// What every reader refuses.
pub(crate) struct Refused {
    /// With the folder.
    pub(crate) name: String,
    pub(crate) says: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) error: DecodeError,
}

impl Accepted {
    /// What the bytes of a file say.
    fn describe(&self, bytes: &[u8]) -> Value {
        let name = self.name;
        let frame = Frame::parse(bytes, &DecodeLimits::default())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let message = (frame.kind() != Kind::Unsupported)
            .then(|| frame.message().unwrap_or_else(|error| panic!("{name}: {error}")));
        json!({
            "says": self.says,
            "canonical": self.canonical,
            "message": describe::frame(bytes, &frame, message.as_ref()),
        })
    }
}

impl Refused {
    fn describe(&self) -> Value {
        json!({
            "says": self.says,
            "error": describe::error(&self.error),
            "reason": self.error.to_string(),
        })
    }
}

#[test]
#[ignore = "writes the files that the other tests compare with"]
fn write_all_files() {
    for vector in accepted::all() {
        files::write(vector.name, vector.says, &vector.bytes, &vector.describe(&vector.bytes));
    }
    for vector in refused::all() {
        files::write(&vector.name, vector.says, &vector.bytes, &vector.describe());
    }
    document::write();
}

#[test]
fn golden_messages_are_read_and_written_as_ever() {
    for vector in accepted::all() {
        let name = vector.name;
        let bytes = files::read_bytes(name);
        let description = files::read_description(name);
        assert_eq!(vector.describe(&bytes), description, "{name}");
        assert_eq!(vector.describe(&vector.bytes), description, "{name}");
        if vector.canonical {
            assert_eq!(vector.bytes, bytes, "{name}: {}", vector.says);
        }
        let frame = Frame::parse(&bytes, &DecodeLimits::default()).unwrap();
        if frame.kind() == Kind::Unsupported {
            assert!(frame.message().is_err());
            continue;
        }
        let message = frame.message().unwrap();
        let options = EncodeOptions::plain().with_version(frame.version()).unwrap();
        let again = message.encode_with(&options);
        assert_eq!(again == bytes, vector.canonical, "{name}: {}", vector.says);
        assert_eq!(Message::decode(&again, &DecodeLimits::default()).as_ref(), Ok(&message));
    }
}

#[test]
fn golden_refusals_are_refused_for_their_reason() {
    for vector in refused::all() {
        let bytes = files::read_bytes(&vector.name);
        assert_eq!(bytes, vector.bytes, "{}", vector.name);
        assert_eq!(files::read_description(&vector.name), vector.describe(), "{}", vector.name);
        let decoded = Message::decode(&bytes, &DecodeLimits::default());
        assert_eq!(decoded, Err(vector.error), "{}: {}", vector.name, vector.says);
    }
}

#[test]
fn the_golden_unsupported_answer_is_written_as_ever() {
    let encoded = encode_unsupported(cluster_id_hash("golden"), parts::NONCE);
    assert_eq!(encoded, files::read_bytes("unsupported_2"));
}

#[test]
fn every_golden_file_is_tested() {
    let mut expected = BTreeSet::new();
    let names = accepted::all().into_iter().map(|vector| vector.name.to_owned());
    for name in names.chain(refused::all().into_iter().map(|vector| vector.name)) {
        for extension in ["hex", "json"] {
            assert!(expected.insert(format!("{name}.{extension}")), "{name} twice");
        }
    }
    assert_eq!(files::found(), expected);
}

#[test]
fn every_kind_of_message_has_a_golden_vector_in_the_version_that_brought_it() {
    let vectors: BTreeSet<(u8, u8)> =
        accepted::all().iter().map(|vector| (vector.bytes[2], vector.bytes[3])).collect();
    let mut known = BTreeSet::new();
    for version in WIRE_VERSION_MIN..=WIRE_VERSION_MAX {
        for kind in 0..=u8::MAX {
            let mut bytes = encode_unsupported(1, 2);
            (bytes[2], bytes[3]) = (version, kind);
            match Frame::parse(&bytes, &DecodeLimits::default()) {
                Ok(_) if known.iter().any(|(_, before)| *before == kind) => {}
                Ok(_) => assert!(known.insert((version, kind))),
                Err(DecodeError::UnknownKind(_)) => {}
                Err(error) => panic!("kind {kind}: {error}"),
            }
        }
    }
    let missing: Vec<_> = known.difference(&vectors).collect();
    assert!(missing.is_empty(), "versions and kinds without a vector: {missing:?}");
    assert_eq!(known.len(), 11);
}

#[test]
fn every_reason_to_refuse_a_message_has_a_golden_vector() {
    // Told where a message is asked for that an answer without a body does not have.
    let mut in_code = BTreeSet::new();
    collect_reasons(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wire"), &mut in_code);
    assert!(in_code.remove("an unsupported answer carries no message"));
    assert!(in_code.len() > 20, "{in_code:?}");
    let vectors = refused::all();
    let reasons = vectors.iter().filter_map(|vector| match &vector.error {
        DecodeError::Malformed(reason) => Some((*reason).to_owned()),
        _ => None,
    });
    assert_eq!(reasons.collect::<BTreeSet<_>>(), in_code);
    let classes: BTreeSet<_> =
        vectors.iter().map(|vector| describe::error(&vector.error)).collect();
    let all =
        ["malformed", "not_ours", "too_large", "truncated", "unknown_kind", "unsupported_version"];
    assert_eq!(classes, BTreeSet::from(all));
}

/// The texts of all `DecodeError::Malformed` outside of tests.
fn collect_reasons(folder: &Path, reasons: &mut BTreeSet<String>) {
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("tests") {
                collect_reasons(&path, reasons);
            }
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for after in text.split("DecodeError::Malformed(").skip(1) {
            if let Some(quoted) = after.trim_start().strip_prefix('"') {
                reasons.insert(quoted.split('"').next().unwrap().to_owned());
            }
        }
    }
}

#[test]
fn the_cluster_hash_is_the_same_for_ever() {
    for (cluster, hash) in parts::CLUSTER_HASHES {
        assert_eq!(cluster_id_hash(cluster), hash, "{cluster:?}");
    }
}
