//! Finds the last block in deflate data without decompressing it (RFC 1951): of each symbol only the number of its bits is looked up.

/// Where the last deflate block is, in bits from the beginning of the data, each byte's lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LastBlock {
    /// Its header's first bit, which says whether it is final.
    pub(super) begin: usize,
    pub(super) end: usize,
}

/// Symbols of the code for literals and lengths (section 3.2.5).
const LITERALS: usize = 256;
const END_OF_BLOCK: usize = 256;

/// How many extra bits follow each length symbol, from 257 on, and each distance symbol.
const LENGTH_EXTRA: [u8; 29] = [
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
];
const DISTANCE_EXTRA: [u8; 30] = [
    0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
];

/// In which order the lengths of the code for code lengths come (section 3.2.7).
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The most code lengths that a block's header can hold: 286 or 288 and 32.
const MOST_LENGTHS: usize = 288 + 32;

/// No code word is longer.
const LONGEST: usize = 15;

/// What the symbols of the code for literals and lengths mean.
const LITERAL: u16 = 0;
const LENGTH: u16 = 1;
const END: u16 = 2;

/// The tables, kept from one block to the next.
#[derive(Default)]
pub(super) struct Scanner {
    code_lengths: Code<{ 1 << 7 }>,
    literals: Code<{ 1 << 11 }>,
    distances: Code<{ 1 << 9 }>,
}

impl Scanner {
    /// The last block of `data`, which is the final one or the one that the data ends with, on a byte boundary. None where the data is
    /// no such thing. What is found is no proof that the data can be decompressed.
    pub(super) fn last_block(&mut self, data: &[u8]) -> Option<LastBlock> {
        let mut bits = Bits::new(data);
        loop {
            let begin = bits.position();
            let is_final = bits.take(1)? == 1;
            match bits.take(2)? {
                0 => bits.skip_stored()?,
                1 => {
                    self.read_fixed()?;
                    self.skip_symbols(&mut bits)?;
                }
                2 => {
                    self.read_dynamic(&mut bits)?;
                    self.skip_symbols(&mut bits)?;
                }
                _ => return None,
            }
            let end = bits.position();
            if is_final || end == 8 * data.len() {
                return Some(LastBlock { begin, end });
            }
        }
    }

    /// The codes of section 3.2.6.
    fn read_fixed(&mut self) -> Option<()> {
        let mut lengths = [8; 288];
        lengths[144..256].fill(9);
        lengths[256..280].fill(7);
        self.read_codes(&lengths, &[5; 32])
    }

    /// The codes that a block brings along.
    fn read_dynamic(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        let literals = 257 + bits.take(5)?;
        let distances = 1 + bits.take(5)?;
        let mut lengths = [0; 19];
        for &symbol in &ORDER[..4 + bits.take(4)?] {
            lengths[symbol] = u8::try_from(bits.take(3)?).ok()?;
        }
        self.code_lengths
            .read(&lengths, |symbol| Some((u16::try_from(symbol).ok()?, 0)))?;

        let mut lengths = [0; MOST_LENGTHS];
        let mut rest = lengths.get_mut(..literals + distances)?;
        let mut last = None;
        while !rest.is_empty() {
            bits.refill();
            let (length, times) = match bits.symbol(&self.code_lengths)? {
                16 => (last?, 3 + bits.take(2)?),
                17 => (0, 3 + bits.take(3)?),
                18 => (0, 11 + bits.take(7)?),
                length => (u8::try_from(length).ok()?, 1),
            };
            last = Some(length);
            let (now, later) = rest.split_at_mut_checked(times)?;
            now.fill(length);
            rest = later;
        }
        let (literals, distances) = lengths[..literals + distances].split_at(literals);
        self.read_codes(literals, distances)
    }

    fn read_codes(&mut self, literals: &[u8], distances: &[u8]) -> Option<()> {
        self.literals.read(literals, |symbol| match symbol {
            0..LITERALS => Some((LITERAL, 0)),
            END_OF_BLOCK => Some((END, 0)),
            length => Some((LENGTH, *LENGTH_EXTRA.get(length - END_OF_BLOCK - 1)?)),
        })?;
        self.literals.merge_literals();
        self.distances
            .read(distances, |symbol| Some((0, *DISTANCE_EXTRA.get(symbol)?)))
    }

    /// To behind the block's end.
    fn skip_symbols(&self, reader: &mut Bits<'_>) -> Option<()> {
        // A copy, which can be in registers.
        let mut bits = *reader;
        loop {
            // Enough for the longest length and distance with their extra bits, 48.
            bits.refill();
            match bits.symbol(&self.literals)? {
                LITERAL => {}
                LENGTH => {
                    bits.symbol(&self.distances)?;
                }
                _ => break,
            }
        }
        *reader = bits;
        Some(())
    }
}

/// What is known of a code word. In one number, since each word has to wait for that of the one before it: from the lowest on, a byte each,
/// how many bits to skip with its extra bits, and how many are its own, which are none of no word; above them what it means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry(u32);

impl Entry {
    fn new(meaning: u16, length: u8, skip: u8) -> Self {
        Entry(u32::from(meaning) << 16 | u32::from(length) << 8 | u32::from(skip))
    }

    fn exists(self) -> bool {
        self.0 != 0
    }

    fn meaning(self) -> u16 {
        let [_, _, low, high] = self.0.to_le_bytes();
        u16::from_le_bytes([low, high])
    }

    fn length(self) -> u8 {
        self.0.to_le_bytes()[1]
    }

    fn skip(self) -> u8 {
        self.0.to_le_bytes()[0]
    }
}

/// A Huffman code (section 3.2.2): code words of few bits are looked up in a table of `SIZE`, a power of two; longer ones, which
/// are rare, are searched for.
struct Code<const SIZE: usize> {
    direct: Box<[Entry; SIZE]>,
    /// How many code words there are of each length.
    counts: [u16; LONGEST + 1],
    /// In the order of their code words.
    sorted: Vec<Entry>,
}

impl<const SIZE: usize> Default for Code<SIZE> {
    fn default() -> Self {
        Code {
            direct: Box::new([Entry::default(); SIZE]),
            counts: [0; LONGEST + 1],
            sorted: Vec::with_capacity(MOST_LENGTHS),
        }
    }
}

impl<const SIZE: usize> Code<SIZE> {
    const DIRECT: usize = SIZE.trailing_zeros() as usize;

    /// Becomes the code whose symbols have these lengths. `meaning` gives a symbol's and the number of its extra bits; none where there must
    /// not be such a symbol. None where there are more code words than there can be.
    fn read(&mut self, lengths: &[u8], meaning: impl Fn(usize) -> Option<(u16, u8)>) -> Option<()> {
        self.counts = [0; LONGEST + 1];
        for &length in lengths {
            *self.counts.get_mut(usize::from(length))? += 1;
        }
        self.counts[0] = 0;
        // Where in `sorted` the symbols of each length begin.
        let mut begins = [0; LONGEST + 1];
        let (mut begin, mut space) = (0, 1 << LONGEST);
        for (length, &count) in self.counts.iter().enumerate() {
            begins[length] = usize::from(begin);
            begin += count;
            space -= i32::from(count) << (LONGEST - length);
        }
        if space < 0 {
            return None;
        }
        self.sorted.clear();
        self.sorted.resize(usize::from(begin), Entry::default());
        for (symbol, &length) in lengths.iter().enumerate().filter(|&(_, &length)| length > 0) {
            let begin = &mut begins[usize::from(length)];
            if let Some((meaning, extra)) = meaning(symbol) {
                self.sorted[*begin] = Entry::new(meaning, length, length + extra);
            }
            *begin += 1;
        }
        self.fill();
        Some(())
    }

    fn fill(&mut self) {
        self.direct.fill(Entry::default());
        let mut sorted = self.sorted.iter();
        let mut code = 0_usize;
        for length in 1..=Self::DIRECT {
            code <<= 1;
            for &entry in sorted.by_ref().take(usize::from(self.counts[length])) {
                // The words are read from their highest bit on.
                let first = code.reverse_bits() >> (usize::BITS as usize - length);
                for place in self.direct.iter_mut().skip(first).step_by(1 << length) {
                    *place = entry;
                }
                code += 1;
            }
        }
    }

    /// Makes one of each entry for a literal and that of the word behind it, where all of it is looked up at once. Literals mean
    /// nothing more.
    fn merge_literals(&mut self) {
        // From the end on, so that the other one, which is nearer to the beginning, is of a single word.
        for at in (1..self.direct.len()).rev() {
            let first = self.direct[at];
            if !first.exists() || first.meaning() != LITERAL {
                continue;
            }
            let second = self.direct[at >> first.length()];
            let length = first.length() + second.length();
            if second.exists() && usize::from(length) <= Self::DIRECT {
                self.direct[at] = Entry::new(second.meaning(), length, first.skip() + second.skip());
            }
        }
    }

    /// The entry for the word at the low end of `buffer`.
    fn look_up(&self, buffer: u64) -> Option<Entry> {
        #[allow(clippy::cast_possible_truncation)] // it is masked
        let direct = self.direct[buffer as usize % SIZE];
        if direct.exists() {
            Some(direct)
        } else {
            self.search(buffer)
        }
    }

    #[cold]
    fn search(&self, buffer: u64) -> Option<Entry> {
        let (mut code, mut first, mut begin) = (0, 0, 0);
        for (length, &count) in self.counts.iter().enumerate().skip(1) {
            code = code << 1 | usize::from(buffer >> (length - 1) & 1 == 1);
            first <<= 1;
            let count = usize::from(count);
            if code < first + count {
                let entry = *self.sorted.get(begin + code.checked_sub(first)?)?;
                return entry.exists().then_some(entry);
            }
            first += count;
            begin += count;
        }
        None
    }
}

/// Reads bits, each byte's lowest first.
#[derive(Clone, Copy)]
struct Bits<'a> {
    data: &'a [u8],
    /// The next byte that is not in `buffer`.
    next: usize,
    buffer: u64,
    /// How many of the buffer's bits count.
    count: u32,
}

impl<'a> Bits<'a> {
    fn new(data: &'a [u8]) -> Self {
        Bits {
            data,
            next: 0,
            buffer: 0,
            count: 0,
        }
    }

    fn position(&self) -> usize {
        8 * self.next - self.count as usize
    }

    /// Makes it 56 bits or more, or all that there are.
    fn refill(&mut self) {
        if let Some(bytes) = self.data.get(self.next..).and_then(<[u8]>::first_chunk) {
            // Bits above those that count are the same ones as come again the next time.
            self.buffer |= u64::from_le_bytes(*bytes) << self.count;
            self.next += (63 - self.count as usize) / 8;
            self.count |= 0b11_1000;
        } else {
            *self = self.refilled_at_the_end();
        }
    }

    #[cold]
    fn refilled_at_the_end(mut self) -> Self {
        self.buffer &= (1 << self.count) - 1;
        while let Some(&byte) = self.data.get(self.next).filter(|_| self.count < 56) {
            self.buffer |= u64::from(byte) << self.count;
            self.next += 1;
            self.count += 8;
        }
        self
    }

    fn skip(&mut self, count: u32) -> Option<()> {
        self.count = self.count.checked_sub(count)?;
        self.buffer >>= count & 63;
        Some(())
    }

    fn take(&mut self, count: u32) -> Option<usize> {
        self.refill();
        let value = self.buffer & ((1 << count) - 1);
        self.skip(count)?;
        usize::try_from(value).ok()
    }

    /// Skips a symbol and its extra bits; what it means. The buffer must have been filled.
    fn symbol<const SIZE: usize>(&mut self, code: &Code<SIZE>) -> Option<u16> {
        let entry = code.look_up(self.buffer)?;
        self.skip(u32::from(entry.skip()))?;
        Some(entry.meaning())
    }

    /// The rest of a stored block (section 3.2.4).
    fn skip_stored(&mut self) -> Option<()> {
        self.skip(self.count % 8)?;
        let length = self.take(16)?;
        if self.take(16)? != length ^ 0xffff {
            return None;
        }
        let end = self.position() / 8 + length;
        let rest = self.data.get(end..)?;
        *self = Bits {
            data: self.data,
            next: self.data.len() - rest.len(),
            buffer: 0,
            count: 0,
        };
        Some(())
    }
}
