//! All rules about a path, each with its answer.

use std::path::Path;

use super::super::rule::{Answer, Rule};
use super::super::watch::Preset;
use super::{Asked, Select, tidy};

impl Select {
    /// What every rule about paths says, of a file or of a folder, in the order in which they are asked. The first that is against it decides.
    pub(crate) fn explain(&self, relative: &Path, is_folder: bool) -> Vec<(Rule, Answer)> {
        let path = tidy(relative);
        let Ok(asked) = (if is_folder {
            Ok(Asked::folder(&path))
        } else {
            Asked::file(&path)
        }) else {
            return Vec::new();
        };
        let of_names = if is_folder { &[][..] } else { &Rule::OF_NAMES };
        let rules = Rule::OF_FOLDERS.iter().chain(of_names);
        // Most agents have no shard, and nobody who has none asks for it.
        let rules = rules.filter(|rule| **rule != Rule::Shard || self.shard.is_some());
        let answer = |rule| match self.ask(rule, asked) {
            Ok(()) => Answer::Yes(self.describe(rule, asked)),
            Err(reason) => Answer::No(reason),
        };
        rules.map(|&rule| (rule, answer(rule))).collect()
    }

    /// What a rule found that has nothing against it.
    fn describe(&self, rule: Rule, asked: Asked<'_>) -> String {
        match rule {
            Rule::FolderNames | Rule::Recursive | Rule::ExcludedFolders if asked.folder.is_empty() => {
                "in the watched folder itself".to_owned()
            }
            Rule::FolderNames => "no folder on the way is hidden or in progress".to_owned(),
            Rule::Recursive => "subfolders are watched, too".to_owned(),
            Rule::OutputFolder if !self.own_folders.is_empty() => "it is in no folder of the watch's own".to_owned(),
            Rule::OutputFolder => "outputs go elsewhere, or beside their originals".to_owned(),
            Rule::ExcludedFolders => "no folder on the way is excluded".to_owned(),
            Rule::MarkerName if self.marker.is_some() => "not a marker's name".to_owned(),
            Rule::MarkerName => "there are no markers in this watch".to_owned(),
            Rule::OwnTemporary => "not a name of dwindle's own".to_owned(),
            Rule::InProgress => "not a name of something that is still written".to_owned(),
            Rule::DotFile => "no dot at the beginning".to_owned(),
            Rule::CompressedSuffix => "not one of what is compressed already".to_owned(),
            Rule::Exclude if self.exclude.is_empty() => "nothing is excluded".to_owned(),
            Rule::Exclude => "no pattern matches".to_owned(),
            Rule::Include => match self.include.find_file(asked.path) {
                Some(glob) => format!("the pattern {glob:?} matches"),
                None => "no patterns, so all that the preset takes".to_owned(),
            },
            Rule::Preset => match self.preset {
                Preset::Inbox => "inbox takes every finished file",
                Preset::RotatedLogs => "a name that only a rotation makes",
                Preset::StaticAssets if self.include.is_empty() => "a text-like web file",
                Preset::StaticAssets => "include says what is taken",
            }
            .to_owned(),
            Rule::Shard => self.shard.map_or_else(String::new, |shard| {
                format!("it falls to {shard}, which is asked about")
            }),
            _ => String::new(),
        }
    }
}
