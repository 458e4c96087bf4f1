//! What takes too many files to tell as a script in `cases/`.

use std::collections::BTreeSet;

use super::*;

const WATCH: WatchId = WatchId(1);
const SETTLE: Duration = Duration::from_secs(2);
const RESCAN_EVERY: Duration = Duration::from_secs(3600);
const DONE: Outcome = Outcome::Compressed {
    bytes_in: 2,
    bytes_out: 1,
};

#[test]
fn more_subfolders_than_are_kept_become_one_scan_of_the_whole() {
    let (mut agenda, start) = agenda_after_its_first_scan(64, 4);
    for number in 0..=256 {
        agenda.handle_folder(WATCH, Path::new(&format!("folder-{number}")), start);
    }
    let now = start + Duration::from_secs(1);
    let Some(Action::Scan { folder, cause, .. }) = agenda.poll_action(now) else {
        panic!("a scan is due");
    };
    assert_eq!((folder, cause), (PathBuf::new(), Cause::NoRoom));
    agenda.handle_scanned(WATCH, Vec::new(), true, now);
    assert_eq!(agenda.poll_action(now), None);
}

#[test]
fn each_of_fewer_subfolders_is_scanned_by_itself() {
    let (mut agenda, now) = agenda_after_its_first_scan(64, 4);
    let told: BTreeSet<PathBuf> = (0..256).map(|number| format!("folder-{number}").into()).collect();
    for folder in &told {
        agenda.handle_folder(WATCH, folder, now);
    }
    let mut scanned = BTreeSet::new();
    while let Some(Action::Scan { folder, .. }) = agenda.poll_action(now) {
        scanned.insert(folder);
        agenda.handle_scanned(WATCH, Vec::new(), true, now);
    }
    assert_eq!(scanned, told);
}

#[test]
fn ten_thousand_events_pass_through_a_table_of_sixteen() {
    let (mut agenda, mut now) = agenda_after_its_first_scan(16, 2);
    let mut there: BTreeSet<PathBuf> = (0..10_000).map(|number| format!("{number:05}").into()).collect();
    for path in &there {
        agenda.handle_event(&file(path), now);
    }
    let mut cursor: Option<PathBuf> = None;
    let mut most_pending = 0;
    loop {
        most_pending = most_pending.max(agenda.pending());
        match agenda.poll_action(now) {
            Some(Action::Begin(file)) => {
                assert!(there.remove(&*file.path), "{} was begun twice", file.path.display());
                agenda.handle_outcome(&file, DONE, now);
            }
            Some(Action::Scan { most, .. }) => {
                cursor = None;
                answer_scan(&mut agenda, &there, &mut cursor, most, now);
            }
            Some(Action::ScanOn { most, .. }) => answer_scan(&mut agenda, &there, &mut cursor, most, now),
            Some(Action::Finish) => panic!("nobody told it to end"),
            Some(Action::Retain(_)) => panic!("no watch removes outputs"),
            None if there.is_empty() => break,
            None => now = agenda.poll_timeout().expect("something is left to do"),
        }
    }
    assert_eq!(agenda.tally().compressed, 10_000);
    assert!(most_pending <= 16 + 256, "{most_pending} files were known at once");
}

#[test]
fn of_many_that_only_a_person_can_help_the_oldest_are_forgotten_but_counted() {
    let (mut agenda, now) = agenda_after_its_first_scan(16, 1);
    let later = now + SETTLE;
    for number in 0..10 {
        agenda.handle_event(&file(Path::new(&format!("{number}"))), now);
    }
    while let Some(Action::Begin(file)) = agenda.poll_action(later) {
        agenda.handle_outcome(&file, Outcome::Failed(Class::Permanent), later);
    }
    assert_eq!(agenda.files.len(), 4);
    assert_eq!(agenda.tally().failed, 10);
}

#[test]
fn what_may_pass_is_given_up_after_sixteen_tries_of_which_none_was_for_want_of_room() {
    let (mut agenda, start) = agenda_after_its_first_scan(16, 1);
    let mut now = start;
    agenda.handle_event(&file(Path::new("a")), now);
    let mut given_up_at = Vec::new();
    for number in 0..40 {
        let begun = loop {
            match agenda.poll_action(now) {
                Some(Action::Begin(file)) => break file,
                Some(_) => agenda.handle_scanned(WATCH, Vec::new(), true, now),
                None => now = agenda.poll_timeout().expect("it is tried again"),
            }
        };
        // Each second time the disk is full.
        let outcome = if number % 2 == 0 {
            Outcome::NoRoom
        } else {
            Outcome::Failed(Class::Transient)
        };
        if agenda.handle_outcome(&begun, outcome, now).given_up {
            given_up_at.push(agenda.failures_of(&begun));
        }
    }
    assert_eq!(given_up_at, [16]);
}

#[test]
fn no_more_are_begun_than_the_limit_allows() {
    let (mut agenda, now) = agenda_after_its_first_scan(64, 3);
    for number in 0..10 {
        agenda.handle_event(&file(Path::new(&format!("{number}"))), now);
    }
    let later = now + SETTLE;
    let mut begun = 0;
    while let Some(action) = agenda.poll_action(later) {
        assert!(matches!(action, Action::Begin(_)));
        begun += 1;
    }
    assert_eq!(begun, 3);
    assert_eq!(agenda.poll_timeout(), Some(now + RESCAN_EVERY));
}

#[test]
fn an_outcome_nobody_waits_for_is_ignored() {
    let (mut agenda, now) = agenda_after_its_first_scan(64, 3);
    let verdict = agenda.handle_outcome(&file(Path::new("a")), DONE, now);
    assert_eq!(verdict, Verdict::quiet());
    assert_eq!(agenda.tally(), Tally::default());
}

fn agenda_after_its_first_scan(files: usize, begun: usize) -> (Agenda, Instant) {
    let now = Instant::now();
    let mut agenda = Agenda::new(Limits { files, begun });
    let timing = Timing {
        settle: SETTLE,
        rescan_every: RESCAN_EVERY,
    };
    agenda.add_watch(WATCH, timing, now);
    assert!(matches!(agenda.poll_action(now), Some(Action::Scan { .. })));
    agenda.handle_scanned(WATCH, Vec::new(), true, now);
    (agenda, now)
}

fn answer_scan(
    agenda: &mut Agenda,
    there: &BTreeSet<PathBuf>,
    cursor: &mut Option<PathBuf>,
    most: usize,
    now: Instant,
) {
    let is_new = |path: &&PathBuf| cursor.as_ref().is_none_or(|last| *path > last);
    let found: Vec<PathBuf> = there.iter().filter(is_new).take(most).cloned().collect();
    let end = found.len() < most;
    *cursor = found.last().cloned();
    agenda.handle_scanned(WATCH, found, end, now);
}

fn file(path: &Path) -> FileId {
    FileId {
        watch: WATCH,
        path: path.into(),
    }
}
