//! Stored blocks, for what does not compress (RFC 1951, section 3.2.4).

/// A stored block holds at most this many bytes and costs five more.
const MOST: usize = 0xffff;
const COST: usize = 5;

/// How long `length` bytes are when they are stored.
pub(super) fn stored_size(length: usize) -> usize {
    length + COST * length.div_ceil(MOST).max(1)
}

/// Appends the bytes as stored blocks, the last of them final where `last`.
pub(super) fn store(bytes: &[u8], last: bool, output: &mut Vec<u8>) {
    let mut rest = bytes;
    loop {
        let (now, later) = rest.split_at(rest.len().min(MOST));
        let [low, high, ..] = now.len().to_le_bytes();
        let end = last && later.is_empty();
        output.extend([u8::from(end), low, high, !low, !high]);
        output.extend(now);
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_known_beforehand() {
        for length in [0, 1, MOST - 1, MOST, MOST + 1, 3 * MOST, 3 * MOST + 1] {
            let mut output = Vec::new();
            store(&vec![7; length], true, &mut output);
            assert_eq!(output.len(), stored_size(length), "{length} bytes");
        }
    }

    #[test]
    fn only_the_last_of_the_last_is_final() {
        let ends = |last| {
            let mut output = Vec::new();
            store(&vec![7; MOST + 1], last, &mut output);
            [output[0], output[COST + MOST]]
        };
        assert_eq!(ends(false), [0, 0]);
        assert_eq!(ends(true), [0, 1]);
    }
}
