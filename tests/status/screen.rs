use std::fs;

use super::{AT_ONCE, stop, text, wait_until_counted};
use crate::support::run::Output;
use crate::support::{Dwindle, Inbox, Sandbox, needs};

/// `status --watch` at a terminal of 80 columns and 24 lines, in which these keys are pressed, and `meanwhile` runs beside it, when the screen
/// is there.
fn at_terminal(sandbox: &Sandbox, keys: &str, meanwhile: &str) -> Dwindle {
    // Ended by a lost sandbox, too: what a failing test leaves must not go on for ever.
    const UNTIL_SHOWN: &str = "while [ -e shown ] && ! grep -q 'q leaves' shown; do sleep 0.05; done";
    sandbox.file("shown", "");
    let script = format!(
        "trap : INT; stty rows 24 cols 80; stty -g >before
        {{ {UNTIL_SHOWN}; {meanwhile} :; }} &
        sh -c 'echo $$ >process; exec \"$DWINDLE\" status --watch'
        echo code $?; stty -g >after"
    );
    sandbox.file("at-terminal", script);
    let press =
        format!("{UNTIL_SHOWN}; printf '{keys}'; while [ -e shown ] && ! grep -q 'code ' shown; do sleep 0.05; done");
    Dwindle::in_shell(
        sandbox,
        &format!("{{ {press}; }} | script -qefc 'exec sh at-terminal' shown"),
    )
    .env("TERM", "xterm")
}

/// What was shown before the screen, on it, and after it.
fn parts(sandbox: &Sandbox, output: &Output) -> [String; 3] {
    let shown = text(output);
    let (before, rest) = shown
        .split_once("\x1b[?1049h")
        .unwrap_or_else(|| panic!("no screen: {output}"));
    let (screen, after) = rest
        .split_once("\x1b[?1049l")
        .unwrap_or_else(|| panic!("not left: {output}"));
    assert!(
        screen.contains("\x1b[?25l") && screen.ends_with("\x1b[?25h"),
        "the cursor is back: {shown:?}"
    );
    let settings = |name| fs::read_to_string(sandbox.path(name)).unwrap();
    assert_eq!(settings("before"), settings("after"), "keys work as before");
    [before, screen, after].map(str::to_owned)
}

#[test]
fn on_a_terminal_it_is_a_screen_that_is_left_as_it_was() {
    needs!(tool "script");
    let inbox = Inbox::new();
    let mut running = inbox.watch(AT_ONCE);
    inbox.sandbox.file("inbox/F", "text");
    wait_until_counted(&mut running, &inbox);
    for (keys, meanwhile, code) in [
        ("q", "", "code 0"),
        ("\\033", "", "code 0"),
        ("\\003", "", "code 0"),
        ("x", "kill $(cat process);", "code 143"),
        ("x", "kill -TSTP $(cat process); kill -QUIT $(cat process);", "code 0"),
    ] {
        let output = at_terminal(&inbox.sandbox, keys, meanwhile).finish().expect_code(0);
        let [before, screen, after] = parts(&inbox.sandbox, &output);
        assert_eq!(before, "", "{output}");
        assert!(after.contains(code), "{keys}: {after:?}");
        assert!(
            screen.contains("Compressed 1 file") && screen.contains("\x1b[32mrunning\x1b[0m"),
            "{screen:?}"
        );
        let frame = screen.split("\x1b[H").nth(1).expect("a frame");
        assert_eq!(frame.matches("\x1b[K").count(), 24, "{frame:?}");
    }
    stop(running);
}

#[test]
fn the_screen_is_left_when_the_agent_stops_and_what_was_seen_last_stays() {
    needs!(tool "script");
    let inbox = Inbox::new();
    let agent = inbox.watch(AT_ONCE);
    let stop_agent = format!("kill {};", agent.process_id());
    let output = at_terminal(&inbox.sandbox, "", &stop_agent).finish().expect_code(0);
    let [_, _, after] = parts(&inbox.sandbox, &output);
    for part in ["Compressed 0 files", "has stopped", "code 75"] {
        assert!(after.contains(part), "{after:?}");
    }
    agent.wait_exit().expect_code(0);
}

#[test]
fn a_terminal_of_another_size_is_filled_and_one_that_can_do_nothing_has_lines() {
    needs!(tool "script");
    let inbox = Inbox::new();
    let running = inbox.watch(AT_ONCE);
    let smaller = "stty rows 9 cols 30 </dev/tty; while [ -e shown ] && ! grep -q … shown; do sleep 0.05; done; kill $(cat process);";
    let output = at_terminal(&inbox.sandbox, "", smaller).finish().expect_code(0);
    let [_, screen, _] = parts(&inbox.sandbox, &output);
    let last = screen.rsplit("\x1b[H").next().expect("a frame");
    assert_eq!(last.matches("\x1b[K").count(), 9, "{last:?}");
    let script = "script -qefc '\"$DWINDLE\" status --watch' /dev/null </dev/null";
    let mut plain = Dwindle::in_shell(&inbox.sandbox, script).env("TERM", "dumb").start();
    plain.wait_for_text("0 compressed");
    stop(running);
    let output = plain.wait_exit().expect_code(75);
    assert!(!output.stdout.contains(&0x1b), "{output}");
}
