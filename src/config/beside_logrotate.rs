//! Warnings of logrotate's entries that do not go with a watch: their files would be lost sight of, fought over, or never taken.
//!
//! logrotate renames, counts and removes what it believes to be there: `app.log.1` without `compress`, `app.log.1.gz` with it. With `compress`
//! and `delaycompress` it leaves the newest rotated file alone until the next rotation, by which time that is compressed.

use std::path::{Path, PathBuf};

use globset::GlobBuilder;

use super::diagnostic::Diagnostic;
use super::logrotate::{self, Block};
use crate::model::{Escaped, Format, Reason};
use crate::policy::{Preset, Select, Watch};
use crate::storage::real_path;

/// Compares the watches with logrotate's configuration. `places` are theirs, as `FILE:LINE`. Blocks on the file system.
pub(crate) fn warn_beside_logrotate(watches: &[Watch], places: &[String], configuration: &Path) -> Vec<Diagnostic> {
    let blocks = logrotate::read(configuration);
    let mut warnings = Vec::new();
    for block in &blocks {
        for (watch, place) in watches.iter().zip(places) {
            if takes_originals(watch) {
                let mut found = block
                    .patterns
                    .iter()
                    .filter_map(|pattern| check(block, pattern, watch, place));
                warnings.extend(found.next());
            }
        }
    }
    warnings
}

/// Whether what it compresses vanishes under its old name and appears beside it: then logrotate meets the change.
fn takes_originals(watch: &Watch) -> bool {
    watch.preset != Preset::StaticAssets && !watch.keep_original && watch.output_dir.is_none()
}

fn check(block: &Block, pattern: &str, watch: &Watch, place: &str) -> Option<Diagnostic> {
    let settings = &block.settings;
    let sample = rotated_sample(block, pattern)?;
    let select = Select::new(watch).ok()?;
    let relative = below(&sample, &watch.path)?;
    let name = sample.file_name()?.to_string_lossy().into_owned();
    let (folder, shown) = (Escaped(&watch.path), Escaped(Path::new(&name)).to_string());
    match select.file(&relative) {
        Ok(()) => {}
        Err(Reason::NotRotated) if settings.dates && settings.date_format.is_some() => {
            let warning = block.warn(format!("what logrotate makes here is never taken in {folder}"));
            let label = format!("it is called like {shown}, which is not a name that dwindle knows for a rotation's");
            let help = "the default dateformat -%Y%m%d is known, and -%Y%m%d%H, .%s, -%Y-%m-%d";
            return Some(warning.with_label(label).with_help(help));
        }
        Err(_) => return None,
    }
    let ours = watch.format.suffix();
    let keeps_all = settings.dates && settings.rotate < 0;
    if !settings.compress {
        // With dates and nothing ever removed there is nothing to lose sight of.
        let warning =
            block.warn_of_compression(format!("logrotate would lose sight of what is compressed in {folder}"));
        let label = format!(
            "without `compress` it looks for {shown}, never for {shown}{ours}: it neither counts nor removes that"
        );
        let help = format!("say `compress` and `delaycompress` here; the folder is watched by {place}");
        return (!keeps_all).then(|| warning.with_label(label).with_help(help));
    }
    if settings.compress_suffix != ours {
        let warning = block.warn_of_suffix(format!("logrotate would lose sight of what is compressed in {folder}"));
        let suffix = &settings.compress_suffix;
        let label =
            format!("it looks for {shown}{suffix}, never for {shown}{ours}: it neither counts nor removes that");
        let instead = match watch.format {
            Format::Gzip => "leave compressext out here".to_owned(),
            #[cfg(feature = "zstd")]
            Format::Zstd => format!("say `compressext {ours}` here"),
        };
        let help = format!("{instead}; the folder is watched by {place}");
        return (!keeps_all).then(|| warning.with_label(label).with_help(help));
    }
    if !settings.delay_compress {
        let warning = block.warn_of_compression(format!(
            "logrotate and dwindle would both compress the same files in {folder}"
        ));
        let label = format!("it compresses {shown} as soon as it has rotated, and fails where dwindle was quicker");
        let help = format!("say `delaycompress`, too; the folder is watched by {place}");
        return Some(warning.with_label(label).with_help(help));
    }
    None
}

/// The path of a file as it would be called after its first rotation.
fn rotated_sample(block: &Block, pattern: &str) -> Option<PathBuf> {
    let log = Path::new(pattern);
    let folder = match &block.settings.old_folder {
        Some(old) => log.parent()?.join(old),
        None => log.parent()?.to_owned(),
    };
    let name = log.file_name()?.to_str()?;
    // Letters that no rule spells out, so that only what holds for every log of this pattern counts.
    let name = if name.contains(['*', '?', '[', '{']) {
        format!("x{}", name.rsplit(['*', '?', ']', '}']).next().unwrap_or_default())
    } else {
        name.to_owned()
    };
    let settings = &block.settings;
    let rotated = match (&settings.date_format, settings.dates) {
        (_, false) => format!("{name}.1"),
        (None, true) => format!("{name}-20261123"),
        (Some(format), true) => format!("{name}{}", date(format)),
    };
    Some(folder.join(rotated))
}

/// A moment as `dateformat` writes it.
fn date(format: &str) -> String {
    let parts = [
        ("%Y", "2026"),
        ("%m", "11"),
        ("%d", "23"),
        ("%H", "10"),
        ("%M", "11"),
        ("%S", "12"),
        ("%V", "48"),
        ("%s", "1795392000"),
        ("%%", "%"),
    ];
    parts
        .iter()
        .fold(format.to_owned(), |text, (part, value)| text.replace(part, value))
}

/// The path of a sample from the watched folder on, where it lies in there; its folders may be globs.
fn below(sample: &Path, watched: &Path) -> Option<PathBuf> {
    let (folder, name) = (sample.parent()?, sample.file_name()?);
    let watched = real_path(watched);
    if !folder.to_str()?.contains(['*', '?', '[', '{']) {
        let folder = real_path(folder);
        return Some(folder.strip_prefix(&watched).ok()?.join(name));
    }
    let glob = GlobBuilder::new(folder.to_str()?)
        .literal_separator(true)
        .build()
        .ok()?;
    let is_match = glob.compile_matcher().is_match(&watched);
    is_match.then(|| PathBuf::from(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// What is said of a block for logs in the folder `log`, by watches on that folder.
    fn warnings(block: &str, watch: impl Fn(Watch) -> Watch) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        fs::create_dir_all(log.join("sub")).unwrap();
        fs::create_dir(folder.path().join("other")).unwrap();
        let root = folder.path().display().to_string();
        let configuration = folder.path().join("logrotate.conf");
        fs::write(&configuration, block.replace("ROOT", &root)).unwrap();
        let watches = [watch(Watch::new(log, Preset::RotatedLogs))];
        let found = warn_beside_logrotate(&watches, &["a.toml:2".to_owned()], &configuration);
        found
            .iter()
            .map(|warning| warning.to_string().replace(&format!("{root}/"), ""))
            .collect()
    }

    fn labels(block: &str) -> Vec<String> {
        let found = warnings(block, |watch| watch);
        let label = |warning: &String| {
            warning
                .split_once("^ ")
                .expect("a label")
                .1
                .lines()
                .next()
                .expect("one")
                .to_owned()
        };
        found.iter().map(label).collect()
    }

    #[test]
    fn an_entry_that_would_lose_sight_is_shown_where_it_says_so() {
        let expected = "\
warning: logrotate would lose sight of what is compressed in log
  --> logrotate.conf:4:3
   |
 4 |   nocompress
   |   ^^^^^^^^^^ without `compress` it looks for app.log.1, never for app.log.1.gz: it neither counts nor removes that
   = help: say `compress` and `delaycompress` here; the folder is watched by a.toml:2";
        let block = "compress\nROOT/log/app.log {\n  rotate 3\n  nocompress\n}\n";
        assert_eq!(warnings(block, |watch| watch), [expected]);
        let expected = "\
warning: logrotate would lose sight of what is compressed in log
  --> logrotate.conf:1:1
   |
 1 | ROOT/log/*.log {
   | ^^^^^^^^^^^^^^ without `compress` it looks for x.log.1, never for x.log.1.gz: it neither counts nor removes that
   = help: say `compress` and `delaycompress` here; the folder is watched by a.toml:2";
        let found = warnings("ROOT/log/*.log {\n  rotate 3\n}\n", |watch| watch);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].lines().next(), expected.lines().next());
        assert_eq!(found[0].lines().last(), expected.lines().last());
    }

    #[test]
    fn entries_that_go_with_a_watch_are_not_warned_of() {
        for block in [
            "ROOT/log/*.log {\n compress\n delaycompress\n}\n",
            "compress\ndelaycompress\nROOT/log/*.log {\n dateext\n}\n",
            "ROOT/log/*.log {\n dateext\n rotate -1\n}\n",
            "ROOT/other/*.log {\n}\n",
            "ROOT/log/*.log {\n olddir ROOT/old\n}\n",
            "ROOT/log/sub/*.log {\n}\n",
            "ROOT/*/*.log {\n compress\n delaycompress\n}\n",
        ] {
            assert_eq!(labels(block), [""; 0], "{block}");
        }
        let block = "ROOT/log/app.log {\n}\n";
        for quiet in [
            |watch: Watch| watch.with_exclude(["app*"]),
            |watch: Watch| watch.with_include(["other*"]),
            |watch: Watch| watch.with_output_dir("archive"),
            |watch: Watch| watch.with_keep_original(true),
        ] {
            assert_eq!(warnings(block, quiet), [""; 0]);
        }
        assert_eq!(warnings(block, |watch| watch).len(), 1);
    }

    #[cfg(feature = "zstd")]
    #[test]
    fn the_suffix_is_that_of_the_watchs_format() {
        let zstd = |watch: Watch| watch.with_format(Format::Zstd);
        let block = "ROOT/log/*.log {\n compress\n delaycompress\n}\n";
        let found = warnings(block, zstd);
        assert!(
            found.len() == 1 && found[0].contains("it looks for x.log.1.gz, never for x.log.1.zst"),
            "{found:?}"
        );
        assert!(found[0].contains("say `compressext .zst` here"), "{found:?}");
        let block = "ROOT/log/*.log {\n compress\n delaycompress\n compressext .zst\n}\n";
        assert_eq!(warnings(block, zstd), [""; 0]);
        assert_eq!(warnings(block, |watch| watch).len(), 1);
    }

    #[test]
    fn every_way_to_go_wrong_has_its_word() {
        for (block, part) in [
            (
                "ROOT/log/*.log {\n dateext\n rotate 3\n}\n",
                "it looks for x.log-20261123, never",
            ),
            ("ROOT/*/app.log {\n}\n", "it looks for app.log.1, never"),
            ("ROOT/other/*.log {\n olddir ../log\n}\n", "it looks for x.log.1, never"),
            (
                "ROOT/log/*.log {\n compress\n delaycompress\n compresscmd /usr/bin/xz\n compressext .xz\n}\n",
                "it looks for x.log.1.xz, never for x.log.1.gz",
            ),
            (
                "ROOT/log/*.log {\n compress\n}\n",
                "it compresses x.log.1 as soon as it has rotated",
            ),
            (
                "ROOT/log/*.log {\n compress\n delaycompress\n dateext\n dateformat .%d.%m.%Y.x\n}\n",
                "it is called like x.log.23.11.2026.x",
            ),
        ] {
            let found = labels(block);
            assert!(found.len() == 1 && found[0].contains(part), "{block}: {found:?}");
        }
    }
}
