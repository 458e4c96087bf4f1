//! Outputs of several blocks, read by everything that reads gzip.

use crate::support::gz::{read_first_member_with_python, read_with_pigz};
use crate::support::{Data, Dwindle, Original, Sandbox, assert_gz_of, needs};

/// Text, what does not compress, and zeros, by turns, in runs of any length.
fn mixed(data: &mut Data, length: usize) -> Vec<u8> {
    let mut content = Vec::with_capacity(length + 700_000);
    while content.len() < length {
        let run = data.number(1..700_000);
        match data.number(0..4) {
            0 => content.extend(data.random_bytes(run)),
            1 => content.resize(content.len() + run, 0),
            _ => content.extend(data.log_text(run)),
        }
    }
    content.truncate(length);
    content
}

#[test]
fn outputs_of_several_blocks_are_one_member_for_every_reader() {
    needs!(tool "pigz");
    needs!(tool "python3");
    let sandbox = Sandbox::new();
    let mut data = Data::from_seed(71);
    for level in 1..=9 {
        let content = mixed(&mut data, 5_000_000 + level);
        let original = Original::of(&sandbox.file(format!("{level}.log"), content));
        let option = format!("-{level}");
        Dwindle::new(&sandbox)
            .args(["compress", &option, &format!("{level}.log")])
            .finish()
            .expect_code(0);
        let gz = original.gz_in(sandbox.root());
        assert_gz_of(&gz, &original);
        assert!(read_with_pigz(&gz) == original.content, "pigz, level {level}");
        assert!(
            read_first_member_with_python(&gz) == original.content,
            "Python, level {level}"
        );
    }
}
