//! The names of the packages, as they would stand in a registry.

use std::fs;
use std::path::Path;

/// Names of ours that others have at crates.io, as of 2026-11-25. CONTRIBUTING.md says how to look.
const TAKEN: [&str; 1] = ["chitchat"];

struct Package {
    name: String,
    may_be_published: bool,
}

/// Reads what the manifest says of its package; the sections after it are of no interest.
fn package_of(manifest: &str) -> Package {
    let section = manifest.split("[package]").nth(1).expect("a package");
    let section = section.split("\n[").next().unwrap_or_default();
    let value = |key: &str| {
        let lines = section.lines().filter_map(|line| line.split_once('='));
        lines.map(|(left, right)| (left.trim(), right.trim())).find(|(left, _)| *left == key)
    };
    let (_, name) = value("name").expect("a name");
    let may_be_published = value("publish").is_none_or(|(_, publish)| publish != "false");
    Package { name: name.trim_matches('"').to_owned(), may_be_published }
}

fn packages() -> Vec<Package> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let entries = fs::read_dir(root).expect("the workspace can be read");
    let manifests = entries.filter_map(|entry| {
        let folder = entry.expect("an entry can be read").path();
        fs::read_to_string(folder.join("Cargo.toml")).ok()
    });
    manifests.map(|manifest| package_of(&manifest)).collect()
}

#[test]
fn no_package_can_be_published_under_a_name_that_others_have() {
    let packages = packages();
    assert!(packages.len() >= 10, "only {} packages were found", packages.len());
    for package in packages {
        let is_taken = TAKEN.contains(&&*package.name);
        assert!(
            !(is_taken && package.may_be_published),
            "{} has to get `publish = false`",
            package.name
        );
    }
}

#[test]
fn every_package_that_can_be_published_carries_the_name_of_the_project() {
    // Short names are taken sooner or later; those with a prefix are unlikely to be.
    for package in packages().iter().filter(|package| package.may_be_published) {
        assert!(package.name.starts_with("chitchat-"), "{}", package.name);
    }
}

#[test]
fn a_manifest_without_publish_may_be_published() {
    let open = package_of("[package]\nname = \"one\"\n\n[dependencies]\npublish = false\n");
    assert!(open.name == "one" && open.may_be_published);
    let closed = package_of("[package]\nname = \"two\"\npublish = false\n");
    assert!(closed.name == "two" && !closed.may_be_published);
}
