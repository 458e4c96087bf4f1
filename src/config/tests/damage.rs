//! No text breaks the reader.

use super::{EXAMPLE, parse};
use crate::config::advice;

#[test]
fn damaged_files_never_panic_and_every_problem_lies_in_the_file() {
    for seed in 0..2000 {
        let text = damage(EXAMPLE, seed);
        let problems = match parse(&text) {
            Ok(file) => advice::warn(&file.watches),
            Err(problems) => {
                assert!(!problems.is_empty(), "seed {seed}: refused without a reason\n{text}");
                problems
            }
        };
        for problem in &problems {
            let (_, line, column) = problem.position().expect("has a place");
            // After a final newline stands one more line, which is empty.
            let length = text.split('\n').nth(line - 1).map(|line| line.chars().count());
            assert!(
                length.is_some_and(|length| column <= length + 1),
                "seed {seed}: {problem}\n{text}"
            );
            let printed = problem.to_string();
            let hostile = |character: char| character.is_control() && character != '\n';
            assert!(!printed.contains(hostile), "seed {seed}: {printed:?}");
        }
    }
}

/// The text with one to six lines, bytes or characters changed, dropped, doubled or moved.
fn damage(text: &str, seed: u64) -> String {
    let mut random = Random(seed);
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=random.below(5) {
        let at = random.below(bytes.len().max(1));
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => bytes
                .iter_mut()
                .skip(at)
                .take(1)
                .for_each(|byte| *byte ^= 1 << random.below(8)),
            2 => drop(bytes.splice(
                at..at,
                "\"[]{}=#.\t\u{1b}\u{202e}\u{0}é日\n'\\".bytes().skip(random.below(20)),
            )),
            3 => drop(bytes.drain(at..(at + random.below(40)).min(bytes.len()))),
            4 => {
                let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
                let line = lines.remove(random.below(lines.len()));
                if random.below(2) == 0 {
                    lines.insert(random.below(lines.len() + 1), line);
                }
                bytes = lines.join(&b'\n');
            }
            _ => {
                let (from, to) = (random.below(bytes.len() + 1), random.below(bytes.len() + 1));
                let copy = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// splitmix64
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).expect("below a usize")
    }
}
