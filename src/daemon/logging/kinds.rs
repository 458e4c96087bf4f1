//! The kinds of log events: the names that events are given in their macros (`name: "compressed"`), by which JSON lines have them (`event`), and
//! the number by which a journal finds all of a kind, whatever their words (`MESSAGE_ID`, systemd.journal-fields(7)). Numbers and names
//! stay; `docs/operations.md` says what each means.

/// Sorted. The numbers were drawn once (`systemd-id128 new`), and mean nothing.
const KINDS: &[(&str, &str)] = &[
    ("compressed", "ee895db1ba4f480d8f836a011bc30300"),
    ("configuration", "0030b029fd53480cb4e5eef16e2c4af8"),
    ("failed", "22efc23358b3430cb2dee9e96b68da54"),
    ("finished", "dc7a9cdc2c6e4f6bbff61138756d277c"),
    ("folder-found", "14d91ffb30e643138707b8dc58bbacfd"),
    ("folder-lost", "00d5adb3c11243a09c0a26ed5364b587"),
    ("given-up", "c3896a920e004d0a92f1112759dd4cb2"),
    ("hook-failed", "72dd725d72294249b105dd14bca65f68"),
    ("hook-not-run", "2a67ab4ba16e4611ab4af5dccd5da366"),
    ("hook-output", "2a544b0f26724c879037fa028c44900e"),
    ("hooks-confined", "2d0f50d984da247ec91aecd0cdcb5ad0"),
    ("hooks-done", "0c4460a11e6c4d13a28132a96d4fba81"),
    ("manager", "2ccf73a28cf34ea981df0d38fe0dd6ef"),
    ("metrics", "87deb2ebdf21474cbba3934295c4403c"),
    ("next-start", "0ecee9af9f4b433ab736fbde78aac97f"),
    ("no-control-socket", "dbf5f950bb42491a9972fbcf6b550177"),
    ("no-journal", "024da38ed3004a288a782a884c5dfd2e"),
    ("no-lock", "735d71fa37394d9f9b39e7ed93da9a18"),
    ("no-metrics", "bd937a3448eb469ab67faddbdd3fe4d3"),
    ("not-watching", "f5fcec35125e43f7ba4204b5d7eb42b2"),
    ("paused", "0e46b4aaadcf4f1ca79439f6cac2406a"),
    ("reload-refused", "18e186765c4c4713b6382a16b5d14f1d"),
    ("reloaded", "d4fa9acda72e4d18b171430e3da69167"),
    ("removed", "211ebab5f1cb404bb0d23a7da877b09e"),
    ("rescanning", "19e61c686bc24d8998970de644777359"),
    ("skipped", "bced1b7db65a4a00b192c026ae4d9bd3"),
    ("stopping", "73d00ae1b35441b38785b807f5052734"),
    ("too-many", "d60b774298d64d699851a0dcb6ac5d61"),
    ("warning", "234a576087a9461cacce985e925d3b42"),
    ("watching", "5cf6a57a78284493a5488819be456843"),
    ("withdrawn", "6c65bcdee616420cb9d4de849c288875"),
];

/// The number of a kind; nothing for an event that has no name of its own.
pub(super) fn message_id(name: &str) -> Option<&'static str> {
    let found = KINDS.binary_search_by(|(kind, _)| kind.cmp(&name)).ok()?;
    KINDS.get(found).map(|(_, id)| *id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn kinds_are_sorted_and_their_numbers_differ() {
        assert!(KINDS.is_sorted());
        let ids: BTreeSet<&str> = KINDS.iter().map(|(_, id)| *id).collect();
        assert_eq!(ids.len(), KINDS.len());
        let is_id = |id: &&str| id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        assert!(ids.iter().all(is_id));
        for (kind, id) in KINDS {
            assert_eq!(message_id(kind), Some(*id));
        }
        assert_eq!(message_id("event src/cli/run.rs:56"), None);
    }

    /// Of each kind there is an event in the source, and a row in the documentation; and each event that is told without being asked for is of
    /// a kind.
    #[test]
    fn every_kind_is_logged_and_documented_and_every_event_has_one() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let docs = std::fs::read_to_string(root.join("docs/operations.md")).unwrap();
        let mut logged = BTreeSet::new();
        for (path, source) in program_sources(root.join("src")) {
            for (level, name) in events(&source) {
                let Some(name) = name else {
                    let detail = matches!(level, "debug" | "trace");
                    assert!(detail, "{}: an event at level {level} has no name", path.display());
                    continue;
                };
                let known = message_id(&name).is_some();
                assert!(known, "{}: {name} has no number", path.display());
                logged.insert(name);
            }
        }
        for (kind, _) in KINDS {
            assert!(logged.contains(*kind), "{kind} is logged nowhere");
            assert!(
                docs.contains(&format!("\n| `{kind}` |")),
                "{kind} is not in docs/operations.md"
            );
        }
    }

    #[test]
    fn events_are_found_in_macros_of_any_layout() {
        let source = r#"
            info!(name: "one", field, "words");
            tracing::warn!(
                name: "two",
                "words",
            );
            error!("no name: \"three\"");
            my_info!("no event");
            if info! { name: "four", "words" } {}
        "#;
        let name = |name: &str| Some(name.to_owned());
        let expected = [
            ("info", name("one")),
            ("info", name("four")),
            ("warn", name("two")),
            ("error", None),
        ];
        assert_eq!(events(source), expected);
    }

    /// What becomes the program: without tests, which may log what they like.
    fn program_sources(folder: std::path::PathBuf) -> Vec<(std::path::PathBuf, String)> {
        let mut sources = Vec::new();
        let mut folders = vec![folder];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let text = std::fs::read_to_string(&path).unwrap();
                    let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                    sources.push((path, program.to_owned()));
                }
            }
        }
        sources
    }

    /// The level of each event in a source, and its name if it has one: by level, then in their order.
    fn events(source: &str) -> Vec<(&'static str, Option<String>)> {
        let mut events = Vec::new();
        for level in ["trace", "debug", "info", "warn", "error"] {
            let mut before = "";
            for part in source.split(&format!("{level}!")) {
                // The first part has nothing before it, and a longer macro's name is another one's.
                let is_event = !before.is_empty()
                    && !before.ends_with(|last: char| last.is_alphanumeric() || last == '_')
                    && part.trim_start().starts_with(['(', '{', '[']);
                if is_event {
                    let arguments = part.trim_start().get(1..).unwrap_or_default().trim_start();
                    let name = arguments.strip_prefix("name:").and_then(|rest| rest.split('"').nth(1));
                    events.push((level, name.map(str::to_owned)));
                }
                before = part;
            }
        }
        events
    }
}
