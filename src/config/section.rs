//! Reads one TOML table key by key, and collects everything that is wrong with it.

use std::ops::Range;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::diagnostic::{Diagnostic, Document};
use super::values::{Setting, Value, expected};

/// A kind of table: what to call it, and the keys it can have.
#[derive(Debug)]
pub(super) struct Kind {
    /// Completes "unknown key …", as in "in a watch".
    pub(super) place: &'static str,
    pub(super) keys: &'static [&'static str],
    /// Tables a misplaced key may have been meant for, with how to write their heads.
    pub(super) others: &'static [(&'static str, &'static [&'static str])],
}

/// A table on its way to becoming settings. Keys are taken one by one; [`finish`](Self::finish) refuses what is left.
pub(super) struct Section<'a> {
    document: &'a Document,
    kind: &'static Kind,
    table: DeTable<'a>,
    problems: Vec<Diagnostic>,
}

impl<'a> Section<'a> {
    pub(super) fn new(document: &'a Document, kind: &'static Kind, table: DeTable<'a>) -> Self {
        Section {
            document,
            kind,
            table,
            problems: Vec::new(),
        }
    }

    pub(super) fn contains(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The value of a key, and where it stands. Nothing where the key is absent, or its value wrong, which is noted.
    pub(super) fn take<T: Value>(&mut self, key: &'static str) -> Option<Spanned<T>> {
        let value = self.take_raw(key)?;
        self.read(key, value)
    }

    /// Leaves a key unread, where a problem with another one says enough.
    pub(super) fn ignore(&mut self, key: &'static str) {
        self.take_raw(key);
    }

    /// The values of a key that has a list of them. A wrong one is noted and left out.
    pub(super) fn take_list<T: Value>(&mut self, key: &'static str) -> Option<Vec<Spanned<T>>> {
        let value = self.take_raw(key)?;
        let span = value.span();
        let DeValue::Array(values) = value.into_inner() else {
            self.refuse(key, span, format!("expected a list in brackets, each {}", T::EXPECTED));
            return None;
        };
        let values = values.into_iter();
        Some(values.filter_map(|value| self.read(key, value)).collect())
    }

    /// The table below a key, like `[log]`.
    pub(super) fn take_table(&mut self, key: &'static str, kind: &'static Kind) -> Option<Section<'a>> {
        let value = self.take_raw(key)?;
        let span = value.span();
        let DeValue::Table(table) = value.into_inner() else {
            self.refuse(key, span, format!("expected a table, written [{key}]"));
            return None;
        };
        Some(Section::new(self.document, kind, table))
    }

    /// The tables below a key, like `[[watch]]`, each with the place of its head.
    pub(super) fn take_tables(&mut self, key: &'static str, kind: &'static Kind) -> Vec<(Section<'a>, Range<usize>)> {
        let Some(value) = self.take_raw(key) else {
            return Vec::new();
        };
        let span = value.span();
        let DeValue::Array(values) = value.into_inner() else {
            return self.refuse_tables(key, span);
        };
        let mut sections = Vec::new();
        for value in values {
            let span = value.span();
            match value.into_inner() {
                DeValue::Table(table) => sections.push((Section::new(self.document, kind, table), span)),
                _ => return self.refuse_tables(key, span),
            }
        }
        sections
    }

    /// Notes a problem that only shows in the light of other keys.
    pub(super) fn report(&mut self, problem: Diagnostic) {
        self.problems.push(problem);
    }

    /// Notes that a value cannot be used, and why.
    pub(super) fn refuse(&mut self, key: &str, span: Range<usize>, why: impl Into<String>) {
        let problem = self.document.error(span, format!("wrong value for `{key}`"));
        self.problems.push(problem.with_label(why));
    }

    /// Refuses the keys that nobody took, and gives back all that was noted.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        for key in self.table.keys() {
            let place = self.kind.place;
            let problem = self
                .document
                .error(key.span(), format!("unknown key `{}` {place}", key.get_ref()));
            self.problems.push(problem.with_label(self.kind.suggest(key.get_ref())));
        }
        self.problems
    }

    fn take_raw(&mut self, key: &'static str) -> Option<Spanned<DeValue<'a>>> {
        debug_assert!(self.kind.keys.contains(&key), "{key} is in no table of keys");
        self.table.remove(key)
    }

    fn read<T: Value>(&mut self, key: &str, value: Spanned<DeValue<'a>>) -> Option<Spanned<T>> {
        let span = value.span();
        match Setting::deserialize(ValueDeserializer::from(value)) {
            Ok(Setting(value)) => Some(Spanned::new(span, value)),
            Err(error) => {
                // serde's own words for a wrong type are a programmer's.
                let label = match error.message() {
                    message if message.starts_with("invalid type") => expected::<T>(),
                    message => message.to_owned(),
                };
                self.refuse(key, span, label);
                None
            }
        }
    }

    fn refuse_tables<T>(&mut self, key: &str, span: Range<usize>) -> Vec<T> {
        self.refuse(
            key,
            span,
            format!("written with two brackets, [[{key}]], once for each"),
        );
        Vec::new()
    }
}

impl Kind {
    /// The nearest key, or the table that has this one, or else all keys.
    fn suggest(&self, wrong: &str) -> String {
        let wrong = wrong.to_lowercase().replace('_', "-");
        if let Some((head, _)) = self.others.iter().find(|(_, keys)| keys.contains(&&*wrong)) {
            return format!("`{wrong}` belongs {head}");
        }
        if let Some(key) = find_nearest(self.keys, &wrong) {
            return format!("did you mean `{key}`?");
        }
        let elsewhere = |(head, keys): &(_, &[&'static str])| Some((*head, find_nearest(keys, &wrong)?));
        match self.others.iter().find_map(elsewhere) {
            Some((head, key)) => format!("did you mean `{key}`, {head}?"),
            None => format!("known here: {}", self.keys.join(", ")),
        }
    }
}

/// The key that differs least, if by no more than a third of the letters.
fn find_nearest(keys: &[&'static str], wrong: &str) -> Option<&'static str> {
    let distances = keys.iter().map(|key| (strsim::damerau_levenshtein(key, wrong), *key));
    let (distance, key) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= wrong.len().max(key.len()) / 3).then_some(key)
}
