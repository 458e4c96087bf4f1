//! Why a watch does what it does with one path: every rule and its answer. Nothing is touched.

use std::path::Path;
use std::time::SystemTime;

use crate::model::{Error, Reason};
use crate::policy::{Answer, Rule, Select, Watch};
use crate::storage::{Status, inspect, is_gone};

use super::AgentError;
use super::outlook::{Outlook, Prospect};

/// All answers about a path, and what follows from them.
#[derive(Debug)]
pub(crate) struct Explanation {
    /// In the order in which the rules are asked. The first that is against it decides.
    pub(crate) answers: Vec<(Rule, Answer)>,
    pub(crate) subject: Subject,
}

/// What the path leads to.
#[derive(Debug)]
pub(crate) enum Subject {
    File(Prospect),
    Folder,
    /// Nothing is there now.
    Nothing,
}

/// Asks every rule of a watch about a path below its folder. Blocks.
///
/// # Errors
///
/// When a pattern is wrong. What cannot be looked at is part of the answer.
pub(crate) fn explain(watch: &Watch, relative: &Path) -> Result<Explanation, AgentError> {
    let select = Select::new(watch)?;
    let mut answers = select.explain(relative, false);
    let looked = match Outlook::open(watch) {
        Ok(outlook) => look(&outlook, relative, &mut answers),
        Err(AgentError::Folder(error)) => Err(error),
        Err(error) => return Err(error),
    };
    let subject = match looked {
        Ok(Subject::Folder) => {
            answers = select.explain(relative, true);
            Subject::Folder
        }
        Ok(subject) => subject,
        Err(error) if is_gone(&error) => Subject::Nothing,
        Err(error) => Subject::File(Prospect::Fail(error)),
    };
    // What decides by name alone decides, whatever the file is.
    let by_name = answers.iter().find_map(|(_, answer)| match answer {
        Answer::No(reason) => Some(reason.clone()),
        _ => None,
    });
    let subject = match (subject, by_name) {
        (Subject::File(Prospect::Withdraw), _) => Subject::File(Prospect::Withdraw),
        (Subject::File(_), Some(reason))
            if !matches!(reason, Reason::NoMarker(_)) && select.file(relative).is_err() =>
        {
            Subject::File(Prospect::Skip(reason))
        }
        (subject, _) => subject,
    };
    Ok(Explanation { answers, subject })
}

/// Adds what is asked of the file itself.
fn look(outlook: &Outlook<'_>, relative: &Path, answers: &mut Vec<(Rule, Answer)>) -> Result<Subject, Error> {
    let (Some(folder), Some(name)) = (relative.parent(), relative.file_name()) else {
        return Ok(Subject::Folder);
    };
    let parent = outlook.root.folder(folder)?;
    let status = parent.status(name)?;
    if status.as_ref().is_some_and(Status::is_folder) {
        return Ok(Subject::Folder);
    }
    answers.extend(inspect(&parent, name, &outlook.rules, SystemTime::now())?);
    if status.is_none() {
        return Ok(Subject::Nothing);
    }
    if outlook.withdraws(relative)? {
        return Ok(Subject::File(Prospect::Withdraw));
    }
    let Some(prospect) = outlook.of(relative) else {
        return Ok(Subject::Nothing);
    };
    let answer = match &prospect {
        Prospect::Compress { .. } => Some(Answer::Yes("its name is free".to_owned())),
        Prospect::Remake { .. } => Some(Answer::Yes("there is one of before, which is replaced".to_owned())),
        Prospect::Finish { .. } => Some(Answer::Yes("there is one already that holds the same bytes".to_owned())),
        Prospect::Skip(reason @ (Reason::UpToDate | Reason::NameTaken | Reason::NameTooLong)) => {
            Some(Answer::No(reason.clone()))
        }
        _ => None,
    };
    let unknown = || Answer::Unknown("asked once the file is ready".to_owned());
    answers.push((Rule::Output, answer.unwrap_or_else(unknown)));
    Ok(Subject::File(prospect))
}
