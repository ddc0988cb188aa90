//! `docs/behaviours.md` names tests that exist.

use std::fs;
use std::path::{Path, PathBuf};

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).expect("a folder of the workspace can be read");
    for entry in entries.map(|entry| entry.expect("an entry can be read").path()) {
        let name = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if entry.is_dir() && name != "target" && !name.starts_with('.') {
            rust_files(&entry, files);
        } else if name.ends_with(".rs") {
            files.push(entry);
        }
    }
}

/// Words in backquotes that look like the name of a test: a sentence has many words.
fn named_tests(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|name| name.matches('_').count() >= 3 && !name.contains('/')).collect()
}

#[test]
fn every_test_that_the_behaviours_name_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let text = fs::read_to_string(root.join("docs/behaviours.md")).expect("docs/behaviours.md");
    let names = named_tests(&text);
    assert!(names.len() > 50, "only {} names were found", names.len());
    let mut files = Vec::new();
    rust_files(root, &mut files);
    let sources: Vec<String> =
        files.iter().map(|file| fs::read_to_string(file).expect("a source file")).collect();
    let missing: Vec<&str> = names
        .into_iter()
        .filter(|name| {
            // Some are written once for every transport.
            let definitions = [format!("fn {name}("), format!("fn {name}<")];
            !sources.iter().any(|source| definitions.iter().any(|it| source.contains(it)))
        })
        .collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}

#[test]
fn a_name_that_does_not_exist_would_be_found() {
    let names = named_tests("| S0 | x | sim: `a_test_that_is_nowhere`, `target/debug`, `Limits` |");
    assert_eq!(names, ["a_test_that_is_nowhere"]);
}
