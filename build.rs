//! Finds the commit that is being built, for `dwindle --version`. Nothing it cannot find stops a build.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=DWINDLE_COMMIT");
    // Only the program tells its version; who builds the library needs no git.
    if env::var_os("CARGO_FEATURE_CLI").is_none() {
        return;
    }
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let commit = env::var("DWINDLE_COMMIT")
        .ok()
        .or_else(|| published(&package))
        .or_else(|| checked_out(&package));
    println!(
        "cargo::rustc-env=DWINDLE_COMMIT={}",
        shorten(&commit.unwrap_or_default())
    );
}

/// The commit that `cargo publish` and `cargo package` write into a crate.
fn published(package: &Path) -> Option<String> {
    let file = package.join(".cargo_vcs_info.json");
    let text = fs::read_to_string(&file).ok()?;
    println!("cargo::rerun-if-changed={}", file.display());
    let (_, after) = text.split_once("\"sha1\"")?;
    after.split('"').nth(1).map(str::to_owned)
}

/// The commit of the package's own repository. One further up, in which the sources merely lie, is somebody else's.
fn checked_out(package: &Path) -> Option<String> {
    if !package.join(".git").exists() {
        return None;
    }
    watch_head(package);
    git(package, &["rev-parse", "HEAD"])
}

/// Has this run again after a commit or a checkout: HEAD changes, or the file of the branch it names. A branch has no file while it
/// is packed; then its folder changes when it gets one.
fn watch_head(package: &Path) {
    let watched = |name: &str| Some(package.join(git(package, &["rev-parse", "--git-path", name])?));
    let branch = git(package, &["symbolic-ref", "--quiet", "HEAD"]);
    let branch = branch.and_then(|branch| watched(&branch));
    let branch = branch
        .as_deref()
        .and_then(|file| file.ancestors().find(|path| path.exists()));
    let packed = watched("packed-refs").filter(|file| file.exists());
    for path in [watched("HEAD"), packed, branch.map(Path::to_owned)]
        .into_iter()
        .flatten()
    {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}

/// What git prints, without the newline; nothing where it fails or is not installed.
fn git(package: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(package)
        // Set where a build runs in a hook of another repository.
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}

/// Nine characters, as many as anybody needs; no others than could be a commit's, since cargo reads what is printed here.
fn shorten(commit: &str) -> String {
    let short: String = commit.chars().filter(char::is_ascii_alphanumeric).take(9).collect();
    if short.is_empty() { "unknown".to_owned() } else { short }
}
