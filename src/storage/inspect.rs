//! Every question that a [look](super::look) asks, each by itself, for whoever wants to know all the answers.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

use super::dir::Folder;
use super::lease::NoLease;
use super::marker::Marker;
use super::ready::{Look, Rules, explain, format_of, judge_kind, lease_on};
use super::status::Status;
use crate::model::{Error, Escaped, Reason, Size, Step};
use crate::policy::{Answer, Rule, WriterCheck};

/// Asks all of it, in the order in which a look does; where nothing has the name, what can be asked by name alone. Blocks.
///
/// # Errors
///
/// When something cannot be looked at.
pub(crate) fn inspect(
    parent: &Folder,
    name: &OsStr,
    rules: &Rules,
    now: SystemTime,
) -> Result<Vec<(Rule, Answer)>, Error> {
    let status = parent.status(name)?;
    let opened = match &status {
        Some(status) if status.is_file() => Opened::of(parent, name),
        Some(_) => Opened::Not("it is no regular file".to_owned()),
        None => Opened::Not("nothing has the name now".to_owned()),
    };
    let inspection = Inspection {
        parent,
        name,
        rules,
        now,
        status,
        opened,
    };
    let order = [
        (Rule::Kind, inspection.kind()),
        (Rule::Marker, inspection.marker()?),
        (Rule::Settle, inspection.settle()),
        (Rule::HardLinks, inspection.links()),
        (Rule::Protected, inspection.protection()),
        (Rule::Size, inspection.size()),
        (Rule::Content, inspection.content()?),
        (Rule::Series, inspection.series()?),
        (Rule::Writer, inspection.writer()),
    ];
    Ok(order.into())
}

struct Inspection<'a> {
    parent: &'a Folder,
    name: &'a OsStr,
    rules: &'a Rules,
    now: SystemTime,
    status: Option<Status>,
    opened: Opened,
}

enum Opened {
    File(File),
    /// It has no content to ask; why.
    Not(String),
    /// It can't be opened by rule.
    Refused(Reason),
}

impl Opened {
    fn of(parent: &Folder, name: &OsStr) -> Self {
        match parent.open_file(name).map_err(explain) {
            Ok(file) => Opened::File(file),
            Err(Ok(Look::Pass(reason))) => Opened::Refused(reason),
            Err(Ok(_)) => Opened::Not("it went away in this moment".to_owned()),
            Err(Err(error)) => Opened::Not(error.to_string()),
        }
    }

    fn file(&self) -> Result<&File, Answer> {
        match self {
            Opened::File(file) => Ok(file),
            Opened::Not(why) => Err(Answer::Unknown(why.clone())),
            Opened::Refused(reason) => Err(Answer::Unknown(reason.to_string())),
        }
    }
}

impl Inspection<'_> {
    /// What is asked of a regular file's metadata.
    fn of_file(&self, ask: impl FnOnce(&Status) -> Answer) -> Answer {
        match &self.status {
            Some(status) if status.is_file() => ask(status),
            Some(_) => Answer::Unknown("it is no regular file".to_owned()),
            None => Answer::Unknown("nothing has the name now".to_owned()),
        }
    }

    fn kind(&self) -> Answer {
        let Some(status) = &self.status else {
            return Answer::Unknown("nothing has the name now".to_owned());
        };
        match (judge_kind(status), &self.opened) {
            (Some(Look::Pass(reason)), _) => Answer::No(reason),
            (Some(_), _) => Answer::No(Reason::Folder),
            (None, Opened::Refused(reason)) => Answer::No(reason.clone()),
            (None, _) => Answer::Yes("a regular file".to_owned()),
        }
    }

    fn marker(&self) -> Result<Answer, Error> {
        let Some(marker) = self.rules.select.marker_of(self.name) else {
            return Ok(Answer::Yes("none is waited for".to_owned()));
        };
        Ok(match Marker::find(self.parent, marker.clone())? {
            Some(_) => Answer::Yes(format!("{} is there", Escaped(Path::new(&marker)))),
            None => Answer::No(Reason::NoMarker(marker)),
        })
    }

    fn settle(&self) -> Answer {
        let settle = self.rules.settle;
        self.of_file(|status| match status.fingerprint.quiet_for(self.now) {
            quiet if quiet < settle => Answer::NotBefore(settle.saturating_sub(quiet)),
            quiet => Answer::Yes(format!("quiet for {}, and {settle:?} is enough", rounded(quiet))),
        })
    }

    fn links(&self) -> Answer {
        self.of_file(|status| match status.fingerprint.links {
            0 | 1 => Answer::Yes("it has one name".to_owned()),
            _ => Answer::No(Reason::HardLinks),
        })
    }

    fn protection(&self) -> Answer {
        self.of_file(|status| {
            if status.protected {
                Answer::No(Reason::Protected)
            } else {
                Answer::Yes("neither immutable nor append-only".to_owned())
            }
        })
    }

    fn size(&self) -> Answer {
        self.of_file(|status| {
            let bytes = status.fingerprint.size;
            match self.rules.select.size(bytes) {
                Ok(()) => Answer::Yes(Size(bytes).to_string()),
                Err(reason) => Answer::No(reason),
            }
        })
    }

    fn content(&self) -> Result<Answer, Error> {
        let file = match self.opened.file() {
            Ok(file) => file,
            Err(answer) => return Ok(answer),
        };
        let size = self.status.as_ref().map_or(u64::MAX, |status| status.fingerprint.size);
        match format_of(file, size) {
            Ok(Some(format)) => Ok(Answer::No(Reason::CompressedContent(format))),
            Ok(None) => Ok(Answer::Yes("not compressed, by its first bytes".to_owned())),
            Err(cause) => Err(Error::new(Step::Read, self.parent.path_of(self.name), cause)),
        }
    }

    fn series(&self) -> Result<Answer, Error> {
        if self.rules.select.standing(self.name).is_none() {
            return Ok(Answer::Yes("the files beside it do not matter".to_owned()));
        }
        Ok(
            match self.rules.siblings.ask(self.parent, self.name, &self.rules.select)? {
                Ok(()) => Answer::Yes("newer files of its series stand beside it".to_owned()),
                Err(reason) => Answer::No(reason),
            },
        )
    }

    fn writer(&self) -> Answer {
        let file = match self.opened.file() {
            Ok(file) => file,
            Err(answer) => return answer,
        };
        if self.rules.writer_check == WriterCheck::Quiet {
            return Answer::Yes("not asked: writer-check = \"quiet\"".to_owned());
        }
        match lease_on(self.parent, file) {
            Ok(()) => Answer::Yes("nobody has it open for writing: a lease was granted".to_owned()),
            Err(NoLease::Writer) => Answer::InUse,
            Err(NoLease::Unavailable(cause)) => Answer::No(Reason::NoLease(cause.to_string())),
        }
    }
}

/// To a tenth of a second where that matters.
fn rounded(time: std::time::Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 60..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
