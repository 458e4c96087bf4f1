//! What the packages bring. What dpkg does with the .deb is tested by `packaging/test/deb`, which needs one built.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::{Dwindle, Sandbox};

const STARTER: &str = include_str!("../packaging/config.toml");
const MANIFEST: &str = include_str!("../Cargo.toml");

/// Installed by one of the two in its own way: units by debhelper's rules, and each its licences.
const OF_ONE_PACKAGE: [&str; 4] = [
    "packaging/systemd/*.service",
    "packaging/debian/copyright",
    "LICENSE-APACHE",
    "LICENSE-MIT",
];

#[test]
fn the_starter_configuration_watches_nothing_and_the_agent_says_what_to_write() {
    let sandbox = Sandbox::new();
    sandbox.file("config.toml", STARTER);
    let output = Dwindle::new(&sandbox)
        .args(["check", "-c", "config.toml"])
        .finish()
        .expect_code(78);
    assert!(output.stderr.starts_with("error: nothing is watched"), "{output}");
    let output = Dwindle::new(&sandbox)
        .args(["run", "-c", "config.toml"])
        .finish()
        .expect_code(78);
    assert_eq!(
        output.stderr,
        "dwindle: there is nothing to watch: the configuration has no [[watch]]. Add that line to config.toml, and below it one like \
         path = \"/srv/inbox\"\n"
    );
}

#[test]
fn what_the_starter_configuration_suggests_is_legal() {
    let sandbox = Sandbox::new();
    let uncommented: Vec<&str> = STARTER
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| !rest.starts_with(' '))
                .unwrap_or(line)
        })
        .collect();
    sandbox.file("config.toml", uncommented.join("\n"));
    let output = Dwindle::new(&sandbox)
        .args(["check", "-c", "config.toml"])
        .finish()
        .expect_code(0);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with("config.toml: valid, 3 folders to watch"), "{output}");
}

#[test]
fn both_packages_install_the_same_files() {
    let (deb, rpm) = (sources("deb"), sources("generate-rpm"));
    assert!(deb.len() > 10, "{deb:?}");
    let different: Vec<&String> = deb
        .symmetric_difference(&rpm)
        .filter(|source| !OF_ONE_PACKAGE.contains(&source.as_str()))
        .collect();
    assert!(
        different.is_empty(),
        "in one of the two lists of Cargo.toml: {different:?}"
    );
}

#[test]
fn everything_that_is_for_packages_is_installed() {
    let installed = sources("generate-rpm");
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    for folder in ["systemd", "sysusers.d", "tmpfiles.d", "man", "completions", "conf.d"] {
        let Ok(entries) = fs::read_dir(packaging.join(folder)) else {
            continue;
        };
        for entry in entries {
            let name = entry.expect("an entry").file_name();
            let name = name.to_string_lossy();
            let path = format!("packaging/{folder}/{name}");
            let any = name
                .rsplit_once('.')
                .map(|(_, suffix)| format!("packaging/{folder}/*.{suffix}"));
            let is_installed = installed.contains(&path) || any.is_some_and(|any| installed.contains(&any));
            assert!(is_installed, "{path} is in no list of Cargo.toml");
        }
    }
}

#[test]
fn the_debian_changelog_is_of_this_version() {
    let changelog = include_str!("../packaging/debian/changelog");
    let head = concat!("dwindle (", env!("CARGO_PKG_VERSION"), "-1) ");
    assert!(changelog.starts_with(head), "{changelog}");
}

/// The files that the package is made of, as the manifest's table for its builder names them.
fn sources(builder: &str) -> BTreeSet<String> {
    let (_, table) = MANIFEST
        .split_once(&format!("[package.metadata.{builder}]\n"))
        .expect("the builder's table");
    let (_, assets) = table.split_once("assets = [\n").expect("its assets");
    let (assets, _) = assets.split_once("\n]\n").expect("their end");
    let source = |line: &str| line.split('"').nth(1).map(str::to_owned);
    assets.lines().filter_map(source).collect()
}
