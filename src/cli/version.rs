//! What exactly is running: version, commit and features.

use std::sync::LazyLock;

/// The version as `Cargo.toml` has it.
pub(crate) const NUMBER: &str = env!("CARGO_PKG_VERSION");

const FEATURES: &[(&str, bool)] = &[
    ("cli", cfg!(feature = "cli")),
    ("libdeflate", cfg!(feature = "libdeflate")),
    ("smol", cfg!(feature = "smol")),
    ("watch", cfg!(feature = "watch")),
    ("config", cfg!(feature = "config")),
    ("zstd", cfg!(feature = "zstd")),
];

/// As `dwindle --version` prints it after the name: `0.1.0 (commit 0123abcde, features: cli libdeflate smol watch config zstd)`.
pub(crate) fn full() -> &'static str {
    static FULL: LazyLock<String> = LazyLock::new(|| {
        let features: Vec<_> = FEATURES.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
        let commit = env!("DWINDLE_COMMIT");
        format!("{NUMBER} (commit {commit}, features: {})", features.join(" "))
    });
    &FULL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_version_commit_and_features() {
        let (before, after) = full().split_once(" (commit ").unwrap();
        assert_eq!(before, NUMBER);
        let (commit, features) = after.split_once(", features: ").unwrap();
        assert!(commit == "unknown" || commit.len() <= 9, "{commit}");
        assert_eq!(features, "cli libdeflate smol watch config zstd)");
    }

    #[test]
    fn knows_every_feature_of_the_package() {
        let (_, features) = include_str!("../../Cargo.toml").split_once("[features]\n").unwrap();
        let (features, _) = features.split_once("\n[").unwrap();
        let named = features
            .lines()
            .filter_map(|line| line.split_once(" = ["))
            .map(|(name, _)| name);
        let mut named: Vec<&str> = named.filter(|name| *name != "default").collect();
        let mut known: Vec<&str> = FEATURES.iter().map(|(name, _)| *name).collect();
        named.sort_unstable();
        known.sort_unstable();
        assert_eq!(known, named);
    }
}
